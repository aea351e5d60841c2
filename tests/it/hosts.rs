//! A primary that was replaced by its standby and comes back taking writes.

use crate::support::{
    self, Http, OWNER, Role, TestEnv, blocking, eventually, new_state_dir, servers_options, superuser,
    takeout,
};
use private_servers::{PostgresOptions, PostgresServer};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

/// Two servers of one cluster, both of them taking writes: the primary as it was, and the standby that replaced it.
struct SplitBrain {
    old: PostgresServer,
    new: PostgresServer,
    _dir: tempfile::TempDir,
}

fn options() -> PostgresOptions {
    servers_options().postgres
}

impl SplitBrain {
    async fn start() -> Self {
        let dir = new_state_dir();
        let (first, second) = (dir.path().join("first"), dir.path().join("second"));
        let (old, new) = blocking(move || {
            let old = PostgresServer::start(&first, options()).unwrap();
            old.stop();
            copy(&first, &second);
            std::fs::remove_file(second.join("port")).unwrap();
            // Recovery that ends at once, and begins a timeline as every promotion does.
            std::fs::write(second.join("data/recovery.signal"), "").unwrap();
            let settings = second.join("data/postgresql.auto.conf");
            std::fs::write(settings, "restore_command = 'false'\n").unwrap();
            old.restart().unwrap();
            (old, PostgresServer::start(&second, options()).unwrap())
        })
        .await;
        // It takes connections before that.
        let promoted = connect(&new).await;
        eventually("the standby is promoted", || async {
            let row = promoted.query_one("select not pg_is_in_recovery()", &[]).await.unwrap();
            row.get::<_, bool>(0)
        })
        .await;
        Self { old, new, _dir: dir }
    }

    /// Writes a configuration with both hosts, in this order.
    fn configure(&self, env: &TestEnv, ports: [u16; 2]) {
        let (amqp, vhost) = (env.servers.rabbitmq.amqp_port(), &env.vhost);
        let text = format!(
            "database:\n  host: [\"127.0.0.1:{}\", \"127.0.0.1:{}\"]\n  connect_timeout_seconds: 2\n  statement_timeout_seconds: 2\n\
             rabbitmq:\n  host: 127.0.0.1\n  port: {amqp}\n  vhost: \"{vhost}\"\n",
            ports[0], ports[1]
        );
        std::fs::write(env.config(), text).unwrap();
    }
}

/// With the owners of the files.
fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").args([from, to]).status().unwrap();
    assert!(status.success(), "cp -a: {status}");
}

async fn connect(server: &PostgresServer) -> tokio_postgres::Client {
    support::connect(server.port(), "restaurant_db", OWNER).await
}

/// How many connections of the program a server has.
async fn roles_at(server: &PostgresServer) -> i64 {
    let sql = "select count(*) from pg_stat_activity where application_name like 'restaurant-system%'";
    connect(server).await.query_one(sql, &[]).await.unwrap().get(0)
}

fn order_service(env: &TestEnv) -> Role {
    env.spawn(&["order-service", "--port", "0"])
}

#[tokio::test]
async fn an_old_primary_that_takes_writes_again_is_refused_by_who_starts_and_by_who_runs() {
    let env = TestEnv::unmigrated().await;
    let servers = SplitBrain::start().await;
    let (old, new) = (servers.old.port(), servers.new.port());

    for hosts in [[old, new], [new, old]] {
        servers.configure(&env, hosts);
        let service = order_service(&env);
        service.wait_for_action("db_connected").await;
        // The connection by which it has looked at the other closes a moment later.
        eventually("the service is at the new primary alone", || async {
            roles_at(&servers.old).await == 0 && roles_at(&servers.new).await > 0
        })
        .await;
        let refused = service.wait_for_action("db_host_refused").await;
        let text = refused["details"].as_str().unwrap();
        assert_eq!(refused["level"], "ERROR");
        assert!(text.contains(&format!("127.0.0.1:{old} takes writes on timeline 1")), "{text}");
        assert!(text.contains("timeline 2"), "{text}");
        assert_eq!(service.logs_of("db_host_refused").len(), 1, "{:?}", service.output());
    }

    // One that runs, and is left with the old one, which was away when it started.
    let servers = Arc::new(servers);
    let both = Arc::clone(&servers);
    blocking(move || both.old.stop()).await;
    let service = order_service(&env);
    service.wait_for_action("db_connected").await;
    let both = Arc::clone(&servers);
    blocking(move || {
        both.new.stop();
        both.old.restart().unwrap();
    })
    .await;
    service.wait_for_action("db_connection_failed").await;
    let refused = service.wait_for_action("db_host_refused").await;
    assert!(
        refused["details"].as_str().unwrap().contains("timeline 1, but the cluster is on timeline 2"),
        "{refused}"
    );
    let http = Http::of(&service).await;
    for _ in 0..3 {
        http.post(&takeout()).await.problem(503);
    }
    let both = Arc::clone(&servers);
    blocking(move || both.new.restart().unwrap()).await;
    service.wait_for_action("reconnected").await;
    eventually("orders are taken", || async { http.post(&takeout()).await.status == 201 }).await;
    let sql = "select to_regclass('orders') is null";
    let untouched: bool = connect(&servers.old).await.query_one(sql, &[]).await.unwrap().get(0);
    assert!(untouched, "the old primary was written to");
    assert_eq!(service.logs_of("db_connection_failed").len(), 1, "{:?}", service.output());
}

#[tokio::test]
async fn a_service_leaves_a_primary_whose_commits_hang_when_the_standby_is_promoted() {
    let env = TestEnv::unmigrated().await;
    let servers = SplitBrain::start().await;
    servers.configure(&env, [servers.old.port(), servers.new.port()]);
    let servers = Arc::new(servers);
    // Only the old one is there at first.
    let both = Arc::clone(&servers);
    blocking(move || both.new.stop()).await;
    let service = order_service(&env);
    service.wait_for_action("db_connected").await;
    let superuser = superuser(&servers.old, "postgres").await;
    superuser.batch_execute("alter system set synchronous_standby_names = 'nobody'").await.unwrap();
    superuser.batch_execute("select pg_reload_conf()").await.unwrap();
    service.wait_for_action("db_connection_failed").await;
    // The promotion comes late: the service has chosen again meanwhile, and found the old one only.
    let sessions = async || -> i64 {
        let sql = "select sessions from pg_stat_database where datname = 'restaurant_db'";
        superuser.query_one(sql, &[]).await.unwrap().get(0)
    };
    let before = sessions().await;
    eventually("the old one is tried again", || async { sessions().await > before + 1 }).await;

    let both = Arc::clone(&servers);
    blocking(move || both.new.restart().unwrap()).await;
    // It has no tables there, but that is where it goes.
    eventually("the service is at the new primary", || async { roles_at(&servers.new).await > 0 }).await;
}
