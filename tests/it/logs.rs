//! The log of every role over an order's whole life, to the letter of the contract.

use crate::support::{Http, Role, Signal, TestEnv, answer, delivery, eventually, eventually_ok, free_port};
use private_servers::watch;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};

const ALWAYS: [&str; 7] = ["timestamp", "level", "service", "action", "message", "hostname", "request_id"];

/// A whole deployment, and what a customer does in it.
struct Deployment {
    env: TestEnv,
    roles: Vec<Role>,
    http: Http,
}

impl Deployment {
    async fn open() -> Self {
        let env = TestEnv::new().await;
        let roles: Vec<Role> = [
            vec!["order-service", "--port", "0"],
            vec!["tracking-service", "--port", "0"],
            vec![
                "kitchen-worker",
                "--worker-name",
                "chef_anna",
                "--cook-seconds",
                "0.2",
                "--heartbeat-interval",
                "0.1",
            ],
            vec!["notification-subscriber"],
        ]
        .iter()
        .map(|args| env.spawn(&[args.as_slice(), &["--log-level", "debug"]].concat()))
        .collect();
        let http = Http::of(&roles[0]).await;
        roles[0].wait_for_action("db_connected").await;
        roles[2].wait_for_action("worker_registered").await;
        roles[3].wait_for_action("rabbitmq_connected").await;
        Self { env, roles, http }
    }
}

