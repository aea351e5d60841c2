//! `doctor`: faults are made, and exactly the lines that they concern are not well.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::{Http, Role, Signal, TestEnv, blocking, delivery, eventually, eventually_ok, takeout};

/// What the page says: the exit code, and of each line but `units`, which is this machine's, what it is and says.
struct Page {
    code: Option<i32>,
    lines: BTreeMap<String, (String, String)>,
}

impl Page {
    /// The lines that are not ok, with what they are. That the tests' servers run without `fsync` is none of them.
    fn not_ok(&self) -> Vec<(&str, &str)> {
        let lines = self.lines.iter().filter(|(_, (state, summary))| {
            state != "ok" && !(state == "warning" && summary.starts_with("fsync is off"))
        });
        lines.map(|(name, (state, _))| (name.as_str(), state.as_str())).collect()
    }

    fn says(&self, name: &str, text: &str) -> bool {
        self.lines[name].1.contains(text)
    }
}

async fn doctor(env: &TestEnv, variables: &[(&str, &str)]) -> Page {
    let mut command = env.command(&["doctor", "--json", "--config"]);
    command.arg(env.config()).envs(variables.iter().copied()).stdin(Stdio::null());
    let output = blocking(move || command.output().unwrap()).await;
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let page: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(page["ok"], json!(output.status.success()), "{page}");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let checks = page["checks"].as_array().unwrap();
    let lines = checks.iter().filter(|check| check["name"] != "units").map(|check| {
        let needs_advice = ["warning", "problem"].contains(&check["state"].as_str().unwrap());
        assert_eq!(check["advice"].is_string(), needs_advice, "{check}");
        (text(&check["name"]), (text(&check["state"]), text(&check["summary"])))
    });
    Page { code: output.status.code(), lines: lines.collect() }
}

/// With files that nobody else may read.
fn keep_private(env: &TestEnv) {
    for file in [env.config(), env.dir().join("staff-token")] {
        std::fs::set_permissions(file, Permissions::from_mode(0o600)).unwrap();
    }
}

async fn worker(env: &TestEnv, args: &[&str]) -> Role {
    let role = env.spawn(&[&["kitchen-worker"], args].concat());
    role.wait_for_action("worker_registered").await;
    role
}

/// Until all is well: queues have their consumers, and nothing is on its way.
async fn all_well(env: &TestEnv) {
    let what = "all lines are ok";
    eventually_ok(what, || async {
        let page = doctor(env, &[]).await;
        if page.not_ok().is_empty() && page.code == Some(0) { Ok(()) } else { Err(page.lines) }
    })
    .await;
}

#[tokio::test]
async fn each_fault_shows_on_its_own_line_and_nowhere_else() {
    let env = TestEnv::new().await;
    keep_private(&env);
    let service = env.spawn(&["order-service", "--port", "0"]);
    let _subscriber = env.spawn(&["notification-subscriber"]);
    let http = Http::of(&service).await;
    let mut anna = worker(&env, &["--worker-name", "chef_anna"]).await;
    all_well(&env).await;

    the_accounts_of_the_roles(&env).await;
    a_wrong_password(&env).await;
    a_stopped_broker(&env).await;
    a_dead_letter(&env).await;
    a_full_outbox(&env, &[&service, &anna]).await;
    all_well(&env).await;

    anna.signal(Signal::SIGTERM);
    anna.wait_exit().await;
    let slow = ["--cook-seconds", "600", "--heartbeat-interval", "0.5", "--order-types", "dine_in,takeout"];
    let bruno = worker(&env, &[&["--worker-name", "chef_bruno"], &slow[..]].concat()).await;
    a_type_without_cooks(&env, &http).await;
    http.place(&takeout()).await;
    bruno.wait_for_action("order_processing_started").await;
    a_dead_worker(&env, bruno).await;
}

/// None of them may change the schema, or read everything.
async fn the_accounts_of_the_roles(env: &TestEnv) {
    for account in ["restaurant_order_service", "restaurant_tracking_service", "restaurant_kitchen_worker"] {
        let page = doctor(env, &[("RESTAURANT_DATABASE_USER", account)]).await;
        assert_eq!((page.code, page.not_ok()), (Some(0), Vec::new()), "{account}: {:?}", page.lines);
    }
}

async fn a_wrong_password(env: &TestEnv) {
    let page = doctor(env, &[("RESTAURANT_DATABASE_PASSWORD", "swordfish")]).await;
    let unknown = ["clock", "cooks", "outbox", "schema", "waiting-orders"].map(|name| (name, "unknown"));
    let not_ok = [&unknown[..3], &[("postgresql", "problem")], &unknown[3..]].concat();
    assert_eq!((page.code, page.not_ok()), (Some(1), not_ok));
    assert!(page.says("postgresql", "password"), "{:?}", page.lines);
    assert!(!format!("{:?}", page.lines).contains("swordfish"), "{:?}", page.lines);
}

async fn a_stopped_broker(env: &TestEnv) {
    // Nobody listens there.
    let page = doctor(env, &[("RESTAURANT_RABBITMQ_PORT", "1")]).await;
    let not_ok = [("dead-letters", "unknown"), ("queues", "unknown"), ("rabbitmq", "problem")];
    assert_eq!((page.code, page.not_ok()), (Some(1), not_ok.to_vec()));
}

