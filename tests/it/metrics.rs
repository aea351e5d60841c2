//! Metrics: each role shows those that `docs/METRICS.md` says, and what they count is what happened.

use crate::support::markdown::{BlockKind, blocks};
use crate::support::{Http, Role, TestEnv, delivery, dine_in, eventually, eventually_ok, gateway, takeout};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What `docs/METRICS.md` says of a metric.
pub struct Described {
    pub labels: Vec<String>,
    /// The roles that have it.
    roles: Vec<String>,
}

/// What `docs/METRICS.md` says, by the names of the metrics.
pub fn described() -> BTreeMap<String, Described> {
    let document =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/METRICS.md")).unwrap();
    let rows = blocks(&document).into_iter().filter(|block| block.kind == BlockKind::Row);
    let rows = rows.map(|row| row.cells()).filter(|cells| cells[0].starts_with('`'));
    rows.map(|cells| {
        let listed =
            |cell: &str| cell.split(',').map(|entry| entry.trim().trim_matches('`').to_owned()).collect();
        (
            cells[0].trim_matches('`').to_owned(),
            Described { labels: listed(&cells[2]), roles: listed(&cells[3]) },
        )
    })
    .collect()
}

/// The names that a text of metrics has, without their prefix.
fn names(text: &str) -> BTreeSet<String> {
    let families = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let named = families.map(|(name, kind)| {
        let suffix = match kind {
            "counter" => "_total",
            "info" => "_info",
            _ => "",
        };
        let own = name.strip_prefix("restaurant_");
        assert!(own.is_some() || name.starts_with("process_"), "{name} has no prefix");
        format!("{}{suffix}", own.unwrap_or(name))
    });
    named.collect()
}

/// A client of the port on which a role shows nothing but its metrics and health.
pub async fn metrics_port(role: &Role) -> Http {
    let line = role.wait_for_action("metrics_listening").await;
    Http::new(format!("http://{}", line["address"].as_str().unwrap()))
}

/// The value of a series; 0 where there is none.
pub async fn value(http: &Http, series: &str) -> f64 {
    let text = http.get("/metrics").await.text;
    let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok());
    value.unwrap_or_default()
}

pub async fn reaches(http: &Http, series: &str, expected: f64) {
    eventually(&format!("{series} is {expected}"), || async { value(http, series).await == expected }).await;
}

#[tokio::test]
async fn each_role_shows_the_metrics_that_are_described_and_no_others() {
    let env = TestEnv::new().await;
    let port = ["--metrics-port", "0"];
    let order = env.spawn(&[&["order-service", "--port", "0"], &port[..]].concat());
    let (orders, on_port) = (Http::of(&order).await, metrics_port(&order).await);
    reaches(&on_port, "restaurant_outbox_changes", 0.0).await;
    eventually("the order service watches the house", || async {
        names(&on_port.get("/metrics").await.text).contains("dead_letters")
    })
    .await;
    let tracking = env.spawn(&["tracking-service", "--port", "0"]);
    let tracks = Http::of(&tracking).await;
    let gateway = gateway(&env, &orders, &tracks);
    let gate = Http::of(&gateway).await;
    let worker = env.spawn(&[&["kitchen-worker", "--worker-name", "chef"], &port[..]].concat());
    let station = ["kitchen-worker", "--worker-name", "grill", "--cooking", "manual", "--port", "0"];
    let station = env.spawn(&station);
    let subscriber = env.spawn(&[&["notification-subscriber"], &port[..]].concat());
    let described = described();
    for (role, http, is_on_port) in [
        ("order", &orders, false),
        ("tracking", &tracks, false),
        ("gateway", &gate, false),
        ("station", &Http::of(&station).await, false),
        ("worker", &metrics_port(&worker).await, true),
        ("subscriber", &metrics_port(&subscriber).await, true),
    ] {
        // Requests are counted when they are answered.
        assert_eq!(http.get("/healthz").await.status, 200, "{role}");
        http.wait_ready().await;
        let has =
            |metric: &Described| metric.roles.iter().any(|of| of == role || of == "watch" && role == "order");
        let expected = described.iter().filter(|(_, metric)| has(metric)).map(|(name, _)| name.clone());
        let expected: BTreeSet<String> = expected.collect();
        // A worker has those of the kitchen from when it has its name.
        eventually_ok(&format!("the metrics of {role}"), || async {
            let shown = names(&http.get("/metrics").await.text);
            let differences: Vec<String> = shown.symmetric_difference(&expected).cloned().collect();
            if differences.is_empty() { Ok(()) } else { Err(differences) }
        })
        .await;
        if is_on_port {
            assert_eq!(http.get("/orders").await.status, 404, "{role}");
        }
    }
    assert_eq!(names(&orders.get("/metrics").await.text), names(&on_port.get("/metrics").await.text));
}

