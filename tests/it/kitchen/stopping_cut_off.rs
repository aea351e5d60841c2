//! The end of each role while a server is there but does not answer: bounded, and nothing is lost by it.

use super::kit::Kit;
use crate::support::{Role, Signal, TestEnv, blocking};
use std::sync::Arc;

#[tokio::test]
async fn every_role_stops_while_a_server_is_frozen() {
    let env = TestEnv::with_own_servers().await;
    env.write_config("kitchen:\n  grace_seconds: 0.2\n  stop_seconds: 3\n");
    let kit = Kit::on(env).await;

    let roles = all_roles(&kit).await;
    let number = kit.place("takeout").await;
    kit.wait_cooked_by(&number, "chef_anna").await;
    let servers = Arc::clone(&kit.env.servers);
    blocking(move || servers.rabbitmq.pause()).await.unwrap();
    all_stop(roles).await;
    // The order in hand was finished, although nobody could be told.
    assert_eq!(kit.status(&number).await, "ready");
    assert_eq!(kit.worker_row("chef_anna").await, ("offline".to_owned(), 1));
    let servers = Arc::clone(&kit.env.servers);
    blocking(move || servers.rabbitmq.resume()).await.unwrap();

    let roles = all_roles(&kit).await;
    kit.wait_announced().await;
    let number = kit.place("takeout").await;
    kit.wait_cooked_by(&number, "chef_anna").await;
    let servers = Arc::clone(&kit.env.servers);
    blocking(move || servers.postgres.pause()).await.unwrap();
    all_stop(roles).await;
    let servers = Arc::clone(&kit.env.servers);
    blocking(move || servers.postgres.resume()).await.unwrap();
    // Whatever was on its way to PostgreSQL, the order is not lost: the next start has it finished.
    let _roles = all_roles(&kit).await;
    kit.wait_status(&number, "ready").await;
    assert_eq!(kit.statuses(&number).await, ["received", "cooking", "ready"]);
}

async fn all_roles(kit: &Kit) -> Vec<Role> {
    let orders = kit.env.spawn(&["order-service", "--port", "0"]);
    let tracking = kit.env.spawn(&["tracking-service", "--port", "0"]);
    orders.wait_for_action("rabbitmq_connected").await;
    tracking.wait_for_action("rabbitmq_connected").await;
    let chef = kit.working("chef_anna", &["--cook-seconds", "1"]).await;
    vec![orders, tracking, chef, kit.subscriber(&[]).await]
}

async fn all_stop(mut roles: Vec<Role>) {
    for role in &roles {
        role.signal(Signal::SIGTERM);
    }
    for role in &mut roles {
        assert_eq!(role.wait_exit().await.code(), Some(0), "{:?}", role.output());
    }
}
