//! The service manager's side: what a role tells it (`sd_notify`), and the socket that it passes.

use crate::support::{Http, Role, Signal, TestEnv, eventually, takeout};
use serde_json::json;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A manager that writes down what it is told, a line for each thing.
struct Manager {
    path: PathBuf,
    told: Arc<Mutex<Vec<String>>>,
}

impl Manager {
    fn of(env: &TestEnv) -> Self {
        let path = env.dir().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        let told = Arc::new(Mutex::new(Vec::new()));
        let lines = Arc::clone(&told);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length) = socket.recv(&mut buffer) {
                let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
                lines.lock().unwrap().extend(text.lines().map(str::to_owned));
            }
        });
        Self { path, told }
    }

    /// A role under this manager, with a watchdog of a second.
    fn command(&self, env: &TestEnv, args: &[&str]) -> Command {
        let mut command = env.command(args);
        command.arg("--config").arg(env.config()).args(["--log-format", "json"]);
        command.env("NOTIFY_SOCKET", &self.path).env("WATCHDOG_USEC", "1000000");
        command
    }

    /// Starts it.
    fn spawn(&self, env: &TestEnv, args: &[&str]) -> Role {
        Role::spawn(&args.join(" "), self.command(env, args))
    }

    fn told(&self) -> Vec<String> {
        self.told.lock().unwrap().clone()
    }

    fn count(&self, what: &str) -> usize {
        self.told().iter().filter(|line| line.starts_with(what)).count()
    }

    async fn wait_told(&self, what: &str) {
        eventually(&format!("{what} is told, not only {:?}", self.told()), || async { self.count(what) > 0 })
            .await;
    }

    /// Waits until so many more of these have come.
    async fn wait_more(&self, what: &str, more: usize) {
        let wanted = self.count(what) + more;
        eventually(&format!("more {what}"), || async { self.count(what) >= wanted }).await;
    }
}

#[tokio::test]
async fn a_worker_tells_its_whole_life() {
    let env = TestEnv::new().await;
    env.write_config("kitchen: {grace_seconds: 0.2}\nlog: {level: info}\n");
    let manager = Manager::of(&env);
    let service = env.spawn(&["order-service", "--port", "0"]);
    let http = Http::of(&service).await;
    service.wait_for_action("db_connected").await;
    let mut chef =
        manager.spawn(&env, &["kitchen-worker", "--worker-name", "chef_anna", "--cook-seconds", "3"]);
    manager.wait_told("READY=1").await;
    manager.wait_told("STATUS=waiting for orders, 0 done").await;
    chef.wait_for_action("worker_registered").await;
    manager.wait_more("WATCHDOG=1", 2).await;

    env.write_config("kitchen: {grace_seconds: 0.2}\nlog: {level: debug}\n");
    chef.signal(Signal::SIGHUP);
    chef.wait_for_action("configuration_reloaded").await;
    manager.wait_told("MONOTONIC_USEC=").await;
    assert_eq!(manager.count("RELOADING=1"), 1);
    eventually("the reload's end is told", || async { manager.count("READY=1") == 2 }).await;

    http.place(&takeout()).await;
    manager.wait_told("STATUS=cooking 1 order, 0 done").await;
    chef.wait_for_log("of level DEBUG", |log| log["level"] == "DEBUG").await;
    assert_eq!(manager.count("EXTEND_TIMEOUT_USEC"), 0);
    chef.signal(Signal::SIGTERM);
    manager.wait_told("STOPPING=1").await;
    manager.wait_told("STATUS=finishing 1 order, 0 done").await;
    manager.wait_told("EXTEND_TIMEOUT_USEC=").await;
    assert_eq!(chef.wait_exit().await.code(), Some(0));
}

#[tokio::test]
async fn a_frozen_process_shows_no_sign_of_life() {
    let env = TestEnv::new().await;
    let manager = Manager::of(&env);
    let role = manager.spawn(&env, &["notification-subscriber"]);
    manager.wait_told("READY=1").await;
    manager.wait_more("WATCHDOG=1", 3).await;
    role.signal(Signal::SIGSTOP);
    // What it said before it was frozen.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let before = manager.count("WATCHDOG=1");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(manager.count("WATCHDOG=1"), before);
    role.signal(Signal::SIGCONT);
    manager.wait_more("WATCHDOG=1", 1).await;
}

