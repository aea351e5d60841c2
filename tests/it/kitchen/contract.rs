//! Exchanges, queues, bindings and messages, read by somebody who is not the program (contract, section 5).

use super::kit::Kit;
use crate::support::{self, Message, TestEnv, delivery, dine_in, eventually_ok, takeout, with};
use serde_json::{Value, json};

const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[tokio::test]
async fn every_role_that_starts_first_declares_the_whole_topology() {
    let roles: [&[&str]; 4] = [
        &["order-service", "--port", "0"],
        &["kitchen-worker", "--worker-name", "chef_first", "--order-types", "takeout"],
        &["tracking-service", "--port", "0"],
        &["notification-subscriber", "--name", "other"],
    ];
    for role in roles {
        let env = TestEnv::new().await;
        let _role = env.spawn(role);
        eventually_ok(&format!("the topology of {}", role[0]), || topology(&env)).await;
    }
}

/// The first thing that is not as the contract says.
async fn topology(env: &TestEnv) -> Result<(), String> {
    for (exchange, kind) in
        [("orders_topic", "topic"), ("notifications_fanout", "fanout"), ("orders_dead_letter", "fanout")]
    {
        let found = env.rabbit.get(&format!("exchanges/{{vhost}}/{exchange}")).await.unwrap_or_default();
        let found = json!([found["type"], found["durable"], found["auto_delete"], found["internal"]]);
        same(exchange, &found, &json!([kind, true, false, false]))?;
    }
    let queues = [
        ("kitchen_dine_in_queue", json!({"x-max-priority": 10}), "orders_topic", "kitchen.dine_in.*"),
        ("kitchen_takeout_queue", json!({"x-max-priority": 10}), "orders_topic", "kitchen.takeout.*"),
        ("kitchen_delivery_queue", json!({"x-max-priority": 10}), "orders_topic", "kitchen.delivery.*"),
        ("notifications_queue", json!({}), "notifications_fanout", ""),
        ("kitchen_dead_letters", json!({}), "orders_dead_letter", ""),
    ];
    for (queue, arguments, exchange, key) in queues {
        let found = env.rabbit.queue(queue).await.unwrap_or_default();
        let found = json!([found["durable"], found["auto_delete"], found["exclusive"], found["arguments"]]);
        same(queue, &found, &json!([true, false, false, arguments]))?;
        let bindings =
            env.rabbit.get(&format!("queues/{{vhost}}/{queue}/bindings")).await.unwrap_or_default();
        let bindings: Vec<Value> = bindings
            .as_array()
            .into_iter()
            .flatten()
            // Every queue is bound to the default exchange.
            .filter(|binding| binding["source"] != "")
            .map(|binding| json!([binding["source"], binding["routing_key"], binding["arguments"]]))
            .collect();
        same(queue, &json!(bindings), &json!([[exchange, key, {}]]))?;
    }
    Ok(())
}

fn same(what: &str, found: &Value, expected: &Value) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("{what}: {found}, not {expected}")) }
}

#[tokio::test]
async fn an_order_message_says_all_about_the_order_with_all_properties() {
    let kit = Kit::new().await;
    kit.env.rabbit.declare_bound_queue("seen", "orders_topic", "kitchen.*.*").await;
    let headers = [("x-request-id", "request-4711"), ("traceparent", TRACEPARENT)];
    let items = json!([support::item("Margherita Pizza", 1, 15.99), support::item("Caesar Salad", 1, 8.99)]);
    let number = kit.http.place_with(&with(&delivery(), "/items", items), &headers).await;

    let message = next(&kit, "seen").await;
    assert_eq!(
        (message.exchange.as_str(), message.routing_key.as_str()),
        ("orders_topic", "kitchen.delivery.1")
    );
    let properties = &message.properties;
    assert_eq!(properties["delivery_mode"], 2);
    assert_eq!(properties["content_type"], "application/json");
    assert_eq!(properties["correlation_id"], "request-4711");
    assert_eq!(properties["priority"], 1);
    assert_eq!(properties["app_id"], "order-service");
    assert_eq!(properties["headers"]["traceparent"], TRACEPARENT);
    assert!(!properties["message_id"].as_str().unwrap().is_empty());
    assert!(!properties["type"].as_str().unwrap().is_empty());
    let age_s = jiff::Timestamp::now().as_second() - properties["timestamp"].as_i64().unwrap();
    assert!((0..60).contains(&age_s), "{age_s}");

    let order = message.json();
    let mut names: Vec<&String> = order.as_object().unwrap().keys().collect();
    names.sort();
    assert_eq!(
        names,
        [
            "customer_name",
            "delivery_address",
            "items",
            "notes",
            "order_number",
            "order_type",
            "priority",
            "table_number",
            "total_amount"
        ]
    );
    assert_eq!(order["order_number"], json!(number));
    assert_eq!(order["customer_name"], "Ada Lovelace");
    assert_eq!(order["order_type"], "delivery");
    assert_eq!(order["table_number"], Value::Null);
    assert_eq!(order["notes"], Value::Null);
    assert_eq!(order["delivery_address"], "12 Analytical Row, London");
    assert_eq!(number_of(&order["total_amount"]), 24.98);
    assert_eq!(number_of(&order["priority"]), 1.0);
    let items: Vec<_> = order["items"].as_array().unwrap().iter().map(item).collect();
    assert_eq!(items, [("Margherita Pizza", 1.0, 15.99), ("Caesar Salad", 1.0, 8.99)]);
}

