//! The roles of two machines and more, on a database and a virtual host of their own.

use super::machines::Machines;
use super::proxy::Proxy;
use crate::crash::staff::Staff;
use crate::support::{Http, Role, STAFF_TOKEN, program, try_answer};
use reqwest::Method;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// What runs: a name for the report, and the command.
pub const ROLES: [(&str, &[&str]); 11] = [
    ("order service 1", &["order-service", "--port", "0"]),
    ("order service 2", &["order-service", "--port", "0"]),
    ("tracking service 1", &["tracking-service", "--port", "0"]),
    ("tracking service 2", &["tracking-service", "--port", "0"]),
    (
        "chef_anna",
        &["kitchen-worker", "--worker-name", "chef_anna", "--heartbeat-interval", "4", "--prefetch", "4"],
    ),
    (
        "chef_luigi",
        &["kitchen-worker", "--worker-name", "chef_luigi", "--heartbeat-interval", "4", "--prefetch", "4"],
    ),
    (
        "chef_mario",
        &["kitchen-worker", "--worker-name", "chef_mario", "--heartbeat-interval", "4", "--prefetch", "4"],
    ),
    ("counter", &["notification-subscriber", "--name", "counter"]),
    ("counter's standby", &["notification-subscriber", "--name", "counter"]),
    ("unnamed 1", &["notification-subscriber"]),
    ("unnamed 2", &["notification-subscriber"]),
];
pub const ORDER_SERVICES: [usize; 2] = [0, 1];
pub const TRACKING_SERVICES: [usize; 2] = [2, 3];
pub const WORKERS: [usize; 3] = [4, 5, 6];
/// Two of one name, of which one waits for the other's end.
pub const NAMED_SUBSCRIBERS: [usize; 2] = [7, 8];
pub const UNNAMED_SUBSCRIBERS: [usize; 2] = [9, 10];
/// The queue of the named subscribers.
pub const NAMED_QUEUE: &str = "notifications_queue.counter";
/// The queues of all subscribers. What happened before they were made nobody is told.
const SUBSCRIBERS_QUEUES: [&str; 3] = ["notifications_queue", "notifications_queue.2", NAMED_QUEUE];

/// The queue of the independent subscriber.
pub const AUDIT_QUEUE: &str = "audit";
const NOTIFICATIONS_EXCHANGE: &str = "notifications_fanout";

/// Cooking is quick, so that orders are in every state when a fault strikes.
const KITCHEN: &str =
    "kitchen: {cook_seconds: {dine_in: 0.05, takeout: 0.15, delivery: 0.3}, grace_seconds: 0.5}\n";
/// How long the roles may take to be ready.
const READY_DEADLINE: Duration = Duration::from_secs(60);
const READY_POLL: Duration = Duration::from_millis(200);

/// The roles of one scenario.
pub struct Deployment {
    pub machines: Arc<Machines>,
    pub staff: Staff,
    /// The name of the database and of the virtual host.
    pub name: String,
    /// Where the roles' output is kept.
    pub kept: PathBuf,
    http: Http,
    _proxy: Option<Proxy>,
}