#[test]
fn the_contract_names_the_metrics_of_the_restaurant() {
    let document =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/CONTRACT.md")).unwrap();
    let section = document.split("\n## 15.").nth(1).unwrap();
    let spans = section.split('`').skip(1).step_by(2);
    let is_name = |span: &&str| span.bytes().all(|b| b == b'_' || b.is_ascii_lowercase());
    // Other words of the section have neither an underscore within nor labels.
    let is_metric = |span: &&str| span.trim_matches('_').contains(['_', '{']);
    let named: BTreeSet<&str> =
        spans.filter(is_metric).filter_map(|span| span.split('{').next()).filter(is_name).collect();
    let described = described();
    let of_any_program = ["http_", "process_", "log_"];
    let own = described.keys().map(String::as_str);
    let own = own.filter(|name| !of_any_program.iter().any(|prefix| name.starts_with(prefix)));
    assert_eq!(named, own.filter(|name| !name.is_empty()).collect());
}

#[tokio::test]
async fn an_order_is_counted_on_its_way_by_whoever_moves_it() {
    let env = TestEnv::new().await;
    let order = env.spawn(&["order-service", "--port", "0"]);
    let orders = Http::as_staff(&Http::of(&order).await.url);
    orders.wait_ready().await;
    let cook = ["kitchen-worker", "--worker-name", "chef", "--order-types", "takeout", "--cook-seconds", "0"];
    let worker = env.spawn(&[&cook[..], &["--metrics-port", "0"]].concat());
    let kitchen = metrics_port(&worker).await;
    let (number, waits) = (orders.place(&takeout()).await, orders.place(&dine_in()).await);
    eventually("the order is ready", || async {
        orders.get(&format!("/orders/{number}")).await.json()["status"] == "ready"
    })
    .await;
    orders.change(&number, "complete").await;
    orders.change(&waits, "cancel").await;
    let stays = orders.place(&delivery()).await;
    for (series, expected) in [
        ("restaurant_claims_total{result=\"claimed\"}", 1.0),
        ("restaurant_order_transitions_total{from=\"received\",to=\"cooking\"}", 1.0),
        ("restaurant_order_transitions_total{from=\"cooking\",to=\"ready\"}", 1.0),
        ("restaurant_order_wait_seconds_count", 1.0),
        ("restaurant_cooking_duration_seconds_count{order_type=\"takeout\"}", 1.0),
        ("restaurant_cooking_duration_seconds_count{order_type=\"delivery\"}", 0.0),
        ("restaurant_order_ready_seconds_count{order_type=\"takeout\"}", 1.0),
        ("restaurant_estimate_error_seconds_count", 1.0),
        ("restaurant_server_connected{server=\"postgresql\"}", 1.0),
        ("restaurant_server_connected{server=\"rabbitmq\"}", 1.0),
        ("restaurant_reconnects_total{server=\"rabbitmq\"}", 0.0),
    ] {
        reaches(&kitchen, series, expected).await;
    }
    // Three orders and four changes, each by whichever relay came first.
    eventually("all of it is published once", || async {
        let series = "restaurant_publishes_total{result=\"routed\"}";
        value(&orders, series).await + value(&kitchen, series).await == 7.0
    })
    .await;
    let placed_s = env.connect().await;
    let sql = "select extract(epoch from created_at)::float8 from orders where number = $1";
    let placed_s: f64 = placed_s.query_one(sql, &[&stays]).await.unwrap().get(0);
    for (series, expected) in [
        ("restaurant_orders_received_total{order_type=\"takeout\"}", 1.0),
        ("restaurant_orders_received_total{order_type=\"dine_in\"}", 1.0),
        ("restaurant_order_transitions_total{from=\"ready\",to=\"completed\"}", 1.0),
        ("restaurant_order_transitions_total{from=\"received\",to=\"cancelled\"}", 1.0),
        ("restaurant_publishes_total{result=\"nacked\"}", 0.0),
        ("restaurant_orders{status=\"completed\",order_type=\"takeout\"}", 1.0),
        ("restaurant_orders{status=\"received\",order_type=\"delivery\"}", 1.0),
        ("restaurant_orders{status=\"cooking\",order_type=\"delivery\"}", 0.0),
        ("restaurant_oldest_waiting_order_timestamp_seconds{order_type=\"takeout\"}", 0.0),
        ("restaurant_outbox_changes", 0.0),
        ("restaurant_outbox_oldest_timestamp_seconds", 0.0),
        ("restaurant_workers{status=\"online\"}", 1.0),
        ("restaurant_cooks{order_type=\"takeout\"}", 1.0),
        ("restaurant_cooks{order_type=\"delivery\"}", 0.0),
        ("restaurant_dead_letters", 0.0),
        ("restaurant_intake_state{state=\"open\"}", 1.0),
        ("restaurant_intake_state{state=\"closed\"}", 0.0),
    ] {
        reaches(&orders, series, expected).await;
    }
    let oldest =
        value(&orders, "restaurant_oldest_waiting_order_timestamp_seconds{order_type=\"delivery\"}").await;
    assert!((oldest - placed_s).abs() < 0.01, "{oldest} of {placed_s}");
}

