//! Errors of the framework are problem documents as well.

use super::client::OrderService;
use crate::support::{answer, takeout};

#[tokio::test]
async fn unknown_paths_are_not_found() {
    let service = OrderService::start().await;
    for path in [
        "/nothing",
        "/orders/",
        "/orders/x/y/z",
        "/orders/%ff",
        "/../etc/passwd",
        "/%00",
        "/orders/a%2fb",
        "/healthz/x",
    ] {
        let problem = service.http.get(path).await.problem(404);
        let asked = reqwest::Url::parse(&format!("{}{path}", service.http.url)).unwrap();
        assert_eq!(problem["instance"], asked.path(), "{path}");
    }
}

#[tokio::test]
async fn a_number_of_no_order_is_not_found() {
    let service = OrderService::start().await;
    for number in [
        "ORD_20200101_001",
        "ORD_20200101_1",
        "ord_20200101_001",
        "ORD_20200101_001%00",
        "1",
        "%27%20or%201=1",
        &"9".repeat(3000),
    ] {
        service.http.get(&format!("/orders/{number}")).await.problem(404);
        for change in ["cancel", "complete"] {
            service.http.staff("POST", &format!("/orders/{number}/{change}")).await.problem(404);
        }
    }
}

#[tokio::test]
async fn a_wrong_method_says_which_ones_are_allowed() {
    let service = OrderService::start().await;
    for (path, allow) in [
        ("/orders", "OPTIONS, POST"),
        ("/orders/ORD_20200101_001", "GET, HEAD, OPTIONS"),
        ("/orders/ORD_20200101_001/cancel", "OPTIONS, POST"),
        ("/orders/ORD_20200101_001/complete", "OPTIONS, POST"),
        ("/docs", "GET, HEAD, OPTIONS"),
        ("/openapi.json", "GET, HEAD, OPTIONS"),
        ("/healthz", "GET, HEAD, OPTIONS"),
        ("/readyz", "GET, HEAD, OPTIONS"),
        ("/metrics", "GET, HEAD, OPTIONS"),
    ] {
        for method in
            ["PUT", "DELETE", "PATCH", "TRACE", "BREW", if allow.contains("GET") { "POST" } else { "GET" }]
        {
            let answer = answer(service.http.request(method, path).body("{}")).await;
            answer.problem(405);
            assert_eq!(answer.header("allow"), allow, "{method} {path}");
        }
        let options = answer(service.http.request("OPTIONS", path)).await;
        assert_eq!((options.status, options.header("allow")), (204, allow), "{path}");
    }
}

#[tokio::test]
async fn a_request_id_is_taken_where_it_is_sane_and_made_otherwise() {
    let service = OrderService::start().await;
    let ask = async |id: Option<&[u8]>| {
        let request = service.http.request("GET", "/nothing");
        let request = match id {
            Some(id) => request.header("x-request-id", reqwest::header::HeaderValue::from_bytes(id).unwrap()),
            None => request,
        };
        answer(request).await.problem(404)["request_id"].as_str().unwrap().to_owned()
    };
    for sane in ["a", "req-1.2_3", "7f9c0b1e-0000-7000-8000-000000000000", &"x".repeat(128)] {
        assert_eq!(ask(Some(sane.as_bytes())).await, sane);
    }
    let long = "x".repeat(129);
    for bad in [&b""[..], b" ", b"a b", b"a;b", b"<script>", b"\xc3\xbc", b"../x", b"a\tb", long.as_bytes()] {
        let made = ask(Some(bad)).await;
        assert!(uuid::Uuid::parse_str(&made).is_ok(), "{made} for {bad:?}");
    }
    assert_ne!(ask(None).await, ask(None).await);
}

#[tokio::test]
async fn a_taken_order_returns_and_keeps_the_request_id() {
    let service = OrderService::start().await;
    let request = service.http.order_request(takeout().to_string()).header("x-request-id", "till-7.42");
    let placed = answer(request).await;
    assert_eq!((placed.status, placed.header("x-request-id")), (201, "till-7.42"));
    let number = placed.json()["order_number"].clone();
    let log = service.role.wait_for_action("order_published").await;
    assert_eq!((&log["order_number"], &log["request_id"]), (&number, &"till-7.42".into()));
    let log = service.role.wait_for_action("order_received").await;
    assert_eq!((&log["order_number"], &log["request_id"]), (&number, &"till-7.42".into()));
}
