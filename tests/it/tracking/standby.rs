//! The tracking service on a hot standby: it reads there, follows, waits for what it was told elsewhere, and writes nothing.

use super::{Order, Tracking, advance};
use crate::support::{
    self, Http, OWNER, TestEnv, blocking, eventually, new_state_dir, servers_options, store_options,
};
use private_servers::PostgresServer;
use restaurant_system::store::{StaffSession, Store, StoreAccess, StoreOptions};
use std::sync::Arc;
use tempfile::TempDir;
use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;

const N: &str = "ORD_20261122_001";
const OTHER: &str = "ORD_20261122_002";
const SLOW: &str = "ORD_20261122_003";

/// An account that may read what tracking needs, before there is any of it.
const READER: &str = "create role tracking login password 'restaurant_pass'";
const MAY_READ: &str = "alter default privileges grant select on tables to tracking";

/// A primary, and a standby that follows it.
struct Pair {
    primary: Arc<PostgresServer>,
    standby: Arc<PostgresServer>,
    _dir: TempDir,
}

impl Pair {
    /// With the account of tracking, and an empty database.
    async fn start() -> (Self, TestEnv) {
        let dir = new_state_dir();
        let (first, second) = (dir.path().join("first"), dir.path().join("second"));
        let (primary, standby) = blocking(move || {
            let options = || servers_options().postgres;
            let primary = PostgresServer::start(&first, options()).unwrap();
            primary.query(READER).unwrap();
            let standby = PostgresServer::start_standby(&second, &primary, options()).unwrap();
            (Arc::new(primary), Arc::new(standby))
        })
        .await;
        connect(&primary).await.batch_execute(MAY_READ).await.unwrap();
        (Self { primary, standby, _dir: dir }, TestEnv::new().await)
    }

    /// With the schema, and two orders.
    async fn with_orders() -> (Self, TestEnv, Client) {
        let (pair, env) = Self::start().await;
        pair.migrate(&env).await;
        let db = connect(&pair.primary).await;
        for number in [N, OTHER] {
            Order::new(number).insert(&db).await;
        }
        (pair, env, db)
    }

    /// At the primary, as the owner of the tables.
    async fn migrate(&self, env: &TestEnv) {
        configure(env, &[&self.primary], "restaurant_user");
        env.migrate().await;
    }

    async fn has_replayed(&self, db: &Client) {
        has_replayed(&self.standby, db).await;
    }
}

/// Has the environment's configuration lead to these servers.
fn configure(env: &TestEnv, servers: &[&PostgresServer], user: &str) {
    let hosts: Vec<_> = servers.iter().map(|server| format!("\"127.0.0.1:{}\"", server.port())).collect();
    let (rabbitmq, vhost) = (env.servers.rabbitmq.amqp_port(), &env.vhost);
    let text = format!(
        "database:\n  host: [{}]\n  user: {user}\n  connect_timeout_seconds: 3\nrabbitmq:\n  host: 127.0.0.1\n  \
         port: {rabbitmq}\n  vhost: \"{vhost}\"\ntracking: {{public_lists: true}}\n",
        hosts.join(", ")
    );
    std::fs::write(env.config(), text).unwrap();
}

/// A tracking service on these servers.
async fn tracking(env: TestEnv, servers: &[&PostgresServer], db: Client) -> Tracking {
    configure(&env, servers, "tracking");
    let role = env.spawn(&["tracking-service", "--port", "0"]);
    let http = Http::as_staff(role.url().await);
    role.wait_for_action("db_connected").await;
    Tracking { env, role, http, db }
}

async fn connect(server: &PostgresServer) -> Client {
    support::connect(server.port(), "restaurant_db", OWNER).await
}

async fn query(server: &Arc<PostgresServer>, sql: &'static str) -> String {
    let server = Arc::clone(server);
    blocking(move || server.query(sql).unwrap()).await
}

/// Waits until the standby shows all that the primary has committed.
async fn has_replayed(standby: &Arc<PostgresServer>, db: &Client) {
    arrives(standby, db, "pg_last_wal_replay_lsn()").await;
}

