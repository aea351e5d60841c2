//! Each role has no more rights than it needs: what they are, that they are enough, and who waits for them.

use crate::kitchen::kit::{Kit, MESSAGES_ONLY, SHORT_GRACE};
use crate::support::{
    Events, Http, OWNER, Role, TestEnv, blocking, connect, dine_in, eventually, new_state_dir,
    servers_options, takeout,
};
use private_servers::PostgresServer;
use restaurant_system::store::{ReconcilerStore, Store, StoreAccess};
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;
use tokio_util::sync::CancellationToken;

const ORDER: &str = "restaurant_order";
const TRACKING: &str = "restaurant_tracking";
const KITCHEN: &str = "restaurant_kitchen";

/// All that each group may do; columns where it is not the whole table.
const RIGHTS: &[(&str, &str, &str)] = &[
    (ORDER, "broker_mark", "insert, select"),
    (ORDER, "cooking_times", "select"),
    (ORDER, "database_cluster", "select"),
    (ORDER, "database_writes", "select, update"),
    (ORDER, "idempotency_keys", "delete, insert, select, update (created_at)"),
    (ORDER, "intake_pauses", "delete, insert, select, update"),
    (ORDER, "intake_quarters", "delete, insert, select, update"),
    (ORDER, "intake_sources", "delete, insert, select"),
    (ORDER, "order_counters", "insert, select, update"),
    (ORDER, "order_items", "insert, select"),
    (ORDER, "order_status_log", "insert, select, update (created_at)"),
    (
        ORDER,
        "orders",
        "insert, select, update (announced_again, announced_again_at, attempt, claimed_at, completed_at, estimated_completion, \
         status, updated_at)",
    ),
    (ORDER, "orders_id_seq", "usage"),
    (ORDER, "outbox", "delete, insert, select, update"),
    (ORDER, "refinery_schema_history", "select"),
    (ORDER, "staff_actions", "insert, select"),
    (ORDER, "menu", "insert, select, update"),
    (ORDER, "menu_shortages", "delete, insert, select, update"),
    (ORDER, "staff_sessions", "delete, insert, select, update (ended_at, last_used_at)"),
    (ORDER, "workers", "select"),
    (TRACKING, "cooking_times", "select"),
    (TRACKING, "database_cluster", "select"),
    (TRACKING, "order_items", "select (order_id, quantity)"),
    (TRACKING, "order_status_log", "select"),
    (
        TRACKING,
        "orders",
        "select (claimed_at, completed_at, created_at, estimated_completion, id, number, priority, processed_by, status, \
         total_amount, type, updated_at)",
    ),
    (TRACKING, "outbox", "select (log_id, log_ids, written_at)"),
    (TRACKING, "refinery_schema_history", "select"),
    (TRACKING, "staff_sessions", "select, update (last_used_at)"),
    (TRACKING, "workers", "select"),
    (KITCHEN, "cooking_times", "insert, select, update"),
    (KITCHEN, "database_cluster", "select"),
    (KITCHEN, "database_writes", "select, update"),
    (KITCHEN, "order_items", "select"),
    (KITCHEN, "order_status_log", "insert, select"),
    (
        KITCHEN,
        "orders",
        "select, update (attempt, claimed_at, completed_at, estimated_completion, processed_by, status, updated_at)",
    ),
    (KITCHEN, "outbox", "delete, insert, select, update"),
    (KITCHEN, "refinery_schema_history", "select"),
    (KITCHEN, "staff_actions", "insert"),
    (KITCHEN, "staff_sessions", "insert, select, update (ended_at, last_used_at)"),
    (KITCHEN, "station_items", "delete, insert, select"),
    (KITCHEN, "station_tickets", "insert, select, update"),
    (KITCHEN, "workers", "insert, select, update"),
];

