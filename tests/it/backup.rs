//! A backup is restored into another cluster, by the commands of docs/OPERATIONS.md, and the system goes on there.

use crate::kitchen::kit::{Kit, SHORT_GRACE};
use crate::support::{Events, Http, TestEnv, blocking, new_state_dir, servers_options, takeout};
use private_servers::PostgresServer;
use std::collections::HashSet;
use std::path::Path;
use std::process::Command;
use tokio_postgres::Client;

/// The old cluster's transactions are numbered far beyond those of a fresh one.
const LIVE_LONG: &str = "
do $$ begin for n in 1..3000 loop perform pg_current_xact_id(); commit; end loop; end $$";

/// The commands of the blocks with these marks, with what is there for a whole system put in place: no units, no other
/// user, this database, a file in `folder`.
fn drill(marks: &[&str], database: &str, folder: &Path) -> String {
    let document = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/OPERATIONS.md");
    let text = std::fs::read_to_string(document).unwrap();
    let mut script = "runuser() { shift 3; \"$@\"; }\nsystemctl() { :; }\nrabbitmqctl() { :; }\n".to_owned();
    for mark in marks {
        let (_, rest) = text.split_once(&format!("<!-- drill: {mark} -->\n```sh\n")).expect(mark);
        script += rest.split_once("```").unwrap().0;
    }
    script.replace("restaurant_db", database).replace("/var/backups", folder.to_str().unwrap())
}

/// Runs a script against this server, as its superuser.
async fn run(script: String, port: u16, password_file: &Path) {
    let mut command = Command::new("sh");
    command.args(["-euc", &script]).env("PGHOST", "127.0.0.1").env("PGPORT", port.to_string());
    command.env("PGUSER", "postgres").env("PGPASSFILE", password_file);
    let output = blocking(move || command.output().unwrap()).await;
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
}

async fn count(db: &Client, what: &str) -> i64 {
    db.query_one(&format!("select count(*) from {what}"), &[]).await.unwrap().get(0)
}

/// An order in every status; their numbers, in order.
async fn busy_kitchen(kit: &Kit) -> Vec<String> {
    let mut numbers = kit.place_many("takeout", 3).await;
    let chef = kit.working("chef_anna", &[]).await;
    kit.wait_ready(&numbers).await;
    kit.http.change(&numbers[0], "complete").await;
    drop(chef);
    let _slow = kit.working("chef_mario", &["--cook-seconds", "600", "--heartbeat-interval", "0.5"]).await;
    numbers.push(kit.place("dine_in").await);
    kit.wait_status(&numbers[3], "cooking").await;
    numbers.extend(kit.place_many("delivery", 2).await);
    kit.http.change(&numbers[4], "cancel").await;
    numbers
}

#[tokio::test]
async fn a_dump_that_is_restored_into_another_cluster_goes_on_there_with_its_whole_history() {
    let state = new_state_dir();
    let home = state.path().join("postgresql");
    let options = servers_options().postgres;
    let other = blocking(move || PostgresServer::start(&home, options).unwrap()).await;

    let mut env = TestEnv::new().await;
    // Whoever starts first settles what was restored.
    env.use_own_accounts(false);
    env.write_config(SHORT_GRACE);
    env.connect().await.batch_execute(LIVE_LONG).await.unwrap();
    let kit = Kit::on(env).await;
    let numbers = busy_kitchen(&kit).await;
    let changes = count(&kit.db, "order_status_log").await;
    let Kit { env, orders, .. } = kit;
    drop(orders);
    let (database, dir) = (env.database.clone(), env.dir().to_owned());
    let server = &env.servers.postgres;
    run(drill(&["backup"], &database, &dir), server.port(), &server.password_file()).await;
    run(drill(&["restore", "purge", "start"], &database, &dir), other.port(), &other.password_file()).await;

    env.edit_config(|text| {
        text.replace(&format!("port: {}", server.port()), &format!("port: {}", other.port()))
    });
    let tracking = env.spawn(&["tracking-service", "--port", "0"]);
    tracking.wait_for_action("db_connected").await;
    let settled = tracking.wait_for_action("restored_database_settled").await;
    assert_eq!(settled["details"], changes, "{settled}");

    let staff = Http::as_staff(tracking.url().await);
    let mut events = Events::open(&staff, "/events?from=start", None).await;
    let history = events.take(usize::try_from(changes).unwrap()).await;
    let told: HashSet<_> = history.iter().map(|event| (event.order(), event.new_status())).collect();
    assert_eq!(told.len(), history.len(), "each change once");
    for (number, status) in
        [(0, "completed"), (1, "ready"), (3, "cooking"), (4, "cancelled"), (5, "received")]
    {
        assert!(told.contains(&(&*numbers[number], status)), "{number} {status}: {told:?}");
    }

    let orders = env.spawn(&["order-service", "--port", "0"]);
    orders.wait_for_action("db_connected").await;
    let new = Http::of(&orders).await.place(&takeout()).await;
    let sequence = |number: &str| number[13..].parse::<u32>().unwrap();
    let last = numbers.iter().max().unwrap();
    assert!(new[..12] != last[..12] || sequence(&new) == sequence(last) + 1, "{new} after {last}");

    let _chef = env.spawn(&["kitchen-worker", "--worker-name", "chef_luigi", "--cook-seconds", "0"]);
    let mut ready = HashSet::new();
    // The one that waited, the one whose cook was left behind, and the new one.
    while ready.len() < 3 {
        let event = events.next().await.unwrap();
        if event.new_status() == "ready" {
            ready.insert(event.order().to_owned());
        }
    }
    assert_eq!(ready, HashSet::from([numbers[3].clone(), numbers[5].clone(), new]));
    assert!(orders.logs_of("restored_database_settled").is_empty(), "once");
    drop((tracking, orders));
    blocking(move || other.kill()).await;
}

#[tokio::test]
async fn a_role_that_may_not_settle_a_restored_database_says_so_and_serves() {
    let env = TestEnv::new().await;
    let db = env.connect().await;
    db.batch_execute("update database_cluster set system_identifier = 1").await.unwrap();
    let tracking = env.spawn(&["tracking-service", "--port", "0"]);
    tracking.wait_for_action("restored_database_unsettled").await;
    tracking.wait_for_action("db_connected").await;
    env.migrate().await;
    assert_eq!(count(&db, "database_cluster where system_identifier <> 1").await, 1, "the cluster is noted");
}