async fn arrives(standby: &Arc<PostgresServer>, db: &Client, place: &str) {
    let written: String = db.query_one("select pg_current_wal_lsn()::text", &[]).await.unwrap().get(0);
    let at_standby = connect(standby).await;
    let sql = format!("select {place} >= '{written}'::pg_lsn");
    eventually("the standby has it", || async {
        at_standby.query_one(&sql, &[]).await.unwrap().get::<_, Option<bool>>(0) == Some(true)
    })
    .await;
}

#[tokio::test]
async fn an_account_that_may_only_read_serves_from_a_standby_alone_once_the_schema_is_there() {
    let (pair, env) = Pair::start().await;
    configure(&env, &[&pair.standby], "tracking");
    let role = env.spawn(&["tracking-service", "--port", "0"]);
    let http = Http::as_staff(role.url().await);
    let awaited = role.wait_for_action("schema_awaited").await;
    assert!(
        awaited["error"].to_string().contains("run `restaurant-system migrate` as the owner"),
        "{awaited}"
    );
    assert_eq!(http.readiness().await.0, 503);

    pair.migrate(&env).await;
    role.wait_for_action("db_connected").await;
    let db = connect(&pair.primary).await;
    Order::new(N).insert(&db).await;
    pair.has_replayed(&db).await;
    let (status, ready) = http.readiness().await;
    assert_eq!(status, 200, "{ready}");
    assert!(ready.to_string().contains("the server is a standby"), "{ready}");

    let tracking = Tracking { env, role, http, db };
    let mut all = tracking.events("/events", None).await;
    let mut own = tracking.events(&format!("/orders/{N}/events"), None).await;
    assert_eq!((all.take(1).await[0].order(), own.take(1).await[0].new_status()), (N, "received"));
    advance(&tracking.db, N, "cooking", "chef_anna").await;
    assert_eq!(
        (all.take(1).await[0].new_status(), own.take(1).await[0].new_status()),
        ("cooking", "cooking")
    );
    for path in [
        format!("/orders/{N}/status"),
        format!("/orders/{N}/history"),
        "/orders".into(),
        "/workers/status".into(),
    ] {
        tracking.get(&path).await;
    }
    assert_eq!(tracking.role.logs_of("schema_awaited").len(), 1, "{:?}", tracking.role.output());
    assert_eq!(tracking.role.logs_of("db_standby_used").len(), 1);
    assert!(!tracking.role.logs().iter().any(|log| log["level"] == "ERROR"), "{:?}", tracking.role.output());
}

#[tokio::test]
async fn what_a_transaction_of_the_primary_holds_back_is_told_once_on_a_standby() {
    let (pair, env, db) = Pair::with_orders().await;
    let slow = connect(&pair.primary).await;
    slow.batch_execute("begin").await.unwrap();
    Order::new(SLOW).insert(&slow).await;
    advance(&db, N, "cooking", "chef_anna").await;
    pair.has_replayed(&db).await;
    let tracking = tracking(env, &[&pair.standby], db).await;
    let mut stream = tracking.events("/events", None).await;
    let open = stream.take(2).await;
    let shown: Vec<_> = open.iter().map(|event| (event.order(), event.new_status())).collect();
    assert_eq!(shown, [(OTHER, "received"), (N, "cooking")]);
    slow.batch_execute("commit").await.unwrap();
    let late = stream.next().await.unwrap();
    assert_eq!((late.order(), late.new_status()), (SLOW, "received"));
    advance(&tracking.db, N, "ready", "chef_anna").await;
    let next = stream.next().await.unwrap();
    assert_eq!((next.order(), next.new_status()), (N, "ready"), "nothing came twice");
    // Who was cut off in between has missed nothing.
    let mut rest = tracking.events("/events", Some(&open[1].id)).await;
    while rest.next().await.unwrap() != late {}
}

