//! `place`, `track` and `simulate`: what a person does first, and what a script makes of it.

use crate::support::{Http, Role, TestEnv, eventually, program};
use serde_json::Value;
use std::process::{Command, Output, Stdio};

struct Deployment {
    env: TestEnv,
    _roles: [Role; 3],
    order: String,
    tracking: String,
}

impl Deployment {
    async fn open() -> Self {
        let env = TestEnv::new().await;
        let roles = [
            env.spawn(&["order-service", "--port", "0"]),
            env.spawn(&["tracking-service", "--port", "0"]),
            env.spawn(&[
                "kitchen-worker",
                "--worker-name",
                "chef_anna",
                "--cook-seconds",
                "0.1",
                "--prefetch",
                "10",
            ]),
        ];
        let (order, tracking) = (roles[0].url().await, roles[1].url().await);
        for role in &roles {
            role.wait_for_action("db_connected").await;
        }
        Self { env, _roles: roles, order, tracking }
    }

    async fn run(&self, args: &[&str]) -> Output {
        let mut command = Command::new(program());
        command.args(args).stdin(Stdio::null()).current_dir("/");
        command.env("RESTAURANT_ORDER_URL", &self.order).env("RESTAURANT_TRACKING_URL", &self.tracking);
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }
}

fn json_lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

#[tokio::test]
async fn an_order_is_placed_and_tracked_until_it_is_ready() {
    let deployment = Deployment::open().await;
    let item = ["--item", "Margherita Pizza:2:15.99", "--notes", "no onions", "--json"];
    let place = deployment
        .run(&[&["place", "--customer", "Ada Lovelace", "--type", "takeout"], &item[..]].concat())
        .await;
    assert!(place.status.success(), "{place:?}");
    let placed = json_lines(&place).remove(0);
    assert_eq!(placed["total_amount"].to_string(), "31.98");
    let number = placed["order_number"].as_str().unwrap();
    let sql = "select notes from orders where number = $1";
    let kept = deployment.env.connect().await.query_one(sql, &[&number]).await.unwrap();
    assert_eq!(kept.get::<_, &str>("notes"), "no onions");
    let track = deployment.run(&["track", number, "--json"]).await;
    assert!(track.status.success(), "{track:?}");
    let statuses: Vec<Value> = json_lines(&track).iter().map(|update| update["new_status"].clone()).collect();
    assert_eq!(statuses, ["received", "cooking", "ready"]);
}

#[tokio::test]
async fn what_is_refused_or_unknown_ends_with_1_and_is_told_on_standard_error() {
    let deployment = Deployment::open().await;
    for (args, said) in [
        (vec!["place", "--customer", "", "--type", "takeout", "--item", "Soup:1:5"], "customer"),
        (vec!["track", "ORD_20000101_001"], "ORD_20000101_001"),
        (vec!["track", "ORD_20000101_001", "--tracking-url", "http://127.0.0.1:1"], "127.0.0.1:1"),
    ] {
        let output = deployment.run(&args).await;
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {errors}");
        assert!(errors.contains(said), "{args:?}: {errors}");
    }
    let usage = deployment.run(&["track", "pizza"]).await;
    assert_eq!(usage.status.code(), Some(2), "{usage:?}");
}

#[tokio::test]
async fn a_simulation_tells_plausible_numbers() {
    let deployment = Deployment::open().await;
    let token = deployment.env.dir().join("staff-token");
    let args = ["simulate", "--rate", "20", "--duration", "3", "--bad-percent", "10", "--json"];
    let output =
        deployment.run(&[&args[..], &["--staff-token-file", token.to_str().unwrap()]].concat()).await;
    assert!(output.status.success(), "{output:?}");
    let report = json_lines(&output).remove(0);
    let count = |key: &str| report[key].as_u64().unwrap_or_else(|| panic!("{key}: {report}"));
    assert!((20..=120).contains(&count("customers")), "{report}");
    assert!(count("placed") > 10 && count("placed") + count("bad_sent") == count("customers"), "{report}");
    assert_eq!((count("ready"), &report["followed_by"]), (count("placed"), &"events".into()), "{report}");
}

#[tokio::test]
async fn by_a_menu_customers_order_what_it_offers() {
    let deployment = Deployment::open().await;
    let menu = concat!(env!("CARGO_MANIFEST_DIR"), "/contrib/menu.example.yaml");
    let applied = deployment.env.run(&["menu", "apply", menu]).await;
    assert!(applied.status.success(), "{applied:?}");
    let http = Http::new(deployment.order.clone());
    eventually("the menu", || async { http.get("/menu").await.status == 200 }).await;
    let placed = deployment
        .run(&["place", "--customer", "Ada", "--type", "takeout", "--item", "margherita+family:2", "--json"])
        .await;
    assert!(placed.status.success(), "{placed:?}");
    assert_eq!(json_lines(&placed)[0]["total_amount"].to_string(), "36.60");

    let output = deployment
        .run(&["simulate", "--rate", "20", "--duration", "2", "--bad-percent", "0", "--no-wait", "--json"])
        .await;
    assert!(output.status.success(), "{output:?}");
    let report = json_lines(&output).remove(0);
    assert_eq!(report["placed"], report["customers"], "{report}");
    let db = deployment.env.connect().await;
    let of_menu = "select count(*), count(*) filter (where menu_item_id is null) from order_items";
    let row = db.query_one(of_menu, &[]).await.unwrap();
    assert!(row.get::<_, i64>(0) > 10, "{row:?}");
    assert_eq!(row.get::<_, i64>(1), 0);
}
