//! What is committed and not yet announced.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::columns::{CHANGE_COLUMNS, ORDER_COLUMNS, items_where, order_message, status_update};
use super::convert::{get, millis, order_number, priority};
use super::pressure::Connection;
use super::readable::readable;
use super::{Announcement, AnnouncementContent, Store, StoreError};

/// Outbox rows that this process has locked. Dropped without [`OutboxStore::confirm_outbox`], or with its process, it frees
/// them untouched for the next relay.
#[must_use]
pub struct OutboxBatch {
    client: Option<Connection>,
    /// What may be published now: of the rows' changes all but those that must wait for an earlier one.
    announcements: Vec<Announcement>,
    rows: Vec<LockedRow>,
}

struct LockedRow {
    /// Its key: the first of the changes.
    log_id: i64,
    /// What it announces: ascending ids of log rows.
    log_ids: Vec<i64>,
    order_ids: Vec<i64>,
    /// Orders, not changes of status.
    is_order: bool,
}

/// A batch's statements are planned once for each connection: the planner would rather plan each batch for its size,
/// which takes as long as reading it.
const BEGIN: &str = "begin; set local plan_cache_mode = force_generic_plan";

/// One row for all that the statement has logged (`V7__outbox_rows_of_many.sql`): what is called `announced` in the
/// statements that write one.
pub(super) fn announce_logged(kind: &str) -> String {
    format!(
        "
    insert into outbox (log_id, order_id, announces, created_at, log_ids, order_ids)
    select min(id), min(order_id), '{kind}', 'infinity', array_agg(id order by id), array_agg(order_id order by id)
    from logged having count(*) > 0"
    )
}

/// Whether a row of many holds the log row `l`. It is looked for where it must be: rows of many are written within
/// milliseconds, so that few others begin between its first change and its last. Were it not found, its change would be
/// announced twice.
pub(super) const IS_AMONG_MANY: &str = "exists (
        select from (select log_ids from outbox where log_id <= l.id order by log_id desc limit 64) as many
        where l.id = any(many.log_ids))";

/// Locks the oldest rows that nobody else has.
const TAKE: &str = "select * from outbox_take($1, $2, $3)";

/// Reads what locked rows announce. `offset 0` has each row looked up by its key: left to itself the planner joins whole
/// tables, whose size it underestimates.
static READ_CHANGES: LazyLock<String> = LazyLock::new(|| {
    format!(
        "
select b.log_id, b.is_order, {CHANGE_COLUMNS}, o.request_id, o.traceparent, {ORDER_COLUMNS}
from unnest($1::bigint[], $2::bigint[], $3::boolean[]) as b (log_id, order_id, is_order)
cross join lateral (select * from order_status_log where id = b.log_id offset 0) l
cross join lateral (select * from orders where id = b.order_id offset 0) o
left join lateral ({items}) i on true",
        items = items_where("order_id = b.order_id and b.is_order")
    )
});

/// What a row of many leaves becomes rows of one.
const SPLIT: &str = "
with whole as (
    delete from outbox where log_id = $1 returning announces, written_at
)
insert into outbox (log_id, order_id, announces, written_at)
select c.log_id, c.order_id, case announces when 'orders' then 'order' else 'status' end, written_at
from whole, unnest($2::bigint[], $3::bigint[]) as c (log_id, order_id)
on conflict do nothing";

pub trait OutboxStore: Clone + Send + Sync + 'static {
    /// Rows that are locked until they are confirmed or dropped.
    type Batch: LockedRows;

    /// Locks the oldest rows until they hold `limit` changes and reads what they announce; new orders only when they have
    /// waited for `orders_after`. The transaction stays open until the batch is confirmed or dropped, unless there is
    /// nothing to announce; PostgreSQL ends it when this process hangs for longer than its idle limit. While this is
    /// called all the time a row that is entered far below the oldest one is found within a second (`low_water_mark`).
    fn lock_outbox(
        &self,
        limit: i64,
        orders_after: Duration,
    ) -> impl Future<Output = Result<Self::Batch, StoreError>> + Send;

    /// Ends the batch: the changes named are gone, the others wait for the next relay. If the process dies before this
    /// has committed, what was published is published again: the receivers know it by its message id.
    fn confirm_outbox(
        &self,
        batch: Self::Batch,
        published: &[i64],
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
}

