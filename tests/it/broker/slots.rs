//! Subscribers' slots, on classic and on quorum queues.

use std::time::Duration;

use amqp::{
    Broker, BrokerError, BrokerOptions, Consume, ConsumeOptions, Delivery, PublishOutcome, QueueType,
    Received, Slot, SlotEvent, WantedSlot,
};
use restaurant_system::broker::wanted_slot;

use super::{connected, id, options, start, update, within};
use crate::support::{Proxy, TestEnv};

const PREFETCH: u16 = 10;
const KINDS: [QueueType; 2] = [QueueType::Classic, QueueType::Quorum];

async fn connected_for(env: &TestEnv, queue_type: QueueType) -> Broker {
    let broker = start(BrokerOptions { queue_type, ..options(env) });
    within("a connection", broker.wait_connected()).await;
    broker
}

async fn take(broker: &Broker, wanted: &WantedSlot) -> Slot {
    within("a slot", broker.take_slot(wanted, None, PREFETCH, |_| {})).await.unwrap()
}

async fn next(slot: &mut Slot) -> Delivery {
    match within("an update", slot.next()).await.unwrap() {
        SlotEvent::Delivery(delivery) => delivery,
        SlotEvent::Lost => panic!("the slot is lost"),
    }
}

fn kiosk() -> WantedSlot {
    wanted_slot(Some("kiosk"))
}

#[tokio::test]
async fn subscribers_that_start_together_have_a_slot_each_and_get_every_update() {
    for queue_type in KINDS {
        let env = TestEnv::unmigrated().await;
        let (one, two) = (connected_for(&env, queue_type).await, connected_for(&env, queue_type).await);
        let three = connected_for(&env, queue_type).await;
        let free = wanted_slot(None);
        let (first, second, third) = tokio::join!(take(&one, &free), take(&two, &free), take(&three, &free));
        let named = take(&one, &kiosk()).await;
        let mut slots = [first, second, third, named];
        let mut queues: Vec<&str> = slots.iter().map(Slot::queue).collect();
        queues.sort_unstable();
        let expected = [
            "notifications_queue",
            "notifications_queue.2",
            "notifications_queue.3",
            "notifications_queue.kiosk",
        ];
        assert_eq!(queues, expected);
        for message in ["u", "v"] {
            assert_eq!(one.publish_one(update(message)).await, PublishOutcome::Routed);
            for slot in &mut slots {
                let delivery = next(slot).await;
                assert_eq!(id(&delivery), message);
                assert!(delivery.ack().await);
            }
        }
    }
}

#[tokio::test]
async fn of_two_that_want_one_slot_one_stands_by_until_the_other_has_gone() {
    for queue_type in KINDS {
        let env = TestEnv::unmigrated().await;
        let (one, two) = (connected_for(&env, queue_type).await, connected_for(&env, queue_type).await);
        let mut first = take(&one, &kiosk()).await;
        let wanted = kiosk();
        let mut on_standby = Vec::new();
        let mut waiting =
            Box::pin(two.take_slot(&wanted, None, PREFETCH, |queue| on_standby.push(queue.to_owned())));
        let early = tokio::time::timeout(Duration::from_millis(1500), &mut waiting).await;
        assert!(early.is_err(), "both have it");
        assert_eq!(one.publish_one(update("u")).await, PublishOutcome::Routed);
        // Not acknowledged: the next one gets it again.
        assert_eq!(id(&next(&mut first).await), "u");
        one.close().await;
        let mut second = within("the slot", waiting).await.unwrap();
        assert_eq!(id(&next(&mut second).await), "u");
        assert_eq!(on_standby[0], "notifications_queue.kiosk");
    }
}

#[tokio::test]
async fn a_queue_with_an_exclusive_consumer_and_no_name_beside_it_is_passed_over() {
    let env = TestEnv::unmigrated().await;
    let (older, newer) = (connected(&env).await, connected(&env).await);
    let _consumer =
        older.consume(ConsumeOptions::new(["notifications_queue"], 10).exclusive()).await.unwrap();
    assert_eq!(take(&newer, &wanted_slot(None)).await.queue(), "notifications_queue.2");
}

