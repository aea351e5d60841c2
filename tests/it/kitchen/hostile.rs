//! Messages that somebody sends to do harm: what they say is told to nobody, and how large they are costs little.

use super::kit::{Kit, MESSAGES_ONLY};
use super::poison::falsifying_wire;
use amqp::{Broker, BrokerOptions, Outgoing, Properties, PublishOutcome};
use restaurant_system::broker::messages::MAX_MESSAGE_BYTES;
use serde_json::{Value, json};

/// In no line of a subscriber, and in no reason, may this be found.
const SECRET: &str = "Lovelace";

fn update_with(name: &str, value: Value) -> String {
    let mut update = json!({"order_number": "ORD_20261122_001", "old_status": "received", "new_status": "cooking",
        "changed_by": "chef_mario", "timestamp": "2026-11-22T12:00:00Z", "estimated_completion": null});
    update[name] = value;
    update.to_string()
}

#[tokio::test]
async fn what_is_no_update_in_any_of_its_texts_is_told_to_nobody() {
    let kit = Kit::new().await;
    let subscriber = kit.subscriber(&[]).await;
    let long = "x".repeat(1_000_000);
    let hostile = [
        update_with("order_number", json!("Ada Lovelace, 12 Analytical Row")),
        update_with("order_number", json!("ORD_20261122_001 Lovelace")),
        update_with("old_status", json!("Lovelace")),
        update_with("new_status", json!("cooking' by Lovelace")),
        update_with("new_status", json!("a_status_that_is_far_too_long")),
        update_with("changed_by", json!(format!("{SECRET}\nNotification for order"))),
        update_with("changed_by", json!(format!("{SECRET}\u{202e}"))),
        update_with("changed_by", json!(format!("{SECRET}\u{200b}"))),
        update_with("changed_by", json!(format!("{SECRET}{}", "x".repeat(121)))),
        update_with("changed_by", json!("")),
        update_with("timestamp", json!("Ada, expected Lovelace")),
        update_with("estimated_completion", json!(SECRET)),
        update_with("changed_by", json!(long)),
        update_with("mood", json!(long)),
    ];
    let properties = json!({"correlation_id": "Ada Lovelace"});
    for message in &hostile {
        assert!(kit.env.rabbit.publish("notifications_fanout", "", &properties, message).await);
    }
    // One of a later version, with a field that this one does not know.
    let later =
        update_with("new_status", json!("out_for_delivery")).replacen('{', "{\"mood\": \"good\", ", 1);
    kit.env.rabbit.publish("notifications_fanout", "", &properties, &later).await;
    let line = "Notification for order ORD_20261122_001: Status changed from 'received' to 'out_for_delivery' by chef_mario.";
    subscriber.wait_for_line("the good one", |found| found == line).await;
    kit.env.rabbit.wait_for_depth("kitchen_dead_letters", hostile.len() as u64).await;
    for dead in kit.env.rabbit.take_messages("kitchen_dead_letters", 100).await {
        let reason = dead.properties["headers"]["x-death-reason"].as_str().unwrap().to_owned();
        assert!(!reason.is_empty() && !reason.contains(SECRET), "{reason}");
        let cut = dead.properties["headers"]["x-original-bytes"].as_str().map(str::to_owned);
        assert_eq!(cut.is_some(), dead.payload.len() == MAX_MESSAGE_BYTES, "{cut:?}");
    }
    let told = subscriber.lines();
    assert!(told.iter().all(|line| !line.contains(SECRET) && line.len() < 100_000), "{told:?}");
    assert_eq!(told.iter().filter(|line| !line.starts_with('{')).count(), 1, "{told:?}");
}

/// The most memory that a process has had, in MiB.
fn peak_mib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() / 1024
}

#[tokio::test]
async fn of_very_large_messages_only_the_beginnings_are_kept_and_they_cost_little_memory() {
    const MESSAGES: u64 = 50;
    const MESSAGE_MIB: usize = 8;
    let kit = Kit::new().await;
    let broker = Broker::start(kit.env.broker_options());
    assert!(broker.wait_connected().await);
    let large = Outgoing {
        exchange: "notifications_fanout".into(),
        routing_key: String::new(),
        body: vec![b' '; MESSAGE_MIB * 1024 * 1024].into(),
        properties: Properties::default(),
    };
    for _ in 0..MESSAGES {
        assert_eq!(broker.publish_one(large.clone()).await, PublishOutcome::Routed);
    }
    broker.close().await;
    let subscriber = kit.subscriber(&[]).await;
    kit.env.rabbit.wait_for_depth("kitchen_dead_letters", MESSAGES).await;
    kit.env.rabbit.wait_for_depth("notifications_queue", 0).await;
    let peak = peak_mib(subscriber.pid());
    // Some 100 MiB beside those that are on their way; all at once would be 400.
    assert!(peak < 300, "{peak} MiB for {MESSAGES} messages of {MESSAGE_MIB} MiB");
    // What was cut is no message any more.
    let again = kit.env.run(&["dead-letters", "requeue", "--all"]).await;
    let said = String::from_utf8_lossy(&[again.stdout, again.stderr].concat()).into_owned();
    assert!(!again.status.success() && said.contains("only its beginning"), "{said}");
    let dead = kit.env.rabbit.take_messages("kitchen_dead_letters", 100).await;
    assert_eq!(dead.len() as u64, MESSAGES);
    for letter in dead {
        assert_eq!(letter.payload.len(), MAX_MESSAGE_BYTES);
        let bytes = (MESSAGE_MIB * 1024 * 1024).to_string();
        assert_eq!(letter.properties["headers"]["x-original-bytes"], bytes);
    }
}

/// Lists within lists in a header: on a stack of 2 MiB, which is usual, a process that reads them by recursion ends.
const LISTS: usize = 3000;

/// The value of a header of AMQP: its kind, and how long it is where that is told.
fn field(kind: u8, content: &[u8]) -> Vec<u8> {
    [&[kind][..], &u32::try_from(content.len()).unwrap().to_be_bytes(), content].concat()
}

#[tokio::test]
async fn lists_within_lists_in_the_headers_of_a_message_end_no_worker() {
    let kit = Kit::with(MESSAGES_ONLY).await;
    let nested = (0..LISTS).fold(vec![b'V'], |content, _| field(b'A', &content));
    let text = "x".repeat(nested.len() - 5);
    let port =
        falsifying_wire(kit.env.servers.rabbitmq.amqp_port(), &field(b'S', text.as_bytes()), &nested).await;
    let options = BrokerOptions { hosts: vec![("127.0.0.1".to_owned(), port)], ..kit.env.broker_options() };
    let broker = Broker::start(options);
    assert!(broker.wait_connected().await);
    let deep = Outgoing {
        exchange: "orders_topic".into(),
        routing_key: "kitchen.takeout.10".to_owned(),
        body: "{}".into(),
        properties: Properties { headers: [("deep".to_owned(), text)].into(), ..Properties::default() },
    };
    assert_eq!(broker.publish_one(deep).await, PublishOutcome::Routed);
    broker.close().await;
    let _chef = kit.worker("chef_anna", &[]);
    let number = kit.place("takeout").await;
    kit.wait_ready(&[number]).await;
    kit.env.rabbit.wait_for_depth("kitchen_dead_letters", 1).await;
    // It was as deep on its way.
    let dead = kit.env.rabbit.take_messages("kitchen_dead_letters", 10).await.remove(0);
    assert!(dead.properties["headers"].get("deep").is_none(), "{}", dead.properties);
}
