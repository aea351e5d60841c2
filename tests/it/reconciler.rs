//! What RabbitMQ has lost it is told again, and an outbox that does not drain takes no more.

use crate::kitchen::kit::{Kit, holds_for};
use crate::support::{Http, Message, TestEnv, blocking, eventually, free_port, takeout};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

const QUEUE: &str = "kitchen_takeout_queue";

#[tokio::test]
async fn an_order_that_waits_for_long_is_announced_again_with_growing_pauses() {
    let kit = Kit::with("outbox:\n  announce_again_seconds: 1.5\n").await;
    let number = kit.place("takeout").await;
    let mut ids = BTreeSet::new();
    for _ in 0..3 {
        let message = kit.env.rabbit.take_next(QUEUE).await;
        assert_eq!(order_number(&message), number);
        ids.insert(message.properties["message_id"].to_string());
    }
    assert_eq!(ids.len(), 1, "the same message each time: {ids:?}");
    let sql = "select announced_again::int, extract(epoch from announced_again_at - created_at)::float8 from orders";
    let row = kit.db.query_one(sql, &[]).await.unwrap();
    assert_eq!(row.get::<_, i32>(0), 2);
    assert!(row.get::<_, f64>(1) >= 1.5 + 3.0, "{row:?}");
}

#[tokio::test]
async fn a_broker_that_lost_its_disk_is_told_what_waits_and_what_changed() {
    let env = TestEnv::with_own_servers().await;
    // Only the loss itself may bring anything back.
    env.write_config("outbox:\n  announce_again_seconds: 3600\n");
    let kit = Kit::on(env).await;
    // A broker that is as new as everything else has lost nothing.
    let waiting = kit.place_many("takeout", 3).await;
    has_sentinel(&kit).await;
    let cancelled = kit.place("delivery").await;
    kit.http.change(&cancelled, "cancel").await;
    kit.wait_announced().await;

    let servers = Arc::clone(&kit.env.servers);
    blocking(move || servers.rabbitmq.wipe()).await.unwrap();
    has_sentinel(&kit).await;
    kit.env.rabbit.wait_for_depth(QUEUE, 3).await;
    kit.env.rabbit.wait_for_depth("notifications_queue", 1).await;
    let orders = kit.env.rabbit.take_messages(QUEUE, 3).await;
    assert_eq!(orders.iter().map(order_number).collect::<BTreeSet<_>>(), waiting.into_iter().collect());
    let update = kit.env.rabbit.take_messages("notifications_queue", 1).await.remove(0);
    assert_eq!(order_number(&update), cancelled);

    // A broker that only restarted has its sentinel, and is told nothing twice.
    let servers = Arc::clone(&kit.env.servers);
    blocking(move || servers.rabbitmq.restart()).await.unwrap();
    kit.place("takeout").await;
    kit.env.rabbit.wait_for_depth(QUEUE, 1).await;
    let told = || kit.orders.logs_of("announced_everything_again").len();
    assert_eq!(told(), 1);
    holds_for(Duration::from_secs(15), "one loss was noticed", || async { told() == 1 }).await;
}

#[tokio::test]
async fn orders_are_refused_while_the_outbox_is_full_and_taken_when_it_has_drained() {
    let env = TestEnv::new().await;
    without_rabbitmq(&env, "outbox:\n  max_rows: 3\n");
    let orders = env.spawn(&["order-service", "--port", "0"]);
    orders.wait_for_action("db_connected").await;
    let http = Http::of(&orders).await;
    let db = env.connect().await;
    for _ in 0..3 {
        http.place(&takeout()).await;
    }
    orders.wait_for_action("outbox_full").await;
    let refused = http.post(&takeout()).await;
    assert_eq!(refused.status, 503);
    assert!(refused.headers.contains_key("retry-after"));
    db.batch_execute("delete from outbox").await.unwrap();
    orders.wait_for_action("outbox_drained").await;
    http.place(&takeout()).await;
}

/// Waits until the broker has the sentinel: it is known then.
async fn has_sentinel(kit: &Kit) {
    eventually("the broker has the sentinel", || async {
        kit.env.rabbit.get("exchanges/{vhost}/orders_announced_mark").await.is_some()
    })
    .await;
}

fn order_number(message: &Message) -> String {
    let body: serde_json::Value = serde_json::from_str(&message.payload).unwrap();
    body["order_number"].as_str().unwrap().to_owned()
}

/// Configures a RabbitMQ that is not there, and `more`.
fn without_rabbitmq(env: &TestEnv, more: &str) {
    env.write_config(more);
    let port = |port: u16| format!("port: {port}\n");
    env.edit_config(|text| text.replace(&port(env.servers.rabbitmq.amqp_port()), &port(free_port())));
}
