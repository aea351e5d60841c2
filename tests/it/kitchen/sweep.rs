//! Orders without a message: a worker sweeps the backlog.

use super::kit::{Kit, SHORT_GRACE};
use crate::support::{Role, order_of, with};
use serde_json::json;

/// The default: a worker sweeps each two seconds.
const LONG_GRACE: &str = "kitchen:\n  grace_seconds: 2\n";

#[tokio::test]
async fn orders_whose_messages_were_lost_are_cooked_one_after_the_other_without_pause() {
    let kit = Kit::with(LONG_GRACE).await;
    let numbers = kit.place_many("takeout", 10).await;
    kit.lose_messages().await;
    let _chef = kit.worker("chef_anna", &[]);
    kit.wait_ready(&numbers).await;
    assert_eq!(kit.worker_row("chef_anna").await.1, 10);
    // One for each look would take 13 s at least.
    let sql = "select extract(epoch from max(completed_at) - min(completed_at))::float8 from orders";
    let took_s: f64 = kit.db.query_one(sql, &[]).await.unwrap().get(0);
    assert!(took_s < 10.0, "{took_s} s");
}

#[tokio::test]
async fn all_types_are_swept_in_one_order_of_priority_and_then_of_time() {
    let kit = Kit::new().await;
    let mut expected = Vec::new();
    for (order_type, price, priority) in [
        ("takeout", 15.0, 1),
        ("dine_in", 60.0, 5),
        ("delivery", 15.0, 1),
        ("delivery", 120.0, 10),
        ("dine_in", 15.0, 1),
        ("takeout", 60.0, 5),
        ("takeout", 120.0, 10),
        ("delivery", 60.0, 5),
    ] {
        let order = with(&order_of(order_type), "/items/0/price", json!(price));
        expected.push((priority, kit.http.place(&order).await));
    }
    expected.sort_by_key(|(priority, _)| std::cmp::Reverse(*priority));
    kit.lose_messages().await;
    // All of them have waited for longer than the grace when the worker looks for the first time.
    kit.db.batch_execute("update orders set updated_at = now() - interval '1 minute'").await.unwrap();
    let _chef = kit.worker("chef_anna", &["--prefetch", "1", "--cook-seconds", "0.05"]);
    let numbers: Vec<String> = expected.into_iter().map(|(_, number)| number).collect();
    kit.wait_ready(&numbers).await;
    let rows = kit.db.query("select number from orders order by claimed_at", &[]).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>(), numbers);
}

#[tokio::test]
async fn an_order_without_a_message_is_cooked_though_the_messages_do_not_end() {
    let kit = Kit::with(LONG_GRACE).await;
    let number = kit.place("takeout").await;
    kit.lose_messages().await;
    let others = kit.place_many("takeout", 25).await;
    kit.wait_announced().await;
    let _chef = kit.worker("chef_anna", &["--cook-seconds", "0.5"]);
    kit.wait_status(&number, "ready").await;
    let sql = "select count(*) from orders where status = 'received' and number = any($1)";
    let waiting: i64 = kit.db.query_one(sql, &[&others]).await.unwrap().get(0);
    assert!(waiting > 0, "it was cooked when nothing else was left");
}

#[tokio::test]
async fn an_order_that_a_living_worker_holds_without_knowing_is_released() {
    let kit = Kit::with(SHORT_GRACE).await;
    // A claim counts as settled after twice this time.
    let mut command =
        kit.env.command(&["kitchen-worker", "--worker-name", "chef_anna", "--log-format", "json"]);
    command.args(["--heartbeat-interval", "0.3", "--cook-seconds", "0", "--config"]).arg(kit.env.config());
    command.env("RESTAURANT_DATABASE_STATEMENT_TIMEOUT_SECONDS", "0.5");
    let number = kit.place("takeout").await;
    kit.lose_messages().await;
    // As if PostgreSQL had gone between the commit of a claim and its answer.
    let log = "insert into order_status_log (order_id, status, changed_by) select id, 'cooking', 'chef_anna' from orders";
    kit.db.batch_execute(log).await.unwrap();
    let chef = Role::spawn("chef_anna", command);
    chef.wait_for_action("worker_registered").await;
    let claim =
        "update orders set status = 'cooking', processed_by = 'chef_anna', attempt = 1, claimed_at = now()";
    kit.db.batch_execute(claim).await.unwrap();

    kit.wait_status(&number, "ready").await;
    assert_eq!(kit.statuses(&number).await, ["received", "cooking", "ready"]);
    assert_eq!(chef.logs_of("orders_released").len(), 1);
}
