//! Messages that no worker can process: to the dead letters with the reason, and nothing innocent with them.

use super::kit::{Kit, MESSAGES_ONLY};
use crate::support::{Role, Signal, eventually};
use amqp::{Broker, BrokerOptions, Outgoing, Properties, Publish, PublishOutcome, QueueType};
use restaurant_system::broker::messages::MAX_MESSAGE_BYTES;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[tokio::test]
async fn poison_among_good_messages_goes_to_the_dead_letters_at_prefetch_1() {
    poison_among_good_messages("1").await;
}

#[tokio::test]
async fn poison_among_good_messages_goes_to_the_dead_letters_at_prefetch_4() {
    poison_among_good_messages("4").await;
}

#[tokio::test]
async fn poison_among_good_messages_goes_to_the_dead_letters_at_prefetch_64() {
    poison_among_good_messages("64").await;
}

/// Bytes that are no text, and an order in Latin-1.
const NO_TEXT: [&str; 2] =
    ["//4AAQ==", "eyJvcmRlcl9udW1iZXIiOiAiT1JEXzIwMjAwMTAxXzAwMSIsICJjdXN0b21lcl9uYW1lIjogIlpv6yJ9"];
/// Bytes in a body that is none of ours, and larger than any order: its beginning is kept.
const HUGE_BYTES: usize = 2 * 1024 * 1024;

async fn poison_among_good_messages(prefetch: &str) {
    let kit = Kit::with(MESSAGES_ONLY).await;
    let mut good = kit.place_many("takeout", 3).await;
    let other_type = kit.place("dine_in").await;
    kit.wait_announced().await;
    let sample = kit.env.rabbit.get_messages("kitchen_takeout_queue", 1).await.remove(0).json();
    let with = |name: &str, value: Value| {
        let mut message = sample.clone();
        message[name] = value;
        message.to_string()
    };
    let poison = [
        "not JSON".to_owned(),
        String::new(),
        "[]".to_owned(),
        "null".to_owned(),
        "[".repeat(10_000),
        "x".repeat(HUGE_BYTES),
        json!({"order_number": 7}).to_string(),
        with("order_number", json!("ORD_20200101_999")),
        with("order_number", json!(other_type)),
        with("order_number", json!("'; drop table orders; --")),
        with("order_number", json!("ord_20200101_001")),
        with("order_type", json!("drive_in")),
        with("total_amount", json!("24.98")),
        with("priority", json!(2.5)),
        with("items", json!("none")),
    ];
    let (exchange, key) = ("orders_topic", "kitchen.takeout.10");
    let properties = json!({"delivery_mode": 2, "correlation_id": "poisoner", "priority": 10});
    for message in &poison {
        assert!(kit.env.rabbit.publish(exchange, key, &properties, message).await);
    }
    for message in NO_TEXT {
        assert!(kit.env.rabbit.publish_base64(exchange, key, &properties, message).await);
    }
    good.extend(kit.place_many("takeout", 3).await);
    let chef = kit.worker("chef_anna", &["--prefetch", prefetch, "--order-types", "takeout"]);

    kit.wait_ready(&good).await;
    let kept = |body: &'_ str| body.len().min(MAX_MESSAGE_BYTES);
    let mut sent: Vec<&str> = poison.iter().map(|body| &body[..kept(body)]).chain(NO_TEXT).collect();
    kit.env.rabbit.wait_for_depth("kitchen_dead_letters", sent.len() as u64).await;
    kit.wait_queues_empty_but("kitchen_dine_in_queue").await;
    let dead = kit.env.rabbit.take_messages("kitchen_dead_letters", 100).await;
    let mut bodies: Vec<&str> = dead.iter().map(|message| message.payload.as_str()).collect();
    bodies.sort_unstable();
    sent.sort_unstable();
    assert!(bodies == sent, "{} of {}", bodies.len(), sent.len());
    for message in &dead {
        let headers = &message.properties["headers"];
        assert!(!headers["x-death-reason"].as_str().unwrap().is_empty(), "{headers}");
        assert!(headers["x-death-time"].as_str().unwrap().ends_with('Z'), "{headers}");
        assert_eq!(headers["x-original-queue"], "kitchen_takeout_queue");
        assert_eq!(headers["x-original-exchange"], exchange);
        assert_eq!(headers["x-original-routing-key"], key);
        assert_eq!(message.properties["correlation_id"], "poisoner");
        assert_eq!(message.properties["delivery_mode"], 2);
    }
    let errors = chef.logs_of("message_processing_failed");
    assert_eq!(errors.len(), sent.len());
    assert!(errors.iter().all(|log| log["level"] == "ERROR" && log["error"]["msg"] != ""), "{errors:?}");
    for number in &good {
        assert_eq!(kit.statuses(number).await, ["received", "cooking", "ready"]);
    }
    assert_eq!(kit.status(&other_type).await, "received");
}

