//! Settings of the database: those that a session can set are set, those that it cannot are told.

use super::{order_service, seen, watch_settings};
use crate::support::{TestEnv, blocking, new_state_dir, store_options, takeout};
use private_servers::PostgresServer;
use restaurant_system::dev;
use restaurant_system::store::{Store, StoreAccess, StoreOptions};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn each_connection_sets_what_the_promises_need() {
    let env = TestEnv::unmigrated().await;
    let db = env.connect().await;
    for (name, value) in [
        ("synchronous_commit", "off"),
        ("default_transaction_isolation", "serializable"),
        ("standard_conforming_strings", "off"),
        ("lock_timeout", "1"),
        ("enable_nestloop", "off"),
    ] {
        db.batch_execute(&format!("alter database {} set {name} = '{value}'", env.database)).await.unwrap();
    }
    let (_role, http) = order_service(&env).await;
    watch_settings(&db).await;
    http.place(&takeout()).await;
    for (name, value) in [
        ("synchronous_commit", "on"),
        ("transaction_isolation", "read committed"),
        ("enable_seqscan", "off"),
        ("lock_timeout", "0"),
    ] {
        assert_eq!(seen(&db, name).await, value, "{name}");
    }
    let sql = "select pg_get_constraintdef(oid) from pg_constraint where conname = 'orders_number_form'";
    let rule: String = db.query_one(sql, &[]).await.unwrap().get(0);
    assert!(
        rule.contains(r"ORD\\_%") || rule.contains(r"ORD\_%"),
        "the migrations' texts are theirs: {rule}"
    );
}

#[tokio::test]
async fn who_only_reads_cannot_write_whatever_the_account_may() {
    let env = TestEnv::unmigrated().await;
    let options = store_options(env.servers.postgres.port(), &env.database);
    let store = Store::new(StoreOptions { writes: false, ..options }, CancellationToken::new()).unwrap();
    assert!(store.prepare().await.unwrap() > 0, "where there is no schema yet, everybody may make it");
    let refused = store.forget_idempotency_keys(Duration::ZERO).await.unwrap_err().to_string();
    assert!(refused.contains("read-only transaction"), "{refused}");
}

#[tokio::test]
async fn a_stronger_commit_than_needed_is_left_as_it_is() {
    let env = TestEnv::new().await;
    let db = env.connect().await;
    watch_settings(&db).await;
    let sql = format!("alter database {} set synchronous_commit = 'remote_apply'", env.database);
    db.batch_execute(&sql).await.unwrap();
    let (_role, http) = order_service(&env).await;
    http.place(&takeout()).await;
    assert_eq!(seen(&db, "synchronous_commit").await, "remote_apply");
}

#[tokio::test]
async fn two_services_take_every_order_where_transactions_are_serializable_by_default() {
    let env = TestEnv::new().await;
    let sql = format!("alter database {} set default_transaction_isolation = 'serializable'", env.database);
    env.connect().await.batch_execute(&sql).await.unwrap();
    let (one, other) = tokio::join!(order_service(&env), order_service(&env));
    let order = takeout();
    let all = (0..100).map(|n| [&one.1, &other.1][n % 2].place(&order));
    futures_util::future::join_all(all).await;
}

#[tokio::test]
async fn what_a_session_cannot_set_is_logged_once_and_shown_in_readyz() {
    // The tests' servers flush nothing.
    let env = TestEnv::new().await;
    let (role, http) = order_service(&env).await;
    http.place(&takeout()).await;
    let (status, ready) = http.readiness().await;
    let warnings = ready["checks"]["postgresql"]["warnings"].to_string();
    assert_eq!(status, 200, "{ready}");
    for setting in ["fsync is off", "full_page_writes is off"] {
        assert!(warnings.contains(setting), "{ready}");
        let logged = role.logs_of("db_not_durable");
        let count = logged.iter().filter(|log| log["details"].as_str().unwrap().starts_with(setting)).count();
        assert_eq!(count, 1, "{logged:?}");
        assert!(logged.iter().all(|log| log["level"] == "WARN"), "{logged:?}");
    }
}

#[tokio::test]
async fn a_durable_server_is_not_warned_of() {
    let dir = new_state_dir();
    let path = dir.path().join("postgres");
    let server =
        blocking(move || PostgresServer::start(&path, dev::servers_options().postgres)).await.unwrap();
    let options = store_options(server.port(), "restaurant_db");
    let store = Store::new(options, CancellationToken::new()).unwrap();
    store.prepare().await.unwrap();
    assert_eq!(store.setup().borrow().texts(), [""; 0]);
}
