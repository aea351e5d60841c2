//! Confirmed publishing.

use std::time::{Duration, Instant};

use amqp::{BrokerError, Publish, PublishOutcome};
use serde_json::json;

use super::{connected, options, order, start, update, within};
use crate::support::{TestEnv, eventually};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_messages_in_one_call_are_all_confirmed() {
    let env = TestEnv::unmigrated().await;
    let broker = connected(&env).await;
    let messages = (0..10_000).map(|n| order("takeout", 1, &format!("m{n}"))).collect();
    let outcomes = within("confirmations", broker.publish(messages)).await;
    assert_eq!(outcomes.len(), 10_000);
    assert!(outcomes.iter().all(|outcome| *outcome == PublishOutcome::Routed));
    env.rabbit.wait_for_depth("kitchen_takeout_queue", 10_000).await;
    broker.close().await;
}

#[tokio::test]
async fn each_message_gets_the_outcome_that_is_its_own() {
    let env = TestEnv::unmigrated().await;
    let broker = connected(&env).await;
    let mut messages: Vec<_> = (0..300).map(|n| order("dine_in", 5, &format!("m{n}"))).collect();
    for n in [0, 7, 150, 299] {
        messages[n].routing_key = "kitchen.sushi.5".to_owned();
    }
    messages[8].routing_key = "x".repeat(256);
    messages[9].properties.message_id = None;
    let outcomes = within("confirmations", broker.publish(messages)).await;
    for (n, outcome) in outcomes.iter().enumerate() {
        match n {
            0 | 7 | 150 | 299 => {
                assert!(matches!(outcome, PublishOutcome::Unroutable { .. }), "{n}: {outcome:?}")
            }
            8 => assert!(matches!(outcome, PublishOutcome::Invalid(_)), "{n}: {outcome:?}"),
            _ => assert_eq!(*outcome, PublishOutcome::Routed, "{n}"),
        }
    }
    env.rabbit.wait_for_depth("kitchen_dine_in_queue", 295).await;
}

#[tokio::test]
async fn an_independent_reader_finds_all_properties() {
    let env = TestEnv::unmigrated().await;
    let broker = connected(&env).await;
    let mut message = order("delivery", 10, "m-1");
    message.properties.correlation_id = Some("request-1".to_owned());
    message.properties.timestamp_s = Some(1_790_000_000);
    message.properties.kind = Some("order".to_owned());
    message.properties.app_id = Some("order-service".to_owned());
    message.properties.traceparent = Some("00-aa-bb-01".to_owned());
    assert_eq!(broker.publish_one(message).await, PublishOutcome::Routed);
    let found = env.rabbit.take_messages("kitchen_delivery_queue", 1).await.remove(0);
    assert_eq!(found.exchange, "orders_topic");
    assert_eq!(found.routing_key, "kitchen.delivery.10");
    assert_eq!(found.json(), json!({"order_number": "m-1"}));
    let expected = json!({
        "content_type": "application/json", "delivery_mode": 2, "message_id": "m-1", "correlation_id": "request-1",
        "timestamp": 1_790_000_000, "type": "order", "app_id": "order-service", "priority": 10,
        "headers": {"traceparent": "00-aa-bb-01"},
    });
    assert_eq!(found.properties, expected);
}

#[tokio::test]
async fn without_a_connection_the_answer_comes_at_once() {
    let env = TestEnv::unmigrated().await;
    let mut options = options(&env);
    options.hosts = vec![("127.0.0.1".to_owned(), 1)];
    let broker = start(options);
    let began = Instant::now();
    let outcome = broker.publish_one(update("m")).await;
    assert_eq!(outcome, PublishOutcome::Unconfirmed(BrokerError::NotConnected));
    assert!(began.elapsed() < Duration::from_millis(100));
}

#[tokio::test]
async fn a_deleted_queue_makes_messages_unroutable_until_the_topology_is_declared_again() {
    let env = TestEnv::unmigrated().await;
    let broker = connected(&env).await;
    env.rabbit.delete_queue("kitchen_takeout_queue").await;
    let outcome = broker.publish_one(order("takeout", 1, "a")).await;
    assert!(matches!(outcome, PublishOutcome::Unroutable { .. }), "{outcome:?}");
    broker.redeclare_topology().await.unwrap();
    assert_eq!(broker.publish_one(order("takeout", 1, "b")).await, PublishOutcome::Routed);
}

#[tokio::test]
async fn a_deleted_exchange_is_made_again_by_itself() {
    let env = TestEnv::unmigrated().await;
    let broker = connected(&env).await;
    assert_eq!(broker.publish_one(order("takeout", 1, "a")).await, PublishOutcome::Routed);
    delete_exchange(&env, "orders_topic").await;
    let outcome = broker.publish_one(order("takeout", 1, "b")).await;
    assert!(matches!(outcome, PublishOutcome::Unconfirmed(BrokerError::NotFound { .. })), "{outcome:?}");
    eventually("publishing again", || async {
        broker.publish_one(order("takeout", 1, "c")).await == PublishOutcome::Routed
    })
    .await;
}

#[tokio::test]
async fn what_was_handed_in_is_confirmed_before_the_end() {
    let env = TestEnv::unmigrated().await;
    let broker = connected(&env).await;
    let messages = (0..2_000).map(|n| order("takeout", 1, &format!("m{n}"))).collect();
    let publishing = tokio::spawn({
        let broker = broker.clone();
        async move { broker.publish(messages).await }
    });
    tokio::task::yield_now().await;
    within("the end", broker.close()).await;
    let outcomes = publishing.await.unwrap();
    assert!(outcomes.iter().all(|outcome| *outcome == PublishOutcome::Routed), "{:?}", outcomes[0]);
    assert_eq!(
        broker.publish_one(update("late")).await,
        PublishOutcome::Unconfirmed(BrokerError::NotConnected)
    );
}

async fn delete_exchange(env: &TestEnv, exchange: &str) {
    let port = env.servers.rabbitmq.management_port().unwrap();
    let url = format!("http://127.0.0.1:{port}/api/exchanges/{}/{exchange}", env.vhost);
    let request = reqwest::Client::new().delete(url).basic_auth("guest", Some("guest"));
    request.send().await.unwrap().error_for_status().unwrap();
}