#[tokio::test]
async fn orders_claimed_in_one_batch_with_one_that_postgresql_refuses_are_cooked() {
    let kit = Kit::with(MESSAGES_ONLY).await;
    let first = kit.place("takeout").await;
    let refused = kit.place("takeout").await;
    let good = kit.place_many("takeout", 20).await;
    kit.wait_announced().await;
    // The first claim takes so long that all others are in one batch behind it.
    let trigger = format!(
        "create function refuse_one() returns trigger language plpgsql as $$ begin
            if new.number = '{first}' then perform pg_sleep(1); end if;
            if new.number = '{refused}' then raise check_violation using message = 'not this one'; end if;
            return new;
         end $$;
         create trigger refuse_one before update on orders for each row when (new.status = 'cooking')
            execute function refuse_one()"
    );
    kit.db.batch_execute(&trigger).await.unwrap();
    let chef = kit.worker("chef_anna", &["--prefetch", "64"]);
    kit.wait_ready(&good).await;
    kit.wait_status(&first, "ready").await;
    kit.env.rabbit.wait_for_depth("kitchen_dead_letters", 1).await;
    kit.wait_queues_empty().await;
    let dead = kit.env.rabbit.take_messages("kitchen_dead_letters", 10).await;
    let numbers: Vec<Value> = dead.iter().map(|message| message.json()["order_number"].clone()).collect();
    assert_eq!(numbers, [json!(refused)]);
    assert_eq!(kit.statuses(&refused).await, ["received"]);
    let said = chef.logs_of("message_processing_failed");
    assert!(
        said.iter().any(|log| log["error"]["msg"].as_str().unwrap().contains("not this one")),
        "{said:?}"
    );
}

#[tokio::test]
async fn of_many_orders_that_the_database_does_not_have_one_line_says_how_many() {
    let kit = Kit::with(MESSAGES_ONLY).await;
    let known = kit.place("takeout").await;
    kit.wait_announced().await;
    let sample = kit.env.rabbit.get_messages("kitchen_takeout_queue", 1).await.remove(0);
    for n in 0..30 {
        let mut message = sample.json();
        message["order_number"] = json!(format!("ORD_20200101_{}", 100 + n));
        let key = "kitchen.takeout.1";
        assert!(kit.env.rabbit.publish("orders_topic", key, &json!({}), &message.to_string()).await);
    }
    let chef = kit.worker("chef_anna", &["--prefetch", "4"]);
    kit.env.rabbit.wait_for_depth("kitchen_dead_letters", 30).await;
    kit.wait_ready(&[known]).await;
    let dead = kit.env.rabbit.take_messages("kitchen_dead_letters", 1).await.remove(0);
    let reason = dead.properties["headers"]["x-death-reason"].as_str().unwrap().to_owned();
    assert!(reason.starts_with("the database has no order ORD_20200101_1"), "{reason}");
    let line = chef.wait_for_action("orders_unknown").await;
    assert_eq!((&line["level"], &line["details"]), (&json!("ERROR"), &json!(30)));
    // The first, by itself.
    assert_eq!(chef.logs_of("message_processing_failed").len(), 1, "{:?}", chef.output());
}

