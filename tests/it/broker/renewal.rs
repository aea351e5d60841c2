//! Queues that are made anew with what is in them, from wherever an earlier attempt was interrupted.

use amqp::{Broker, BrokerError, Consume, ConsumeOptions, PublishOutcome, Received};
use restaurant_system::broker::named_slot;
use serde_json::{Value, json};

use super::{connected, id, next_delivery, update};
use crate::support::TestEnv;

async fn put(env: &TestEnv, queue: &str, id: &str) {
    let properties = json!({"message_id": id, "delivery_mode": 2, "headers": {"kept": 7}});
    assert!(env.rabbit.publish("amq.default", queue, &properties, "{}").await, "{queue}");
}

async fn renewed(env: &TestEnv, broker: &Broker, queue: &str, messages: &[&str]) {
    let temporary = format!("restaurant_moving.{queue}");
    broker.renew_queue_with_content(queue).await.unwrap();
    assert!(env.rabbit.queue(&temporary).await.is_none());
    let found = env.rabbit.queue(queue).await.unwrap();
    assert_eq!(found["arguments"], json!({"x-expires": 86_400_000}));
    // Bound again as well.
    assert_eq!(broker.publish_one(update("new")).await, PublishOutcome::Routed);
    let held = env.rabbit.get_messages(queue, 100).await;
    let ids: Vec<_> = held.iter().map(|message| message.properties["message_id"].as_str().unwrap()).collect();
    assert_eq!(ids, [messages, &["new"]].concat(), "{queue}");
    for message in &held[..messages.len()] {
        assert_eq!(message.properties["delivery_mode"], 2);
        assert_eq!(message.properties["headers"]["kept"], 7);
    }
}

#[tokio::test]
async fn a_queue_is_made_anew_with_its_messages_in_their_order() {
    let env = TestEnv::unmigrated().await;
    let broker = connected(&env).await;
    for arguments in [json!({}), json!({"x-queue-type": "quorum"})] {
        let queue = named_slot("kiosk");
        env.rabbit.delete_queue(&queue).await;
        env.rabbit.declare_queue(&queue, arguments).await;
        for id in ["1", "2", "3"] {
            put(&env, &queue, id).await;
        }
        let report = broker.look_at_queue(&queue).await.unwrap();
        assert!(report.is_to_be_renewed() && !report.is_busy(), "{report:?}");
        renewed(&env, &broker, &queue, &["1", "2", "3"]).await;
        let report = broker.look_at_queue(&queue).await.unwrap();
        assert!(!report.is_to_be_renewed(), "{report:?}");
    }
}

/// Where an attempt was interrupted: the queue's arguments, where there is one, what is in it, and what was moved.
type Interrupted = (&'static str, Option<Value>, &'static [&'static str], &'static [&'static str]);

#[tokio::test]
async fn what_was_interrupted_at_any_step_is_finished() {
    let env = TestEnv::unmigrated().await;
    let broker = connected(&env).await;
    // While the messages are taken away; before the queue is made; and while they are brought back.
    let steps: [Interrupted; 3] = [
        ("taking", Some(json!({"x-queue-type": "quorum"})), &["3"], &["1", "2"]),
        ("deleted", None, &[], &["1", "2", "3"]),
        ("bringing", Some(json!({"x-expires": 86_400_000})), &["1"], &["2", "3"]),
    ];
    for (name, arguments, held, moved) in steps {
        let queue = named_slot(name);
        let temporary = format!("restaurant_moving.{queue}");
        env.rabbit.declare_bound_queue(&temporary, "notifications_fanout", "").await;
        if let Some(arguments) = arguments {
            env.rabbit.declare_queue(&queue, arguments).await;
        }
        for id in held {
            put(&env, &queue, id).await;
        }
        for id in moved {
            put(&env, &temporary, id).await;
        }
        assert!(broker.look_at_queue(&queue).await.unwrap().is_to_be_renewed());
        renewed(&env, &broker, &queue, &["1", "2", "3"]).await;
        env.rabbit.delete_queue(&queue).await;
    }
}

#[tokio::test]
async fn a_queue_with_a_consumer_is_left_alone() {
    let env = TestEnv::unmigrated().await;
    let broker = connected(&env).await;
    let queue = named_slot("kiosk");
    env.rabbit.declare_queue(&queue, json!({})).await;
    put(&env, &queue, "1").await;
    let mut consumer = broker.consume(ConsumeOptions::new([&queue], 1)).await.unwrap();
    let delivery = next_delivery(&mut consumer).await;
    assert!(broker.look_at_queue(&queue).await.unwrap().is_busy());
    let refused = broker.renew_queue_with_content(&queue).await.unwrap_err();
    assert!(matches!(refused, BrokerError::InUse { .. }), "{refused:?}");
    let refused = broker.renew_queue(&queue).await.unwrap_err();
    assert!(matches!(refused, BrokerError::InUse { .. }), "{refused:?}");
    assert_eq!(id(&delivery), "1");
    assert!(delivery.ack().await);
}