/// As one is by a consumer of a node that is away, as long as that is away.
#[tokio::test]
async fn whoever_had_the_queue_or_has_waited_for_it_is_not_kept_from_it_by_a_consumer_that_a_quorum_queue_counts()
 {
    for (wanted, before) in [(wanted_slot(None), Some("notifications_queue")), (kiosk(), None)] {
        let env = TestEnv::unmigrated().await;
        let counted = connected_for(&env, QueueType::Quorum).await;
        let queue = before.unwrap_or("notifications_queue.kiosk");
        let _counted = counted.consume(ConsumeOptions::new([queue], 1)).await.unwrap();
        let newer = BrokerOptions {
            queue_type: QueueType::Quorum,
            node_patience: Duration::from_millis(500),
            ..options(&env)
        };
        let newer = start(newer);
        let slot = within("the slot", newer.take_slot(&wanted, before, PREFETCH, |_| {})).await.unwrap();
        assert_eq!(slot.queue(), queue);
    }
}

#[tokio::test]
async fn a_slot_is_consumed_again_after_a_cut_as_soon_as_its_name_is_held() {
    for queue_type in KINDS {
        let env = TestEnv::unmigrated().await;
        let broker = connected_for(&env, queue_type).await;
        let mut slot = take(&broker, &kiosk()).await;
        super::cut(&env).await;
        let publisher = connected_for(&env, queue_type).await;
        assert_eq!(publisher.publish_one(update("u")).await, PublishOutcome::Routed);
        assert_eq!(id(&next(&mut slot).await), "u");
    }
}

#[tokio::test]
async fn a_slot_that_was_taken_during_an_outage_is_lost_and_another_one_found() {
    for queue_type in KINDS {
        let env = TestEnv::unmigrated().await;
        let proxy = Proxy::to(env.servers.rabbitmq.amqp_port()).await;
        let mut far = options(&env);
        (far.hosts, far.claim_grace, far.queue_type) = (vec![proxy.host()], Duration::ZERO, queue_type);
        far.node_patience = Duration::from_secs(1);
        let far = start(far);
        let mut slot = take(&far, &wanted_slot(None)).await;
        proxy.cut();
        let near = connected_for(&env, queue_type).await;
        // Until the server has noticed the end of the far one's connection the slot is taken.
        let free = wanted_slot(None);
        let taken = near.take_slot(&free, Some("notifications_queue"), PREFETCH, |_| {});
        let taken = within("the slot", taken).await.unwrap();
        assert_eq!(taken.queue(), "notifications_queue");
        proxy.restore();
        let lost = within("the loss", slot.next()).await;
        assert!(matches!(lost, Ok(SlotEvent::Lost)), "{lost:?}");
        let before = slot.queue().to_owned();
        slot.close().await;
        let again = far.take_slot(&free, Some(&before), PREFETCH, |_| {});
        let mut again = within("another slot", again).await.unwrap();
        assert_eq!(again.queue(), "notifications_queue.2");
        assert_eq!(near.publish_one(update("u")).await, PublishOutcome::Routed);
        assert_eq!(id(&next(&mut again).await), "u");
    }
}

#[tokio::test]
async fn who_lost_its_slot_gets_it_back_when_it_is_free_soon() {
    let env = TestEnv::unmigrated().await;
    let (one, two) = (connected(&env).await, connected(&env).await);
    let taken = take(&one, &wanted_slot(None)).await;
    let free = wanted_slot(None);
    let mut again = Box::pin(two.take_slot(&free, Some("notifications_queue"), PREFETCH, |_| {}));
    let early = tokio::time::timeout(Duration::from_millis(1500), &mut again).await;
    assert!(early.is_err(), "it did not wait");
    taken.close().await;
    assert_eq!(within("the slot", again).await.unwrap().queue(), "notifications_queue");
}

#[tokio::test]
async fn waiting_for_a_slot_ends_with_the_broker() {
    let env = TestEnv::unmigrated().await;
    let (one, two) = (connected(&env).await, connected(&env).await);
    let _taken = take(&one, &kiosk()).await;
    let wanted = kiosk();
    let waiting = two.take_slot(&wanted, None, PREFETCH, |_| {});
    let (ended, ()) = tokio::join!(within("the end", waiting), two.close());
    assert!(matches!(ended, Err(BrokerError::Closed)), "{ended:?}");
}
