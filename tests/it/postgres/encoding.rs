//! Databases that cannot hold every name and dish.

use crate::support::{Role, TestEnv, superuser};

/// A database of this encoding beside the environment's own, whose configuration leads to it.
async fn with_database_of(env: &TestEnv, encoding: &str) -> String {
    let name = format!("{}_{}", env.database, encoding.to_lowercase());
    let client = superuser(&env.servers.postgres, "postgres").await;
    let sql = format!(
        "create database {name} owner restaurant_user encoding '{encoding}' locale 'C' template template0"
    );
    client.batch_execute(&sql).await.unwrap();
    env.edit_config(|text| {
        text.replace(&format!("database: {}", env.database), &format!("database: {name}"))
    });
    name
}

async fn assert_refused(mut role: Role, encoding: &str) {
    let status = role.wait_exit().await;
    assert_eq!(status.code(), Some(1), "{:?}", role.output());
    let failed = role.logs_of("service_failed");
    let error = failed.first().map(|log| log["error"].to_string()).unwrap_or_default();
    for part in [&format!("encoding is {encoding}"), "encoding 'UTF8'", "template template0", "pg_dump"] {
        assert!(error.contains(part), "{part}: {:?}", role.output());
    }
}

#[tokio::test]
async fn no_role_starts_on_a_database_that_knows_some_letters_only() {
    let env = TestEnv::unmigrated().await;
    let name = with_database_of(&env, "LATIN1").await;
    let roles: [&[&str]; 4] = [
        &["order-service", "--port", "0"],
        &["tracking-service", "--port", "0"],
        &["kitchen-worker", "--worker-name", "chef_anna"],
        &["migrate"],
    ];
    let roles: Vec<Role> = roles.iter().map(|args| env.spawn(args)).collect();
    for role in roles {
        assert_refused(role, "LATIN1").await;
    }
    let servers = std::sync::Arc::clone(&env.servers);
    crate::support::blocking(move || servers.postgres.drop_database(&name)).await.unwrap();
}

#[tokio::test]
async fn a_database_that_counts_bytes_is_refused_as_well() {
    let env = TestEnv::unmigrated().await;
    let name = with_database_of(&env, "SQL_ASCII").await;
    assert_refused(env.spawn(&["migrate"]), "SQL_ASCII").await;
    let servers = std::sync::Arc::clone(&env.servers);
    crate::support::blocking(move || servers.postgres.drop_database(&name)).await.unwrap();
}