async fn a_dead_letter(env: &TestEnv) {
    env.rabbit.publish("orders_topic", "kitchen.takeout.1", &json!({}), "no order").await;
    eventually("the dead letter is told of", || async {
        let page = doctor(env, &[]).await;
        let is_told = page.not_ok() == [("dead-letters", "warning")];
        is_told && page.code == Some(0) && page.says("dead-letters", "process: 1")
    })
    .await;
    env.rabbit.take_messages("kitchen_dead_letters", 1).await;
}

/// With its relays frozen.
async fn a_full_outbox(env: &TestEnv, relays: &[&Role]) {
    let db = env.connect().await;
    relays.iter().for_each(|role| role.signal(Signal::SIGSTOP));
    let fill = "insert into outbox (log_id, order_id, announces, written_at)
                select 1000000 + n, 1, 'order', now() - interval '2 min' from generate_series(1, 5) as n";
    db.batch_execute(fill).await.unwrap();
    let page = doctor(env, &[("RESTAURANT_OUTBOX_MAX_ROWS", "5")]).await;
    db.batch_execute("delete from outbox").await.unwrap();
    relays.iter().for_each(|role| role.signal(Signal::SIGCONT));
    assert_eq!((page.code, page.not_ok()), (Some(1), vec![("outbox", "problem")]));
    assert!(page.says("outbox", "5 of 5 rows") && page.says("outbox", "stuck"), "{:?}", page.lines);
}

async fn a_type_without_cooks(env: &TestEnv, http: &Http) {
    let page = eventually_ok("the type without cooks alone is told of", || async {
        let page = doctor(env, &[]).await;
        if page.not_ok() == [("cooks", "warning")] { Ok(page) } else { Err(page.lines) }
    })
    .await;
    assert!(page.says("cooks", "cooks delivery"), "{:?}", page.lines);
    http.place(&delivery()).await;
    let page = doctor(env, &[]).await;
    assert_eq!((page.code, page.not_ok()), (Some(1), vec![("cooks", "problem")]), "{:?}", page.lines);
}

async fn a_dead_worker(env: &TestEnv, mut worker: Role) {
    worker.kill();
    eventually_ok("the dead worker alone is told of", || async {
        let page = doctor(env, &[]).await;
        let is_told = page.says("cooks", "with orders in hand: chef_bruno (1)");
        if is_told && page.not_ok() == [("cooks", "problem")] { Ok(()) } else { Err(page.lines) }
    })
    .await;
}

#[tokio::test]
async fn it_makes_nothing_on_servers_where_nothing_is() {
    let env = TestEnv::unmigrated().await;
    keep_private(&env);
    let page = doctor(&env, &[]).await;
    let not_ok = [
        ("cooks", "unknown"),
        ("outbox", "unknown"),
        ("queues", "problem"),
        ("schema", "problem"),
        ("waiting-orders", "unknown"),
    ];
    assert_eq!((page.code, page.not_ok()), (Some(1), not_ok.to_vec()), "{:?}", page.lines);
    let tables = "select count(*) from pg_tables where schemaname = 'public'";
    assert_eq!(env.connect().await.query_one(tables, &[]).await.unwrap().get::<_, i64>(0), 0);
    assert_eq!(env.rabbit.get("queues/{vhost}").await, Some(json!([])));
}

#[tokio::test]
async fn a_person_reads_a_line_each_with_what_to_do_below_and_an_unusable_configuration_ends_with_78() {
    let env = TestEnv::new().await;
    let config = env.config().display().to_string();
    let output = env.run(&["doctor", "--config", &config]).await;
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("\nwarning  cooks ") && text.contains("→ start a worker: "), "{text}");
    assert!(!text.contains('\x1b'), "no colour where no terminal is: {text}");
    std::fs::write(env.config(), "database: {prot: 1}\n").unwrap();
    let output = env.run(&["doctor", "--config", &config]).await;
    assert_eq!((output.status.code(), output.stdout.len()), (Some(78), 0));
}

/// The headings of the third level below one of the second.
fn sections(of: &str) -> Vec<String> {
    let runbook =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/RUNBOOK.md")).unwrap();
    let part = runbook.split("\n## ").find(|part| part.starts_with(of)).unwrap();
    part.lines().filter_map(|line| line.strip_prefix("### ")).map(str::to_owned).collect()
}

#[tokio::test]
async fn every_line_has_its_section_in_the_runbook() {
    let program = env!("CARGO_BIN_EXE_restaurant-system");
    let away = [("RESTAURANT_DATABASE_PORT", "1"), ("RESTAURANT_RABBITMQ_PORT", "1")];
    let output =
        Command::new(program).args(["doctor", "--json"]).current_dir("/").envs(away).output().unwrap();
    let page: Value = serde_json::from_slice(&output.stdout).unwrap();
    let names: Vec<&str> =
        page["checks"].as_array().unwrap().iter().map(|check| check["name"].as_str().unwrap()).collect();
    assert_eq!(sections("Lines of doctor"), names);
}