#[tokio::test]
async fn one_process_watches_the_house_and_another_takes_its_place() {
    let env = TestEnv::new().await;
    let mut first = env.spawn(&["order-service", "--port", "0"]);
    let watches = async |http: &Http| names(&http.get("/metrics").await.text).contains("orders");
    let one = Http::of(&first).await;
    eventually("the first one watches", || watches(&one)).await;
    let second = env.spawn(&["order-service", "--port", "0"]);
    let two = Http::of(&second).await;
    two.wait_ready().await;
    assert!(!watches(&two).await);
    first.kill();
    eventually("the second one watches", || watches(&two)).await;
}

#[tokio::test]
async fn a_metrics_port_that_is_taken_ends_the_role_and_names_the_flag() {
    let env = TestEnv::new().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = env.run(&["notification-subscriber", "--metrics-port", &port]).await;
    assert_eq!(output.status.code(), Some(1));
    let text =
        String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(text.contains(&port) && text.contains("--metrics-port"), "{text}");
}

#[tokio::test]
async fn what_persons_do_at_a_station_is_counted_with_its_worker() {
    let env = TestEnv::new().await;
    env.write_config("kitchen: {bump_undo_seconds: 0}\n");
    let order = env.spawn(&["order-service", "--port", "0"]);
    let orders = Http::as_staff(&Http::of(&order).await.url);
    orders.wait_ready().await;
    let station = ["kitchen-worker", "--worker-name", "grill", "--cooking", "manual", "--port", "0"];
    let station = env.spawn(&station);
    let grill = Http::as_staff(&Http::of(&station).await.url);
    let number = orders.place(&takeout()).await;
    for (what, from, to) in [("bump", "cooking", "ready"), ("recall", "ready", "cooking")] {
        eventually(what, || async {
            let request = grill.request("POST", &format!("/station/tickets/{number}/{what}"));
            let request = request.header("content-type", "application/json").body("{\"attempt\":1}");
            crate::support::answer(request).await.status == 200
        })
        .await;
        let series = format!("restaurant_order_transitions_total{{from=\"{from}\",to=\"{to}\"}}");
        reaches(&grill, &series, 1.0).await;
    }
}
