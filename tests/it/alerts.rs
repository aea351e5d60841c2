//! Alerts and dashboard: each expression names what is measured, and a real Prometheus fires what is true.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::metrics::{described, metrics_port};
use crate::support::markdown::{BlockKind, blocks};
use crate::support::{Counter, Http, Role, TestEnv, eventually, eventually_ok, free_port, takeout};

/// For so long everything is well, and no alert may even begin to be true.
const QUIET: Duration = Duration::from_secs(120);

fn path(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(file)
}

fn rules() -> String {
    std::fs::read_to_string(path("contrib/prometheus/restaurant.rules.yml")).unwrap()
}

fn alerts() -> BTreeSet<String> {
    let rules = rules();
    let names = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ").map(str::to_owned));
    names.collect()
}

fn dashboard() -> Value {
    serde_json::from_str(&std::fs::read_to_string(path("contrib/grafana/restaurant.json")).unwrap()).unwrap()
}

/// All values of this key, however deep they stand.
pub fn all<'a>(document: &'a Value, key: &str, found: &mut Vec<&'a Value>) {
    match document {
        Value::Object(members) => members.iter().for_each(|(name, value)| {
            if name == key {
                found.push(value);
            }
            all(value, key, found);
        }),
        Value::Array(items) => items.iter().for_each(|item| all(item, key, found)),
        _ => {}
    }
}

/// The metrics in a text of PromQL, each with the labels that are asked of it.
fn asked(text: &str) -> Vec<(String, Vec<String>)> {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let starts = text.match_indices("restaurant_").chain(text.match_indices("process_"));
    let starts = starts.filter(|(at, _)| !text[..*at].ends_with(is_of_name));
    let metric = |(at, _): (usize, &str)| {
        let rest = &text[at..];
        let name = &rest[..rest.find(|c| !is_of_name(c)).unwrap_or(rest.len())];
        let selector = rest[name.len()..].strip_prefix('{').and_then(|rest| rest.split('}').next());
        let labels =
            selector.unwrap_or_default().split(',').filter_map(|label| label.split(['=', '!']).next());
        let labels = labels.map(|label| label.trim().to_owned()).filter(|label| !label.is_empty());
        (name.to_owned(), labels.collect())
    };
    starts.map(metric).collect()
}

#[test]
fn alerts_and_dashboard_ask_for_metrics_and_labels_that_there_are() {
    let described = described();
    let dashboard = dashboard();
    let mut expressions = Vec::new();
    all(&dashboard, "expr", &mut expressions);
    let expressions: Vec<&str> =
        expressions.into_iter().map(|expression| expression.as_str().unwrap()).collect();
    assert!(expressions.len() > 30);
    let (rules, mut count) = (rules(), 0);
    for (name, labels) in expressions.into_iter().chain([&*rules]).flat_map(asked) {
        let own = name.strip_prefix("restaurant_").unwrap_or(&name);
        let of_histogram = ["_bucket", "_sum", "_count"].iter().find_map(|part| own.strip_suffix(part));
        let of_histogram = of_histogram.and_then(|own| described.get(own));
        let metric = described.get(own).or(of_histogram);
        let metric = metric.unwrap_or_else(|| panic!("nothing shows {name}"));
        for label in labels {
            let is_of_scrape = ["job", "role", "name", "instance", "le"].contains(&&*label);
            assert!(is_of_scrape || metric.labels.contains(&label), "{name} has no label {label}");
        }
        count += 1;
    }
    assert!(count > 40, "{count}");
}

#[test]
fn each_panel_of_the_dashboard_has_a_number_a_place_and_a_description_of_its_own() {
    let dashboard = dashboard();
    let panels = dashboard["panels"].as_array().unwrap();
    let numbers: BTreeSet<i64> = panels.iter().map(|panel| panel["id"].as_i64().unwrap()).collect();
    assert_eq!(numbers.len(), panels.len());
    let mut taken = BTreeMap::new();
    for panel in panels {
        let is_row = panel["type"] == "row";
        assert!(is_row || panel["description"].is_string(), "{}", panel["title"]);
        let side = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        for (x, y) in (side("x")..side("x") + side("w"))
            .flat_map(|x| (side("y")..side("y") + side("h")).map(move |y| (x, y)))
        {
            assert!(x < 24, "{} is too wide", panel["title"]);
            let other = taken.insert((x, y), &panel["title"]);
            assert_eq!(other, None, "{} lies on it", panel["title"]);
        }
    }
}

#[test]
fn each_alert_has_its_section_in_the_runbook() {
    let runbook = std::fs::read_to_string(path("docs/RUNBOOK.md")).unwrap();
    let headings = blocks(&runbook).into_iter().filter(|block| matches!(block.kind, BlockKind::Heading(3)));
    let headings: BTreeSet<String> = headings.map(|block| block.text).collect();
    let alerts = alerts();
    assert!(alerts.len() >= 9 && alerts.is_subset(&headings), "{alerts:?} of {headings:?}");
    for alert in alerts {
        let link = format!("runbook_url: docs/RUNBOOK.md#{}\n", alert.to_lowercase());
        assert!(rules().contains(&link), "{link}");
    }
}

