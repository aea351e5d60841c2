//! Consumers that die again and again with a message in hand: it is never dropped for that.

use std::time::Duration;

use amqp::{Consume, ConsumeOptions, Publish, PublishOutcome, QueueType, Received};
use restaurant_system::broker::named_slot;

use super::{id, next_delivery, options, order, start, update, within};
use crate::support::{TestEnv, eventually};

/// RabbitMQ 4 drops a message of a quorum queue after 20 deliveries, unless the queue says otherwise.
const CRASHES: u64 = 50;

async fn survive_a_crash_loop(queue_type: QueueType) {
    let env = TestEnv::unmigrated().await;
    let mut options = options(&env);
    options.queue_type = queue_type;
    (options.backoff_min, options.backoff_max) = (Duration::from_millis(1), Duration::from_millis(50));
    let broker = start(options);
    within("a connection", broker.wait_connected()).await;
    let worker = ConsumeOptions::new(["kitchen_takeout_queue"], 1);
    let mut worker = broker.consume(worker).await.unwrap();
    // A quorum queue knows nothing of exclusive consumers.
    let mut subscriber = ConsumeOptions::new([named_slot("kiosk")], 1);
    subscriber.exclusive = queue_type == QueueType::Classic;
    let mut subscriber = broker.consume(subscriber).await.unwrap();
    assert_eq!(broker.publish_one(order("takeout", 1, "order")).await, PublishOutcome::Routed);
    assert_eq!(broker.publish_one(update("update")).await, PublishOutcome::Routed);
    for crash in 1..=CRASHES {
        let ordered = next_delivery(&mut worker).await;
        let told = next_delivery(&mut subscriber).await;
        assert_eq!((id(&ordered), id(&told)), ("order".to_owned(), "update".to_owned()), "crash {crash}");
        broker.discard(crash, "a crash");
        let mut state = broker.state();
        let next = |state: &_| matches!(state, amqp::BrokerState::Connected { generation, .. } if *generation > crash);
        within("the next connection", state.wait_for(next)).await.unwrap();
    }
    for consumer in [&mut worker, &mut subscriber] {
        let delivery = next_delivery(consumer).await;
        assert!(delivery.redelivered);
        assert!(delivery.ack().await);
    }
    let dead_letters = ConsumeOptions::new(["kitchen_dead_letters"], 1);
    drop(within("the dead letters", broker.consume(dead_letters)).await.unwrap());
    eventually("nothing dead", || async { env.rabbit.queue_depth("kitchen_dead_letters").await == 0 }).await;
}

#[tokio::test]
async fn fifty_crashes_of_each_consumer_lose_nothing_in_classic_queues() {
    survive_a_crash_loop(QueueType::Classic).await;
}

#[tokio::test]
async fn fifty_crashes_of_each_consumer_lose_nothing_in_quorum_queues() {
    survive_a_crash_loop(QueueType::Quorum).await;
}
