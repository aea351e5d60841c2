//! The house: every role as a process that is started again whenever it ends, and both servers.

use super::plan::{Fault, ROLE_COUNT};
use crate::support::{Role, Signal, TestEnv, blocking};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

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

/// A role that was asked to end has the longest of its deadlines (30 s for the orders in hand) and some.
const STOP_DEADLINE: Duration = Duration::from_secs(60);
/// How soon a role that ended by itself is started again, as a service manager would.
const RESTART_PAUSE: Duration = Duration::from_millis(500);
/// A server's port can be taken by others for a moment.
const SERVER_STARTS: u32 = 5;

/// One place for a process.
struct Place {
    /// The living process and those before it, whose output is still of use. Held as long as a fault lasts.
    processes: tokio::sync::Mutex<Vec<Role>>,
    /// Where it listens, while that is known.
    url: Mutex<Option<String>>,
}

/// Everything that runs.
pub struct House {
    pub env: TestEnv,
    places: Vec<Place>,
    postgres: tokio::sync::Mutex<()>,
    rabbitmq: tokio::sync::Mutex<()>,
    /// What roles did that they should not do: ended by themselves, did not end when asked to.
    misbehaved: Mutex<Vec<String>>,
    /// When the broker's disk was lost, in seconds since 1970.
    lost_disks: Mutex<Vec<f64>>,
}

impl House {
    /// Starts both servers and every role.
    pub async fn open() -> Self {
        let env = TestEnv::with_own_servers().await;
        env.write_config(CONFIG);
        // A broker without it is told everything again by the order services, which would hide that they had forgotten
        // something: that must not happen before the broker has lost its disk.
        env.rabbit.declare_exchange(ANNOUNCED_MARK).await;
        let place = || Place { processes: tokio::sync::Mutex::default(), url: Mutex::default() };
        let house = Self {
            env,
            places: (0..ROLES.len()).map(|_| place()).collect(),
            postgres: tokio::sync::Mutex::default(),
            rabbitmq: tokio::sync::Mutex::default(),
            misbehaved: Mutex::default(),
            lost_disks: Mutex::default(),
        };
        for (place, (_, command)) in house.places.iter().zip(ROLES) {
            place.processes.lock().await.push(house.env.spawn(command));
        }
        house
    }

    /// Where an HTTP role listens, if that is known right now.
    pub fn url(&self, role: usize) -> Option<String> {
        self.places[role].url.lock().unwrap().clone()
    }

    /// When the broker's disk was lost, in seconds since 1970.
    pub fn lost_disks(&self) -> Vec<f64> {
        self.lost_disks.lock().unwrap().clone()
    }

    /// What roles did that they should not do.
    pub fn misbehaved(&self) -> Vec<String> {
        self.misbehaved.lock().unwrap().clone()
    }

    /// All that a role wrote on standard output so far, over all its starts. Waits for a fault on it to end.
    pub async fn lines(&self, role: usize) -> Vec<String> {
        let processes = self.places[role].processes.lock().await;
        processes.iter().flat_map(Role::lines).collect()
    }

    /// Writes what every role wrote into files of this folder.
    pub async fn keep_output(&self, dir: &Path) {
        std::fs::create_dir_all(dir).unwrap();
        for (role, (name, _)) in ROLES.iter().enumerate() {
            let processes = self.places[role].processes.lock().await;
            let lines: Vec<String> = processes.iter().flat_map(Role::output).collect();
            std::fs::write(dir.join(format!("{name}.log")), lines.join("\n")).unwrap();
        }
    }

