//! What is found on the server after somebody has connected.

use restaurant_system::broker::{BrokerState, QueueType};
use serde_json::{Value, json};

use super::logs::Logs;
use super::{connected, options, start, within};
use crate::support::{TestEnv, eventually};

#[tokio::test]
async fn everything_is_declared_with_exactly_the_arguments_of_the_contract() {
    let env = TestEnv::unmigrated().await;
    let _broker = connected(&env).await;
    for (exchange, kind) in
        [("orders_topic", "topic"), ("notifications_fanout", "fanout"), ("orders_dead_letter", "fanout")]
    {
        let found = env.rabbit.get(&format!("exchanges/{{vhost}}/{exchange}")).await.unwrap();
        assert_eq!((&found["type"], &found["durable"]), (&json!(kind), &json!(true)), "{exchange}");
    }
    for order_type in ["dine_in", "takeout", "delivery"] {
        let queue = env.rabbit.queue(&format!("kitchen_{order_type}_queue")).await.unwrap();
        assert_eq!(queue["arguments"], json!({"x-max-priority": 10}));
        assert_eq!(queue["durable"], true);
    }
    for queue in ["notifications_queue", "kitchen_dead_letters"] {
        let queue = env.rabbit.queue(queue).await.unwrap();
        assert_eq!((&queue["arguments"], &queue["durable"]), (&json!({}), &json!(true)));
    }
    let bindings = env.rabbit.get("bindings/{vhost}").await.unwrap();
    let mut bindings: Vec<String> = bindings
        .as_array()
        .unwrap()
        .iter()
        .filter(|binding| binding["source"] != "")
        .map(|b| [&b["source"], &b["routing_key"], &b["destination"]].map(text).join(" "))
        .collect();
    bindings.sort();
    let expected = [
        "notifications_fanout  notifications_queue",
        "orders_dead_letter  kitchen_dead_letters",
        "orders_topic kitchen.delivery.* kitchen_delivery_queue",
        "orders_topic kitchen.dine_in.* kitchen_dine_in_queue",
        "orders_topic kitchen.takeout.* kitchen_takeout_queue",
    ];
    assert_eq!(bindings, expected);
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

#[tokio::test]
async fn several_may_declare_at_once() {
    let env = TestEnv::unmigrated().await;
    let brokers: Vec<_> = (0..8).map(|_| start(options(&env))).collect();
    for broker in &brokers {
        within("a connection", broker.wait_connected()).await;
        assert!(matches!(*broker.state().borrow(), BrokerState::Connected { generation: 1, .. }));
    }
}

#[tokio::test]
async fn a_queue_of_another_kind_is_named_and_waited_for() {
    let env = TestEnv::unmigrated().await;
    let mut quorum = options(&env);
    quorum.queue_type = QueueType::Quorum;
    let other = start(quorum);
    within("a connection", other.wait_connected()).await;
    let (logs, _guard) = Logs::collect();
    let broker = start(options(&env));
    eventually("the failure being logged", || async { !logs.of("rabbitmq_connection_failed").is_empty() })
        .await;
    let line = logs.of("rabbitmq_connection_failed").remove(0);
    assert!(line.contains("kitchen_dine_in_queue") && line.contains("delete it"), "{line}");
    assert!(!broker.is_connected());
    for order_type in ["dine_in", "takeout", "delivery"] {
        env.rabbit.delete_queue(&format!("kitchen_{order_type}_queue")).await;
    }
    env.rabbit.delete_queue("notifications_queue").await;
    env.rabbit.delete_queue("kitchen_dead_letters").await;
    within("a connection", broker.wait_connected()).await;
    eventually("the return being logged", || async { !logs.of("reconnected").is_empty() }).await;
    assert_eq!(logs.of("rabbitmq_connection_failed").len(), 1, "{:?}", logs.all());
}
