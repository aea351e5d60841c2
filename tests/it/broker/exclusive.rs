//! What only one process can have: subscribers' queues and names.

use std::time::Duration;

use restaurant_system::broker::{
    BrokerError, ConsumeOptions, ConsumerEvent, NameError, PublishOutcome, named_slot, numbered_slots,
};

use super::proxy::Proxy;
use super::{connected, cut, id, next_delivery, options, start, update, wait_for_event, within};
use crate::support::{TestEnv, eventually};

const NAME: &str = "kitchen_worker.chef_anna";

#[tokio::test]
async fn an_exclusive_queue_takes_no_second_consumer() {
    let env = TestEnv::unmigrated().await;
    let (one, two) = (connected(&env).await, connected(&env).await);
    let exclusive = ConsumeOptions::new(["notifications_queue"], 10).exclusive();
    let first = one.consume(exclusive.clone()).await.unwrap();
    for options in [exclusive.clone(), ConsumeOptions::new(["notifications_queue"], 10)] {
        let error = two.consume(options).await.unwrap_err();
        assert!(matches!(error, BrokerError::InUse { .. }), "{error:?}");
    }
    first.close().await;
    two.consume(exclusive.waiting_for_queue(Duration::from_secs(5))).await.unwrap();
}

#[tokio::test]
async fn subscribers_take_the_first_free_queue_and_each_gets_every_update() {
    let env = TestEnv::unmigrated().await;
    let (one, two) = (connected(&env).await, connected(&env).await);
    let options = ConsumeOptions::new(Vec::<String>::new(), 10);
    let (first, second) = tokio::join!(
        one.consume_first_free(numbered_slots(), &options),
        two.consume_first_free(numbered_slots(), &options),
    );
    let (mut first, mut second) = (first.unwrap(), second.unwrap());
    let mut third = one.consume_first_free(numbered_slots(), &options).await.unwrap();
    let mut named = one.consume(ConsumeOptions::new([named_slot("kiosk")], 10).exclusive()).await.unwrap();
    let mut queues = [first.queue(), second.queue(), third.queue()];
    queues.sort_unstable();
    assert_eq!(queues, ["notifications_queue", "notifications_queue.2", "notifications_queue.3"]);
    assert_eq!(one.publish_one(update("u")).await, PublishOutcome::Routed);
    for consumer in [&mut first, &mut second, &mut third, &mut named] {
        let delivery = next_delivery(consumer).await;
        assert_eq!(id(&delivery), "u");
        assert!(delivery.ack().await);
    }
}

#[tokio::test]
async fn an_exclusive_consumer_takes_its_queue_again_after_a_cut() {
    let env = TestEnv::unmigrated().await;
    let broker = connected(&env).await;
    let mut consumer =
        broker.consume(ConsumeOptions::new(["notifications_queue"], 10).exclusive()).await.unwrap();
    for _ in 0..3 {
        cut(&env).await;
        wait_for_event!(&mut consumer, ConsumerEvent::Interrupted);
        wait_for_event!(&mut consumer, ConsumerEvent::Resumed);
    }
}

#[tokio::test]
async fn an_exclusive_consumer_whose_queue_was_taken_says_so_in_the_end() {
    let env = TestEnv::unmigrated().await;
    let proxy = Proxy::to(env.servers.rabbitmq.amqp_port()).await;
    let mut far = options(&env);
    (far.hosts, far.claim_grace) = (vec![proxy.host()], Duration::ZERO);
    let far = start(far);
    let exclusive = ConsumeOptions::new(["notifications_queue"], 10).exclusive();
    let mut consumer = within("the first consumer", far.consume(exclusive.clone())).await.unwrap();
    proxy.cut();
    let near = connected(&env).await;
    let taking = near.consume(exclusive.waiting_for_queue(Duration::from_secs(20)));
    let _taken = within("taking the queue", taking).await.unwrap();
    proxy.restore();
    wait_for_event!(&mut consumer, ConsumerEvent::Failed(BrokerError::InUse { .. }));
    assert!(consumer.next().await.is_none());
}

#[tokio::test]
async fn a_name_is_held_by_one_process_and_free_as_soon_as_it_lets_go() {
    let env = TestEnv::unmigrated().await;
    let (one, two) = (connected(&env).await, connected(&env).await);
    let held = one.hold_name(NAME).await.unwrap();
    let error = two.hold_name(NAME).await.unwrap_err();
    assert_eq!(error, NameError::InUse { name: NAME.to_owned() });
    let error = one.hold_name(NAME).await.unwrap_err();
    assert_eq!(error, NameError::InUse { name: NAME.to_owned() }, "the same process has it already");
    drop(held);
    let held = two.hold_name(NAME).await.unwrap();
    // A crash, seen from the server: the connection is gone without a word.
    two.close().await;
    one.hold_name(NAME).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(300), held.lost()).await.is_err());
}

#[tokio::test]
async fn a_name_is_held_again_after_a_cut() {
    let env = TestEnv::unmigrated().await;
    let broker = connected(&env).await;
    let held = broker.hold_name(NAME).await.unwrap();
    cut(&env).await;
    eventually("the name being held again", || async { env.rabbit.queue(NAME).await.is_some() }).await;
    let other = connected(&env).await;
    assert!(matches!(other.hold_name(NAME).await, Err(NameError::InUse { .. })));
    assert!(tokio::time::timeout(Duration::from_millis(300), held.lost()).await.is_err());
}

#[tokio::test]
async fn a_name_that_was_taken_during_an_outage_is_lost() {
    let env = TestEnv::unmigrated().await;
    let proxy = Proxy::to(env.servers.rabbitmq.amqp_port()).await;
    let mut far = options(&env);
    (far.hosts, far.claim_grace) = (vec![proxy.host()], Duration::ZERO);
    let far = start(far);
    let held = within("the name", far.hold_name(NAME)).await.unwrap();
    proxy.cut();
    let near = connected(&env).await;
    let _taken = near.hold_name(NAME).await.unwrap();
    proxy.restore();
    within("the loss being told", held.lost()).await;
}
