//! The servers go away and come back.

use super::client::{spawn, spawn_unready};
use super::proxy::Proxy;
use crate::support::{Answer, Http, Role, TestEnv, blocking, eventually, takeout};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// An answer of 503 that came soon and says when to come back.
fn assert_soon_503(answer: &Answer, asked: Instant) {
    answer.problem(503);
    assert!(answer.header("retry-after").parse::<u32>().is_ok_and(|seconds| seconds >= 1), "{answer:?}");
    assert!(asked.elapsed() < Duration::from_secs(3), "only after {:?}", asked.elapsed());
}

async fn database_is_away(env: &TestEnv, http: &Http, role: &Role) {
    for path in ["/orders/ORD_20200101_001", "/orders/ORD_20200101_001"] {
        let asked = Instant::now();
        assert_soon_503(&http.get(path).await, asked);
    }
    let asked = Instant::now();
    assert_soon_503(&http.post(&takeout()).await, asked);
    assert_soon_503(&http.staff("POST", "/orders/ORD_20200101_001/cancel").await, asked);
    http.wait_check(503, "postgresql", "down").await;
    assert_eq!(http.get("/healthz").await.status, 200);
    http.post_text("{}").await.problem(422);
    let servers = Arc::clone(&env.servers);
    blocking(move || servers.postgres.restart()).await.unwrap();
    http.wait_check(200, "postgresql", "up").await;
    let down = role.logs_of("db_connection_failed");
    assert!(down.iter().all(|log| log["level"] == "ERROR"), "{down:?}");
    eventually("each end of an outage is told", || async { role.logs_of("reconnected").len() == down.len() })
        .await;
}

#[tokio::test]
async fn postgresql_away_is_a_quick_503_until_it_is_back() {
    let env = TestEnv::with_own_servers().await;
    env.edit_config(|text| text.replace("database:\n", "database:\n  statement_timeout_seconds: 2\n"));
    let (role, http) = spawn(&env, &[]).await;
    assert!(http.place(&takeout()).await.ends_with("_001"));

    let servers = Arc::clone(&env.servers);
    blocking(move || servers.postgres.kill()).await;
    database_is_away(&env, &http, &role).await;
    assert!(http.place(&takeout()).await.ends_with("_002"));

    let servers = Arc::clone(&env.servers);
    blocking(move || servers.postgres.stop()).await;
    database_is_away(&env, &http, &role).await;
    assert!(http.place(&takeout()).await.ends_with("_003"));
    assert_eq!(role.logs_of("db_connection_failed").len(), 2);

    // Frozen: nothing refuses a connection, nothing answers.
    let patient = http.clone();
    env.servers.postgres.pause().unwrap();
    patient.post(&takeout()).await.problem(503);
    http.wait_check(503, "postgresql", "down").await;
    let asked = Instant::now();
    assert_soon_503(&http.post(&takeout()).await, asked);
    env.servers.postgres.resume().unwrap();
    http.wait_check(200, "postgresql", "up").await;
    http.place(&takeout()).await;

    // RabbitMQ away is none of its customers' business.
    let servers = Arc::clone(&env.servers);
    blocking(move || servers.rabbitmq.kill()).await;
    http.wait_check(200, "rabbitmq", "down").await;
    let asked = Instant::now();
    let number = http.place(&takeout()).await;
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    let servers = Arc::clone(&env.servers);
    blocking(move || servers.rabbitmq.restart()).await.unwrap();
    http.wait_check(200, "rabbitmq", "up").await;
    eventually("the order is announced", || async {
        let messages = env.rabbit.get_messages("kitchen_takeout_queue", 50).await;
        messages.iter().any(|message| message.json()["order_number"] == number.as_str())
    })
    .await;
    assert_eq!(role.logs_of("rabbitmq_connection_failed").len(), 1);
}

#[tokio::test]
async fn an_order_taken_before_rabbitmq_was_ever_reached_is_announced_later() {
    let env = TestEnv::new().await;
    let amqp = env.servers.rabbitmq.amqp_port();
    let proxy = Proxy::closed();
    env.edit_config(|text| text.replace(&format!("port: {amqp}"), &format!("port: {}", proxy.port())));
    let (role, http) = spawn(&env, &[]).await;
    http.wait_check(200, "rabbitmq", "down").await;
    let number = http.place(&takeout()).await;
    role.wait_for_action("rabbitmq_connection_failed").await;
    proxy.open(amqp);
    http.wait_check(200, "rabbitmq", "up").await;
    env.rabbit.wait_for_depth("kitchen_takeout_queue", 1).await;
    let message = env.rabbit.take_messages("kitchen_takeout_queue", 1).await.remove(0);
    assert_eq!(message.json()["order_number"], number.as_str());
}

#[tokio::test]
async fn a_service_that_starts_before_postgresql_serves_503_and_recovers() {
    let env = TestEnv::unmigrated().await;
    let port = env.servers.postgres.port();
    let proxy = Proxy::closed();
    env.edit_config(|text| text.replace(&format!("port: {port}"), &format!("port: {}", proxy.port())));
    let (role, http) = spawn_unready(&env, &[]).await;
    let asked = Instant::now();
    assert_soon_503(&http.post(&takeout()).await, asked);
    http.wait_check(503, "postgresql", "down").await;
    assert_eq!(http.get("/docs").await.status, 200);
    proxy.open(port);
    http.wait_ready().await;
    assert!(http.place(&takeout()).await.ends_with("_001"));
    assert_eq!(role.logs_of("db_connection_failed").len(), 1);
}