#[test]
fn promtool_accepts_the_rules_and_each_alert_fires_in_its_case_alone() {
    for args in [
        &["check", "rules", "restaurant.rules.yml"][..],
        &["test", "rules", "restaurant.rules.test.yml"],
        &["check", "config", "prometheus.example.yml"],
    ] {
        let folder = path("contrib/prometheus");
        let output = Command::new("promtool").args(args).current_dir(folder).output().expect("promtool runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "{args:?}: {}{}", text(&output.stdout), text(&output.stderr));
    }
    let cases = std::fs::read_to_string(path("contrib/prometheus/restaurant.rules.test.yml")).unwrap();
    for alert in alerts() {
        assert!(
            cases.contains(&format!("alertname: {alert}, exp_alerts: []")),
            "{alert} is quiet in no case"
        );
        assert!(
            cases.contains(&format!("alertname: {alert}\n        exp_alerts:\n")),
            "{alert} fires in no case"
        );
    }
}

/// A real Prometheus, which looks each second.
struct Prometheus {
    process: std::process::Child,
    api: Http,
    _folder: TempDir,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Prometheus {
    /// With these processes to scrape: address, role and name.
    async fn start(targets: &[(String, &str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        let targets = targets.iter().map(
            |(address, role, name)| json!({"targets": [address], "labels": {"role": role, "name": name}}),
        );
        std::fs::write(file("targets.json"), Value::from_iter(targets).to_string()).unwrap();
        let config = json!({
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [path("contrib/prometheus/restaurant.rules.yml")],
            "scrape_configs": [{"job_name": "restaurant", "file_sd_configs": [{"files": [file("targets.json")]}]}],
        });
        std::fs::write(file("prometheus.yml"), config.to_string()).unwrap();
        let address = format!("127.0.0.1:{}", free_port());
        let process = Command::new("prometheus")
            .arg(format!("--config.file={}", file("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", file("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("prometheus runs");
        let api = Http::new(format!("http://{address}"));
        let prometheus = Self { process, api, _folder: folder };
        eventually("Prometheus answers", || async {
            let answer = crate::support::try_answer(prometheus.api.request("GET", "/-/ready")).await;
            answer.is_ok_and(|answer| answer.status == 200)
        })
        .await;
        prometheus
    }

    async fn data(&self, path: &str) -> Value {
        self.api.get(path).await.json()["data"].take()
    }

    /// How many targets answer.
    async fn up(&self) -> usize {
        let targets = self.data("/api/v1/targets").await;
        let targets = targets["activeTargets"].as_array().unwrap();
        targets.iter().filter(|target| target["health"] == "up").count()
    }

    /// The alerts in this state, each with its role and its server.
    async fn alerts(&self, state: &str) -> BTreeSet<(String, String, String)> {
        let alerts = self.data("/api/v1/alerts").await;
        let alerts = alerts["alerts"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|alert| state == "any" || alert["state"] == state);
        let label = |alert: &Value, name: &str| alert["labels"][name].as_str().unwrap_or_default().to_owned();
        alerts
            .map(|alert| (label(alert, "alertname"), label(alert, "role"), label(alert, "server")))
            .collect()
    }
}

fn role(env: &TestEnv, args: &[&str]) -> Role {
    env.spawn(&[args, &["--metrics-port", "0"]].concat())
}

#[tokio::test]
async fn a_real_prometheus_is_quiet_while_all_is_well_and_fires_what_is_true_once_rabbitmq_is_away() {
    let env = TestEnv::with_own_servers().await;
    let counter = Counter::start(&env).await;
    let worker = role(&env, &["kitchen-worker", "--worker-name", "chef_anna", "--cook-seconds", "0"]);
    let subscriber = role(&env, &["notification-subscriber"]);
    let host = |http: &Http| http.url.trim_start_matches("http://").to_owned();
    let prometheus = Prometheus::start(&[
        (host(&counter.orders), "order-service", ""),
        (host(&counter.tracks), "tracking-service", ""),
        (host(&counter.http), "web-gateway", ""),
        (host(&metrics_port(&worker).await), "kitchen-worker", "chef_anna"),
        (host(&metrics_port(&subscriber).await), "notification-subscriber", ""),
    ])
    .await;
    eventually("all roles are scraped", || async { prometheus.up().await == 5 }).await;
    let began = Instant::now();
    eventually("the start is over", || async { prometheus.alerts("any").await.is_empty() }).await;
    while began.elapsed() < QUIET {
        counter.orders.place(&takeout()).await;
        let alerts = prometheus.alerts("any").await;
        assert!(alerts.is_empty(), "{alerts:?} after {:?}", began.elapsed());
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    env.servers.rabbitmq.stop();
    let away =
        |role: &str| ("RestaurantServerDisconnected".to_owned(), role.to_owned(), "rabbitmq".to_owned());
    let expected: BTreeSet<_> =
        ["order-service", "tracking-service", "kitchen-worker", "notification-subscriber"].map(away).into();
    eventually_ok("what is true fires", || async {
        let firing = prometheus.alerts("firing").await;
        if firing == expected { Ok(()) } else { Err(firing) }
    })
    .await;
    assert_eq!(prometheus.alerts("any").await, expected);
}