/// What PostgreSQL says of that, however it came to be: a group's own rights and those of everybody.
const FOUND: &str = "
with each as (
    select g.rolname::text as grantee, c.oid, c.relname::text as relation, p.privilege,
           case when c.relkind = 'S' then has_sequence_privilege(g.oid, c.oid, p.privilege)
                else has_table_privilege(g.oid, c.oid, p.privilege) end as whole,
           (select string_agg(a.attname, ', ' order by a.attname) from pg_attribute a
            where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and c.relkind <> 'S'
              and p.privilege in ('insert', 'references', 'select', 'update')
              and has_column_privilege(g.oid, c.oid, a.attnum, p.privilege)) as columns
    from pg_roles g, pg_class c join pg_namespace n on n.oid = c.relnamespace,
         unnest(array['delete', 'insert', 'references', 'select', 'trigger', 'truncate', 'update', 'usage']) as p (privilege)
    where g.rolname = any($1) and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
      and n.nspname <> 'information_schema' and n.nspname not like 'pg\\_%'
      and (p.privilege = 'usage') = (c.relkind = 'S')
)
select grantee, relation,
       string_agg(privilege || case when whole then '' else ' (' || columns || ')' end, ', ' order by privilege)
from each where whole or columns is not null group by grantee, relation";

/// A role's account, which is in its group.
fn account_of(group: &str) -> &'static str {
    match group {
        ORDER => "restaurant_order_service",
        TRACKING => "restaurant_tracking_service",
        _ => "restaurant_kitchen_worker",
    }
}

async fn connect_as(account: &str, port: u16, database: &str) -> Client {
    connect(port, database, (account, OWNER.1)).await
}

#[tokio::test]
async fn each_group_has_exactly_the_rights_that_its_role_needs() {
    let env = TestEnv::new().await;
    let db = env.connect().await;
    let groups = [ORDER, TRACKING, KITCHEN];
    let rows = db.query(FOUND, &[&&groups[..]]).await.unwrap();
    let mut found: Vec<(String, String, String)> =
        rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
    let owned = |(group, table, rights): &(&str, &str, &str)| {
        (String::from(*group), String::from(*table), String::from(*rights))
    };
    let mut expected: Vec<_> = RIGHTS.iter().map(owned).collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
    // Nor is there a way around them.
    let others = "select count(*) filter (where has_schema_privilege(g.oid, 'public', 'create')),
               count(*) filter (where g.rolcanlogin or g.rolsuper or g.rolcreaterole or g.rolcreatedb or g.rolbypassrls),
               (select count(*) from pg_proc where prosecdef and pronamespace = 'public'::regnamespace),
               (select count(*) from pg_auth_members m join pg_roles r on r.oid = m.member where r.rolname = any($1))
        from pg_roles g where g.rolname = any($1)";
    let row = db.query_one(others, &[&&groups[..]]).await.unwrap();
    assert_eq!([0, 1, 2, 3].map(|column| row.get::<_, i64>(column)), [0; 4]);
}

/// What a broken service would like to do, as its group.
const FORBIDDEN: &[(&str, &str)] = &[
    (ORDER, "drop table orders"),
    (ORDER, "delete from orders"),
    (ORDER, "truncate orders"),
    (ORDER, "update orders set total_amount = 1"),
    (ORDER, "update orders set processed_by = 'me'"),
    (ORDER, "update order_items set price = 1"),
    (ORDER, "update order_status_log set changed_by = 'me'"),
    (ORDER, "delete from order_status_log"),
    (ORDER, "alter table orders disable trigger all"),
    (ORDER, "drop trigger orders_status_transition on orders"),
    (ORDER, "create table mine (id int)"),
    (ORDER, "create or replace function outbox_forget_all_changes() returns trigger language sql as ''"),
    (ORDER, "delete from workers"),
    (ORDER, "update staff_actions set name = 'me'"),
    (ORDER, "delete from staff_actions"),
    (ORDER, "update staff_sessions set name = 'me'"),
    (ORDER, "update refinery_schema_history set checksum = '1'"),
    (ORDER, "grant select on station_tickets to public"),
    (TRACKING, "select customer_name from orders"),
    (TRACKING, "select delivery_address from orders"),
    (TRACKING, "select notes from orders"),
    (TRACKING, "select table_number from orders"),
    (TRACKING, "select * from orders"),
    (TRACKING, "select name from order_items"),
    (TRACKING, "select key from idempotency_keys"),
    (TRACKING, "select order_id from outbox"),
    (TRACKING, "insert into outbox (log_id, order_id, announces) values (1, 1, 'status')"),
    (TRACKING, "update orders set status = 'cancelled'"),
    (TRACKING, "select id from orders for update"),
    (TRACKING, "delete from workers"),
    (TRACKING, "select name from staff_actions"),
    (TRACKING, "update staff_sessions set ended_at = null"),
    (TRACKING, "insert into staff_sessions (token_sha256) values ('')"),
    (TRACKING, "update database_writes set writing_ms = 0"),
    (TRACKING, "create table mine (id int)"),
    (
        KITCHEN,
        "insert into orders (number, customer_name, type, total_amount) values ('ORD_20261122_001', 'A', 'takeout', 1)",
    ),
    (KITCHEN, "delete from orders"),
    (KITCHEN, "update orders set total_amount = 1"),
    (KITCHEN, "update orders set customer_name = 'me'"),
    (KITCHEN, "select key from idempotency_keys"),
    (KITCHEN, "update order_status_log set changed_by = 'me'"),
    (KITCHEN, "delete from order_status_log"),
    (KITCHEN, "delete from workers"),
    (KITCHEN, "update staff_sessions set name = 'me'"),
    (KITCHEN, "delete from staff_sessions"),
    (KITCHEN, "select name from staff_actions"),
    (KITCHEN, "delete from station_tickets"),
    (KITCHEN, "drop table workers"),
];

