//! `restaurant-system dead-letters`: the operator's view, from outside.

use super::kit::{Kit, MESSAGES_ONLY};
use crate::support::{Role, TestEnv, eventually};
use serde_json::{Value, json};
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const QUEUE: &str = "kitchen_dead_letters";
const KEY: &str = "kitchen.takeout.1";

/// An environment whose exchanges and queues stand, without any role.
async fn environment() -> TestEnv {
    let env = TestEnv::new().await;
    assert_eq!(json_of(&run(&env, &["list", "--json"]).await)["total"], 0);
    env
}

async fn run(env: &TestEnv, args: &[&str]) -> Output {
    env.run(&[&["dead-letters"], args].concat()).await
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The one JSON document of a command that succeeded.
fn json_of(output: &Output) -> Value {
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(output), stderr(output));
    serde_json::from_slice(&output.stdout).unwrap()
}

async fn list(env: &TestEnv) -> Vec<Value> {
    json_of(&run(env, &["list", "--json"]).await)["dead_letters"].as_array().unwrap().clone()
}

fn ids(letters: &[Value]) -> Vec<&str> {
    letters.iter().map(|letter| letter["id"].as_str().unwrap()).collect()
}

/// Buries a message as a worker does.
async fn dead_letter(env: &TestEnv, message_id: &str, body: &str, origin: (&str, &str)) {
    let headers = json!({"x-death-reason": "a test", "x-death-time": "2026-11-22T16:09:00.000Z",
        "x-original-queue": "kitchen_takeout_queue", "x-original-exchange": origin.0,
        "x-original-routing-key": origin.1, "tenant": "a"});
    let properties = json!({"delivery_mode": 2, "message_id": message_id, "headers": headers});
    assert!(env.rabbit.publish("orders_dead_letter", origin.1, &properties, body).await);
}

#[tokio::test]
async fn the_list_names_each_in_order_and_leaves_all_where_they_are() {
    let env = environment().await;
    let order = json!({"order_number": "ORD_20261122_007", "customer_name": "Ada Lovelace"}).to_string();
    dead_letter(&env, "first", &order, ("orders_topic", KEY)).await;
    env.rabbit.publish("orders_dead_letter", KEY, &json!({}), "\u{1b}[2J foreign").await;
    dead_letter(&env, "third", "", ("orders_topic", KEY)).await;

    let letters = list(&env).await;
    assert_eq!(
        letters[0],
        json!({"id": "first", "died_at": "2026-11-22T16:09:00.000Z", "reason": "a test",
            "queue": "kitchen_takeout_queue", "order_number": "ORD_20261122_007", "size_bytes": order.len()})
    );
    let foreign = &letters[1];
    assert_eq!(foreign["id"].as_str().unwrap().len(), 12, "{foreign}");
    assert!(foreign["reason"].is_null() && foreign["died_at"].is_null() && foreign["order_number"].is_null());
    assert_eq!((&letters[2]["id"], &letters[2]["size_bytes"]), (&json!("third"), &json!(0)));
    for _ in 0..3 {
        assert_eq!(list(&env).await, letters);
    }

    let table = stdout(&run(&env, &["list"]).await);
    let at = |what: &str| table.find(what).unwrap_or_else(|| panic!("{what} is not in {table}"));
    assert!(at("first") < at(foreign["id"].as_str().unwrap()) && at("ORD_20261122_007") < at("third"));
    assert!(at("a test") > 0 && !table.contains("Ada") && !table.contains('\u{1b}'), "{table}");
    let limited = run(&env, &["list", "--limit", "1"]).await;
    assert!(stdout(&limited).contains("The first 1 of 3"), "{}", stdout(&limited));
    env.rabbit.wait_for_depth(QUEUE, 3).await;
}

#[tokio::test]
async fn an_empty_list_is_an_answer() {
    let env = environment().await;
    let output = run(&env, &["list"]).await;
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(0), "There are no dead letters.\n"));
    let done = json_of(&run(&env, &["requeue", "--all", "--json"]).await);
    assert_eq!(done, json!({"queue": QUEUE, "requeued": [], "failed": [], "remaining": 0}));
    let done = json_of(&run(&env, &["discard", "--all", "--yes", "--json"]).await);
    assert_eq!(done, json!({"queue": QUEUE, "discarded": [], "failed": [], "remaining": 0}));
}