#[tokio::test]
async fn an_order_in_the_queue_of_another_type_is_dead_and_still_cooked_by_the_right_worker() {
    let kit = Kit::with(MESSAGES_ONLY).await;
    let number = kit.place("delivery").await;
    kit.wait_announced().await;
    let message = kit.env.rabbit.get_messages("kitchen_delivery_queue", 1).await.remove(0);
    let _mario = kit.working("chef_mario", &["--order-types", "takeout"]).await;
    let key = "kitchen.takeout.1";
    assert!(kit.env.rabbit.publish("orders_topic", key, &message.properties, &message.payload).await);
    kit.env.rabbit.wait_for_depth("kitchen_dead_letters", 1).await;
    let dead = kit.env.rabbit.take_messages("kitchen_dead_letters", 1).await.remove(0);
    let reason = dead.properties["headers"]["x-death-reason"].as_str().unwrap().to_owned();
    assert!(reason.contains(&number) && reason.contains("delivery"), "{reason}");
    assert_eq!(kit.status(&number).await, "received");
    let _anna = kit.worker("chef_anna", &[]);
    kit.wait_status(&number, "ready").await;
}

#[tokio::test]
async fn fields_that_are_unknown_are_ignored() {
    let kit = Kit::with(MESSAGES_ONLY).await;
    let number = kit.place("takeout").await;
    kit.wait_announced().await;
    let message = kit.env.rabbit.take_messages("kitchen_takeout_queue", 1).await.remove(0);
    let mut order = message.json();
    order["allergies"] = json!(["nuts"]);
    order["items"][0]["size"] = json!("large");
    kit.env
        .rabbit
        .publish("orders_topic", "kitchen.takeout.1", &message.properties, &order.to_string())
        .await;
    let _chef = kit.worker("chef_anna", &[]);
    kit.wait_status(&number, "ready").await;
}

#[tokio::test]
async fn the_message_of_a_cancelled_order_is_acknowledged_and_nothing_is_cooked() {
    let kit = Kit::new().await;
    let number = kit.place("takeout").await;
    kit.wait_announced().await;
    kit.http.change(&number, "cancel").await;
    let chef = kit.worker("chef_anna", &["--log-level", "debug"]);
    chef.wait_for_action("order_not_waiting").await;
    kit.wait_queues_empty().await;
    assert_eq!(kit.statuses(&number).await, ["received", "cancelled"]);
    assert_eq!(kit.env.rabbit.queue_depth("kitchen_dead_letters").await, 0);
}

/// A wire to the broker that replaces some bytes by as many others on their way to it.
pub(super) async fn falsifying_wire(port: u16, from: &[u8], to: &[u8]) -> u16 {
    let (from, to) = (from.to_vec(), to.to_vec());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let here = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = server.into_split();
            tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
            let (from, to) = (from.clone(), to.clone());
            tokio::spawn(async move {
                let mut buffer = [0_u8; 64 * 1024];
                // A message is written at once, so that what is looked for is not torn apart.
                while let Ok(count @ 1..) = from_client.read(&mut buffer).await {
                    let bytes = &mut buffer[..count];
                    if let Some(at) = bytes.windows(from.len()).position(|part| part == from) {
                        bytes[at..at + from.len()].copy_from_slice(&to);
                    }
                    to_server.write_all(bytes).await.unwrap();
                }
            });
        }
    });
    here
}

/// Publishes a message that the client library cannot read.
pub(super) async fn publish_unreadable(
    kit: &Kit,
    queue_type: QueueType,
    exchange: &'static str,
    routing_key: &str,
) {
    publish_many_unreadable(kit, queue_type, exchange, routing_key, 1).await;
}

/// The same, for so many.
pub(super) async fn publish_many_unreadable(
    kit: &Kit,
    queue_type: QueueType,
    exchange: &'static str,
    routing_key: &str,
    count: usize,
) {
    let port = falsifying_wire(kit.env.servers.rabbitmq.amqp_port(), b"no UTF-8", b"no\xffUTF-8").await;
    let options =
        BrokerOptions { hosts: vec![("127.0.0.1".to_owned(), port)], queue_type, ..kit.env.broker_options() };
    let broker = Broker::start(options);
    assert!(broker.wait_connected().await);
    let poison = Outgoing {
        exchange: exchange.into(),
        routing_key: routing_key.to_owned(),
        body: "{}".into(),
        properties: Properties {
            app_id: Some("no UTF-8".to_owned()),
            priority: Some(10),
            ..Properties::default()
        },
    };
    for _ in 0..count {
        assert_eq!(broker.publish_one(poison.clone()).await, PublishOutcome::Routed);
    }
    broker.close().await;
}

