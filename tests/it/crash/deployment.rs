//! What is deployed: every role, both servers, and what a fault does to them.

use super::plan::{Fault, ROLE_COUNT};
use super::staff::Staff;
use crate::support::{Role, TestEnv, blocking};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What runs: a name for the report, and the command.
pub const ROLES: [(&str, &[&str]); ROLE_COUNT] = [
    ("order service 1", &["order-service", "--port", "0"]),
    ("order service 2", &["order-service", "--port", "0"]),
    (
        "chef_anna",
        &["kitchen-worker", "--worker-name", "chef_anna", "--heartbeat-interval", "1", "--prefetch", "2"],
    ),
    (
        "chef_luigi",
        &[
            "kitchen-worker",
            "--worker-name",
            "chef_luigi",
            "--heartbeat-interval",
            "1",
            "--prefetch",
            "2",
            "--order-types",
            "takeout",
        ],
    ),
    (
        "chef_mario",
        &["kitchen-worker", "--worker-name", "chef_mario", "--heartbeat-interval", "1", "--prefetch", "8"],
    ),
    ("tracking service", &["tracking-service", "--port", "0"]),
    ("subscriber", &["notification-subscriber", "--name", "audit"]),
];
/// Where the order services are in [`ROLES`].
pub const ORDER_SERVICES: [usize; 2] = [0, 1];
/// Where the tracking service is in [`ROLES`].
pub const TRACKING_SERVICE: usize = 5;
/// Where the subscriber is in [`ROLES`].
pub const SUBSCRIBER: usize = 6;

/// The exchange that the order services leave on a broker that they have told everything.
pub const ANNOUNCED_MARK: &str = "orders_announced_mark";

/// Cooking is quick, so that orders are in every state when a fault strikes.
pub const CONFIG: &str = "kitchen:\n  cook_seconds:\n    dine_in: 0.05\n    takeout: 0.15\n    delivery: 0.3\n  grace_seconds: 0.5\n";

/// A server's port can be taken by others for a moment.
const SERVER_STARTS: u32 = 5;

/// Everything that runs.
pub struct Deployment {
    pub env: Arc<TestEnv>,
    /// The roles, in the order of [`ROLES`].
    pub staff: Staff,
    postgres: tokio::sync::Mutex<()>,
    rabbitmq: tokio::sync::Mutex<()>,
    /// When the broker's disk was lost, in seconds since 1970.
    lost_disks: Mutex<Vec<f64>>,
}

impl Deployment {
    /// Starts both servers and every role.
    pub async fn open() -> Self {
        let env = Arc::new(TestEnv::with_own_servers().await);
        env.write_config(CONFIG);
        // A broker without it is told everything again by the order services, which would hide that they had forgotten
        // something: that must not happen before the broker has lost its disk.
        env.rabbit.declare_exchange(ANNOUNCED_MARK).await;
        let hiring = Arc::clone(&env);
        let spawn = move |command: &[&str]| -> Role { hiring.spawn(command) };
        let staff = Staff::start(ROLES.map(|(name, command)| (name, command.to_vec())), spawn).await;
        Self {
            env,
            staff,
            postgres: tokio::sync::Mutex::default(),
            rabbitmq: tokio::sync::Mutex::default(),
            lost_disks: Mutex::default(),
        }
    }

    /// When the broker's disk was lost, in seconds since 1970.
    pub fn lost_disks(&self) -> Vec<f64> {
        self.lost_disks.lock().unwrap().clone()
    }

    /// Makes one fault happen and lasts until it is over, as far as can be told here: services may need longer.
    pub async fn suffer(&self, fault: Fault) {
        match fault {
            Fault::RoleKill { role, down_ms } => self.staff.kill(role, Duration::from_millis(down_ms)).await,
            Fault::RoleStop { role } => self.staff.restart(role).await,
            Fault::RoleFreeze { role, frozen_ms } => {
                self.staff.freeze(role, Duration::from_millis(frozen_ms)).await;
            }
            Fault::PostgresKill { down_ms } => {
                let _turn = self.postgres.lock().await;
                self.with_servers(|servers| servers.postgres.kill()).await;
                pause(down_ms).await;
                self.with_servers(|servers| insist("PostgreSQL", || servers.postgres.restart())).await;
            }
            Fault::PostgresFreeze { frozen_ms } => {
                let _turn = self.postgres.lock().await;
                self.env.servers.postgres.pause().unwrap();
                pause(frozen_ms).await;
                self.env.servers.postgres.resume().unwrap();
            }
            Fault::RabbitmqKill { down_ms } => {
                let _turn = self.rabbitmq.lock().await;
                self.with_servers(|servers| servers.rabbitmq.kill()).await;
                pause(down_ms).await;
                self.with_servers(|servers| insist("RabbitMQ", || servers.rabbitmq.restart())).await;
            }
            Fault::RabbitmqFreeze { frozen_ms } => {
                let _turn = self.rabbitmq.lock().await;
                self.env.servers.rabbitmq.pause().unwrap();
                pause(frozen_ms).await;
                self.env.servers.rabbitmq.resume().unwrap();
            }
            Fault::RabbitmqWipe => {
                let _turn = self.rabbitmq.lock().await;
                self.with_servers(|servers| servers.rabbitmq.kill()).await;
                let now = std::time::UNIX_EPOCH.elapsed().unwrap();
                self.lost_disks.lock().unwrap().push(now.as_secs_f64());
                self.with_servers(|servers| insist("RabbitMQ", || servers.rabbitmq.wipe())).await;
            }
        }
    }

    async fn with_servers(&self, work: impl FnOnce(&private_servers::Servers) + Send + 'static) {
        let servers = Arc::clone(&self.env.servers);
        blocking(move || work(&servers)).await;
    }
}

async fn pause(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

/// A server that does not come up is no finding about the services: it is tried again some times.
pub fn insist(name: &str, mut start: impl FnMut() -> Result<(), private_servers::ServerError>) {
    for tries_left in (0..SERVER_STARTS).rev() {
        match start() {
            Ok(()) => return,
            Err(error) if tries_left == 0 => panic!("{name} does not start again: {error}"),
            Err(_) => std::thread::sleep(Duration::from_secs(1)),
        }
    }
}