#[tokio::test]
async fn what_a_role_has_no_right_to_is_refused_by_the_server() {
    let env = TestEnv::new().await;
    let port = env.servers.postgres.port();
    for group in [ORDER, TRACKING, KITCHEN] {
        let db = connect_as(account_of(group), port, &env.database).await;
        for (_, sql) in FORBIDDEN.iter().filter(|(who, _)| *who == group) {
            let refused = db.batch_execute(sql).await.expect_err(sql);
            assert_eq!(
                refused.code(),
                Some(&SqlState::INSUFFICIENT_PRIVILEGE),
                "{group}: {sql}: {refused:?}"
            );
        }
    }
}

#[tokio::test]
async fn roles_with_accounts_of_their_own_take_cook_tell_and_cancel_orders() {
    let kit = Kit::with(SHORT_GRACE).await;
    let tracking = kit.env.spawn(&["tracking-service", "--port", "0"]);
    tracking.wait_for_action("db_connected").await;
    let staff = Http::as_staff(tracking.url().await);
    let get = async |path: &str| staff.get(path).await.ok();
    let mut events = Events::open(&staff, "/events?from=start", None).await;
    let cancelled = kit.place("delivery").await;
    kit.http.change(&cancelled, "cancel").await;
    let chef = kit.working("chef_anna", &["--heartbeat-interval", "0.1"]).await;
    let key = [("idempotency-key", "once")];
    let cooked = kit.http.place_with(&dine_in(), &key).await;
    assert_eq!(kit.http.place_with(&dine_in(), &key).await, cooked);
    kit.wait_ready(std::slice::from_ref(&cooked)).await;
    kit.http.change(&cooked, "complete").await;
    assert!(kit.http.get("/intake").await.ok()["estimate_minutes"]["dine_in"].is_u64());
    let details = kit.http.staff("GET", &format!("/orders/{cooked}")).await.ok();
    assert_eq!(details["customer_name"], "Ada Lovelace");

    assert_eq!(get(&format!("/orders/{cooked}/status")).await["current_status"], "completed");
    assert_eq!(get(&format!("/orders/{cooked}/history")).await.as_array().unwrap().len(), 4);
    assert_eq!(get("/workers/status").await[0]["worker_name"], "chef_anna");
    let waiting = kit.http.place(&takeout()).await;
    assert!(get(&format!("/orders/{waiting}/status")).await["current_status"].is_string());
    let listed = get("/orders?status=completed&status=cancelled").await;
    assert_eq!(listed["orders"].as_array().unwrap().len(), 2, "{listed}");
    while events.next().await.unwrap().order() != waiting {}
    kit.wait_ready(&[waiting]).await;
    kit.wait_announced().await;
    for role in [&kit.orders, &tracking, &chef] {
        assert!(!role.lines().concat().contains("permission denied"), "{:?}", role.lines());
    }
}

/// The program's own store, with the account of the order service.
async fn store_of_the_order_service(env: &TestEnv) -> Store {
    let mut options = crate::support::store_options(env.servers.postgres.port(), &env.database);
    options.server.user = account_of(ORDER).to_owned();
    let store = Store::new(options, CancellationToken::new()).unwrap();
    store.prepare().await.unwrap();
    store
}

