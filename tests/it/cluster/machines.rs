//! The servers of several machines on loopback: a RabbitMQ cluster of three nodes, a PostgreSQL primary and its standby.
//!
//! What has to do with a server's process blocks: it is called through [`blocking`].

use crate::crash::deployment::insist;
use crate::support::{blocking, new_state_dir, servers_options};
use private_servers::{PostgresServer, RabbitMqCluster, RabbitMqServer, watch};
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub const BROKERS: usize = 3;
/// How long a standby may take to follow, and a broker to know of its queues.
const REPAIR_DEADLINE: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(200);
/// How long one call of a broker's HTTP API may take: a frozen one does not answer.
const API_TIMEOUT: Duration = Duration::from_secs(8);

/// All servers.
pub struct Machines {
    pub brokers: RabbitMqCluster,
    pub databases: [PostgresServer; 2],
    /// Which of the databases takes writes.
    primary: AtomicUsize,
    http: reqwest::Client,
    _state: TempDir,
}

impl Machines {
    /// Starts all of them.
    pub async fn start() -> Arc<Self> {
        blocking(|| {
            let state = new_state_dir();
            watch::remove_at_end(state.path()).unwrap();
            let mut options = servers_options();
            options.rabbitmq.start_timeout = Duration::from_secs(300);
            let brokers = RabbitMqCluster::start(&state.path().join("rabbitmq"), BROKERS, &options.rabbitmq)
                .expect("a cluster of brokers starts");
            let primary = PostgresServer::start(&state.path().join("postgres1"), options.postgres.clone())
                .expect("a primary starts");
            let home = state.path().join("postgres2");
            let standby =
                PostgresServer::start_standby(&home, &primary, options.postgres).expect("a standby starts");
            let http =
                reqwest::Client::builder().pool_max_idle_per_host(0).timeout(API_TIMEOUT).build().unwrap();
            let databases = [primary, standby];
            Arc::new(Self { brokers, databases, primary: AtomicUsize::new(0), http, _state: state })
        })
        .await
    }

    /// Runs what blocks.
    pub async fn with<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> T {
        let machines = Arc::clone(self);
        blocking(move || work(&machines)).await
    }

    /// The database that takes writes.
    pub fn primary(&self) -> &PostgresServer {
        &self.databases[self.primary.load(Ordering::Relaxed)]
    }

    /// The other one.
    pub fn standby(&self) -> &PostgresServer {
        &self.databases[1 - self.primary.load(Ordering::Relaxed)]
    }

    /// The standby becomes the primary, as docs/OPERATIONS.md has it: it waits for no standby of its own.
    pub fn promote(&self) {
        let standby = self.standby();
        standby.query("alter system set synchronous_standby_names = ''").unwrap();
        standby.query("select pg_reload_conf()").unwrap();
        standby.query("select pg_promote()").unwrap();
        self.primary.fetch_xor(1, Ordering::Relaxed);
    }

    /// Everything runs again as at the beginning, whatever was done to it.
    pub fn repair(&self, synchronous: bool) {
        self.restart_brokers();
        let primary = self.primary();
        if !primary.is_running() {
            insist("PostgreSQL", || primary.restart());
        }
        primary.query("alter system set synchronous_standby_names = ''").unwrap();
        primary.query("select pg_reload_conf()").unwrap();
        let standby = self.standby();
        if !standby.is_running() || !self.standby_follows() {
            insist("the standby", || standby.follow(primary));
        }
        until("the standby follows", || self.standby_follows());
        if synchronous {
            primary.query("alter system set synchronous_standby_names = '*'").unwrap();
            primary.query("select pg_reload_conf()").unwrap();
            let is_synchronous = "select count(*) from pg_stat_replication where sync_state = 'sync'";
            until("the standby is synchronous", || primary.query(is_synchronous).unwrap() == "1");
        }
    }

    /// Whether the standby has all that the primary had a moment ago.
    pub fn standby_follows(&self) -> bool {
        const FOLLOWS: &str = "select count(*) from pg_stat_replication where state = 'streaming'";
        self.primary().query(FOLLOWS).is_ok_and(|count| count == "1")
    }

    /// Starts the brokers that are down, at the same time: after the end of all they wait for each other.
    pub fn restart_brokers(&self) {
        std::thread::scope(|scope| {
            for broker in self.brokers.nodes().iter().filter(|broker| !broker.is_running()) {
                scope.spawn(|| insist("RabbitMQ", || broker.restart()));
            }
        });
    }

    /// One call of the HTTP API, of whichever broker answers.
    pub async fn api(&self, method: reqwest::Method, path: &str, body: Option<&Value>) -> Option<Value> {
        for broker in self.brokers.nodes() {
            let url = format!("http://127.0.0.1:{}/api/{path}", broker.management_port()?);
            let request = self.http.request(method.clone(), url).basic_auth("guest", Some("guest"));
            let request = if let Some(body) = body { request.json(body) } else { request };
            let Ok(response) = request.send().await else { continue };
            if response.status().is_success() {
                let text = response.text().await.unwrap_or_default();
                return Some(serde_json::from_str(&text).unwrap_or(Value::Null));
            }
        }
        None
    }

    /// Which broker leads a queue: its place among the nodes.
    pub async fn leader_of(&self, vhost: &str, queue: &str) -> Option<usize> {
        let queue = self.api(reqwest::Method::GET, &format!("queues/{vhost}/{queue}"), None).await?;
        let node = queue["leader"].as_str().or_else(|| queue["node"].as_str())?;
        let number: usize = node.strip_prefix("restaurant")?.split('@').next()?.parse().ok()?;
        number.checked_sub(1)
    }

    /// A connection to a database of the primary.
    pub async fn connect(&self, database: &str) -> Option<tokio_postgres::Client> {
        let mut config = tokio_postgres::Config::new();
        config.host("127.0.0.1").port(self.primary().port()).dbname(database);
        config.user("restaurant_user").password("restaurant_pass").connect_timeout(API_TIMEOUT);
        let (client, connection) = config.connect(tokio_postgres::NoTls).await.ok()?;
        tokio::spawn(connection);
        Some(client)
    }
}

impl Drop for Machines {
    /// Nothing of theirs is kept, so there is no need to wait for a clean stop.
    fn drop(&mut self) {
        self.databases.iter().for_each(PostgresServer::kill);
        self.brokers.nodes().iter().for_each(RabbitMqServer::kill);
    }
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + REPAIR_DEADLINE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}: not within {REPAIR_DEADLINE:?}");
        std::thread::sleep(POLL);
    }
}
