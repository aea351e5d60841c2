//! The notification subscriber (contract, section 7).

use super::kit::Kit;
use crate::support::{Role, Signal, TestEnv, eventually, eventually_ok};
use private_servers::watch;
use serde_json::json;
use std::io::Read;
use std::process::{Child, Stdio};

fn told(number: &str, old: &str, new: &str, by: &str) -> String {
    format!("Notification for order {number}: Status changed from '{old}' to '{new}' by {by}.")
}

/// The lines of a subscriber that are no log.
fn notifications(subscriber: &Role) -> Vec<String> {
    subscriber.lines().into_iter().filter(|line| !line.starts_with('{')).collect()
}

async fn wait_for(subscriber: &Role, line: &str) {
    subscriber.wait_for_line(line, |found| found == line).await;
}

#[tokio::test]
async fn every_subscriber_prints_each_update_once_in_order_and_logs_beside_it() {
    let kit = Kit::new().await;
    let subscribers =
        [kit.subscriber(&[]).await, kit.subscriber(&[]).await, kit.subscriber(&["--name", "bar"]).await];
    let _chef = kit.working("chef_mario", &[]).await;
    let number = kit.place("takeout").await;
    let expected =
        [told(&number, "received", "cooking", "chef_mario"), told(&number, "cooking", "ready", "chef_mario")];
    for subscriber in &subscribers {
        wait_for(subscriber, &expected[1]).await;
        assert_eq!(notifications(subscriber), expected);
        let log = subscriber.wait_for_action("notification_received").await;
        assert_eq!((&log["order_number"], &log["level"]), (&json!(number), &json!("INFO")));
    }
    for queue in ["notifications_queue", "notifications_queue.2", "notifications_queue.bar"] {
        kit.env.rabbit.wait_for_depth(queue, 0).await;
        kit.env.rabbit.wait_for_consumers(queue, 1).await;
    }
}

#[tokio::test]
async fn three_subscribers_that_start_at_once_share_out_the_slots() {
    let env = TestEnv::new().await;
    let subscribers: Vec<Role> = (0..3).map(|_| env.spawn(&["notification-subscriber"])).collect();
    let mut queues = Vec::new();
    for subscriber in &subscribers {
        let log = subscriber.wait_for_action("subscribed").await;
        queues.push(log["details"].as_str().unwrap().to_owned());
    }
    queues.sort();
    assert_eq!(queues, ["notifications_queue", "notifications_queue.2", "notifications_queue.3"]);
    for (queue, expires) in queues.iter().zip([None, Some(86_400_000), Some(86_400_000)]) {
        let found = env.rabbit.queue(queue).await.unwrap();
        assert_eq!(found["durable"], true, "{found}");
        assert_eq!(found["arguments"].get("x-expires").and_then(|ms| ms.as_u64()), expires, "{found}");
    }
}

#[tokio::test]
async fn a_subscriber_that_was_away_prints_what_it_missed() {
    let kit = Kit::new().await;
    let mut first = kit.subscriber(&[]).await;
    let mut named = kit.subscriber(&["--name", "counter"]).await;
    first.signal(Signal::SIGTERM);
    named.kill();
    assert_eq!(first.wait_exit().await.code(), Some(0));
    let _chef = kit.working("chef_mario", &[]).await;
    let number = kit.place("takeout").await;
    kit.wait_status(&number, "ready").await;
    kit.wait_announced().await;
    for args in [&[][..], &["--name", "counter"]] {
        let back = kit.subscriber(args).await;
        wait_for(&back, &told(&number, "cooking", "ready", "chef_mario")).await;
        assert_eq!(notifications(&back).len(), 2);
    }
}

