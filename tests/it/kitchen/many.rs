//! More workers than PostgreSQL has connections.

use super::kit::Kit;
use crate::support::{Role, TestEnv, eventually_ok, servers_options};
use tokio_postgres::{Client, NoTls};

/// PostgreSQL keeps three of them for its superuser.
const CONNECTIONS: u32 = 15;
const WORKERS: usize = 24;
const ORDERS: usize = 300;
/// What workers who have nothing to do may hold: one or two that sweep just now.
const IDLE_CONNECTIONS: i64 = 4;

#[tokio::test]
async fn more_workers_than_connections_start_cook_everything_and_hold_hardly_any_when_idle() {
    let mut options = servers_options();
    options.postgres.max_connections = CONNECTIONS;
    let env = TestEnv::with_own_servers_of(options).await;
    workers_that_find_no_connection_wait_for_one(&env).await;

    let kit = Kit::on(env).await;
    let mut numbers = place(&kit).await;
    let workers: Vec<Role> =
        (0..WORKERS).map(|n| kit.worker(&format!("chef_{n}"), &["--cook-seconds", "0.05"])).collect();
    for worker in &workers {
        worker.wait_for_action("worker_registered").await;
    }
    numbers.extend(place(&kit).await);
    kit.wait_ready(&numbers).await;
    kit.wait_announced().await;

    eventually_ok("the idle workers have closed their connections", || async {
        let sql =
            "select count(*) from pg_stat_activity where application_name = 'restaurant-system kitchen-worker'";
        let held: i64 = kit.db.query_one(sql, &[]).await.unwrap().get(0);
        if held <= IDLE_CONNECTIONS { Ok(()) } else { Err(held) }
    })
    .await;
    assert_eq!(kit.processed_in_all().await, i64::try_from(ORDERS).unwrap());
    let sql = "select count(*) from orders where attempt > 1";
    assert_eq!(kit.db.query_one(sql, &[]).await.unwrap().get::<_, i64>(0), 0, "orders taken over");
    for role in workers.iter().chain([&kit.orders]) {
        let wrong: Vec<_> = role.logs().into_iter().filter(|log| log["level"] == "ERROR").collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }
}

/// Half of the orders, a few at a time.
async fn place(kit: &Kit) -> Vec<String> {
    let mut numbers = Vec::new();
    while numbers.len() < ORDERS / 2 {
        numbers.extend(kit.place_many("takeout", 25).await);
    }
    numbers
}

async fn workers_that_find_no_connection_wait_for_one(env: &TestEnv) {
    let taken = every_connection(env).await;
    let first = impatient(env, "chef_anna");
    first.wait_for_action("db_connections_exhausted").await;
    // Meanwhile the first one asks again.
    let second = impatient(env, "chef_mario");
    second.wait_for_action("db_connections_exhausted").await;
    drop(taken);
    for worker in [first, second] {
        worker.wait_for_action("worker_registered").await;
        assert_eq!(worker.logs_of("db_connections_exhausted").len(), 1);
        assert_eq!(worker.logs_of("db_connection_failed").len(), 0);
    }
}

/// A worker that loses patience with one attempt to connect after half a second.
fn impatient(env: &TestEnv, name: &str) -> Role {
    let mut command = env.command(&["kitchen-worker", "--worker-name", name, "--log-format", "json"]);
    command.arg("--config").arg(env.config());
    command.env("RESTAURANT_DATABASE_CONNECT_TIMEOUT_SECONDS", "0.5");
    Role::spawn(name, command)
}

/// Takes connections until PostgreSQL has none left.
async fn every_connection(env: &TestEnv) -> Vec<Client> {
    let mut config = tokio_postgres::Config::new();
    config.host("127.0.0.1").port(env.servers.postgres.port()).dbname(&env.database);
    config.user("restaurant_user").password("restaurant_pass");
    let mut taken = Vec::new();
    while let Ok((client, connection)) = config.connect(NoTls).await {
        tokio::spawn(connection);
        taken.push(client);
    }
    assert!(taken.len() < CONNECTIONS as usize);
    taken
}
