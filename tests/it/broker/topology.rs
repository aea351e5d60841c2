//! What is found on the server after somebody has connected.

use amqp::{
    BrokerState, Consume, ConsumeOptions, ConsumerEvent, Publish, PublishOutcome, QueueType, Received,
};
use restaurant_system::broker::kitchen_queue;
use serde_json::{Value, json};

use super::logs::Logs;
use super::{connected, cut, id, next_delivery, options, order, start, update, wait_for_event, within};
use crate::support::TestEnv;

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
async fn queues_with_other_arguments_are_named_once_and_used_as_they_are() {
    let env = TestEnv::unmigrated().await;
    let mut quorum = options(&env);
    quorum.queue_type = QueueType::Quorum;
    let other = start(quorum);
    within("a connection", other.wait_connected()).await;
    other.close().await;
    let (logs, _guard) = Logs::collect();
    let broker = connected(&env).await;
    let lines = logs.of("rabbitmq_queue_differs");
    assert_eq!(lines.len(), 5, "{lines:?}");
    for line in &lines {
        assert!(line.starts_with("WARN") && line.contains("restaurant-system queues migrate"), "{line}");
    }
    // Of several quorum queues no sum of messages can be asked for, which classic ones have.
    let queues = ["dine_in", "takeout", "delivery"].map(kitchen_queue);
    let mut consumer = broker.consume(ConsumeOptions::new(queues, 6)).await.unwrap();
    for order_type in ["dine_in", "takeout", "delivery"] {
        assert_eq!(broker.publish_one(order(order_type, 1, order_type)).await, PublishOutcome::Routed);
        let delivery = next_delivery(&mut consumer).await;
        assert_eq!(id(&delivery), order_type);
        assert!(delivery.ack().await);
    }
    cut(&env).await;
    wait_for_event!(&mut consumer, ConsumerEvent::Resumed);
    assert_eq!(logs.of("rabbitmq_queue_differs").len(), 5, "{:?}", logs.all());
}

#[tokio::test]
async fn a_queue_that_cannot_be_consumed_is_left_out_until_it_can() {
    let env = TestEnv::unmigrated().await;
    let (other, broker) = (connected(&env).await, start(options(&env)));
    let taken = other.consume(ConsumeOptions::new([kitchen_queue("takeout")], 1).exclusive()).await.unwrap();
    let (logs, _guard) = Logs::collect();
    let queues = ["takeout", "dine_in"].map(kitchen_queue);
    let mut consumer =
        within("a consumer", broker.consume(ConsumeOptions::new(queues, 4).tolerant())).await.unwrap();
    let line = logs.of("rabbitmq_queue_unusable").remove(0);
    assert!(line.starts_with("ERROR") && line.contains("kitchen_takeout_queue"), "{line}");
    for order_type in ["takeout", "dine_in"] {
        assert_eq!(other.publish_one(order(order_type, 1, order_type)).await, PublishOutcome::Routed);
    }
    assert_eq!(id(&next_delivery(&mut consumer).await), "dine_in");
    taken.close().await;
    // What was in hand comes again with it.
    within("the order of the other queue", async {
        while id(&next_delivery(&mut consumer).await) != "takeout" {}
    })
    .await;
    assert_eq!(logs.of("rabbitmq_queue_unusable").len(), 1, "{:?}", logs.all());
    assert_eq!(logs.of("rabbitmq_trouble_over").len(), 1, "{:?}", logs.all());
}

#[tokio::test]
async fn an_exchange_of_another_type_is_named_and_stops_nothing_else() {
    let env = TestEnv::unmigrated().await;
    env.rabbit.declare_exchange_of("orders_topic", "direct").await;
    let (logs, _guard) = Logs::collect();
    let broker = connected(&env).await;
    let line = logs.of("rabbitmq_exchange_unusable").remove(0);
    assert!(line.starts_with("ERROR") && line.contains("orders_topic"), "{line}");
    let mut consumer = broker.consume(ConsumeOptions::new(["notifications_queue"], 1)).await.unwrap();
    assert_eq!(broker.publish_one(update("told")).await, PublishOutcome::Routed);
    assert_eq!(id(&next_delivery(&mut consumer).await), "told");
    let outcome = broker.publish_one(order("takeout", 1, "lost")).await;
    assert!(matches!(outcome, PublishOutcome::Unroutable { .. }), "{outcome:?}");
}