#[tokio::test]
async fn a_message_that_the_client_library_cannot_read_is_removed_and_those_around_it_are_cooked() {
    let kit = Kit::with(MESSAGES_ONLY).await;
    let mut good = kit.place_many("takeout", 2).await;
    kit.wait_announced().await;
    publish_unreadable(&kit, QueueType::Classic, "orders_topic", "kitchen.takeout.1").await;
    good.extend(kit.place_many("takeout", 2).await);
    let chef = kit.worker("chef_anna", &["--prefetch", "4"]);
    kit.wait_ready(&good).await;
    kit.env.rabbit.wait_for_depth("kitchen_dead_letters", 1).await;
    let dead = kit.env.rabbit.take_messages("kitchen_dead_letters", 10).await.remove(0);
    assert_eq!(dead.properties["headers"]["x-original-queue"], "kitchen_takeout_queue");
    let log = chef.wait_for_action("message_processing_failed").await;
    assert_eq!((&log["level"], &log["details"]), (&json!("ERROR"), &json!("kitchen_takeout_queue")));
    good.extend(kit.place_many("takeout", 2).await);
    kit.wait_ready(&good).await;
    kit.wait_queues_empty().await;
    for number in &good {
        assert_eq!(kit.statuses(number).await, ["received", "cooking", "ready"]);
    }
}

/// As many as are looked for at once, and how long an order behind them may take: connections are made for each.
const MANY_UNREADABLE: usize = 10;
const BEHIND_UNREADABLE: Duration = Duration::from_secs(15);

#[tokio::test]
async fn an_order_behind_ten_messages_that_cannot_be_read_is_cooked_within_seconds() {
    let kit = Kit::with(MESSAGES_ONLY).await;
    let chef = kit.working("chef_anna", &[]).await;
    kit.env.rabbit.wait_for_consumers("kitchen_takeout_queue", 1).await;
    publish_many_unreadable(&kit, QueueType::Classic, "orders_topic", "kitchen.takeout.10", MANY_UNREADABLE)
        .await;
    let began = Instant::now();
    let number = kit.place("takeout").await;
    kit.wait_ready(&[number]).await;
    assert!(began.elapsed() < BEHIND_UNREADABLE, "{:?}", began.elapsed());
    kit.env.rabbit.wait_for_depth("kitchen_dead_letters", MANY_UNREADABLE as u64).await;
    let removed: u64 = chef
        .logs_of("message_processing_failed")
        .iter()
        .map(|log| log["removed"].as_u64().unwrap_or(0))
        .sum();
    assert_eq!(removed, MANY_UNREADABLE as u64, "{:?}", chef.logs_of("message_processing_failed"));
}