/// A subscriber at work whose output nobody reads.
async fn unread(kit: &Kit) -> Child {
    let mut command = kit.env.command(&["notification-subscriber", "--log-format", "json", "--config"]);
    command.arg(kit.env.config()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let child = command.spawn().unwrap();
    watch::guard(&[child.id()]).unwrap();
    kit.env.rabbit.wait_for_consumers("notifications_queue", 1).await;
    child
}

/// Who changed the orders of [`flood`]: the longest name that there may be, of letters of four bytes.
fn somebody() -> String {
    "𐐨".repeat(128)
}

/// Sends more updates than a pipe takes, and waits until the subscriber has them and is held up in its writing.
async fn flood(kit: &Kit) -> Vec<String> {
    let numbers: Vec<String> = (1..=200).map(|n| format!("ORD_20261122_{n:03}")).collect();
    for number in &numbers {
        let update = json!({"order_number": number, "old_status": "a", "new_status": "b", "changed_by": somebody(),
            "timestamp": "2026-11-22T12:00:00Z", "estimated_completion": null});
        kit.env.rabbit.publish("notifications_fanout", "", &json!({}), &update.to_string()).await;
    }
    let left = std::sync::atomic::AtomicU64::new(0);
    eventually("some stay, and no more go", || async {
        let queue = kit.env.rabbit.queue("notifications_queue").await.unwrap();
        let now = queue["messages"].as_u64().unwrap_or_default();
        let held_up = now > 0 && queue["messages_unacknowledged"].as_u64() > Some(0);
        held_up && left.swap(now, std::sync::atomic::Ordering::Relaxed) == now
    })
    .await;
    numbers
}

/// Checks that what one subscriber has not printed before its end is printed by the next.
async fn the_next_prints_the_rest(kit: &Kit, ended: &mut Child, numbers: &[String]) {
    let mut printed = String::new();
    ended.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
    let printed: Vec<&str> = printed.split_inclusive('\n').filter(|line| line.ends_with('\n')).collect();
    let mut next = kit.subscriber(&[]).await;
    for number in numbers {
        let line = told(number, "a", "b", &somebody());
        if !printed.iter().any(|found| found.trim_end() == line) {
            wait_for(&next, &line).await;
        }
    }
    assert!(!notifications(&next).is_empty());
    next.signal(Signal::SIGTERM);
    assert_eq!(next.wait_exit().await.code(), Some(0));
}

#[tokio::test]
async fn an_update_that_could_not_be_printed_is_not_acknowledged() {
    let kit = Kit::new().await;
    // Whoever read its output has gone.
    let mut mute = unread(&kit).await;
    drop(mute.stdout.take());
    let number = kit.place("takeout").await;
    kit.http.change(&number, "cancel").await;
    let status = eventually_ok("the end of the subscriber", || {
        std::future::ready(mute.try_wait().unwrap().ok_or("it goes on"))
    })
    .await;
    watch::release(&[mute.id()]).unwrap();
    assert_eq!(status.code(), Some(1));
    let next = kit.subscriber(&[]).await;
    next.wait_for_line("about the order", |line| line.contains(&number) && line.contains("'cancelled'"))
        .await;
}

#[tokio::test]
async fn a_subscriber_that_is_killed_while_it_prints_loses_no_update() {
    let kit = Kit::new().await;
    // Nobody reads its output for now: it is held up in the middle of its writing.
    let mut blocked = unread(&kit).await;
    let numbers = flood(&kit).await;
    blocked.kill().unwrap();
    blocked.wait().unwrap();
    watch::release(&[blocked.id()]).unwrap();
    the_next_prints_the_rest(&kit, &mut blocked, &numbers).await;
}

#[tokio::test]
async fn a_subscriber_that_nobody_reads_ends_when_asked_and_loses_no_update() {
    let kit = Kit::new().await;
    // One more request to stop is a request to hurry.
    for requests in [&[Signal::SIGTERM][..], &[Signal::SIGTERM, Signal::SIGINT]] {
        let mut blocked = unread(&kit).await;
        let numbers = flood(&kit).await;
        let pid = nix::unistd::Pid::from_raw(blocked.id().try_into().unwrap());
        for signal in requests {
            nix::sys::signal::kill(pid, *signal).unwrap();
        }
        let status = eventually_ok("the end of the subscriber", || {
            std::future::ready(blocked.try_wait().unwrap().ok_or("it goes on"))
        })
        .await;
        watch::release(&[blocked.id()]).unwrap();
        assert_eq!(status.code(), Some(0));
        the_next_prints_the_rest(&kit, &mut blocked, &numbers).await;
    }
}

#[tokio::test]
async fn what_is_no_update_goes_to_the_dead_letters_and_the_rest_is_printed() {
    let kit = Kit::new().await;
    let subscriber = kit.subscriber(&[]).await;
    for poison in ["not JSON", "[]", r#"{"order_number": 7}"#] {
        assert!(kit.env.rabbit.publish("notifications_fanout", "", &json!({}), poison).await);
    }
    let foreign = json!({"order_number": "ORD_20261122_001", "old_status": "a", "new_status": "b", "changed_by": "c",
        "timestamp": "2026-11-22T12:00:00Z", "estimated_completion": null, "mood": "good"});
    kit.env.rabbit.publish("notifications_fanout", "", &json!({}), &foreign.to_string()).await;
    wait_for(&subscriber, &told("ORD_20261122_001", "a", "b", "c")).await;
    kit.env.rabbit.wait_for_depth("kitchen_dead_letters", 3).await;
    for dead in kit.env.rabbit.take_messages("kitchen_dead_letters", 10).await {
        assert!(!dead.properties["headers"]["x-death-reason"].as_str().unwrap().is_empty());
        assert_eq!(dead.properties["headers"]["x-original-queue"], "notifications_queue");
    }
    assert_eq!(notifications(&subscriber).len(), 1);
    kit.env.rabbit.wait_for_depth("notifications_queue", 0).await;
}

#[tokio::test]
async fn a_subscriber_whose_connection_is_cut_is_back_with_its_queue() {
    let kit = Kit::new().await;
    let subscriber = kit.subscriber(&[]).await;
    eventually("the late list of connections has the subscriber's and the order service's two", || async {
        let connections = kit.env.rabbit.get("vhosts/{vhost}/connections").await.unwrap_or_default();
        connections.as_array().is_some_and(|all| all.len() == 3)
    })
    .await;
    assert_eq!(kit.env.rabbit.close_connections().await, 3);
    subscriber.wait_for_action("rabbitmq_connection_failed").await;
    let number = kit.place("takeout").await;
    kit.http.change(&number, "cancel").await;
    subscriber.wait_for_line("about the order", |line| line.contains(&number)).await;
    subscriber.wait_for_action("reconnected").await;
    assert_eq!(subscriber.logs_of("rabbitmq_connection_failed").len(), 1);
}