#[tokio::test]
async fn one_is_shown_whole_whatever_its_body_is() {
    let env = environment().await;
    let order = r#"{"order_number": "ORD_20261122_007", "customer_name": "Zoë Ünal", "total_amount": 24.90}"#;
    dead_letter(&env, "json", order, ("orders_topic", KEY)).await;
    dead_letter(&env, "text", "not JSON\u{1b}[2J", ("orders_topic", KEY)).await;
    env.rabbit.publish_base64("orders_dead_letter", KEY, &json!({"message_id": "bytes"}), "//4AAQ==").await;

    let whole = json_of(&run(&env, &["show", "json", "--json"]).await);
    assert_eq!(whole["body"]["format"], "json");
    assert_eq!(whole["body"]["content"]["customer_name"], "Zoë Ünal");
    assert_eq!(whole["body"]["content"]["total_amount"].to_string(), "24.90");
    assert_eq!((&whole["exchange"], &whole["routing_key"]), (&json!("orders_topic"), &json!(KEY)));
    assert_eq!(
        (&whole["headers"]["tenant"], &whole["properties"]["message_id"]),
        (&json!("a"), &json!("json"))
    );
    let output = run(&env, &["show", "json"]).await;
    for part in
        ["a test", "ORD_20261122_007", "tenant: a", "orders_topic", KEY, "\"customer_name\": \"Zoë Ünal\""]
    {
        assert!(stdout(&output).contains(part), "{part} is not in {}", stdout(&output));
    }
    assert!(stdout(&run(&env, &["show", "text"]).await).contains("not JSON\\u{1b}[2J"));
    let bytes = json_of(&run(&env, &["show", "bytes", "--json"]).await);
    assert_eq!(bytes["body"], json!({"format": "hex", "content": "fffe0001", "truncated": false}));
    assert!(stdout(&run(&env, &["show", "bytes"]).await).contains("fffe0001"));
    env.rabbit.wait_for_depth(QUEUE, 3).await;
}

#[tokio::test]
async fn an_unknown_id_ends_with_1_and_changes_nothing() {
    let env = environment().await;
    dead_letter(&env, "known", "{}", ("orders_topic", KEY)).await;
    for args in
        [vec!["show", "nobody"], vec!["requeue", "known", "nobody"], vec!["discard", "known", "nobody"]]
    {
        let output = run(&env, &[&args[..], &["--json"]].concat()).await;
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        assert!(stderr(&output).contains("no dead letter nobody"), "{}", stderr(&output));
        assert!(output.stdout.is_empty(), "{args:?}");
    }
    assert_eq!(ids(&list(&env).await), ["known"]);
}

#[tokio::test]
async fn letters_of_one_message_id_are_told_apart() {
    let env = environment().await;
    for body in ["one", "two", "two"] {
        dead_letter(&env, "same", body, ("orders_topic", KEY)).await;
    }
    let letters = list(&env).await;
    let names = ids(&letters);
    assert!(names[0].starts_with("same~") && names[0] != names[1] && names[1] == names[2], "{names:?}");
    let output = run(&env, &["discard", "same"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains(names[0]) && stderr(&output).contains(names[1]), "{}", stderr(&output));
    json_of(&run(&env, &["discard", names[0], "--json"]).await);
    assert_eq!(ids(&list(&env).await), ["same", "same"]);
}

#[tokio::test]
async fn a_message_that_died_of_its_workers_order_types_is_cooked_after_its_requeue() {
    let kit = Kit::with(MESSAGES_ONLY).await;
    let number = kit.place("delivery").await;
    kit.wait_announced().await;
    let message = kit.env.rabbit.take_messages("kitchen_delivery_queue", 1).await.remove(0);
    let mut mario = kit.working("chef_mario", &["--order-types", "takeout"]).await;
    assert!(kit.env.rabbit.publish("orders_topic", KEY, &message.properties, &message.payload).await);
    kit.env.rabbit.wait_for_depth(QUEUE, 1).await;
    let letters = list(&kit.env).await;
    assert_eq!(letters[0]["order_number"], json!(number));
    assert!(letters[0]["reason"].as_str().unwrap().contains("delivery"), "{letters:?}");

    // With the same worker it dies again: once, and the command ends.
    let done = json_of(&run(&kit.env, &["requeue", "--all", "--json"]).await);
    assert_eq!(done["requeued"].as_array().unwrap().len(), 1);
    eventually("it died again", || async { list(&kit.env).await.len() == 1 }).await;
    mario.kill();
    kit.env.rabbit.declare_bound_queue("probe", "orders_topic", "kitchen.#").await;
    let _anna = kit.working("chef_anna", &[]).await;
    let id = list(&kit.env).await[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(json!(id), message.properties["message_id"]);
    let output = run(&kit.env, &["requeue", &id]).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("orders_topic") && stdout(&output).contains(KEY), "{}", stdout(&output));
    kit.wait_status(&number, "ready").await;
    assert!(list(&kit.env).await.is_empty());
    let again = kit.env.rabbit.take_messages("probe", 1).await.remove(0);
    assert_eq!((again.exchange.as_str(), again.routing_key.as_str()), ("orders_topic", KEY));
    assert_eq!((&again.payload, &again.properties), (&message.payload, &message.properties));
}

#[tokio::test]
async fn what_cannot_be_published_again_stays_and_the_others_go() {
    let env = environment().await;
    dead_letter(&env, "lost", "{}", ("orders_topic", "nobody.wants.this")).await;
    dead_letter(&env, "nowhere", "{}", ("no_such_exchange", KEY)).await;
    env.rabbit.publish("orders_dead_letter", KEY, &json!({"message_id": "foreign"}), "{}").await;
    dead_letter(&env, "good", "{}", ("orders_topic", KEY)).await;
    let output = run(&env, &["requeue", "--all", "--json"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("3 of 4"), "{}", stderr(&output));
    let done: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(done["requeued"], json!([{"id": "good", "exchange": "orders_topic", "routing_key": KEY}]));
    assert_eq!(ids(done["failed"].as_array().unwrap()), ["lost", "nowhere", "foreign"]);
    assert_eq!(done["remaining"], 3);
    assert_eq!(ids(&list(&env).await), ["lost", "nowhere", "foreign"]);
    env.rabbit.wait_for_depth("kitchen_takeout_queue", 1).await;
}

/// A wire to the broker on which nothing more goes to it, over any connection, once these bytes have.
async fn wire_until(port: u16, last: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let here = listener.local_addr().unwrap().port();
    let is_open = Arc::new(AtomicBool::new(true));
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = server.into_split();
            tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
            let is_open = Arc::clone(&is_open);
            tokio::spawn(async move {
                let (mut buffer, mut seen) = ([0_u8; 4096], Vec::<u8>::new());
                while let Ok(count @ 1..) = from_client.read(&mut buffer).await {
                    if is_open.load(Ordering::SeqCst) {
                        seen.extend(&buffer[..count]);
                        // Before anything can come of it.
                        if seen.windows(last.len()).any(|part| part == last) {
                            is_open.store(false, Ordering::SeqCst);
                        }
                        to_server.write_all(&buffer[..count]).await.unwrap();
                    }
                }
            });
        }
    });
    here
}