#[tokio::test]
async fn dead_letters_beyond_their_bound_are_dropped_and_counted_and_orders_go_on() {
    const MAX: usize = 50;
    const SENT: usize = 300;
    /// So many are dead-lettered at once, each by the number of letters of a moment before.
    const PREFETCH: usize = 8;
    let kit = Kit::with("").await;
    let chef = {
        let mut command =
            kit.env.command(&["kitchen-worker", "--worker-name", "chef_anna", "--cook-seconds", "0"]);
        command.args(["--prefetch", &PREFETCH.to_string(), "--log-level", "debug"]);
        command.args(["--log-format", "json", "--config"]).arg(kit.env.config());
        command.env("RESTAURANT_RABBITMQ_MAX_DEAD_LETTERS", MAX.to_string());
        Role::spawn("chef_anna", command)
    };
    publish_useless(&kit, "no order", SENT).await;
    let number = kit.place("takeout").await;
    kit.wait_ready(&[number]).await;
    let count = |action| chef.logs_of(action).len();
    // Nobody looks at the letters before that: what is being looked at is not counted, and makes room.
    eventually("all are dead-lettered or dropped", async || {
        count("message_processing_failed") + count("message_unprocessable") == SENT
    })
    .await;
    let dead_lettered = count("message_processing_failed");
    assert!((MAX..=MAX + PREFETCH).contains(&dead_lettered), "{dead_lettered}");
    kit.env.rabbit.wait_for_depth("kitchen_dead_letters", dead_lettered as u64).await;
    let full = chef.wait_for_action("dead_letters_full").await;
    assert_eq!((&full["level"], &full["details"]), (&json!("ERROR"), &json!("kitchen_dead_letters")));

    eventually("there is room again", async || {
        kit.env.rabbit.take_messages("kitchen_dead_letters", 1000).await;
        publish_useless(&kit, "no order", 1).await;
        count("dead_letters_have_room") > 0
    })
    .await;
    eventually("a message is dead-lettered again", async || {
        count("message_processing_failed") > dead_lettered
    })
    .await;
    let over = chef.wait_for_action("dead_letters_have_room").await;
    let dropped: u64 = [&full, &over].map(|log| log["dropped"].as_u64().unwrap()).iter().sum();
    assert_eq!(dropped, count("message_unprocessable") as u64);
}

/// More than a worker has dead-lettered when an order behind them has waited for long.
const MANY_USELESS: usize = 4_000;

#[tokio::test]
async fn an_order_behind_thousands_of_messages_that_are_no_order_is_swept() {
    for body in ["no order", UNKNOWN_ORDER] {
        let kit = Kit::with(MESSAGES_ONLY).await;
        publish_useless(&kit, body, MANY_USELESS).await;
        let number = kit.place("takeout").await;
        let chef = kit.working("chef_anna", &[]).await;
        kit.wait_ready(&[number]).await;
        chef.signal(Signal::SIGKILL);
        let left = kit.env.rabbit.get_messages("kitchen_takeout_queue", MANY_USELESS as u32).await.len();
        assert!(left > MANY_USELESS / 2, "all but {left} were dead-lettered before it");
    }
}

/// Each look at the backlog leaves the messages of what it claims behind: were they counted, one look would bring about the next.
#[tokio::test]
async fn messages_that_come_again_bring_about_no_look_at_the_backlog() {
    let kit = Kit::with(MESSAGES_ONLY).await;
    let without_message = kit.place("takeout").await;
    kit.env.rabbit.wait_for_depth("kitchen_takeout_queue", 1).await;
    kit.env.rabbit.take_messages("kitchen_takeout_queue", 1).await;
    let _chef = kit.working("chef_anna", &[]).await;
    let done = kit.place("takeout").await;
    kit.wait_ready(std::slice::from_ref(&done)).await;
    publish_useless(&kit, UNKNOWN_ORDER.replace("ORD_20200101_001", &done), 400).await;
    let last = kit.place("takeout").await;
    kit.wait_ready(&[last]).await;
    assert_eq!(kit.status(&without_message).await, "received");
}

/// An order that no database has.
const UNKNOWN_ORDER: &str = r#"{"order_number": "ORD_20200101_001", "customer_name": "Ada", "order_type": "takeout",
    "table_number": null, "delivery_address": null, "items": [], "total_amount": 1.0, "priority": 10}"#;

/// Publishes so many messages of the highest priority that are no work.
async fn publish_useless(kit: &Kit, body: impl Into<bytes::Bytes>, count: usize) {
    let broker = Broker::start(kit.env.broker_options());
    assert!(broker.wait_connected().await);
    let useless = Outgoing {
        exchange: "orders_topic".into(),
        routing_key: "kitchen.takeout.10".to_owned(),
        body: body.into(),
        properties: Properties { priority: Some(10), ..Properties::default() },
    };
    let outcomes = broker.publish(vec![useless; count]).await;
    assert!(outcomes.iter().all(|outcome| *outcome == PublishOutcome::Routed));
    broker.close().await;
}
