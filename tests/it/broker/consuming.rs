//! Deliveries and acknowledgements.

use std::time::Duration;

use amqp::{
    Consume, ConsumeOptions, ConsumerEvent, DeadLettered, Deliveries, Delivery, Publish, PublishOutcome,
    QueueType, Received,
};
use futures_util::future::join_all;
use restaurant_system::broker::{NOTIFICATIONS_EXCHANGE, kitchen_queue};
use serde_json::json;

use super::{
    assert_quiet, connected, cut, id, next_delivery, next_event, options, order, start, update,
    wait_for_event, within,
};
use crate::support::{TestEnv, eventually};

const TAKEOUT: &str = "kitchen_takeout_queue";

#[tokio::test]
async fn the_most_urgent_order_comes_first() {
    let env = TestEnv::unmigrated().await;
    let broker = connected(&env).await;
    broker.publish([1, 5, 10, 1].map(|p| order("takeout", p, &format!("p{p}"))).into()).await;
    let mut consumer = broker.consume(ConsumeOptions::new([TAKEOUT], 1)).await.unwrap();
    let mut seen = Vec::new();
    for _ in 0..4 {
        let delivery = next_delivery(&mut consumer).await;
        assert!(!delivery.redelivered);
        seen.push(id(&delivery));
        delivery.ack().await;
    }
    assert_eq!(seen, ["p10", "p5", "p1", "p1"]);
}

#[tokio::test]
async fn prefetch_bounds_the_sum_over_all_queues() {
    let env = TestEnv::unmigrated().await;
    let broker = connected(&env).await;
    for order_type in ["dine_in", "takeout", "delivery"] {
        broker.publish((0..3).map(|n| order(order_type, 1, &format!("{order_type}{n}"))).collect()).await;
    }
    let queues = ["dine_in", "takeout", "delivery"].map(kitchen_queue);
    let mut consumer = broker.consume(ConsumeOptions::new(queues, 2)).await.unwrap();
    let first = next_delivery(&mut consumer).await;
    let _second = next_delivery(&mut consumer).await;
    assert_quiet(&mut consumer).await;
    first.ack().await;
    let _third = next_delivery(&mut consumer).await;
    assert_quiet(&mut consumer).await;
}

#[tokio::test]
async fn quorum_queues_are_consumed_too() {
    let env = TestEnv::unmigrated().await;
    let mut options = options(&env);
    options.queue_type = QueueType::Quorum;
    let broker = start(options);
    within("a connection", broker.wait_connected()).await;
    let queues = ["dine_in", "takeout"].map(kitchen_queue);
    let mut consumer = broker.consume(ConsumeOptions::new(queues, 4)).await.unwrap();
    assert_eq!(broker.publish_one(order("takeout", 1, "a")).await, PublishOutcome::Routed);
    assert!(next_delivery(&mut consumer).await.ack().await);
    env.rabbit.wait_for_depth(TAKEOUT, 0).await;
}

#[tokio::test]
async fn acknowledging_many_leaves_the_others() {
    let env = TestEnv::unmigrated().await;
    let broker = connected(&env).await;
    broker.publish((0..10).map(|n| order("takeout", 1, &n.to_string())).collect()).await;
    let mut consumer = broker.consume(ConsumeOptions::new([TAKEOUT], 10)).await.unwrap();
    let mut done = Vec::new();
    let mut kept = Vec::new();
    for n in 0..10 {
        let delivery = next_delivery(&mut consumer).await;
        if matches!(n, 4 | 6 | 9) { kept.push(delivery) } else { done.push(delivery) }
    }
    done.reverse();
    let acked = join_all(done.into_iter().map(Delivery::ack)).await;
    assert!(acked.into_iter().all(|acked| acked));
    consumer.close().await;
    assert!(kept.iter().all(Delivery::is_void));
    let left = env.rabbit.take_messages(TAKEOUT, 20).await;
    let left: Vec<_> = left.iter().map(|message| message.properties["message_id"].clone()).collect();
    assert_eq!(left, [json!("4"), json!("6"), json!("9")]);
}

