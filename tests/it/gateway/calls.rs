//! Calls below `/api`: answered as the service answers them, and none but those that pages need.

use crate::support::{Answer, Counter, Http, TestEnv, answer, takeout, with};
use serde_json::{Value, json};

fn post(http: &Http, path: &str, body: &Value) -> reqwest::RequestBuilder {
    http.request("POST", path).header("content-type", "application/json").body(body.to_string())
}

async fn with_id(request: reqwest::RequestBuilder, id: &str) -> Answer {
    let answer = answer(request.header("x-request-id", id)).await;
    assert_eq!(answer.header("x-request-id"), id, "{answer:?}");
    answer
}

#[tokio::test]
async fn a_customer_orders_and_follows_through_the_gateway() {
    let env = TestEnv::new().await;
    let counter = Counter::start(&env).await;
    let order =
        || post(&counter.http, "/api/orders", &takeout()).header("idempotency-key", "born-with-the-form");
    let placed = with_id(order(), "from-the-page").await;
    let number = placed.number();
    assert_eq!(placed.header("location"), format!("/api/orders/{number}"));
    let received = counter.order.wait_for_action("order_received").await;
    assert_eq!(received["request_id"], "from-the-page", "{received}");
    assert_eq!(answer(order()).await.json()["order_number"], number, "a repetition is the same order");

    let path = format!("/api/orders/{number}/status");
    let status = counter.http.get(&path).await;
    assert_eq!(status.ok()["current_status"], "received");
    let again =
        answer(counter.http.request("GET", &path).header("if-none-match", status.header("etag"))).await;
    assert_eq!((again.status, &*again.text), (304, ""));
    let history = counter.http.get(&format!("/api/orders/{number}/history")).await.ok();
    assert_eq!(history.as_array().unwrap().len(), 1);
    assert_eq!(counter.http.get("/api/workers/status").await.ok(), json!([]));
    let listed = counter.http.staff("GET", "/api/orders?status=received&status=cooking&limit=5").await.ok();
    assert_eq!(listed["orders"][0]["order_number"], number);
}

#[tokio::test]
async fn a_problem_is_the_services_own() {
    let env = TestEnv::new().await;
    let counter = Counter::start(&env).await;
    let wrong = with(&takeout(), "/items", json!([]));
    let at_the_service = with_id(post(&counter.orders, "/orders", &wrong), "same").await;
    let at_the_gateway = with_id(post(&counter.http, "/api/orders", &wrong), "same").await;
    assert_eq!((at_the_service.status, at_the_service.text), (422, at_the_gateway.text.clone()));
    assert_eq!(at_the_gateway.violations(422), ["/items"]);
    counter.http.get("/api/orders/ORD_20261201_001/status").await.problem(404);
    assert_eq!(
        counter.http.get("/api/orders").await.header("www-authenticate"),
        "Bearer realm=\"restaurant-system\""
    );
    counter.http.get("/api/orders/ORD_20261201_001/status?surprise=1").await.problem(400);
    answer(counter.http.request("POST", "/api/orders").body("{}")).await.problem(415);
    let large = json!({"notes": "x".repeat(65_537)});
    answer(post(&counter.http, "/api/orders", &large)).await.problem(413);
}

#[tokio::test]
async fn nothing_else_is_below_api() {
    let env = TestEnv::new().await;
    let counter = Counter::start(&env).await;
    for path in [
        "/api",
        "/api/",
        "/api/metrics",
        "/api/healthz",
        "/api/readyz",
        "/api/openapi.json",
        "/api/docs",
        "/api/station/tickets",
        "/api/orders/..%2Fmetrics/status",
        "/api/orders/%2e%2e/status",
        "/api/orders/a%2Fb/events",
        "/api/orders/a%00/status",
        "/api//menu",
        "/api/orders/",
        "/api/http://127.0.0.1/menu",
        "/api/orders/%5C%5C/history",
    ] {
        counter.http.get(path).await.problem(404);
    }
    answer(counter.http.request("DELETE", "/api/orders")).await.problem(405);
    answer(counter.http.request("POST", "/api/events")).await.problem(405);
}

#[tokio::test]
async fn while_a_service_is_away_its_calls_say_so_and_others_work() {
    let env = TestEnv::new().await;
    let mut counter = Counter::start(&env).await;
    counter.order.kill();
    let away = post(&counter.http, "/api/orders", &takeout());
    let away = answer(away).await;
    assert!(away.problem(503)["detail"].as_str().unwrap().contains("order-service"), "{away:?}");
    assert_ne!(away.header("retry-after"), "");
    assert_eq!(counter.http.get("/api/workers/status").await.status, 200);
    counter.tracking.kill();
    answer(counter.http.stream("/api/orders/ORD_20261201_001/events")).await.problem(503);
}

#[tokio::test]
async fn the_document_has_each_call_that_is_passed_on() {
    let env = TestEnv::new().await;
    let counter = Counter::start(&env).await;
    let document = counter.http.get("/openapi.json").await.ok();
    let calls = document["paths"]["/api/orders"].as_object().unwrap();
    assert_eq!(calls.keys().collect::<Vec<_>>(), ["get", "post"]);
    for (path, operations) in document["paths"].as_object().unwrap() {
        let path = path.replace("{order_number}", "ORD_20261201_001").replace("{id}", "x");
        for (method, operation) in operations.as_object().unwrap() {
            let unknown = counter.http.request(&method.to_uppercase(), &format!("{path}?surprise=1"));
            assert_eq!(answer(unknown).await.status, 400, "{method} {path}");
            assert!(operation["operationId"].is_string(), "{method} {path}");
        }
    }
}
