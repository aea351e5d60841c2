//! What is left when everything has healed: the database, the queues, and what clients and subscribers were told.

use super::deployment::{ANNOUNCED_MARK, Deployment, SUBSCRIBER};
use super::listener::Heard;
use super::load::Answers;
use crate::support::TestEnv;
use restaurant_system::domain::Status;
use std::collections::HashMap;

/// The queues that must be empty in the end, the dead letters among them.
pub const QUEUES: [&str; 6] = [
    "kitchen_dine_in_queue",
    "kitchen_takeout_queue",
    "kitchen_delivery_queue",
    "notifications_queue",
    "notifications_queue.audit",
    "kitchen_dead_letters",
];

/// An order as the database has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    pub number: String,
    pub status: String,
    pub processed_by: Option<String>,
    /// How often it was claimed.
    pub attempt: i32,
    /// From its commit to its being ready.
    pub seconds: Option<f64>,
    /// Its history, oldest first.
    pub history: Vec<Change>,
    /// The idempotency keys that name it.
    pub keys: Vec<String>,
}

impl Order {
    /// Whether it was begun again by another, without being recalled.
    pub fn is_taken_over(&self) -> bool {
        // A recall begins an attempt, and so does the one who takes the order then.
        let begun = self.statuses().iter().filter(|status| **status == "cooking").count();
        usize::try_from(self.attempt).is_ok_and(|attempt| attempt > 1 + 2 * begun.saturating_sub(1))
    }

    /// The statuses of its history.
    pub fn statuses(&self) -> Vec<&str> {
        self.history.iter().map(|change| change.status.as_str()).collect()
    }
}

/// A row of the status log.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    pub status: String,
    pub attempt: i32,
    pub changed_by: String,
    /// In seconds since 1970.
    pub at: f64,
    /// The id of the message that announces it.
    pub message_id: String,
}

/// What was printed by a subscriber, or by several who share their queues.
#[derive(Debug, Clone, Default)]
pub struct Printed {
    pub who: &'static str,
    /// Into so many queues each change is put for them.
    pub queues: usize,
    /// The order number and new status of every line, and how often it was printed.
    pub changes: HashMap<(String, String), usize>,
}

impl Printed {
    /// What is in these lines of output.
    pub fn of(who: &'static str, queues: usize, lines: &[String]) -> Self {
        let mut changes = HashMap::new();
        for change in lines.iter().filter_map(|line| printed_change(line)) {
            *changes.entry(change).or_default() += 1;
        }
        Self { who, queues, changes }
    }

    /// Whether a change, which came so many `times`, was printed for each of the queues.
    pub fn has(&self, number: &str, status: &str, times: usize) -> bool {
        let change = (number.to_owned(), status.to_owned());
        self.changes.get(&change).copied().unwrap_or_default() >= self.queues * times
    }
}

/// Everything that the audit looks at.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    pub orders: Vec<Order>,
    /// Each worker with its `orders_processed`.
    pub workers: Vec<(String, i64)>,
    /// Each day (`YYYYMMDD`) with its last number.
    pub counters: Vec<(String, i64)>,
    /// Rows in the outbox.
    pub outbox: i64,
    /// Each queue of [`QUEUES`] with the messages in it; `None` where there is no such queue.
    pub queues: Vec<(String, Option<u64>)>,
    /// What the clients know.
    pub answers: Answers,
    /// Customers who never got an answer.
    pub unanswered: usize,
    /// What the independent subscriber heard.
    pub heard: Vec<Heard>,
    /// The order number and new status of every event of the tracking service's stream.
    pub streamed: Vec<(String, String)>,
    /// What the program's own subscribers printed.
    pub printed: Vec<Printed>,
    /// When the broker lost its disk, and the subscribers' queues with what was in them, in seconds since 1970.
    pub lost_disks: Vec<f64>,
    /// What roles did that they should not do.
    pub misbehaved: Vec<String>,
}

const ORDERS: &str = "
select o.number, o.status, o.processed_by, o.attempt,
       extract(epoch from o.completed_at - o.created_at)::float8 as seconds,
       h.statuses, h.attempts, h.changed_by, h.changed_at, h.message_ids,
       (select coalesce(array_agg(k.key), '{}') from idempotency_keys k where k.order_id = o.id) as keys
from orders o left join lateral (
    select array_agg(status order by id) as statuses, array_agg(attempt order by id) as attempts,
           array_agg(changed_by order by id) as changed_by,
           array_agg(extract(epoch from changed_at)::float8 order by id) as changed_at,
           array_agg(o.number || '.' || id order by id) as message_ids
    from order_status_log where order_id = o.id
) h on true
order by o.id";

