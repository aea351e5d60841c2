//! PgBouncer between the roles and PostgreSQL.

use super::{order_service, seen, watch_settings};
use crate::support::{Http, OWNER, PgBouncer, TestEnv, connect, eventually, free_port, takeout};

/// An environment whose configuration leads to this port, where a PgBouncer is to be.
async fn behind_a_pooler() -> (TestEnv, u16) {
    let (env, port) = (TestEnv::new().await, free_port());
    let direct = format!("port: {}", env.servers.postgres.port());
    env.edit_config(|text| text.replace(&direct, &format!("port: {port}")));
    (env, port)
}

#[tokio::test]
async fn a_pooler_that_keeps_sessions_serves_every_role_with_the_settings_of_its_own() {
    let (env, port) = behind_a_pooler().await;
    let db = env.connect().await;
    watch_settings(&db).await;
    let sql = format!("alter database {} set synchronous_commit = off", env.database);
    db.batch_execute(&sql).await.unwrap();
    let _pooler = PgBouncer::start(&env, port, "pool_mode = session").await;
    let (_role, http) = order_service(&env).await;
    let worker = env.spawn(&["kitchen-worker", "--worker-name", "chef_anna", "--cook-seconds", "0"]);
    worker.wait_for_action("worker_registered").await;
    let tracking = env.spawn(&["tracking-service", "--port", "0"]);
    tracking.wait_for_action("db_connected").await;
    let number = http.place(&takeout()).await;
    Http::of(&tracking).await.wait_status(&number, "ready").await;
    assert_eq!(seen(&db, "synchronous_commit").await, "on");
    assert_eq!(seen(&db, "enable_seqscan").await, "off");
    assert!(worker.logs_of("db_pooler_refused").is_empty(), "{:?}", worker.output());
}

#[tokio::test]
async fn a_pooler_that_shares_sessions_is_refused_with_its_pool_mode_until_that_is_changed() {
    let (env, port) = behind_a_pooler().await;
    let pooler = PgBouncer::start(&env, port, "pool_mode = transaction").await;
    let role = env.spawn(&["order-service", "--port", "0"]);
    let http = Http::of(&role).await;
    let refused = role.wait_for_action("db_pooler_refused").await;
    assert_eq!(refused["level"], "ERROR");
    assert!(refused["error"].to_string().contains("pool_mode is not session"), "{refused}");
    let (status, ready) = http.readiness().await;
    let warnings = ready["checks"]["postgresql"]["warnings"].to_string();
    assert_eq!(status, 503, "{ready}");
    assert!(warnings.contains("pool_mode"), "{ready}");
    http.post(&takeout()).await.problem(503);

    let migrate = env.run(&["migrate", "--config", env.config().to_str().unwrap()]).await;
    let said = String::from_utf8_lossy(&[migrate.stdout, migrate.stderr].concat()).into_owned();
    assert_eq!(migrate.status.code(), Some(1), "{said}");
    assert!(said.contains("pool_mode"), "{said}");

    drop(pooler);
    let _pooler = PgBouncer::start(&env, port, "pool_mode = session").await;
    http.wait_ready().await;
    http.place(&takeout()).await;
    let (_, ready) = http.readiness().await;
    assert!(!ready.to_string().contains("pool_mode"), "{ready}");
    assert_eq!(role.logs_of("db_pooler_refused").len(), 1);
}

#[tokio::test]
async fn a_pooler_that_shares_sessions_in_turn_is_found_out() {
    let (env, port) = behind_a_pooler().await;
    let _pooler = PgBouncer::start(&env, port, "pool_mode = transaction\nserver_round_robin = 1").await;
    // Two transactions at once: it has two sessions from here on.
    let mut clients = Vec::new();
    for _ in 0..2 {
        let client = connect(port, &env.database, OWNER).await;
        client.batch_execute("begin").await.unwrap();
        clients.push(client);
    }
    for client in clients {
        client.batch_execute("rollback").await.unwrap();
    }
    let migrate = env.run(&["migrate", "--config", env.config().to_str().unwrap()]).await;
    assert_eq!(migrate.status.code(), Some(1), "{migrate:?}");
}

#[tokio::test]
async fn a_pooler_that_shares_sessions_from_its_next_start_on_is_refused_then() {
    let (env, port) = behind_a_pooler().await;
    let mut pooler = PgBouncer::start(&env, port, "pool_mode = session").await;
    let (role, http) = order_service(&env).await;
    for (refused, pool_mode) in (1..).zip(["statement", "transaction"]) {
        http.wait_ready().await;
        drop(pooler);
        pooler = PgBouncer::start(&env, port, &format!("pool_mode = {pool_mode}")).await;
        eventually("the pooler is refused", || async { role.logs_of("db_pooler_refused").len() == refused })
            .await;
        assert_eq!(http.readiness().await.0, 503);
        http.post(&takeout()).await.problem(503);
        drop(pooler);
        pooler = PgBouncer::start(&env, port, "pool_mode = session").await;
    }
}