    /// Looks after the roles for ever: starts again what ended by itself, and reads where HTTP roles listen.
    pub async fn tend(&self) {
        loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            for role in 0..ROLES.len() {
                // A role that a fault has in hand is that fault's business.
                let Ok(mut processes) = self.places[role].processes.try_lock() else { continue };
                self.see_to_it_that_it_runs(role, &mut processes).await;
                if self.url(role).is_none() {
                    *self.places[role].url.lock().unwrap() = processes.last().and_then(listens_at);
                }
            }
        }
    }

    /// Starts the role again if it ended by itself, which is remembered.
    async fn see_to_it_that_it_runs(&self, role: usize, processes: &mut Vec<Role>) {
        let Some(process) = processes.last_mut() else { return };
        if process.is_running() {
            return;
        }
        // It is gone: this only tells those who watch over its id.
        process.kill();
        let last: Vec<String> = process.output().into_iter().rev().take(3).collect();
        self.note(format!("{} ended by itself: {}", ROLES[role].0, last.join(" | ")));
        tokio::time::sleep(RESTART_PAUSE).await;
        self.start(role, processes);
    }

    /// The role's processes, the last one of them running.
    async fn hold(&self, role: usize) -> tokio::sync::MutexGuard<'_, Vec<Role>> {
        let mut processes = self.places[role].processes.lock().await;
        self.see_to_it_that_it_runs(role, &mut processes).await;
        processes
    }

    /// Remembers something that should not be.
    pub fn note(&self, what: String) {
        self.misbehaved.lock().unwrap().push(what);
    }

    fn start(&self, role: usize, processes: &mut Vec<Role>) {
        *self.places[role].url.lock().unwrap() = None;
        processes.push(self.env.spawn(ROLES[role].1));
    }

    /// Makes one fault happen and lasts until it is over, as far as the house can tell: services may need longer.
    pub async fn suffer(&self, fault: Fault) {
        match fault {
            Fault::RoleKill { role, down_ms } => {
                let mut processes = self.hold(role).await;
                processes.last_mut().unwrap().kill();
                pause(down_ms).await;
                self.start(role, &mut processes);
            }
            Fault::RoleStop { role } => self.stop(role).await,
            Fault::RoleFreeze { role, frozen_ms } => {
                let processes = self.hold(role).await;
                let process = processes.last().unwrap();
                process.signal(Signal::SIGSTOP);
                pause(frozen_ms).await;
                process.signal(Signal::SIGCONT);
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

    /// Asks a role to end, which it must do in time and say that all went well.
    async fn stop(&self, role: usize) {
        let mut processes = self.hold(role).await;
        let process = processes.last_mut().unwrap();
        process.signal(Signal::SIGTERM);
        let asked = Instant::now();
        while process.is_running() && asked.elapsed() < STOP_DEADLINE {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        if process.is_running() {
            self.note(format!("{} did not end within {STOP_DEADLINE:?} of SIGTERM", ROLES[role].0));
            process.kill();
        } else {
            let status = process.wait_exit().await;
            // A process that has only just been started does not know the signal yet, and dies of it.
            if !status.success() && status.signal() != Some(Signal::SIGTERM as i32) {
                let last: Vec<String> = process.output().into_iter().rev().take(3).collect();
                self.note(format!("{} was asked to stop: {status}: {}", ROLES[role].0, last.join(" | ")));
            }
        }
        self.start(role, &mut processes);
    }

    async fn with_servers(&self, work: impl FnOnce(&restaurant_system::dev::Servers) + Send + 'static) {
        let servers = std::sync::Arc::clone(&self.env.servers);
        blocking(move || work(&servers)).await;
    }
}

async fn pause(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

/// A server that does not come up is no finding about the services: it is tried again some times.
fn insist(name: &str, mut start: impl FnMut() -> Result<(), restaurant_system::dev::DevError>) {
    for tries_left in (0..SERVER_STARTS).rev() {
        match start() {
            Ok(()) => return,
            Err(error) if tries_left == 0 => panic!("{name} does not start again: {error}"),
            Err(_) => std::thread::sleep(Duration::from_secs(1)),
        }
    }
}

/// Where this process says that it listens.
fn listens_at(process: &Role) -> Option<String> {
    let started = process.logs_of("service_started").into_iter().find(|log| log["address"].is_string())?;
    Some(format!("http://{}", started["address"].as_str()?))
}