#[tokio::test]
async fn killed_after_publishing_again_it_leaves_the_letter_where_it_was() {
    let env = environment().await;
    dead_letter(&env, "letter", "the body of the letter", ("orders_topic", KEY)).await;
    let port = env.servers.rabbitmq.amqp_port();
    // The frame's end stands behind the body.
    let wire = wire_until(port, b"the body of the letter\xce").await;
    let config = std::fs::read_to_string(env.config()).unwrap();
    let config = config.replace(&format!("port: {port}"), &format!("port: {wire}"));
    std::fs::write(env.dir().join("wire.yaml"), config).unwrap();
    let command = env.command(&["dead-letters", "requeue", "letter", "--config", "wire.yaml"]);
    let mut requeue = Role::spawn("requeue", command);
    env.rabbit.wait_for_depth("kitchen_takeout_queue", 1).await;
    requeue.kill();
    env.rabbit.wait_for_depth(QUEUE, 1).await;
    eventually("it can be looked at again", || async { ids(&list(&env).await) == ["letter"] }).await;
}

#[tokio::test]
async fn the_discarded_are_gone_and_all_only_when_it_was_confirmed() {
    let env = environment().await;
    for id in ["a", "b", "c", "d"] {
        dead_letter(&env, id, id, ("orders_topic", KEY)).await;
    }
    let done = json_of(&run(&env, &["discard", "b", "c", "b", "--json"]).await);
    assert_eq!(
        done,
        json!({"queue": QUEUE, "discarded": [{"id": "b"}, {"id": "c"}], "failed": [], "remaining": 2})
    );
    let refused = run(&env, &["discard", "--all"]).await;
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("--yes"), "{}", stderr(&refused));
    assert_eq!(ids(&list(&env).await), ["a", "d"]);
    let output = run(&env, &["discard", "--all", "--yes"]).await;
    assert_eq!(stdout(&output), "a: removed\nd: removed\nDead letters left: 0\n");
    env.rabbit.wait_for_depth(QUEUE, 0).await;
}

#[tokio::test]
async fn without_a_broker_it_ends_with_1_within_its_time() {
    let env = TestEnv::new().await;
    // A port that refuses, and one that takes the connection and never says a word.
    let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    for port in [1, mute.local_addr().unwrap().port()] {
        let config = format!("rabbitmq: {{host: 127.0.0.1, port: {port}, connect_timeout_seconds: 1}}\n");
        std::fs::write(env.config(), config).unwrap();
        let started = Instant::now();
        let output = run(&env, &["list", "--json"]).await;
        assert!(started.elapsed() < Duration::from_secs(15));
        assert_eq!(output.status.code(), Some(1));
        let said = stderr(&output);
        assert!(said.contains(&format!("127.0.0.1:{port}")) && said.contains("rabbitmq.port"), "{said}");
        assert!(output.stdout.is_empty(), "{}", stdout(&output));
    }
    std::fs::write(env.config(), "rabbitmq: {prot: 1}\n").unwrap();
    assert_eq!(run(&env, &["list"]).await.status.code(), Some(78));
}

#[tokio::test]
async fn looking_often_costs_no_letter_of_a_quorum_queue() {
    let env = TestEnv::new().await;
    env.edit_config(|text| text.replace("rabbitmq:\n", "rabbitmq:\n  queue_type: quorum\n"));
    assert_eq!(list(&env).await, Vec::<Value>::new());
    for id in ["a", "b"] {
        dead_letter(&env, id, id, ("orders_topic", KEY)).await;
    }
    // RabbitMQ 4 drops what was put back 20 times, unless the queue says otherwise.
    for _ in 0..25 {
        assert_eq!(ids(&list(&env).await), ["a", "b"]);
    }
}