impl OutboxStore for Store {
    type Batch = OutboxBatch;

    async fn lock_outbox(&self, limit: i64, orders_after: Duration) -> Result<OutboxBatch, StoreError> {
        let mut client = self.checked_out().await?;
        let from = self.inner.low_water_mark.look_from(Instant::now());
        let found = self
            .on(&mut client, "reading the outbox", async |client| {
                let (rows, open_elsewhere) = take(client, limit, orders_after, from).await?;
                let ready = ready(&rows, &open_elsewhere);
                Ok((self.contents(client, &ready).await?, rows))
            })
            .await;
        let mut batch = OutboxBatch { client: Some(client), announcements: Vec::new(), rows: Vec::new() };
        (batch.announcements, batch.rows) = found?;
        if let Some(oldest) = batch.rows.first() {
            self.inner.low_water_mark.found(oldest.log_id);
        }
        if batch.announcements.is_empty()
            && let Some(client) = &mut batch.client
        {
            // Most looks find nothing: they need not cost a connection, as a batch does that is dropped.
            self.on(client, "leaving the outbox", async |client| {
                Ok(client.batch_execute("rollback").await?)
            })
            .await?;
            batch.client = None;
        }
        Ok(batch)
    }

    async fn confirm_outbox(&self, mut batch: OutboxBatch, published: &[i64]) -> Result<(), StoreError> {
        let Some(mut client) = batch.client.take() else { return Ok(()) };
        let rows = std::mem::take(&mut batch.rows);
        let done = self
            .on(&mut client, "clearing the outbox", async |client| {
                if published.is_empty() {
                    return Ok(client.batch_execute("rollback").await?);
                }
                let published: HashSet<i64> = published.iter().copied().collect();
                let mut gone = Vec::with_capacity(rows.len());
                for row in &rows {
                    let (log_ids, order_ids) = row.without(&published);
                    if log_ids.is_empty() {
                        gone.push(row.log_id);
                    } else if log_ids.len() < row.log_ids.len() {
                        let statement = client.prepare_cached(SPLIT).await?;
                        client.execute(&statement, &[&row.log_id, &log_ids, &order_ids]).await?;
                    }
                }
                let statement = client.prepare_cached("delete from outbox where log_id = any($1)").await?;
                let parameters: [&(dyn ToSql + Sync); 1] = [&gone];
                // Sent together: after a refused deletion the commit is a rollback.
                let delete = client.execute(&statement, &parameters);
                tokio::try_join!(delete, client.batch_execute("commit"))?;
                Ok(())
            })
            .await;
        if done.is_err() {
            client.close();
        }
        done
    }
}

impl Store {
    /// What `changes` announce, in their order; those that this process has not just written itself are read.
    async fn contents(
        &self,
        client: &Connection,
        changes: &[Change],
    ) -> Result<Vec<Announcement>, StoreError> {
        let mut known: Vec<Option<Announcement>> =
            changes.iter().map(|change| self.inner.announcement_cache.take(change.log_id)).collect();
        let unknown = changes.iter().zip(&known).filter(|(_, known)| known.is_none());
        let unknown: Vec<Change> = unknown.map(|(change, _)| *change).collect();
        if !unknown.is_empty() {
            let log_ids: Vec<i64> = unknown.iter().map(|change| change.log_id).collect();
            let order_ids: Vec<i64> = unknown.iter().map(|change| change.order_id).collect();
            let are_orders: Vec<bool> = unknown.iter().map(|change| change.is_order).collect();
            let statement = client.prepare_cached(&READ_CHANGES).await?;
            let rows = client.query(&statement, &[&log_ids, &order_ids, &are_orders]).await?;
            let read = readable(&rows, announcement).into_iter();
            let mut read: HashMap<i64, Announcement> = read.map(|found| (found.log_id, found)).collect();
            for (change, known) in changes.iter().zip(&mut known).filter(|(_, known)| known.is_none()) {
                *known = read.remove(&change.log_id);
            }
        }
        // What this version cannot read stays for one that can, and what follows it of the same order too.
        let mut left: HashSet<i64> = HashSet::new();
        let known = changes.iter().zip(known).filter_map(|(change, known)| {
            if known.is_none() {
                left.insert(change.order_id);
            }
            known.filter(|_| !left.contains(&change.order_id))
        });
        Ok(known.collect())
    }
}