/// It waits for its reader: to be started again would not help.
#[tokio::test]
async fn a_subscriber_whose_output_nobody_reads_lives_and_says_so() {
    let env = TestEnv::new().await;
    let manager = Manager::of(&env);
    let (reader, writer) = std::io::pipe().unwrap();
    let mut command = manager.command(&env, &["notification-subscriber"]);
    command.stdin(Stdio::null()).stdout(writer).stderr(Stdio::null());
    let _killed_in_the_end = Ended(command.spawn().unwrap());
    manager.wait_told("READY=1").await;
    let update = json!({"order_number": "ORD_20261122_001", "old_status": "received", "new_status": "cooking",
        "changed_by": "𐐨".repeat(128), "timestamp": "2026-11-22T12:00:00Z", "estimated_completion": null});
    for _ in 0..200 {
        env.rabbit.publish("notifications_fanout", "", &json!({}), &update.to_string()).await;
    }
    eventually("its status says what it waits for", || async {
        manager.told().iter().any(|line| line.starts_with("STATUS=") && line.contains("nobody reads"))
    })
    .await;
    // More than its watchdog's second.
    manager.wait_more("WATCHDOG=1", 8).await;
    drop(reader);
}

/// A process that does not outlive its test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn without_its_servers_a_role_says_what_it_waits_for_and_lives() {
    let env = TestEnv::new().await;
    let port = env.servers.postgres.port().to_string();
    let manager = Manager::of(&env);
    env.edit_config(|text| text.replace(&port, "1"));
    let _role = manager.spawn(&env, &["kitchen-worker", "--worker-name", "chef_anna"]);
    manager.wait_told("STATUS=waiting for PostgreSQL since ").await;
    assert_eq!(manager.count("READY=1"), 0, "it has not waited long yet");
    manager.wait_more("WATCHDOG=1", 2).await;
    manager.wait_told("READY=1").await;
    manager.wait_more("WATCHDOG=1", 2).await;
}

#[tokio::test]
async fn a_worker_without_rabbitmq_is_ready_and_says_what_it_waits_for() {
    let env = TestEnv::new().await;
    let port = env.servers.rabbitmq.amqp_port().to_string();
    let manager = Manager::of(&env);
    env.edit_config(|text| text.replace(&port, "1"));
    let chef = manager.spawn(&env, &["kitchen-worker", "--worker-name", "chef_anna"]);
    manager.wait_told("STATUS=waiting for orders, 0 done; waiting for RabbitMQ since ").await;
    manager.wait_told("READY=1").await;
    chef.wait_for_action("worker_registered").await;
    manager.wait_more("WATCHDOG=1", 2).await;
}

#[tokio::test]
async fn a_subscriber_that_stands_by_is_ready_and_says_for_which_queue() {
    let env = TestEnv::new().await;
    let args = ["notification-subscriber", "--name", "counter"];
    let mut active = env.spawn(&args);
    active.wait_for_action("subscribed").await;
    let manager = Manager::of(&env);
    let mut standby = manager.spawn(&env, &args);
    manager.wait_told("STATUS=standby: another subscriber has notifications_queue.counter").await;
    manager.wait_told("READY=1").await;
    manager.wait_more("WATCHDOG=1", 4).await;
    active.kill();
    manager.wait_told("STATUS=0 changes told").await;
    standby.signal(Signal::SIGTERM);
    assert_eq!(standby.wait_exit().await.code(), Some(0));
}

#[tokio::test]
async fn a_subscriber_that_stands_by_stops_at_once() {
    let env = TestEnv::new().await;
    let args = ["notification-subscriber", "--name", "counter"];
    let active = env.spawn(&args);
    active.wait_for_action("subscribed").await;
    let mut standby = env.spawn(&args);
    standby.wait_for_action("standby").await;
    standby.signal(Signal::SIGTERM);
    assert_eq!(standby.wait_exit().await.code(), Some(0));
}