#[tokio::test]
async fn what_the_order_service_and_queues_migrate_do_now_and_then_is_among_its_rights() {
    let kit = Kit::with(MESSAGES_ONLY).await;
    let number = kit.place("takeout").await;
    let chef = kit.working("chef_anna", &[]).await;
    kit.wait_ready(&[number]).await;
    drop(chef);
    kit.place("delivery").await;
    kit.wait_announced().await;
    let store = store_of_the_order_service(&kit.env).await;
    store.note_sentinel().await.unwrap();
    assert!(store.announce_everything(Duration::from_secs(3600), 100).await.unwrap() > 0);
    assert!(store.announce_waiting(100).await.is_ok());
    store.announce_late_orders(0, 100, Duration::ZERO).await.unwrap();
    store.outbox_rows(10).await.unwrap();
    store.forget_idempotency_keys(Duration::ZERO).await.unwrap();
}

/// The three roles that use the database.
fn spawn_all(env: &TestEnv) -> [Role; 3] {
    [
        env.spawn(&["order-service", "--port", "0"]),
        env.spawn(&["tracking-service", "--port", "0"]),
        env.spawn(&["kitchen-worker", "--worker-name", "chef_anna", "--cook-seconds", "0"]),
    ]
}

async fn cooks_an_order(env: &TestEnv, order_service: &Role) {
    let number = Http::of(order_service).await.place(&takeout()).await;
    let db = env.connect().await;
    eventually("the order is ready", || async {
        let row = db.query_one("select status from orders where number = $1", &[&number]).await.unwrap();
        row.get::<_, String>(0) == "ready"
    })
    .await;
}

async fn migrate_as(env: &TestEnv, account: &str) -> Output {
    let mut command = env.command(&["migrate", "--log-format", "json", "--timeout", "20"]);
    command.env("RESTAURANT_DATABASE_USER", account);
    blocking(move || command.output().unwrap()).await
}

#[tokio::test]
async fn a_role_that_may_not_migrate_waits_for_whoever_may_says_so_once_and_goes_on() {
    let mut env = TestEnv::unmigrated().await;
    env.use_own_accounts(true);
    let roles = spawn_all(&env);
    for role in &roles {
        let said = role.wait_for_action("schema_awaited").await;
        assert!(said["error"]["msg"].as_str().unwrap().contains("no migration is applied"), "{said}");
    }
    let http = Http::of(&roles[0]).await;
    let (status, ready) = http.readiness().await;
    let warned = ready["checks"]["postgresql"]["warnings"].to_string();
    assert!(status == 503 && warned.contains("restaurant-system migrate"), "{status} {ready}");
    http.post(&takeout()).await.problem(503);

    let refused = migrate_as(&env, account_of(ORDER)).await;
    let text = String::from_utf8(refused.stdout).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{text}");
    assert!(text.contains("as the owner of the tables") && text.contains(account_of(ORDER)), "{text}");

    env.migrate().await;
    for role in &roles {
        role.wait_for_action("db_connected").await;
        assert_eq!(role.logs_of("schema_awaited").len(), 1, "once");
    }
    let (status, ready) = http.readiness().await;
    assert!(status == 200 && !ready.to_string().contains("restaurant-system migrate"), "{status} {ready}");
    cooks_an_order(&env, &roles[0]).await;
}

/// As in a database of before there were groups, or one that was restored without its grants.
async fn revoke_everything(db: &Client) {
    for group in [ORDER, TRACKING, KITCHEN] {
        db.batch_execute(&format!("drop owned by {group}")).await.unwrap_or(());
        let sql = format!(
            "revoke all on all tables in schema public from {group};
             revoke all on all sequences in schema public from {group}"
        );
        db.batch_execute(&sql).await.unwrap();
    }
}

