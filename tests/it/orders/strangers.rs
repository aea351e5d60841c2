//! What anybody can cause without a token: lines in the log, and answers.

use super::client::{OrderService, spawn};
use crate::support::{TestEnv, eventually_ok, item, takeout, with};
use serde_json::{Map, Value, json};

#[tokio::test]
async fn of_a_rush_of_refused_orders_some_are_logged_and_all_are_counted() {
    const ORDERS: u64 = 1_500;
    let service = OrderService::start().await;
    let customers = (0..10).map(|_| async {
        for _ in 0..ORDERS / 10 {
            assert_eq!(service.http.post_text("{}").await.status, 422);
        }
    });
    futures_util::future::join_all(customers).await;
    eventually_ok("all are told of", || async {
        let logged = service.role.logs_of("validation_failed").len() as u64;
        let withheld = service.role.logs_of("log_lines_withheld");
        let counts = withheld.iter().filter(|line| line["details"] == "validation_failed");
        let counted: u64 = counts.filter_map(|line| line["count"].as_u64()).sum();
        // Who tries something by hand sees each of its failures.
        assert!(logged >= 100.min(ORDERS - counted) && logged < ORDERS / 3, "{logged} of {ORDERS}");
        if logged + counted == ORDERS { Ok(()) } else { Err((logged, counted)) }
    })
    .await;
    let metrics = service.http.get("/metrics").await.text;
    assert!(metrics.contains("log_lines_withheld_total{action=\"validation_failed\"} 1"), "{metrics}");
}

#[tokio::test]
async fn of_thousands_of_faults_the_first_are_named_and_the_answer_is_small() {
    let service = OrderService::start().await;
    let unknown: Map<String, Value> = (0..90).map(|n| (format!("{n}"), json!(0))).collect();
    let items: Vec<_> = (0..90).map(|_| unknown.clone()).collect();
    let body = with(&takeout(), "/items", json!(items)).to_string();
    let answer = service.http.post_text(body).await;
    assert!(answer.text.len() < 8 * 1024, "{} bytes", answer.text.len());
    let problem = answer.problem(400);
    assert_eq!(problem["detail"], "8100 fields are unknown; the first 50 are listed");
    assert_eq!(problem["errors"].as_array().unwrap().len(), 50);

    let items: Vec<_> = (0..20).map(|_| json!({"name": "", "quantity": 0, "price": 0})).collect();
    let problem = service.http.post(&with(&takeout(), "/items", json!(items))).await.problem(422);
    assert_eq!(problem["detail"], "60 rules are broken; the first 50 are listed");

    let long = "~1".repeat(20_000);
    for body in [
        with(&takeout(), &format!("/{long}"), json!(1)).to_string(),
        format!("{{\"{long}\": 1, \"{long}\": 1}}"),
        with(&takeout(), "/order_type", json!(long)).to_string(),
        with(&takeout(), "/customer_name", json!(long)).to_string(),
        with(&takeout(), "/items", json!([item(&long, 1, 1.0)])).to_string(),
    ] {
        let answer = service.http.post_text(body).await;
        assert!(answer.text.len() < 2048, "{}", answer.text);
    }
    let long = "x".repeat(8_000);
    let answer = service.http.get(&format!("/orders/{long}?{long}={long}&{long}")).await;
    assert!(answer.text.len() < 2048, "{}", answer.text);
}

#[tokio::test]
async fn a_service_answers_for_its_hosts_alone_and_says_whom_it_refused() {
    let env = TestEnv::new().await;
    env.edit_config(|text| format!("{text}http:\n  allowed_hosts: [orders.example.org]\n"));
    let (role, http) = spawn(&env, &[]).await;
    let place = async |host: &str| {
        let request = http.order_request(takeout().to_string()).header("host", host);
        crate::support::answer(request).await
    };
    let evil = place("evil.example.com").await;
    evil.problem(421);
    assert_eq!(place("Orders.Example.org:3000").await.status, 201);
    let log = role.wait_for_action("host_refused").await;
    assert_eq!(
        (&log["details"], &log["request_id"]),
        (&json!("evil.example.com"), &json!(evil.header("x-request-id")))
    );
    let metrics = http.get("/metrics").await.text;
    assert!(
        metrics.contains("http_requests_total{method=\"POST\",route=\"/orders\",status=\"421\"} 1"),
        "{metrics}"
    );
}
