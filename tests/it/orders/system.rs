//! What every HTTP role has: documentation, health, metrics, and how the process starts and ends.

use super::client::OrderService;
use crate::support::{Signal, TestEnv, answer, takeout};
use serde_json::Value;

#[tokio::test]
async fn the_documentation_page_needs_nothing_from_anywhere_else() {
    let service = OrderService::start().await;
    let page = service.http.get("/docs").await;
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    assert!(page.text.contains("swagger-ui") && page.text.len() > 100_000);
    for fetch in ["src=\"http", "href=\"http", "src='http", "@import", "url(http", "src=\"//"] {
        assert!(!page.text.contains(fetch), "{fetch}");
    }
}

#[tokio::test]
async fn the_served_document_is_the_printed_one_and_names_every_route() {
    let service = OrderService::start().await;
    let served = service.http.get("/openapi.json").await;
    assert_eq!((served.status, served.header("content-type")), (200, "application/json"));
    let printed = service.env.run(&["openapi", "order"]).await;
    let printed: Value = serde_json::from_slice(&printed.stdout).unwrap();
    assert_eq!(served.json(), printed);
    for (path, method) in [
        ("/orders", "post"),
        ("/orders/{order_number}", "get"),
        ("/orders/{order_number}/cancel", "post"),
        ("/orders/{order_number}/complete", "post"),
        ("/healthz", "get"),
        ("/readyz", "get"),
        ("/metrics", "get"),
    ] {
        assert!(printed["paths"][path][method].is_object(), "{method} {path}");
    }
}

#[tokio::test]
async fn health_readiness_and_metrics_answer() {
    let service = OrderService::start().await;
    assert_eq!(service.http.get("/healthz").await.status, 200);
    let ready = service.http.get("/readyz").await;
    assert_eq!((ready.status, ready.header("content-type")), (200, "application/json"));
    let checks = &ready.json()["checks"];
    assert_eq!(checks["postgresql"]["status"], "up", "{checks}");
    assert!(checks["rabbitmq"]["status"].is_string(), "{checks}");
    service.http.place(&takeout()).await;
    service.http.post_text("{}").await.problem(422);
    let metrics = service.http.get("/metrics").await;
    assert_eq!(metrics.status, 200);
    for line in [
        "http_requests_total{method=\"POST\",route=\"/orders\",status=\"201\"} 1",
        "http_requests_total{method=\"POST\",route=\"/orders\",status=\"422\"} 1",
    ] {
        assert!(metrics.text.contains(line), "{line}: {}", metrics.text);
    }
    assert!(!metrics.text.contains("ORD_"), "no label grows with the orders");
}

#[tokio::test]
async fn head_is_answered_like_get_without_a_body() {
    let service = OrderService::start().await;
    let number = service.http.place(&takeout()).await;
    for path in ["/healthz".to_owned(), "/docs".to_owned(), format!("/orders/{number}")] {
        let head = answer(service.http.request("HEAD", &path)).await;
        assert_eq!((head.status, head.text.as_str()), (200, ""), "{path}");
    }
    assert_eq!(answer(service.http.request("HEAD", "/orders/ORD_20200101_001")).await.status, 404);
}

#[tokio::test]
async fn a_taken_port_ends_the_service_with_an_error_line_and_exit_code_1() {
    let env = TestEnv::new().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let mut role = env.spawn(&["order-service", "--port", &port]);
    assert_eq!(role.wait_exit().await.code(), Some(1));
    let log = role.wait_for_log("of level ERROR", |log| log["level"] == "ERROR").await;
    assert!(log["message"].as_str().unwrap().contains(&port), "{log}");
    for member in ["type", "msg", "stack"] {
        assert!(!log["error"][member].is_null(), "{member}: {log}");
    }
    assert_eq!(log["service"], "order-service");
}

#[tokio::test]
async fn asked_to_stop_it_finishes_and_ends_with_0() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut service = OrderService::start().await;
        service.http.place(&takeout()).await;
        service.role.signal(signal);
        assert_eq!(service.role.wait_exit().await.code(), Some(0));
        // Its last lines may still be on their way to this process.
        service.role.wait_for_action("service_stopped").await;
        let actions: Vec<_> =
            service.role.logs().iter().map(|log| log["action"].as_str().unwrap().to_owned()).collect();
        assert!(actions.contains(&"graceful_shutdown".to_owned()), "{actions:?}");
        assert_eq!(actions.last().unwrap(), "service_stopped");
    }
}
