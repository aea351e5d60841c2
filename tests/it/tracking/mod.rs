//! The tracking service, from outside: what it answers and what its event streams tell.

mod answers;
mod beginning;
mod board;
mod estimates;
mod events;
mod list;
mod lists_for_staff;
mod privacy;
mod reset;
mod shared_reader;
mod standby;
mod stream_order;
mod unreadable;
mod workers;

use crate::support::{Events, Http, Role, TestEnv};
use serde_json::Value;
use tokio_postgres::Client;

/// A tracking service with a database to write into.
struct Tracking {
    env: TestEnv,
    role: Role,
    db: Client,
    /// Staff's.
    http: Http,
}

impl Tracking {
    async fn start() -> Self {
        Self::with_config("").await
    }

    /// With `more` YAML at the end of the configuration.
    async fn with_config(more: &str) -> Self {
        let env = TestEnv::new().await;
        env.write_config(more);
        Self::in_env(env).await
    }

    async fn in_env(env: TestEnv) -> Self {
        let role = env.spawn(&["tracking-service", "--port", "0"]);
        let (http, db) = (Http::as_staff(role.url().await), env.connect().await);
        role.wait_for_action("db_connected").await;
        Self { env, role, http, db }
    }

    /// The JSON of a 200.
    async fn get(&self, path: &str) -> Value {
        self.http.get(path).await.ok()
    }

    /// A problem document of this status.
    async fn problem(&self, path: &str, status: u16) -> Value {
        self.http.get(path).await.problem(status)
    }

    async fn events(&self, path: &str, last_event_id: Option<&str>) -> Events {
        Events::open(&self.http, path, last_event_id).await
    }
}

/// An order as another program would write it.
#[derive(Clone, Copy)]
struct Order<'a> {
    number: &'a str,
    order_type: &'a str,
    priority: i32,
}

impl<'a> Order<'a> {
    fn new(number: &'a str) -> Self {
        Self { number, order_type: "takeout", priority: 1 }
    }

    async fn insert(self, db: &Client) {
        const SQL: &str = "
            with o as (
                insert into orders (number, customer_name, type, table_number, delivery_address, total_amount, priority)
                values ($1, 'Zaphod Beeblebrox', $2, case when $2 = 'dine_in' then 7 end,
                        case when $2 = 'delivery' then '42 Heart of Gold Lane' end, 24.98, $3)
                returning id)
            insert into order_status_log (order_id, status, changed_by) select id, 'received', 'order-service' from o";
        db.execute(SQL, &[&self.number, &self.order_type, &self.priority]).await.unwrap();
    }
}

/// Moves an order on, with its log row, in one statement.
async fn advance(db: &Client, number: &str, status: &str, by: &str) {
    const SQL: &str = "
        with o as (
            update orders set status = $2, updated_at = now(), processed_by = coalesce(processed_by, $3),
                claimed_at = case when $2 = 'cooking' then now() else claimed_at end,
                completed_at = case when $2 = 'ready' then now() else completed_at end
            where number = $1 returning id)
        insert into order_status_log (order_id, status, changed_by) select id, $2, $3 from o";
    assert_eq!(db.execute(SQL, &[&number, &status, &by]).await.unwrap(), 1);
}

/// The keys of an object, sorted.
fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

/// A time as the contract has it: RFC 3339, UTC, with a `Z`.
fn utc(value: &Value) -> jiff::Timestamp {
    let text = value.as_str().unwrap_or_else(|| panic!("no time: {value}"));
    assert!(text.ends_with('Z') && text.as_bytes()[10] == b'T', "{text}");
    text.parse().unwrap()
}