/// What every line must be. Gives its action.
fn check_line(line: &Value, service: &str) -> String {
    for key in ALWAYS {
        assert!(line[key].as_str().is_some_and(|text| !text.is_empty()), "{key} in {line}");
    }
    assert_eq!(line["service"], service);
    let time = line["timestamp"].as_str().unwrap();
    // 2026-11-22T10:11:12.345Z
    assert!(time.len() == 24 && time.ends_with('Z') && time.as_bytes()[19] == b'.', "{time}");
    time.parse::<jiff::Timestamp>().unwrap();
    let level = line["level"].as_str().unwrap();
    assert!(["DEBUG", "INFO", "WARN", "ERROR"].contains(&level), "{level}");
    if level == "ERROR" {
        for key in ["type", "msg", "stack"] {
            assert!(line["error"][key].as_str().is_some_and(|text| !text.is_empty()), "{key} in {line}");
        }
    }
    line["action"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_whole_orders_life_is_told_in_whole_lines_with_the_contracts_actions() {
    let mut deployment = Deployment::open().await;
    let number = deployment.http.place_with(&delivery(), &[("x-request-id", "story-1")]).await;
    let wrong = deployment.http.order_request(r#"{"customer_name": ""}"#).header("x-request-id", "story-2");
    answer(wrong).await.problem(422);
    deployment.env.rabbit.publish("orders_topic", "kitchen.takeout.1", &json!({}), "no JSON").await;
    deployment.roles[2].wait_for_action("message_processing_failed").await;
    deployment.roles[2].wait_for_action("heartbeat_sent").await;
    deployment.roles[3]
        .wait_for_line("the last update", |line| line.starts_with("Notification") && line.contains("'ready'"))
        .await;
    deployment.http.change(&number, "complete").await;
    deployment.roles[3].wait_for_line("the last update", |line| line.contains("'completed'")).await;
    for role in &mut deployment.roles {
        role.signal(Signal::SIGTERM);
    }
    let services = ["order-service", "tracking-service", "kitchen-worker", "notification-subscriber"];
    let mut actions = Vec::new();
    for (role, service) in deployment.roles.iter_mut().zip(services) {
        assert_eq!(role.wait_exit().await.code(), Some(0));
        eventually("its last line", || async { !role.logs_of("service_stopped").is_empty() }).await;
        assert_eq!(role.error_lines(), [] as [String; 0]);
        for line in role.lines() {
            // Beside its log the subscriber prints one line for each update.
            if service == "notification-subscriber" && line.starts_with("Notification for order ") {
                continue;
            }
            let line: Value =
                serde_json::from_str(&line).unwrap_or_else(|error| panic!("{service}: {error}: {line}"));
            actions.push((service, check_line(&line, service)));
            assert!(service != "kitchen-worker" || line["worker_name"] == "chef_anna", "{line}");
        }
        let text = role.lines().join("\n");
        for private in ["Lovelace", "Analytical Row", "restaurant_pass"] {
            assert!(!text.contains(private), "{service} logs {private}");
        }
    }
    for (service, wanted) in [
        ("order-service", vec!["order_received", "order_published", "validation_failed"]),
        (
            "kitchen-worker",
            vec![
                "worker_registered",
                "heartbeat_sent",
                "order_processing_started",
                "order_completed",
                "message_processing_failed",
            ],
        ),
        ("notification-subscriber", vec!["notification_received"]),
        ("tracking-service", vec![]),
    ] {
        let lifecycle = ["service_started", "rabbitmq_connected", "graceful_shutdown", "service_stopped"];
        let database = ["db_connected"].into_iter().filter(|_| service != "notification-subscriber");
        for action in wanted.into_iter().chain(lifecycle).chain(database) {
            assert!(
                actions.contains(&(service, action.to_owned())),
                "{service} never logs {action}: {actions:?}"
            );
        }
    }
    // One request id follows the order through all services.
    for (role, action) in [
        (0, "order_received"),
        (0, "order_published"),
        (2, "order_processing_started"),
        (2, "order_completed"),
        (3, "notification_received"),
    ] {
        let lines = deployment.roles[role].logs_of(action);
        let ours = lines.iter().find(|line| line["order_number"] == number.as_str());
        let ours = ours.unwrap_or_else(|| panic!("{action} does not name the order: {lines:?}"));
        assert_eq!(ours["request_id"], "story-1", "{action}");
    }
    assert_eq!(deployment.roles[0].logs_of("validation_failed")[0]["request_id"], "story-2");
}

#[tokio::test]
async fn the_least_severe_level_is_obeyed() {
    let env = TestEnv::new().await;
    let mut role = env.spawn(&["tracking-service", "--port", "0", "--log-level", "error"]);
    let db = env.connect().await;
    eventually("it is connected", || async {
        let sql = "select count(*) from pg_stat_activity where datname = current_database() and application_name like '%tracking-service'";
        db.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) > 0
    })
    .await;
    role.signal(Signal::SIGTERM);
    assert_eq!(role.wait_exit().await.code(), Some(0));
    assert_eq!(role.lines(), [] as [String; 0]);
}

/// A role at work whose standard output is a pipe that nobody reads for now.
struct Unread(Child);

impl Unread {
    fn spawn(env: &TestEnv, args: &[&str]) -> Self {
        let mut command = env.command(args);
        command.args(["--log-format", "json", "--log-level", "debug", "--config"]).arg(env.config());
        let child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        watch::guard(&[child.id()]).unwrap();
        Self(child)
    }

    /// Asks it to stop, and waits until it has.
    async fn stop(&mut self) -> Option<i32> {
        let pid = nix::unistd::Pid::from_raw(self.0.id().try_into().unwrap());
        nix::sys::signal::kill(pid, Signal::SIGTERM).unwrap();
        self.wait().await
    }

    /// Waits until it has ended.
    async fn wait(&mut self) -> Option<i32> {
        let ended = || std::future::ready(self.0.try_wait().unwrap().ok_or("it goes on"));
        eventually_ok("the end of the role", ended).await.code()
    }

    /// What it has written so far, from now on, a line for each.
    fn read_on(&mut self) -> Arc<Mutex<Vec<String>>> {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (sink, stdout) = (Arc::clone(&lines), self.0.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                sink.lock().unwrap().push(line);
            }
        });
        lines
    }

    /// Whether it has written as much as goes into its pipe.
    async fn has_filled_its_pipe(mut self) -> bool {
        let mut written = Vec::new();
        self.0.stdout.take().unwrap().read_to_end(&mut written).unwrap();
        // 16 pages, of which each has as many lines as fit: some are half empty.
        written.len() > 32 * 1024
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        let _ = watch::release(&[self.0.id()]);
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn roles_whose_log_nobody_reads_take_and_cook_orders_and_end_when_asked() {
    let env = TestEnv::new().await;
    env.write_config("kitchen: {grace_seconds: 0.2}\n");
    let port = free_port().to_string();
    let mut service = Unread::spawn(&env, &["order-service", "--port", &port]);
    let mut chef = Unread::spawn(
        &env,
        &["kitchen-worker", "--worker-name", "chef_anna", "--cook-seconds", "0", "--prefetch", "20"],
    );
    let http = Http::new(format!("http://127.0.0.1:{port}"));
    http.wait_ready().await;
    let order = delivery();
    for _ in 0..20 {
        futures_util::future::join_all((0..10).map(|_| http.place(&order))).await;
    }
    let db = env.connect().await;
    eventually("all orders are ready", || async {
        let sql = "select count(*) from orders where status = 'ready'";
        db.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) == 200
    })
    .await;
    for path in ["/healthz", "/readyz", "/metrics"] {
        eventually(path, || async { http.get(path).await.status == 200 }).await;
    }
    for role in [&mut service, &mut chef] {
        assert_eq!(role.stop().await, Some(0));
    }
    assert!(service.has_filled_its_pipe().await && chef.has_filled_its_pipe().await, "too little was logged");
}

#[tokio::test]
async fn a_log_that_is_read_again_says_how_many_lines_were_dropped() {
    let env = TestEnv::new().await;
    let port = free_port().to_string();
    let mut service = Unread::spawn(&env, &["order-service", "--port", &port]);
    let http = Http::new(format!("http://127.0.0.1:{port}"));
    http.wait_ready().await;
    // A line for each: more than may wait.
    let customers = (0..8).map(|_| async {
        for _ in 0..800 {
            http.get("/nothing").await.problem(404);
        }
    });
    futures_util::future::join_all(customers).await;
    let lines = service.read_on();
    let parsed = || -> Vec<Value> {
        let lines = lines.lock().unwrap();
        lines.iter().map(|line| serde_json::from_str(line).expect("a whole line")).collect()
    };
    eventually("a line says that some are missing", || async {
        http.place(&delivery()).await;
        parsed().iter().any(|line| line["log_dropped"].as_u64() > Some(0))
    })
    .await;
    assert_eq!(service.stop().await, Some(0));
    eventually("the last line", || async {
        parsed().last().is_some_and(|line| line["action"] == "service_stopped")
    })
    .await;
    let all = parsed();
    let dropped: u64 = all.iter().filter_map(|line| line["log_dropped"].as_u64()).sum();
    let answered = all.iter().filter(|line| line["route"] == "unmatched").count() as u64;
    assert!(answered < 6400 && answered + dropped >= 6400, "{answered} lines came, {dropped} were dropped");
}

#[tokio::test]
async fn a_log_whose_reader_is_gone_does_not_end_the_work() {
    let env = TestEnv::new().await;
    let port = free_port().to_string();
    let mut service = Unread::spawn(&env, &["tracking-service", "--port", &port]);
    // Every line from now on meets a broken pipe.
    drop(service.0.stdout.take());
    Http::new(format!("http://127.0.0.1:{port}")).wait_ready().await;
    assert_eq!(service.stop().await, Some(0));
}

#[tokio::test]
async fn an_error_that_nobody_reads_does_not_hold_up_the_end() {
    let env = TestEnv::new().await;
    env.write_config("no_such_key: 1\n");
    let (_reader, mut writer) = std::io::pipe().unwrap();
    // The pipe is full, as one that others write to as well may be.
    let flags = fcntl_getfl(&writer).unwrap();
    fcntl_setfl(&writer, flags | OFlags::NONBLOCK).unwrap();
    while writer.write(&[b'x'; 4096]).is_ok() {}
    fcntl_setfl(&writer, flags).unwrap();
    let mut command = env.command(&["order-service", "--config"]);
    command.arg(env.config()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(writer);
    let mut role = Unread(command.spawn().unwrap());
    watch::guard(&[role.0.id()]).unwrap();
    assert_eq!(role.wait().await, Some(78));
}
