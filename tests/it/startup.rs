//! Roles that start before their servers: they wait, say so once, and begin by themselves.

use crate::support::{Role, TestEnv, blocking, eventually};
use serde_json::{Value, json};
use std::sync::Arc;

const ROLES: [&[&str]; 4] = [
    &["order-service", "--port", "0"],
    &["tracking-service", "--port", "0"],
    &["kitchen-worker", "--worker-name", "chef_anna", "--cook-seconds", "0", "--heartbeat-interval", "0.3"],
    &["notification-subscriber"],
];

async fn answer(url: &str) -> (u16, Value) {
    let answer = reqwest::get(url).await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test]
async fn every_role_waits_for_both_servers_says_so_once_and_then_works() {
    let env = TestEnv::with_own_servers().await;
    let servers = Arc::clone(&env.servers);
    blocking(move || {
        servers.postgres.kill();
        servers.rabbitmq.kill();
    })
    .await;
    let mut roles: Vec<Role> = ROLES.iter().map(|args| env.spawn(args)).collect();
    for role in &roles[..3] {
        role.wait_for_action("db_connection_failed").await;
    }
    for role in &roles {
        role.wait_for_action("rabbitmq_connection_failed").await;
    }
    let (order, tracking) = (roles[0].url().await, roles[1].url().await);
    for url in [&order, &tracking] {
        assert_eq!(answer(&format!("{url}/healthz")).await.0, 200);
        let (status, ready) = answer(&format!("{url}/readyz")).await;
        assert_eq!((status, &ready["checks"]["postgresql"]["status"]), (503, &json!("down")), "{ready}");
    }
    let asked = std::time::Instant::now();
    let refused = reqwest::get(format!("{tracking}/workers/status")).await.unwrap();
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    assert!(asked.elapsed() < std::time::Duration::from_secs(2), "at once, not after a wait");

    let servers = Arc::clone(&env.servers);
    blocking(move || servers.restart_dead()).await.unwrap();
    for url in [&order, &tracking] {
        eventually("it is ready", || async { answer(&format!("{url}/readyz")).await.0 == 200 }).await;
    }
    let body = json!({"customer_name": "Ada", "order_type": "takeout", "items": [{"name": "Soup", "quantity": 1, "price": 5}]});
    let placed = reqwest::Client::new().post(format!("{order}/orders")).json(&body).send().await.unwrap();
    let placed: Value = placed.json().await.unwrap();
    let number = placed["order_number"].as_str().unwrap().to_owned();
    eventually("the order is ready", || async {
        answer(&format!("{tracking}/orders/{number}/status")).await.1["current_status"] == "ready"
    })
    .await;
    roles[3]
        .wait_for_line("about the order", |line| line.contains(&number) && line.contains("'ready'"))
        .await;
    for role in &mut roles {
        assert!(role.is_running());
        for (failed, most) in [("db_connection_failed", 1), ("rabbitmq_connection_failed", 1)] {
            let told = role.logs_of(failed);
            assert!(told.len() <= most, "{told:?}");
        }
        let errors = role.logs().into_iter().filter(|log| log["level"] == "ERROR").count();
        assert!(errors <= 2, "{:?}", role.output());
    }
}
