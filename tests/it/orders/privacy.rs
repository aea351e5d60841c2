//! Nothing about a customer gets into a log, however much is logged.

use super::client::OrderService;
use crate::support::{delivery, with};
use serde_json::json;

#[tokio::test]
async fn no_name_and_no_address_is_in_any_log_line_at_any_level() {
    let service = OrderService::start_with(&["--log-level", "trace"]).await;
    let worker = service.env.spawn(&[
        "kitchen-worker",
        "--worker-name",
        "w",
        "--cook-seconds",
        "0",
        "--log-level",
        "trace",
    ]);
    let secret = with(&delivery(), "/customer_name", json!("Zebulon Quux"));
    let secret = with(&secret, "/delivery_address", json!("77 Xylophone Way"));
    let number = service.http.place(&secret).await;
    service.http.staff("GET", &format!("/orders/{number}")).await;
    // Refused ones as well: a broken rule beside the name, the name broken, the name as a field's name, malformed.
    service.http.post(&with(&secret, "/items/0/price", json!(0))).await.problem(422);
    service.http.post(&with(&secret, "/customer_name", json!("Zebulon Quux 2"))).await.problem(422);
    service.http.post(&with(&secret, "/Zebulon Quux", json!(1))).await.problem(400);
    service.http.post_text(format!("{secret}, \"Zebulon Quux\"")).await.problem(400);
    service.http.get("/orders/Zebulon%20Quux").await.problem(404);
    worker.wait_for_action("order_completed").await;
    let complete = service.http.staff("POST", &format!("/orders/{number}/complete")).await;
    assert_eq!(complete.status, 200);
    service.role.wait_for_log("of the completion", |log| log["details"] == "completed").await;
    // PostgreSQL shows the row that it refuses.
    let rule = "alter table orders add constraint no_more check (total_amount < 0) not valid";
    service.env.connect().await.batch_execute(rule).await.unwrap();
    service.http.post(&secret).await.problem(500);
    service.role.wait_for_log("of the refusal", |log| log.to_string().contains("no_more")).await;
    for line in service.role.output().iter().chain(&worker.output()) {
        for private in ["Zebulon", "Quux", "Xylophone", "restaurant_pass", "test-staff-token"] {
            assert!(!line.contains(private), "{line}");
        }
    }
}

#[tokio::test]
async fn a_refused_order_is_logged_with_where_it_was_wrong() {
    let service = OrderService::start().await;
    let answer = service.http.post(&with(&delivery(), "/items/0/price", json!(0))).await;
    let log = service.role.wait_for_action("validation_failed").await;
    assert_eq!(
        (&log["request_id"], &log["service"]),
        (&json!(answer.header("x-request-id")), &json!("order-service"))
    );
    assert!(log["details"].as_str().unwrap().contains("/items/0/price"), "{log}");
}

#[tokio::test]
async fn a_log_line_stays_short_whatever_a_client_sends() {
    let service = OrderService::start().await;
    service.http.post(&with(&delivery(), &format!("/{}", "x".repeat(50_000)), json!(1))).await.problem(400);
    service.http.get(&format!("/{}", "y".repeat(20_000))).await.problem(404);
    service.role.wait_for_action("validation_failed").await;
    assert!(service.role.lines().iter().all(|line| line.len() < 2000));
}
