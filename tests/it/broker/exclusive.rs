//! What only one process can have: exclusive queues and names.

use std::time::Duration;

use amqp::{BrokerError, Consume, ConsumeOptions, ConsumerEvent, Deliveries, NameError, NameHold};

use super::{connected, cut, options, start, wait_for_event, within};
use crate::support::{Proxy, TestEnv, eventually, eventually_ok};

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
    two.consume(exclusive).await.unwrap();
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
    let _taken = eventually_ok("taking the queue", || near.consume(exclusive.clone())).await;
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

/// The far end is gone without a word, as with a cut cable.
#[tokio::test]
async fn the_name_of_a_half_open_connection_is_in_use_until_rabbitmq_notices() {
    let env = TestEnv::unmigrated().await;
    let proxy = Proxy::to(env.servers.rabbitmq.amqp_port()).await;
    let mut far = options(&env);
    (far.hosts, far.claim_grace) = (vec![proxy.host()], Duration::ZERO);
    let far = start(far);
    let _held = within("the name", far.hold_name(NAME)).await.unwrap();
    proxy.hold();
    let near = connected(&env).await;
    let since = std::time::Instant::now();
    assert!(matches!(near.hold_name(NAME).await, Err(NameError::InUse { .. })), "it was free at once");
    let free = within("the name being free", async {
        loop {
            if let Ok(held) = near.hold_name(NAME).await {
                return held;
            }
        }
    })
    .await;
    // As long as units try, and those who lost a name.
    assert!(since.elapsed() <= near.death_notice() + Duration::from_secs(3), "{:?}", since.elapsed());
    drop(free);
}
