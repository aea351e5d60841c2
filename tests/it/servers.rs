//! The private servers: they start, keep their data, recover from a kill, and never outlive their owner.

use crate::support::{TestEnv, blocking, eventually, new_state_dir, processes_naming, servers_options};
use private_servers::{PostgresServer, ServerError, Servers};
use serde_json::json;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

const OWNER_STATE: &str = "TEST_OWNER_STATE";

#[tokio::test]
async fn each_test_has_a_database_and_a_virtual_host_of_its_own() {
    let (one, other) = (TestEnv::new().await, TestEnv::new().await);
    one.connect().await.batch_execute("CREATE TABLE mine ()").await.unwrap();
    let seen = other.connect().await.query_one("SELECT to_regclass('mine') IS NULL", &[]).await.unwrap();
    assert!(seen.get::<_, bool>(0));

    one.rabbit.declare_bound_queue("mine", "amq.topic", "a.*").await;
    assert!(one.rabbit.publish("amq.topic", "a.b", &json!({"message_id": "m1"}), "hello").await);
    assert!(other.rabbit.queue("mine").await.is_none());
    let messages = one.rabbit.take_messages("mine", 10).await;
    assert_eq!(messages.len(), 1);
    assert_eq!(
        (messages[0].payload.as_str(), &messages[0].properties["message_id"]),
        ("hello", &json!("m1"))
    );
}

#[tokio::test]
async fn the_program_runs_with_the_tests_configuration() {
    let env = TestEnv::new().await;
    let text = std::fs::read_to_string(env.config()).unwrap();
    assert!(text.contains(&format!("database: {}", env.database)));
    assert!(env.run(&["--help"]).await.status.success());
}

#[tokio::test]
async fn servers_keep_data_and_ports_over_stop_kill_and_restart() {
    let env = TestEnv::with_own_servers().await;
    let ports = (env.servers.postgres.port(), env.servers.rabbitmq.amqp_port());
    env.connect().await.batch_execute("CREATE TABLE kept AS SELECT 7 AS n").await.unwrap();
    env.rabbit.declare_bound_queue("kept", "amq.fanout", "").await;
    assert!(env.rabbit.publish("amq.fanout", "", &json!({"delivery_mode": 2}), "kept").await);

    let servers = Arc::clone(&env.servers);
    blocking(move || {
        std::thread::scope(|scope| {
            let postgres = scope.spawn(|| {
                servers.postgres.kill();
                assert!(!servers.postgres.is_running());
                servers.postgres.restart()
            });
            servers.rabbitmq.kill();
            assert!(!servers.rabbitmq.is_running());
            servers.rabbitmq.restart().unwrap();
            postgres.join().unwrap().unwrap();
        })
    })
    .await;
    assert_eq!(ports, (env.servers.postgres.port(), env.servers.rabbitmq.amqp_port()));
    let row = env.connect().await.query_one("SELECT n FROM kept", &[]).await.unwrap();
    assert_eq!(row.get::<_, i32>(0), 7);
    assert_eq!(env.rabbit.take_messages("kept", 2).await.len(), 1);

    let servers = Arc::clone(&env.servers);
    blocking(move || servers.rabbitmq.wipe()).await.unwrap();
    assert!(env.rabbit.queue("kept").await.is_none());
}

#[tokio::test]
async fn a_standby_has_what_its_primary_has_until_it_is_promoted() {
    let state = new_state_dir();
    let home = |name: &str| state.path().join(name);
    let (primary_home, standby_home) = (home("primary"), home("standby"));
    let (primary, standby) = blocking(move || {
        let options = servers_options().postgres;
        let primary = PostgresServer::start(&primary_home, options.clone()).unwrap();
        let standby = PostgresServer::start_standby(&standby_home, &primary, options).unwrap();
        primary.create_database("replicated").unwrap();
        (primary, Arc::new(standby))
    })
    .await;
    let count = "select count(*) from pg_database where datname = 'replicated'";
    eventually("the standby has it", || {
        let standby = Arc::clone(&standby);
        blocking(move || standby.query(count).unwrap() == "1")
    })
    .await;
    blocking(move || {
        assert!(standby.create_database("of_its_own").is_err());
        primary.kill();
        assert_eq!(standby.query("select pg_promote()").unwrap(), "t");
        standby.create_database("of_its_own").unwrap();
        // And the other way round.
        primary.follow(&standby).unwrap();
        assert_eq!(primary.query("select pg_is_in_recovery()").unwrap(), "t");
    })
    .await;
}

#[tokio::test]
async fn a_paused_server_answers_again_when_it_is_resumed() {
    let env = TestEnv::with_own_servers().await;
    let client = env.connect().await;
    let short = std::time::Duration::from_millis(300);
    env.servers.postgres.pause().unwrap();
    let mut query = Box::pin(client.query_one("SELECT 1", &[]));
    assert!(tokio::time::timeout(short, &mut query).await.is_err());
    env.servers.postgres.resume().unwrap();
    query.await.unwrap();

    env.servers.rabbitmq.pause().unwrap();
    let mut answer = Box::pin(env.rabbit.get("overview"));
    assert!(tokio::time::timeout(short, &mut answer).await.is_err());
    env.servers.rabbitmq.resume().unwrap();
    assert!(answer.await.is_some());
}

#[tokio::test]
async fn a_state_folder_in_use_is_refused_and_a_missing_program_is_named() {
    let dir = new_state_dir();
    let path = dir.path().to_path_buf();
    let mut options = servers_options();
    options.rabbitmq.programs.path = "/nonexistent".into();
    options.rabbitmq.programs.prefix = "/nonexistent".into();
    let error = blocking(move || Servers::start(&path, options)).await.unwrap_err();
    assert!(error.to_string().contains("`rabbitmq-server` was not found: install"), "{error}");

    let shared = TestEnv::new().await;
    let home = shared.servers.home().to_path_buf();
    let error = blocking(move || Servers::start(&home, servers_options())).await.unwrap_err();
    assert!(matches!(error, ServerError::StateInUse { .. }), "{error}");
}

#[tokio::test]
async fn no_server_is_left_when_its_owner_is_killed_and_the_next_start_has_the_data() {
    let state = new_state_dir();
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "servers::owner_of_servers", "--ignored"])
        .env(OWNER_STATE, state.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    eventually("the owner has its servers", || async { state.path().join("ready").exists() }).await;
    assert!(processes_naming(state.path()).len() >= 2);
    owner.kill().unwrap();
    owner.wait().unwrap();
    eventually("all processes are gone", || async { processes_naming(state.path()).is_empty() }).await;

    let path = state.path().to_path_buf();
    let servers = blocking(move || Servers::start(&path, servers_options())).await.unwrap();
    let error = blocking(move || servers.postgres.create_database("made_by_owner")).await.unwrap_err();
    assert!(error.to_string().contains("already exists"), "{error}");
}

/// The process that the test above kills: not a test by itself.
#[test]
#[ignore = "started by another test as a process of its own"]
fn owner_of_servers() {
    let Some(state) = std::env::var_os(OWNER_STATE).map(PathBuf::from) else { return };
    let servers = Servers::start(&state, servers_options()).unwrap();
    servers.postgres.create_database("made_by_owner").unwrap();
    std::fs::write(state.join("ready"), "").unwrap();
    std::thread::sleep(std::time::Duration::from_secs(120));
}