#[tokio::test]
async fn when_only_a_standby_is_left_streams_go_on_there_without_a_gap_or_a_repeat() {
    let (pair, env, db) = Pair::with_orders().await;
    let (primary, standby) = (Arc::clone(&pair.primary), Arc::clone(&pair.standby));
    pair.has_replayed(&db).await;
    let tracking = tracking(env, &[&standby, &primary], db).await;
    assert_eq!(tracking.role.logs_of("db_standby_used").len(), 0, "the primary is preferred");
    let own_path = format!("/orders/{N}/events");
    let (mut all, mut own) = (tracking.events("/events", None).await, tracking.events(&own_path, None).await);
    all.take(2).await;
    own.take(1).await;
    // What the standby has received, and does not show yet.
    query(&standby, "select pg_wal_replay_pause()").await;
    advance(&tracking.db, N, "cooking", "chef_anna").await;
    let (told, own_told) = (all.next().await.unwrap(), own.next().await.unwrap());
    assert_eq!((told.new_status(), own_told.new_status()), ("cooking", "cooking"));
    arrives(&standby, &tracking.db, "pg_last_wal_receive_lsn()").await;
    blocking(move || primary.kill()).await;
    tracking.role.wait_for_action("db_standby_used").await;
    tracking.http.wait_ready().await;
    assert_eq!(
        tracking.get(&format!("/orders/{N}/status")).await["current_status"],
        "received",
        "it is behind"
    );
    let mut came_back = tracking.events("/events", Some(&told.id)).await;
    let mut own_came_back = tracking.events(&own_path, Some(&own_told.id)).await;

    query(&standby, "select pg_promote()").await;
    let promoted = connect(&standby).await;
    advance(&promoted, N, "ready", "chef_anna").await;
    for stream in [&mut all, &mut own, &mut came_back, &mut own_came_back] {
        let next = stream.next().await.unwrap();
        assert_eq!((next.event.as_str(), next.new_status()), ("status", "ready"));
    }
    tracking.role.wait_for_action("db_primary_used").await;
    assert_eq!(tracking.role.logs_of("event_streams_reset").len(), 0, "{:?}", tracking.role.output());
}

#[tokio::test]
async fn who_began_on_a_standby_goes_to_the_primary_when_that_is_there() {
    let (pair, env, db) = Pair::with_orders().await;
    pair.has_replayed(&db).await;
    let (primary, standby) = (Arc::clone(&pair.primary), Arc::clone(&pair.standby));
    let stopped = Arc::clone(&primary);
    blocking(move || stopped.stop()).await;
    let tracking = tracking(env, &[&primary, &standby], db).await;
    tracking.role.wait_for_action("db_standby_used").await;
    let mut all = tracking.events("/events", None).await;
    all.take(2).await;
    let started = Arc::clone(&primary);
    blocking(move || started.restart().unwrap()).await;
    tracking.role.wait_for_action("db_primary_used").await;
    let db = connect(&primary).await;
    advance(&db, N, "cooking", "chef_anna").await;
    assert_eq!(all.next().await.unwrap().new_status(), "cooking");
    let (status, ready) = tracking.http.readiness().await;
    assert!(status == 200 && !ready.to_string().contains("standby"), "{ready}");
    assert_eq!(tracking.role.logs_of("event_streams_reset").len(), 0);
}

#[tokio::test]
async fn a_session_of_the_staff_is_known_on_a_standby_and_not_renewed_there() {
    let (pair, _env, db) = Pair::with_orders().await;
    const SESSION: &str = "insert into staff_sessions (token_sha256, name, password_sha256, last_used_at)
        values (sha256('token'), 'max', sha256('password'), now() - interval '1 hour') returning token_sha256";
    let token: Vec<u8> = db.query_one(SESSION, &[]).await.unwrap().get(0);
    let token = <[u8; 32]>::try_from(token).unwrap();
    pair.has_replayed(&db).await;
    let last_used = "select now() - last_used_at > interval '1 hour' from staff_sessions";
    for (server, of_unknown, is_renewed) in
        [(&pair.standby, StaffSession::Over, false), (&pair.primary, StaffSession::Unknown, true)]
    {
        let options = StoreOptions { writes: false, ..store_options(server.port(), "restaurant_db") };
        let store = Store::new(options, CancellationToken::new()).unwrap();
        store.prepare().await.unwrap();
        assert!(matches!(store.staff_session(&token).await.unwrap(), StaffSession::Live { .. }));
        // One that has just begun may not have come to the standby.
        assert_eq!(store.staff_session(&[0; 32]).await.unwrap(), of_unknown);
        assert_eq!(db.query_one(last_used, &[]).await.unwrap().get::<_, bool>(0), !is_renewed);
    }
}
