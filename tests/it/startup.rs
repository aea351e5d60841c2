//! Roles that start before their servers: they wait, say so once, and begin by themselves.

use crate::support::{Http, Role, TestEnv, blocking, takeout};
use serde_json::json;
use std::sync::Arc;

const ROLES: [&[&str]; 4] = [
    &["order-service", "--port", "0"],
    &["tracking-service", "--port", "0"],
    &["kitchen-worker", "--worker-name", "chef_anna", "--cook-seconds", "0", "--heartbeat-interval", "0.3"],
    &["notification-subscriber"],
];

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
    let (orders, tracking) = (Http::of(&roles[0]).await, Http::of(&roles[1]).await);
    for http in [&orders, &tracking] {
        assert_eq!(http.get("/healthz").await.status, 200);
        let (status, ready) = http.readiness().await;
        assert_eq!((status, &ready["checks"]["postgresql"]["status"]), (503, &json!("down")), "{ready}");
    }
    let asked = std::time::Instant::now();
    let refused = tracking.get("/workers/status").await;
    assert_eq!(refused.status, 503);
    assert!(refused.headers.contains_key("retry-after"));
    assert!(asked.elapsed() < std::time::Duration::from_secs(2), "at once, not after a wait");

    let servers = Arc::clone(&env.servers);
    blocking(move || servers.restart_dead()).await.unwrap();
    for http in [&orders, &tracking] {
        http.wait_ready().await;
    }
    let number = orders.place(&takeout()).await;
    tracking.wait_status(&number, "ready").await;
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
