//! Subscribers that want the same queue, or start at the same moment, on classic and on quorum queues.

use super::kit::{Kit, SHORT_GRACE};
use super::poison::publish_many_unreadable;
use crate::support::{Role, TestEnv, eventually_ok};
use amqp::QueueType;
use std::collections::BTreeSet;

const KINDS: [&str; 2] = ["classic", "quorum"];

/// A kitchen with queues of this kind.
async fn kit_of(kind: &str) -> Kit {
    let env = TestEnv::new().await;
    env.write_config(SHORT_GRACE);
    env.edit_config(|text| text.replace("rabbitmq:\n", &format!("rabbitmq:\n  queue_type: {kind}\n")));
    Kit::on(env).await
}

/// The orders of which it has told that they were cancelled, in the order of its lines.
fn told(subscriber: &Role) -> Vec<String> {
    let lines = subscriber.lines();
    let told = lines.iter().filter_map(|line| line.strip_prefix("Notification for order "));
    told.filter(|line| line.contains("to 'cancelled'"))
        .filter_map(|line| line.split_once(':').map(|(number, _)| number.to_owned()))
        .collect()
}

/// Makes updates; the numbers of their orders.
async fn updates(kit: &Kit, count: usize) -> Vec<String> {
    let numbers = kit.place_many("takeout", count).await;
    for number in &numbers {
        kit.http.change(number, "cancel").await;
    }
    numbers
}

async fn wait_told(subscriber: &Role, numbers: &[String]) {
    eventually_ok("each update is told", async || {
        let told: BTreeSet<String> = told(subscriber).into_iter().collect();
        if numbers.iter().all(|number| told.contains(number)) { Ok(()) } else { Err(told) }
    })
    .await;
}

#[tokio::test]
async fn of_two_with_one_name_one_tells_and_the_other_takes_over_when_it_is_killed() {
    for kind in KINDS {
        let kit = kit_of(kind).await;
        let args = ["notification-subscriber", "--name", "counter"];
        let both = [kit.env.spawn(&args), kit.env.spawn(&args)];
        let (is_first, _) = eventually_ok("one has the queue and the other stands by", async || {
            let of = |action: &str| both.each_ref().map(|role| !role.logs_of(action).is_empty());
            match (of("subscribed"), of("standby")) {
                ([first, second], [by_first, by_second])
                    if first == by_second && second == by_first && first != second =>
                {
                    Ok((first, second))
                }
                other => Err(other),
            }
        })
        .await;
        let [mut active, mut standby] = both;
        if !is_first {
            std::mem::swap(&mut active, &mut standby);
        }
        let before = updates(&kit, 5).await;
        wait_told(&active, &before).await;
        assert_eq!(told(&standby), Vec::<String>::new(), "{kind}: both tell");

        active.kill();
        let after = updates(&kit, 5).await;
        standby.wait_for_action("subscribed").await;
        wait_told(&standby, &after).await;
        assert_eq!(told(&active), before, "{kind}");
        assert_eq!(standby.logs_of("standby").len(), 1, "{:?}", standby.output());
        assert!(standby.logs().iter().all(|log| log["level"] != "ERROR"), "{:?}", standby.output());
        assert!(standby.is_running());
    }
}

#[tokio::test]
async fn three_that_start_at_the_same_moment_on_quorum_queues_tell_every_update_each() {
    let kit = kit_of("quorum").await;
    // Where a queue lets several in they are let in together in most rounds.
    for _ in 0..2 {
        let subscribers: Vec<Role> = (0..3).map(|_| kit.env.spawn(&["notification-subscriber"])).collect();
        let mut queues = BTreeSet::new();
        for subscriber in &subscribers {
            let log = subscriber.wait_for_action("subscribed").await;
            queues.insert(log["details"].as_str().unwrap().to_owned());
        }
        assert_eq!(queues.len(), 3, "{queues:?}");
        let numbers = updates(&kit, 10).await;
        for subscriber in &subscribers {
            wait_told(subscriber, &numbers).await;
        }
    }
}

#[tokio::test]
async fn updates_that_the_client_library_cannot_read_are_removed_and_those_around_them_are_told() {
    for (kind, queue_type) in KINDS.into_iter().zip([QueueType::Classic, QueueType::Quorum]) {
        let kit = kit_of(kind).await;
        let mut numbers = updates(&kit, 2).await;
        kit.wait_announced().await;
        publish_many_unreadable(&kit, queue_type, "notifications_fanout", "", 2).await;
        numbers.extend(updates(&kit, 2).await);
        let subscriber = kit.subscriber(&[]).await;
        wait_told(&subscriber, &numbers).await;
        kit.env.rabbit.wait_for_depth("kitchen_dead_letters", 2).await;
    }
}
