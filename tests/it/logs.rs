//! The log of every role over an order's whole life, to the letter of the contract.

use crate::support::{Role, STAFF_TOKEN, Signal, TestEnv, eventually};
use serde_json::{Value, json};
use std::process::Stdio;

const ALWAYS: [&str; 7] = ["timestamp", "level", "service", "action", "message", "hostname", "request_id"];

/// A whole house, and what a customer does in it.
struct House {
    env: TestEnv,
    roles: Vec<Role>,
    order: String,
}

impl House {
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
        let order = roles[0].url().await;
        roles[0].wait_for_action("db_connected").await;
        roles[2].wait_for_action("worker_registered").await;
        roles[3].wait_for_action("rabbitmq_connected").await;
        Self { env, roles, order }
    }

    async fn place(&self, request_id: &str, body: &Value) -> (u16, Value) {
        let request = reqwest::Client::new().post(format!("{}/orders", self.order)).json(body);
        let answer = request.header("x-request-id", request_id).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }
}

fn delivery() -> Value {
    json!({"customer_name": "Zaphod Beeblebrox", "order_type": "delivery", "delivery_address": "42 Heart of Gold Lane",
        "items": [{"name": "Pan Galactic Gargle Blaster", "quantity": 1, "price": 42.42}]})
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
    let mut house = House::open().await;
    let (status, placed) = house.place("story-1", &delivery()).await;
    assert_eq!(status, 201);
    let number = placed["order_number"].as_str().unwrap().to_owned();
    assert_eq!(house.place("story-2", &json!({"customer_name": ""})).await.0, 422);
    house.env.rabbit.publish("orders_topic", "kitchen.takeout.1", &json!({}), "no JSON").await;
    house.roles[2].wait_for_action("message_processing_failed").await;
    house.roles[2].wait_for_action("heartbeat_sent").await;
    house.roles[3]
        .wait_for_line("the last update", |line| line.starts_with("Notification") && line.contains("'ready'"))
        .await;
    let complete = format!("{}/orders/{number}/complete", house.order);
    let done = reqwest::Client::new().post(complete).bearer_auth(STAFF_TOKEN).send().await.unwrap();
    assert!(done.status().is_success());
    house.roles[3].wait_for_line("the last update", |line| line.contains("'completed'")).await;
    for role in &mut house.roles {
        role.signal(Signal::SIGTERM);
    }
    let services = ["order-service", "tracking-service", "kitchen-worker", "notification-subscriber"];
    let mut actions = Vec::new();
    for (role, service) in house.roles.iter_mut().zip(services) {
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
        for private in ["Zaphod", "Heart of Gold", "restaurant_pass"] {
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
        let lines = house.roles[role].logs_of(action);
        let ours = lines.iter().find(|line| line["order_number"] == number.as_str());
        let ours = ours.unwrap_or_else(|| panic!("{action} does not name the order: {lines:?}"));
        assert_eq!(ours["request_id"], "story-1", "{action}");
    }
    assert_eq!(house.roles[0].logs_of("validation_failed")[0]["request_id"], "story-2");
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

#[tokio::test]
async fn a_log_that_nobody_reads_does_not_end_the_work() {
    let env = TestEnv::new().await;
    let port = free_port();
    let mut command =
        env.command(&["tracking-service", "--log-format", "json", "--log-level", "debug", "--port", &port]);
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    restaurant_system::dev::watch::guard(&[child.id()]).unwrap();
    // The reader goes away: every line from now on meets a broken pipe.
    drop(child.stdout.take());
    let url = format!("http://127.0.0.1:{port}/readyz");
    eventually("it is ready all the same", || async {
        reqwest::get(&url).await.is_ok_and(|answer| answer.status() == 200)
    })
    .await;
    let pid = nix::unistd::Pid::from_raw(child.id().try_into().unwrap());
    nix::sys::signal::kill(pid, Signal::SIGTERM).unwrap();
    restaurant_system::dev::watch::release(&[child.id()]).unwrap();
    let status = tokio::task::spawn_blocking(move || child.wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(0));
}

fn free_port() -> String {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string()
}