#[tokio::test]
async fn what_is_given_back_or_dropped_comes_again() {
    let env = TestEnv::unmigrated().await;
    let broker = connected(&env).await;
    broker.publish_one(order("takeout", 1, "a")).await;
    let mut consumer = broker.consume(ConsumeOptions::new([TAKEOUT], 1)).await.unwrap();
    assert!(next_delivery(&mut consumer).await.give_back().await);
    let again = next_delivery(&mut consumer).await;
    assert!(again.redelivered);
    drop(again);
    let again = next_delivery(&mut consumer).await;
    assert!(again.ack().await);
    consumer.close().await;
    env.rabbit.wait_for_depth(TAKEOUT, 0).await;
}

#[tokio::test]
async fn a_stopped_consumer_gives_back_what_it_has_not_handed_out_and_can_still_acknowledge() {
    let env = TestEnv::unmigrated().await;
    let broker = connected(&env).await;
    broker.publish((0..5).map(|n| order("takeout", 1, &n.to_string())).collect()).await;
    let mut consumer = broker.consume(ConsumeOptions::new([TAKEOUT], 5)).await.unwrap();
    let in_hand = next_delivery(&mut consumer).await;
    within("stopping", consumer.stop()).await;
    assert!(consumer.next().await.is_none());
    let mut other = broker.consume(ConsumeOptions::new([TAKEOUT], 9)).await.unwrap();
    for expected in ["1", "2", "3", "4"] {
        let delivery = next_delivery(&mut other).await;
        assert_eq!(id(&delivery), expected);
        delivery.ack().await;
    }
    assert!(in_hand.ack().await);
    consumer.close().await;
    assert_quiet(&mut other).await;
}

#[tokio::test]
async fn a_cut_connection_voids_deliveries_which_come_again() {
    let env = TestEnv::unmigrated().await;
    let broker = connected(&env).await;
    broker.publish((0..4).map(|n| order("takeout", 1, &n.to_string())).collect()).await;
    let mut consumer = broker.consume(ConsumeOptions::new([TAKEOUT], 4)).await.unwrap();
    let stale = next_delivery(&mut consumer).await;
    cut(&env).await;
    wait_for_event!(&mut consumer, ConsumerEvent::Interrupted);
    assert!(!stale.ack().await);
    wait_for_event!(&mut consumer, ConsumerEvent::Resumed);
    for expected in ["0", "1", "2", "3"] {
        let delivery = next_delivery(&mut consumer).await;
        assert_eq!((id(&delivery).as_str(), delivery.redelivered), (expected, true));
        assert!(delivery.ack().await);
    }
    assert_eq!(broker.publish_one(order("takeout", 1, "new")).await, PublishOutcome::Routed);
    assert_eq!(id(&next_delivery(&mut consumer).await), "new");
}

#[tokio::test]
async fn a_deleted_queue_is_made_again_and_consumed() {
    let env = TestEnv::unmigrated().await;
    let broker = connected(&env).await;
    let mut consumer = broker.consume(ConsumeOptions::new([TAKEOUT], 4)).await.unwrap();
    env.rabbit.delete_queue(TAKEOUT).await;
    wait_for_event!(&mut consumer, ConsumerEvent::Interrupted);
    wait_for_event!(&mut consumer, ConsumerEvent::Resumed);
    assert_eq!(broker.publish_one(order("takeout", 1, "a")).await, PublishOutcome::Routed);
    assert_eq!(id(&next_delivery(&mut consumer).await), "a");
}