impl Deployment {
    /// Starts all roles and waits until they are ready.
    pub async fn open(machines: &Arc<Machines>, name: &str, proxied: bool) -> Self {
        let database = name.to_owned();
        machines.with(move |machines| machines.primary().create_database(&database).unwrap()).await;
        make_virtual_host(machines, name).await;
        let dir = tempfile::tempdir().unwrap();
        let kept = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("cluster-{name}"));
        std::fs::create_dir_all(&kept).unwrap();
        let path = kept.clone();
        let proxy = machines.with(move |machines| proxied.then(|| Proxy::start(machines, &path))).await;
        write_config(machines, proxy.as_ref(), name, &dir);
        let spawn = move |command: &[&str]| -> Role {
            let mut process = Command::new(program());
            process.args(command).args(["--log-format", "json", "--config"]);
            process.arg(dir.path().join("config.yaml")).current_dir(dir.path());
            Role::spawn(&command.join(" "), process)
        };
        let staff = Staff::start(ROLES.map(|(name, command)| (name, command.to_vec())), spawn).await;
        let http = Http::impatient("", Duration::from_secs(4));
        Self { machines: Arc::clone(machines), staff, name: name.to_owned(), kept, http, _proxy: proxy }
    }

    /// Waits until every HTTP role says that it is ready, and every subscriber has its queue.
    pub async fn wait_until_ready(&self) {
        let deadline = Instant::now() + READY_DEADLINE;
        while !self.all_subscribers_have_queues().await {
            if Instant::now() > deadline {
                self.staff.note("subscribers share a queue".to_owned());
                break;
            }
            tokio::time::sleep(READY_POLL).await;
        }
        let deadline = Instant::now() + READY_DEADLINE;
        for role in ORDER_SERVICES.into_iter().chain(TRACKING_SERVICES) {
            while self.ready(role).await != Some(200) {
                if Instant::now() > deadline {
                    self.staff.keep_output(&self.kept).await;
                    panic!("{} is not ready: {}", ROLES[role].0, self.kept.display());
                }
                tokio::time::sleep(READY_POLL).await;
            }
        }
    }

    async fn all_subscribers_have_queues(&self) -> bool {
        let queues = self.queues().await.unwrap_or_default();
        SUBSCRIBERS_QUEUES.iter().all(|wanted| queues.iter().any(|(name, _)| name == wanted))
    }

    /// What a service says at `/readyz`.
    pub async fn ready(&self, role: usize) -> Option<u16> {
        let url = self.staff.url(role)?;
        let answer = try_answer(self.http.at(&url).request("GET", "/readyz")).await.ok()?;
        Some(answer.status)
    }

    /// Every queue with the messages in it; a leader that was just chosen has no figure.
    pub async fn queues(&self) -> Option<Vec<(String, Option<u64>)>> {
        let queues = self.machines.api(Method::GET, &format!("queues/{}", self.name), None).await?;
        let named = |queue: &Value| Some((queue["name"].as_str()?.to_owned(), queue["messages"].as_u64()));
        // Names are held by queues of their connections, which hold nothing.
        let lasting = queues.as_array()?.iter().filter(|queue| queue["exclusive"] != true);
        Some(lasting.filter_map(named).collect())
    }
}

async fn make_virtual_host(machines: &Machines, name: &str) {
    let put = async |path: &str, body: Value| {
        let made = machines.api(Method::PUT, path, Some(&body)).await;
        assert!(made.is_some(), "PUT {path}");
    };
    put(&format!("vhosts/{name}"), json!({})).await;
    put(&format!("permissions/{name}/guest"), json!({"configure": ".*", "write": ".*", "read": ".*"})).await;
    put(&format!("exchanges/{name}/{NOTIFICATIONS_EXCHANGE}"), json!({"type": "fanout", "durable": true}))
        .await;
    let quorum = json!({"durable": true, "arguments": {"x-queue-type": "quorum"}});
    put(&format!("queues/{name}/{AUDIT_QUEUE}"), quorum).await;
    let binding = format!("bindings/{name}/e/{NOTIFICATIONS_EXCHANGE}/q/{AUDIT_QUEUE}");
    assert!(machines.api(Method::POST, &binding, Some(&json!({}))).await.is_some(), "POST {binding}");
}

/// The primary of this moment is the first of the list: the one that a process comes to first when it is back.
fn write_config(machines: &Machines, proxy: Option<&Proxy>, name: &str, dir: &TempDir) {
    let token_file = dir.path().join("staff-token");
    std::fs::write(&token_file, STAFF_TOKEN).unwrap();
    let list = |ports: Vec<u16>| -> String {
        ports.iter().map(|port| format!("\"127.0.0.1:{port}\"")).collect::<Vec<_>>().join(", ")
    };
    let (databases, brokers) = match proxy {
        Some(proxy) => (vec![proxy.database], vec![proxy.broker]),
        None => (
            vec![machines.primary().port(), machines.standby().port()],
            machines.brokers.nodes().iter().map(|broker| broker.amqp_port()).collect(),
        ),
    };
    let (databases, brokers) = (list(databases), list(brokers));
    let text = format!(
        "database: {{host: [{databases}], user: restaurant_user, password: restaurant_pass, database: {name}}}\n\
         rabbitmq: {{host: [{brokers}], user: guest, password: guest, vhost: {name}, queue_type: quorum}}\n\
         {KITCHEN}staff: {{token_file: {}}}\n",
        token_file.display()
    );
    std::fs::write(dir.path().join("config.yaml"), text).unwrap();
}