/// Whether nothing is on its way any more, `streamed` being the events that the stream's client has; otherwise what is.
pub async fn unfinished(
    deployment: &Deployment,
    db: &tokio_postgres::Client,
    streamed: usize,
) -> Result<(), String> {
    let env = &deployment.env;
    // A broker that lost its disk is told everything again: what says that this was done comes last of all.
    if !deployment.lost_disks().is_empty()
        && env.rabbit.get(&format!("exchanges/{{vhost}}/{ANNOUNCED_MARK}")).await.is_none()
    {
        return Err("the broker has not been told everything".to_owned());
    }
    unfinished_in(db, streamed).await?;
    // The dead letters are for a person: they are the audit's business.
    for (queue, messages) in queues(env).await {
        if messages != Some(0) && queue != "kitchen_dead_letters" {
            return Err(format!("{messages:?} messages in {queue}"));
        }
    }
    Ok(())
}

/// Whether nothing is on its way any more in the database.
pub async fn unfinished_in(db: &tokio_postgres::Client, streamed: usize) -> Result<(), String> {
    const SQL: &str = "select (select count(*) from orders where status <> all($1)),
        (select count(*) from outbox), (select count(*) from order_status_log)";
    let settled = Status::ALL.into_iter().filter(|status| status.is_settled());
    let settled: Vec<&str> = settled.map(Status::as_str).collect();
    let row = db.query_one(SQL, &[&settled]).await.map_err(|error| format!("PostgreSQL: {error}"))?;
    let (orders, outbox, changes): (i64, i64, i64) = (row.get(0), row.get(1), row.get(2));
    if orders > 0 || outbox > 0 {
        return Err(format!("{orders} orders to be cooked, {outbox} rows in the outbox"));
    }
    if (streamed as i64) < changes {
        return Err(format!("{streamed} of {changes} events in the stream"));
    }
    Ok(())
}

async fn queues(env: &TestEnv) -> Vec<(String, Option<u64>)> {
    let mut found = Vec::new();
    for name in QUEUES {
        let queue = env.rabbit.queue(name).await;
        // A queue whose statistics are not there yet has no figure.
        found.push((name.to_owned(), queue.and_then(|queue| queue["messages"].as_u64())));
    }
    found
}

fn history(row: &tokio_postgres::Row) -> Vec<Change> {
    fn column<'a, T: tokio_postgres::types::FromSql<'a>>(row: &'a tokio_postgres::Row, name: &str) -> Vec<T> {
        // An order without any history has no array.
        row.get::<_, Option<Vec<T>>>(name).unwrap_or_default()
    }
    let columns = column(row, "statuses").into_iter().zip(column(row, "attempts"));
    let columns = columns.zip(column(row, "changed_by")).zip(column(row, "changed_at"));
    columns
        .zip(column(row, "message_ids"))
        .map(|((((status, attempt), changed_by), at), message_id)| Change {
            status,
            attempt,
            changed_by,
            at,
            message_id,
        })
        .collect()
}

/// Adds what the servers and roles know to `told`, in which clients and subscribers have entered what they do.
pub async fn gather(deployment: &Deployment, db: &tokio_postgres::Client, told: Evidence) -> Evidence {
    let printed = deployment.staff.lines(SUBSCRIBER).await;
    Evidence {
        queues: queues(&deployment.env).await,
        printed: vec![Printed::of("the subscriber", 1, &printed)],
        lost_disks: deployment.lost_disks(),
        misbehaved: deployment.staff.misbehaved(),
        ..gather_from(db, told).await
    }
}

/// Adds what is in the database.
pub async fn gather_from(db: &tokio_postgres::Client, told: Evidence) -> Evidence {
    let orders = db.query(ORDERS, &[]).await.unwrap();
    let orders = orders.iter().map(|row| Order {
        number: row.get("number"),
        status: row.get("status"),
        processed_by: row.get("processed_by"),
        attempt: row.get("attempt"),
        seconds: row.get("seconds"),
        history: history(row),
        keys: row.get("keys"),
    });
    let workers = db.query("select name, orders_processed::bigint from workers", &[]).await.unwrap();
    let counters = "select to_char(day, 'YYYYMMDD'), last_sequence from order_counters";
    let counters = db.query(counters, &[]).await.unwrap();
    Evidence {
        orders: orders.collect(),
        workers: workers.iter().map(|row| (row.get(0), row.get(1))).collect(),
        counters: counters.iter().map(|row| (row.get(0), row.get(1))).collect(),
        outbox: db.query_one("select count(*) from outbox", &[]).await.unwrap().get(0),
        ..told
    }
}

/// `Notification for order N: Status changed from 'received' to 'cooking' by chef_mario.`
fn printed_change(line: &str) -> Option<(String, String)> {
    let (number, change) = line.strip_prefix("Notification for order ")?.split_once(": ")?;
    let (_, to) = change.split_once(" to '")?;
    Some((number.to_owned(), to.split_once('\'')?.0.to_owned()))
}