/// A setting of a unit.
fn setting(unit: &str, key: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd").join(unit);
    let text = std::fs::read_to_string(path).unwrap();
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    value.unwrap_or_else(|| panic!("{unit} has no {key}")).to_owned()
}

/// A span of a unit in seconds: `2s` or `2min`.
fn seconds(unit: &str, key: &str) -> u64 {
    let value = setting(unit, key);
    match value.strip_suffix("min") {
        Some(minutes) => 60 * minutes.parse::<u64>().unwrap(),
        None => value.trim_end_matches('s').parse().unwrap(),
    }
}

#[test]
fn a_cook_is_tried_for_longer_than_rabbitmq_takes_to_notice_a_dead_connection_and_not_for_ever() {
    let options = restaurant_system::broker::Part::Kitchen.options();
    let unit = "kitchen-worker@.service";
    let tries: u64 = setting(unit, "StartLimitBurst").parse().unwrap();
    // Each is refused when it has asked for the name for so long.
    let tried_for_s = tries * (seconds(unit, "RestartSec") + options.claim_grace.as_secs());
    let notices_after_s = 3 * options.heartbeat.as_secs();
    assert!(tried_for_s >= 2 * notices_after_s, "{tried_for_s} s are too short for {notices_after_s} s");
    // The last of a double's tries falls into the interval of the first, on a slow machine as well.
    assert!(tried_for_s * 2 <= seconds(unit, "StartLimitIntervalSec"), "a double is tried for ever");
}

#[tokio::test]
async fn the_reason_of_a_failure_is_its_last_status() {
    let env = TestEnv::new().await;
    let _anna = env.spawn(&["kitchen-worker", "--worker-name", "chef_anna"]);
    _anna.wait_for_action("worker_registered").await;
    let manager = Manager::of(&env);
    let mut second = manager.spawn(&env, &["kitchen-worker", "--worker-name", "chef_anna"]);
    assert_eq!(second.wait_exit().await.code(), Some(1));
    let told = manager.told();
    let last = told.iter().rfind(|line| line.starts_with("STATUS=")).unwrap();
    assert!(last.starts_with("STATUS=failed: ") && last.contains("in use"), "{last}");
    assert_eq!(manager.count("READY=1"), 0);
}

/// The program, handed a listening socket as systemd does it: as file 3.
fn activated(env: &TestEnv, socket: &std::net::TcpListener, args: &[&str]) -> Role {
    let program = env.command(args);
    let mut command = Command::new("sh");
    command.args(["-c", r#"exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" "$@""#]);
    command.arg(program.get_program()).args(program.get_args()).current_dir(env.dir());
    command.arg("--config").arg(env.config()).args(["--log-format", "json"]);
    Role::spawn_with_stdin(&args.join(" "), command, Stdio::from(OwnedFd::from(socket.try_clone().unwrap())))
}

#[tokio::test]
async fn restarts_on_a_passed_socket_fail_no_request() {
    let env = TestEnv::new().await;
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", socket.local_addr().unwrap());
    // A connection that comes before the service waits for it.
    let early = tokio::spawn({
        let http = Http::new(&url);
        async move { http.post(&takeout()).await.status }
    });
    let mut service = activated(&env, &socket, &["order-service", "--port", "1"]);
    assert_eq!(service.url().await, url, "the passed socket beats --port");
    assert_eq!(early.await.unwrap(), 201, "it was let in before PostgreSQL was reached");

    let http = Http::new(&url);
    let customers: Vec<_> = (0..4)
        .map(|_| {
            let http = http.clone();
            tokio::spawn(async move {
                let end = std::time::Instant::now() + Duration::from_secs(4);
                let mut placed = 0_i64;
                while std::time::Instant::now() < end {
                    http.place(&takeout()).await;
                    placed += 1;
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                placed
            })
        })
        .collect();
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        service.signal(Signal::SIGTERM);
        assert_eq!(service.wait_exit().await.code(), Some(0));
        service = activated(&env, &socket, &["order-service"]);
    }
    let mut placed = 1;
    for customer in customers {
        placed += customer.await.unwrap();
    }
    let count = env.connect().await.query_one("select count(*) from orders", &[]).await.unwrap();
    assert_eq!(count.get::<_, i64>(0), placed, "each confirmed order once");
}
