//! PostgreSQL takes no writes for a while, and is no server that has just started afterwards: a standby was promoted, or
//! commits waited for one.

use super::kit::{Kit, holds_for};
use crate::support::{Http, Proxy, Role, TestEnv, dine_in, eventually, superuser};
use std::time::Duration;
use tokio_postgres::Client;

/// Several who hold an order: whoever looks for the lost is not the last of all to come back.
const COOKS: [&str; 4] = ["chef_anna", "chef_berta", "chef_carla", "chef_dora"];
/// They cook for longer than the test takes.
const COOKING: [&str; 4] = ["--cook-seconds", "600", "--heartbeat-interval", "1"];
/// Longer than three of their intervals.
const OUTAGE: Duration = Duration::from_secs(5);
const CONFIG: &str = "kitchen:\n  grace_seconds: 0.2\n";

/// Each cook with an order in hand, and one who has none and looks for the lost.
async fn cooks_and_a_free_one(kit: &Kit) -> (Vec<Role>, Role) {
    let mut roles = Vec::new();
    for cook in COOKS {
        roles.push(kit.working(cook, &COOKING).await);
        let number = kit.place("takeout").await;
        eventually("somebody cooks it", || async { kit.processed_by(&number).await.is_some() }).await;
    }
    let free = kit.working("chef_mario", &["--heartbeat-interval", "1"]).await;
    (roles, free)
}

async fn holders(db: &Client) -> Vec<String> {
    let sql = "select processed_by || ' in attempt ' || attempt from orders order by 1";
    db.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

fn undisturbed() -> Vec<String> {
    COOKS.iter().map(|cook| format!("{cook} in attempt 1")).collect()
}

/// Nobody is lost, and somebody who is then is found.
async fn all_keep_their_orders_and_the_dead_lose_theirs(kit: &Kit, mut cooks: Vec<Role>) {
    holds_for(Duration::from_secs(3), "every cook keeps its order", || async {
        holders(&kit.db).await == undisturbed()
    })
    .await;
    cooks[0].kill();
    eventually("the order of one that was killed is taken over", || async {
        holders(&kit.db).await.contains(&"chef_mario in attempt 2".to_owned())
    })
    .await;
    let others = &undisturbed()[1..];
    assert_eq!(&holders(&kit.db).await[..3], others);
}

#[tokio::test]
async fn nobody_has_lost_an_order_when_postgresql_was_away_and_is_a_server_that_has_run_for_long() {
    let env = TestEnv::new().await;
    let port = env.servers.postgres.port();
    let wire = Proxy::to(port).await;
    env.write_config(CONFIG);
    env.edit_config(|text| text.replace(&format!("port: {port}"), &format!("port: {}", wire.host().1)));
    let kit = Kit::on(env).await;
    let (cooks, free) = cooks_and_a_free_one(&kit).await;
    wire.cut();
    tokio::time::sleep(OUTAGE).await;
    wire.restore();
    free.wait_for_action("reconnected").await;
    all_keep_their_orders_and_the_dead_lose_theirs(&kit, cooks).await;
}

/// From now on every commit waits for the standby of this name; for none where it is empty.
async fn wait_for_standby(superuser: &Client, name: &str) {
    let sql = format!("alter system set synchronous_standby_names = '{name}'");
    superuser.batch_execute(&sql).await.unwrap();
    superuser.batch_execute("select pg_reload_conf()").await.unwrap();
}

#[tokio::test]
async fn while_commits_hang_it_is_an_outage_for_all_who_write_and_nobody_loses_an_order() {
    let env = TestEnv::with_own_servers().await;
    env.write_config(CONFIG);
    env.edit_config(|text| text.replace("database:\n", "database:\n  statement_timeout_seconds: 2\n"));
    let superuser = superuser(&env.servers.postgres, "postgres").await;
    let kit = Kit::on(env).await;
    let tracking = kit.env.spawn(&["tracking-service", "--port", "0"]);
    let tracking_http = Http::of(&tracking).await;
    let (cooks, free) = cooks_and_a_free_one(&kit).await;
    tracking_http.wait_check(200, "postgresql", "up").await;

    wait_for_standby(&superuser, "nobody").await;
    // Without a request: the service finds out by itself.
    kit.http.wait_check(503, "postgresql", "down").await;
    kit.http.post(&dine_in()).await.problem(503);
    tokio::time::sleep(OUTAGE).await;
    let stuck = "select count(*) from pg_stat_activity where wait_event = 'SyncRep' and query like '/* restaurant-system ping%'";
    let stuck: i64 = superuser.query_one(stuck, &[]).await.unwrap().get(0);
    assert!(stuck <= 2 + COOKS.len() as i64, "{stuck} pings wait for their commit");
    tracking_http.wait_check(200, "postgresql", "up").await;
    wait_for_standby(&superuser, "").await;

    kit.http.wait_check(200, "postgresql", "up").await;
    free.wait_for_action("reconnected").await;
    all_keep_their_orders_and_the_dead_lose_theirs(&kit, cooks).await;
    kit.orders.wait_for_action("reconnected").await;
    for (action, count) in [("db_connection_failed", 1), ("reconnected", 1)] {
        let said = kit.orders.logs_of(action);
        let said: Vec<_> = said.iter().filter(|log| log["details"] != "rabbitmq").collect();
        assert_eq!(said.len(), count, "{said:?}");
        assert!(tracking.logs_of("db_connection_failed").is_empty(), "{:?}", tracking.output());
    }
    assert_eq!(kit.orders.logs_of("db_connection_failed")[0]["level"], "ERROR");
    kit.place("dine_in").await;
}
