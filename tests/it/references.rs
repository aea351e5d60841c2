//! What belongs to an order: its items and log rows, which are held to it by statement, not by foreign keys.

use tokio::task::JoinHandle;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error};

use crate::support::{TestEnv, eventually};

const ORDER: &str = "insert into orders (number, customer_name, type, total_amount)
    values ('ORD_20261122_001', 'Ada', 'takeout', 1), ('ORD_20261122_002', 'Ada', 'takeout', 1)";
const ITEM: &str =
    "insert into order_items (order_id, name, quantity, price) select min(id), 'Soup', 1, 1 from orders";
const LOG: &str =
    "insert into order_status_log (order_id, status, changed_by) select id, 'received', 'x' from orders";
/// At a station: of each order a ticket, and its first entry done.
const TICKET: &str = "
    insert into station_tickets (order_id, station, attempt) select id, 'grill', 1 from orders;
    insert into station_items (order_id, item, done_by) select id, 0, 'anna' from orders";
const DELETE: &str = "delete from orders where number = 'ORD_20261122_001'";

/// An environment with two orders.
async fn two_orders() -> (TestEnv, Client) {
    let env = TestEnv::new().await;
    let db = env.connect().await;
    db.batch_execute(ORDER).await.unwrap();
    (env, db)
}

async fn count(db: &Client, table: &str) -> i64 {
    db.query_one(&format!("select count(*) from {table}"), &[]).await.unwrap().get(0)
}

/// Runs it on a connection of its own, and waits until it waits for somebody else.
async fn held_up(env: &TestEnv, sql: &'static str) -> JoinHandle<Result<(), Error>> {
    let client = env.connect().await;
    let pid: i32 = client.query_one("select pg_backend_pid()", &[]).await.unwrap().get(0);
    let running = tokio::spawn(async move { client.batch_execute(sql).await });
    let watch = env.connect().await;
    eventually("it waits for a lock", || async {
        let sql = "select count(*) from pg_locks where pid = $1 and not granted";
        watch.query_one(sql, &[&pid]).await.unwrap().get::<_, i64>(0) > 0
    })
    .await;
    running
}

#[tokio::test]
async fn an_item_of_an_order_that_is_being_deleted_waits_and_is_refused() {
    let (env, db) = two_orders().await;
    db.batch_execute(&format!("begin; {DELETE}")).await.unwrap();
    // Not by `min(id)`, which would look at the orders that are left.
    let item = held_up(
        &env,
        "insert into order_items (order_id, name, quantity, price)
         select id, 'Soup', 1, 1 from orders where number = 'ORD_20261122_001'",
    )
    .await;
    db.batch_execute("commit").await.unwrap();
    let refused = item.await.unwrap().unwrap_err();
    assert_eq!(refused.code(), Some(&SqlState::FOREIGN_KEY_VIOLATION), "{refused:?}");
    assert_eq!(count(&db, "order_items").await, 0);
}

#[tokio::test]
async fn an_order_that_is_being_given_an_item_is_deleted_with_it_later() {
    let (env, db) = two_orders().await;
    db.batch_execute(&format!("begin; {ITEM}; {LOG}")).await.unwrap();
    let deletion = held_up(&env, DELETE).await;
    db.batch_execute("commit").await.unwrap();
    deletion.await.unwrap().unwrap();
    assert_eq!(count(&db, "order_items").await, 0);
    assert_eq!(count(&db, "order_status_log").await, 1, "that of the other order");
}

#[tokio::test]
async fn items_and_log_rows_of_several_orders_at_once_need_all_of_them() {
    let (_env, db) = two_orders().await;
    for table in
        ["order_items (name, quantity, price, order_id)", "order_status_log (status, changed_by, order_id)"]
    {
        let values = if table.contains("items") { "'Soup', 1, 1" } else { "'received', 'x'" };
        let sql =
            format!("insert into {table} select {values}, id from orders union all select {values}, -1");
        let refused = db.batch_execute(&sql).await.unwrap_err();
        assert_eq!(refused.code(), Some(&SqlState::FOREIGN_KEY_VIOLATION), "{refused:?}");
        assert!(refused.as_db_error().unwrap().message().contains("-1"), "{refused:?}");
    }
    db.batch_execute(&format!("{ITEM}; {LOG}")).await.unwrap();
    let moved = db.batch_execute("update order_items set order_id = -1").await.unwrap_err();
    assert_eq!(moved.code(), Some(&SqlState::FOREIGN_KEY_VIOLATION), "{moved:?}");
}

#[tokio::test]
async fn an_order_keeps_the_id_that_its_rows_have() {
    let (_env, db) = two_orders().await;
    db.batch_execute("update orders set id = id").await.unwrap();
    let refused = db.batch_execute("update orders set id = id + 1000").await.unwrap_err();
    assert_eq!(refused.code(), Some(&SqlState::FOREIGN_KEY_VIOLATION), "{refused:?}");
}

#[tokio::test]
async fn an_order_takes_its_ticket_along() {
    let (_env, db) = two_orders().await;
    db.batch_execute(&format!("{TICKET}; {DELETE}")).await.unwrap();
    for table in ["station_tickets", "station_items"] {
        assert_eq!(count(&db, table).await, 1, "{table}: the other order's");
    }
}

#[tokio::test]
async fn all_tables_can_be_emptied_together_or_from_orders() {
    let (_env, db) = two_orders().await;
    let outbox =
        "insert into outbox (log_id, order_id, announces) select id, order_id, 'order' from order_status_log";
    for truncate in [
        "truncate orders cascade",
        "truncate outbox, order_status_log, order_items, idempotency_keys, orders",
    ] {
        db.batch_execute(&format!("{ITEM}; {LOG}; {TICKET}; {outbox}; {truncate}")).await.unwrap();
        for table in
            ["orders", "order_items", "order_status_log", "station_tickets", "station_items", "outbox"]
        {
            assert_eq!(count(&db, table).await, 0, "{table} after {truncate}");
        }
        db.batch_execute(ORDER).await.unwrap();
    }
}