#[tokio::test]
async fn a_database_without_grants_is_mended_by_the_next_migrate_while_the_roles_wait() {
    let env = TestEnv::new().await;
    let db = env.connect().await;
    revoke_everything(&db).await;
    let roles = spawn_all(&env);
    for role in &roles {
        role.wait_for_action("schema_awaited").await;
    }
    // A part of them is not enough.
    db.batch_execute(&format!("grant select on refinery_schema_history to {ORDER}, {TRACKING}, {KITCHEN}"))
        .await
        .unwrap();
    let late = env.spawn(&["order-service", "--port", "0"]);
    let said = late.wait_for_action("schema_awaited").await;
    assert!(said["error"]["msg"].as_str().unwrap().contains("to restaurant_order"), "{said}");

    let granted = migrate_as(&env, "restaurant_user").await;
    assert!(String::from_utf8(granted.stdout).unwrap().contains("rights_granted"));
    for role in roles.iter().chain([&late]) {
        role.wait_for_action("db_connected").await;
    }
    cooks_an_order(&env, &roles[0]).await;
    let again = migrate_as(&env, "restaurant_user").await;
    assert!(!String::from_utf8(again.stdout).unwrap().contains("rights_granted"), "nothing is written twice");
}

#[tokio::test]
async fn one_account_for_all_still_works() {
    let mut env = TestEnv::unmigrated().await;
    env.use_own_accounts(false);
    let roles = spawn_all(&env);
    for role in &roles {
        role.wait_for_action("db_connected").await;
        assert!(role.logs_of("schema_awaited").is_empty());
    }
    cooks_an_order(&env, &roles[0]).await;
}

/// Runs the block of docs/OPERATIONS.md that makes groups, accounts and drop-ins: in this folder, on this server.
async fn make_accounts(folder: &Path, server: &PostgresServer) {
    let document = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/OPERATIONS.md");
    let text = std::fs::read_to_string(document).unwrap();
    let (_, block) = text.split_once("<!-- run: role-accounts -->\n```sh\n").unwrap();
    let block = block.split_once("```").unwrap().0;
    let folder = folder.to_str().unwrap();
    let script = format!("runuser() {{ shift 3; \"$@\"; }}\n{block}")
        .replace("/etc/restaurant-system", folder)
        .replace("/etc/systemd/system", folder);
    let mut command = Command::new("sh");
    command.args(["-euc", &script]).env("PGHOST", "127.0.0.1").env("PGPORT", server.port().to_string());
    command.env("PGUSER", "postgres").env("PGPASSFILE", server.password_file());
    let output = blocking(move || command.output().unwrap()).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn a_group_that_is_made_after_the_migrations_is_granted_its_rights_by_the_next() {
    let state = new_state_dir();
    let home = state.path().join("postgresql");
    let options = servers_options().postgres;
    let server = blocking(move || {
        let server = PostgresServer::start(&home, options).unwrap();
        for group in [ORDER, TRACKING, KITCHEN] {
            server.query(&format!("drop role {}, {group}", account_of(group))).unwrap();
        }
        server
    })
    .await;
    let env = TestEnv::unmigrated().await;
    env.edit_config(|text| {
        text.replace(&format!("port: {}", env.servers.postgres.port()), &format!("port: {}", server.port()))
            .replace(&format!("database: {}", env.database), "database: restaurant_db")
    });
    let migrated = migrate_as(&env, "restaurant_user").await;
    let text = String::from_utf8(migrated.stdout).unwrap();
    assert!(migrated.status.success() && !text.contains("rights_"), "{text}");

    make_accounts(env.dir(), &server).await;
    assert!(migrate_as(&env, "restaurant_user").await.status.success());
    for (unit, group) in
        [("order-service", ORDER), ("tracking-service", TRACKING), ("kitchen-worker@", KITCHEN)]
    {
        let drop_in = env.dir().join(format!("{unit}.service.d/restaurant-database-account.conf"));
        let drop_in = std::fs::read_to_string(drop_in).unwrap();
        let setting =
            |name: &str| drop_in.lines().find_map(|line| line.strip_prefix(name)).unwrap().to_owned();
        assert_eq!(setting("Environment=RESTAURANT_DATABASE_USER="), account_of(group));
        let password = std::fs::read_to_string(setting("LoadCredential=database-password:")).unwrap();
        let db = connect(server.port(), "restaurant_db", (account_of(group), password.trim())).await;
        db.batch_execute("select number, status from orders").await.unwrap();
        let refused = db.batch_execute("delete from orders").await.unwrap_err();
        assert_eq!(refused.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE));
    }
    blocking(move || server.kill()).await;
}
