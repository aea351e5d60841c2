//! Messages that no worker can process: to the dead letters with the reason, and nothing innocent with them.

use super::kit::{Kit, MESSAGES_ONLY};
use serde_json::{Value, json};

#[tokio::test]
async fn poison_among_good_messages_goes_to_the_dead_letters_at_prefetch_1() {
    poison_among_good_messages("1").await;
}

#[tokio::test]
async fn poison_among_good_messages_goes_to_the_dead_letters_at_prefetch_10() {
    poison_among_good_messages("10").await;
}

async fn poison_among_good_messages(prefetch: &str) {
    let kit = Kit::with(MESSAGES_ONLY).await;
    let mut good = kit.place_many("takeout", 3).await;
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
        json!({"order_number": 7}).to_string(),
        with("order_number", json!("ORD_20200101_999")),
        with("order_number", json!("'; drop table orders; --")),
        with("items", json!("none")),
    ];
    for message in &poison {
        let properties = json!({"delivery_mode": 2, "correlation_id": "poisoner", "priority": 10});
        assert!(kit.env.rabbit.publish("orders_topic", "kitchen.takeout.10", &properties, message).await);
    }
    good.extend(kit.place_many("takeout", 3).await);
    let chef = kit.worker("chef_anna", &["--prefetch", prefetch, "--order-types", "takeout"]);

    kit.wait_ready(&good).await;
    kit.env.rabbit.wait_for_depth("kitchen_dead_letters", poison.len() as u64).await;
    kit.wait_queues_empty().await;
    let dead = kit.env.rabbit.take_messages("kitchen_dead_letters", 100).await;
    let mut bodies: Vec<&str> = dead.iter().map(|message| message.payload.as_str()).collect();
    let mut sent: Vec<&str> = poison.iter().map(String::as_str).collect();
    bodies.sort_unstable();
    sent.sort_unstable();
    assert_eq!(bodies, sent);
    for message in &dead {
        let headers = &message.properties["headers"];
        assert!(!headers["x-death-reason"].as_str().unwrap().is_empty(), "{message:?}");
        assert_eq!(headers["x-original-queue"], "kitchen_takeout_queue");
        assert_eq!(message.properties["correlation_id"], "poisoner");
        assert_eq!(message.properties["delivery_mode"], 2);
    }
    let errors = chef.logs_of("message_processing_failed");
    assert_eq!(errors.len(), poison.len());
    assert!(errors.iter().all(|log| log["level"] == "ERROR" && log["error"]["msg"] != ""), "{errors:?}");
    for number in &good {
        assert_eq!(kit.statuses(number).await, ["received", "cooking", "ready"]);
    }
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
    kit.staff(&number, "cancel").await;
    let chef = kit.worker("chef_anna", &["--log-level", "debug"]);
    chef.wait_for_action("order_not_waiting").await;
    kit.wait_queues_empty().await;
    assert_eq!(kit.statuses(&number).await, ["received", "cancelled"]);
    assert_eq!(kit.env.rabbit.queue_depth("kitchen_dead_letters").await, 0);
}