fn item(item: &Value) -> (&str, f64, f64) {
    assert_eq!(item.as_object().unwrap().len(), 6, "{item}");
    assert_eq!([&item["options"], &item["allergens"]], [&json!([]); 2], "there is no menu");
    (item["name"].as_str().unwrap(), number_of(&item["quantity"]), number_of(&item["price"]))
}

fn number_of(value: &Value) -> f64 {
    assert!(value.is_number(), "{value} is no JSON number");
    value.as_f64().unwrap()
}

#[tokio::test]
async fn routing_key_and_priority_follow_the_amount_and_absent_values_are_null() {
    let kit = Kit::new().await;
    kit.env.rabbit.declare_bound_queue("seen", "orders_topic", "#").await;
    for (price, quantity, priority) in [(49.99, 1, 1), (50.00, 1, 5), (50.00, 2, 5), (100.01, 1, 10)] {
        let feast = support::item("Feast", quantity, price);
        kit.http.place(&with(&dine_in(), "/items", json!([feast]))).await;
        let message = next(&kit, "seen").await;
        assert_eq!(message.routing_key, format!("kitchen.dine_in.{priority}"));
        assert_eq!(message.properties["priority"], priority);
        assert_eq!(message.properties["headers"].get("traceparent"), None);
        let order = message.json();
        assert_eq!(number_of(&order["priority"]), f64::from(priority));
        assert_eq!(number_of(&order["table_number"]), 7.0);
        assert!(order.as_object().unwrap()["delivery_address"].is_null());
        assert!(order["items"][0].as_object().unwrap()["notes"].is_null());
    }
}

#[tokio::test]
async fn every_change_after_received_is_announced_in_order_with_all_properties() {
    let kit = Kit::new().await;
    kit.env.rabbit.declare_bound_queue("told", "notifications_fanout", "").await;
    let headers = [("x-request-id", "request-1"), ("traceparent", TRACEPARENT)];
    let cancelled = kit.http.place_with(&takeout(), &headers).await;
    kit.http.change(&cancelled, "cancel").await;
    check(&next(&kit, "told").await, &cancelled, ["received", "cancelled"], "staff:api", false);

    let _chef = kit.working("chef_anna", &[]).await;
    let number = kit.http.place_with(&takeout(), &headers).await;
    kit.wait_status(&number, "ready").await;
    kit.http.change(&number, "complete").await;
    check(&next(&kit, "told").await, &number, ["received", "cooking"], "chef_anna", true);
    check(&next(&kit, "told").await, &number, ["cooking", "ready"], "chef_anna", false);
    check(&next(&kit, "told").await, &number, ["ready", "completed"], "staff:api", false);
    kit.wait_announced().await;
    assert!(kit.env.rabbit.take_messages("told", 10).await.is_empty());
}

fn check(message: &Message, number: &str, [old, new]: [&str; 2], by: &str, estimated: bool) {
    assert_eq!(message.exchange, "notifications_fanout");
    let properties = &message.properties;
    assert_eq!(properties["delivery_mode"], 2);
    assert_eq!(properties["content_type"], "application/json");
    assert_eq!(properties["correlation_id"], "request-1");
    assert_eq!(properties["headers"]["traceparent"], TRACEPARENT);
    for name in ["message_id", "type", "app_id"] {
        assert!(!properties[name].as_str().unwrap_or_default().is_empty(), "{name}: {properties}");
    }
    assert!(properties["timestamp"].is_number() && properties["priority"].is_number(), "{properties}");

    let update = message.json();
    let mut names: Vec<&String> = update.as_object().unwrap().keys().collect();
    names.sort();
    assert_eq!(
        names,
        ["changed_by", "estimated_completion", "new_status", "old_status", "order_number", "timestamp"]
    );
    assert_eq!(
        [&update["order_number"], &update["old_status"], &update["new_status"]],
        [&json!(number), &json!(old), &json!(new)]
    );
    assert_eq!(update["changed_by"], by);
    assert!(update["timestamp"].as_str().unwrap().ends_with('Z'));
    match estimated {
        true => assert!(update["estimated_completion"].as_str().unwrap().ends_with('Z')),
        false => assert!(update["estimated_completion"].is_null(), "{update}"),
    }
}

/// Waits for the next message of a queue and takes it.
async fn next(kit: &Kit, queue: &str) -> Message {
    eventually_ok(&format!("a message in {queue}"), || async {
        kit.env.rabbit.take_messages(queue, 1).await.pop().ok_or("none")
    })
    .await
}