#[tokio::test]
async fn a_dead_letter_keeps_body_and_properties_and_says_why() {
    let env = TestEnv::unmigrated().await;
    let broker = connected(&env).await;
    let mut message = order("takeout", 5, "poison");
    message.body = bytes::Bytes::from_static(b"{nonsense");
    message.properties.correlation_id = Some("request-9".to_owned());
    broker.publish_one(message).await;
    let mut consumer = broker.consume(ConsumeOptions::new([TAKEOUT], 1)).await.unwrap();
    let delivery = next_delivery(&mut consumer).await;
    assert_eq!(broker.dead_letter(delivery, "not JSON").await, DeadLettered::Moved);
    consumer.close().await;
    env.rabbit.wait_for_depth(TAKEOUT, 0).await;
    let letter = env.rabbit.take_messages("kitchen_dead_letters", 1).await.remove(0);
    assert_eq!(letter.payload, "{nonsense");
    assert_eq!(letter.properties["message_id"], "poison");
    assert_eq!(letter.properties["correlation_id"], "request-9");
    let headers = &letter.properties["headers"];
    assert_eq!(headers["x-death-reason"], "not JSON");
    assert_eq!(headers["x-original-queue"], TAKEOUT);
    assert_eq!(headers["x-original-routing-key"], "kitchen.takeout.5");
}

#[tokio::test]
async fn a_message_without_any_property_can_be_dead_lettered() {
    let env = TestEnv::unmigrated().await;
    let broker = connected(&env).await;
    assert!(env.rabbit.publish("orders_topic", "kitchen.takeout.1", &json!({}), "").await);
    let mut consumer = broker.consume(ConsumeOptions::new([TAKEOUT], 1)).await.unwrap();
    let delivery = next_delivery(&mut consumer).await;
    assert_eq!(delivery.properties.message_id, None);
    // The dead letters' queue was deleted meanwhile: it is made again.
    env.rabbit.delete_queue("kitchen_dead_letters").await;
    assert_eq!(broker.dead_letter(delivery, &"é".repeat(2000)).await, DeadLettered::Moved);
    env.rabbit.wait_for_depth("kitchen_dead_letters", 1).await;
}

#[tokio::test]
async fn a_copy_of_the_status_updates_flows_again_after_an_interruption() {
    let env = TestEnv::unmigrated().await;
    let broker = connected(&env).await;
    let mut copies = broker.consume_fanout_copy(NOTIFICATIONS_EXCHANGE, 100).await.unwrap();
    let mut second = broker.consume_fanout_copy(NOTIFICATIONS_EXCHANGE, 100).await.unwrap();
    broker.publish_one(update("u1")).await;
    assert_eq!(id(&next_delivery(&mut copies).await), "u1");
    assert_eq!(id(&next_delivery(&mut second).await), "u1");
    cut(&env).await;
    wait_for_event!(&mut copies, ConsumerEvent::Interrupted);
    wait_for_event!(&mut copies, ConsumerEvent::Resumed);
    eventually("publishing again", || async {
        broker.publish_one(update("u2")).await == PublishOutcome::Routed
    })
    .await;
    assert_eq!(id(&next_delivery(&mut copies).await), "u2");
}

#[tokio::test]
async fn an_unknown_queue_is_an_error_at_once() {
    let env = TestEnv::unmigrated().await;
    let broker = connected(&env).await;
    let error = broker.consume(ConsumeOptions::new(["nobody.knows"], 1)).await.unwrap_err();
    assert!(error.to_string().contains("nobody.knows"), "{error}");
}

#[tokio::test]
async fn consumers_end_when_the_broker_is_closed() {
    let env = TestEnv::unmigrated().await;
    let broker = connected(&env).await;
    let mut consumer = broker.consume(ConsumeOptions::new([TAKEOUT], 1)).await.unwrap();
    within("the end", broker.close()).await;
    assert!(matches!(next_event(&mut consumer).await, ConsumerEvent::Interrupted));
    assert!(within("the consumer's end", consumer.next()).await.is_none());
    assert!(!tokio::time::timeout(Duration::from_secs(5), broker.wait_connected()).await.unwrap());
}