/// A change of an order that a locked row announces.
#[derive(Clone, Copy)]
struct Change {
    log_id: i64,
    order_id: i64,
    is_order: bool,
}

/// Begins a transaction that locks rows. Beside them, where they hold changes of status: the oldest one of each order that
/// is still to be announced and in none of these rows.
async fn take(
    client: &Connection,
    limit: i64,
    orders_after: Duration,
    from: i64,
) -> Result<(Vec<LockedRow>, HashMap<i64, i64>), StoreError> {
    let statement = client.prepare_cached(TAKE).await?;
    let orders_after_ms = millis(orders_after);
    let parameters: [&(dyn ToSql + Sync); 3] = [&limit, &orders_after_ms, &from];
    // Sent together: one round trip.
    let begin = client.batch_execute(BEGIN);
    let (_, found) = tokio::try_join!(begin, client.query(&statement, &parameters))?;
    let (mut rows, mut open_elsewhere) = (Vec::with_capacity(found.len()), HashMap::new());
    for found in found {
        let row = LockedRow {
            log_id: get(&found, "row_log_id")?,
            log_ids: get(&found, "row_log_ids")?,
            order_ids: get(&found, "row_order_ids")?,
            is_order: get(&found, "is_order")?,
        };
        if get(&found, "is_taken")? {
            rows.push(row);
        } else {
            for change in row.changes() {
                let oldest = open_elsewhere.entry(change.order_id).or_insert(change.log_id);
                *oldest = change.log_id.min(*oldest);
            }
        }
    }
    Ok((rows, open_elsewhere))
}

/// What may be published now, in its order. An order's changes of status go out in theirs: one waits for each earlier one
/// that is open elsewhere, and for those that wait themselves.
fn ready(rows: &[LockedRow], open_elsewhere: &HashMap<i64, i64>) -> Vec<Change> {
    let mut changes: Vec<Change> = rows.iter().flat_map(LockedRow::changes).collect();
    // Rows of several processes lie in between each other.
    changes.sort_unstable_by_key(|change| change.log_id);
    let is_ready = |change: &Change| {
        change.is_order || open_elsewhere.get(&change.order_id).is_none_or(|open| change.log_id < *open)
    };
    changes.retain(is_ready);
    changes
}

impl LockedRow {
    fn changes(&self) -> impl Iterator<Item = Change> {
        let of_orders = self.log_ids.iter().zip(&self.order_ids);
        of_orders.map(|(&log_id, &order_id)| Change { log_id, order_id, is_order: self.is_order })
    }

    /// Its changes but those: their ids, and their orders'.
    fn without(&self, published: &HashSet<i64>) -> (Vec<i64>, Vec<i64>) {
        let left = self.changes().filter(|change| !published.contains(&change.log_id));
        left.map(|change| (change.log_id, change.order_id)).unzip()
    }
}

/// Outbox rows in a relay's hands.
pub trait LockedRows: Send {
    /// What is to be published, in this order.
    fn announcements(&self) -> &[Announcement];

    /// How many changes there were that this relay could take, those that must wait for an earlier one included.
    fn locked(&self) -> usize;
}

impl LockedRows for OutboxBatch {
    fn announcements(&self) -> &[Announcement] {
        &self.announcements
    }

    fn locked(&self) -> usize {
        self.rows.iter().map(|row| row.log_ids.len()).sum()
    }
}

impl Drop for OutboxBatch {
    fn drop(&mut self) {
        // Its transaction is still open: with the connection it ends.
        if let Some(client) = self.client.take() {
            client.close();
        }
    }
}

fn announcement(row: &Row) -> Result<Announcement, StoreError> {
    let content = if get(row, "is_order")? {
        AnnouncementContent::Order(order_message(row)?)
    } else {
        AnnouncementContent::Status(status_update(row)?)
    };
    Ok(Announcement {
        log_id: get(row, "log_id")?,
        changed_at: get(row, "changed_at")?,
        number: order_number(row, "number")?,
        priority: priority(row, "priority")?,
        request_id: get(row, "request_id")?,
        traceparent: get(row, "traceparent")?,
        content,
    })
}
