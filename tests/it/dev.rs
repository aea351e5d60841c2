//! `dev`, `place`, `track` and `simulate` together: what a newcomer does first, from beginning to end.

use crate::support::{Role, Signal, new_state_dir, processes_naming};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

const PROGRAM: &str = env!("CARGO_BIN_EXE_restaurant-system");
const START: Duration = Duration::from_secs(90);

struct House {
    dev: Role,
    order: String,
    tracking: String,
}

impl House {
    /// Starts `dev` in a state folder and waits until the restaurant is open.
    async fn open(state: &Path, more: &[&str]) -> Self {
        let [order, tracking] = [free_port(), free_port()];
        let mut command = Command::new(PROGRAM);
        command.args(["dev", "--cook-seconds", "0.2", "--log-format", "json", "--state-dir"]).arg(state);
        command.args(["--order-port", &order, "--tracking-port", &tracking]).args(more).current_dir(state);
        let dev = Role::spawn("dev", command);
        let deadline = tokio::time::Instant::now() + START;
        while !dev.error_lines().iter().any(|line| line.contains("The restaurant is open")) {
            assert!(tokio::time::Instant::now() < deadline, "{:?}", dev.output());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Self {
            dev,
            order: format!("http://127.0.0.1:{order}"),
            tracking: format!("http://127.0.0.1:{tracking}"),
        }
    }

    async fn run(&self, args: &[&str]) -> Output {
        let mut command = Command::new(PROGRAM);
        command.args(args).stdin(Stdio::null()).current_dir("/");
        command.env("RESTAURANT_ORDER_URL", &self.order).env("RESTAURANT_TRACKING_URL", &self.tracking);
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }

    async fn end(mut self, state: &Path) -> Role {
        self.dev.signal(Signal::SIGINT);
        assert_eq!(self.dev.wait_exit().await.code(), Some(0));
        assert_eq!(processes_naming(state), [] as [String; 0], "nothing is left behind");
        self.dev
    }
}

fn free_port() -> String {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string()
}

fn json_lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

#[tokio::test]
async fn a_newcomers_first_day_and_the_next_one() {
    let state = new_state_dir();
    let house = House::open(state.path(), &[]).await;
    let item = ["--item", "Margherita Pizza:2:15.99"];
    let place = house
        .run(&[&["place", "--customer", "Ada Lovelace", "--type", "takeout", "--json"], &item[..]].concat())
        .await;
    assert!(place.status.success(), "{place:?}");
    let placed = json_lines(&place).remove(0);
    let number = placed["order_number"].as_str().unwrap().to_owned();
    assert_eq!(placed["total_amount"].to_string(), "31.98");

    let track = house.run(&["track", &number, "--json"]).await;
    assert!(track.status.success(), "{track:?}");
    let statuses: Vec<Value> = json_lines(&track).iter().map(|update| update["new_status"].clone()).collect();
    assert_eq!(statuses, ["received", "cooking", "ready"]);
    house
        .dev
        .wait_for_line("of the subscriber", |line| line.contains(&number) && line.contains("'ready'"))
        .await;

    let simulate =
        house.run(&["simulate", "--rate", "20", "--duration", "3", "--bad-percent", "10", "--json"]).await;
    assert!(simulate.status.success(), "{simulate:?}");
    let report = json_lines(&simulate).remove(0);
    let count = |key: &str| report[key].as_u64().unwrap_or_else(|| panic!("{key}: {report}"));
    assert!((20..=120).contains(&count("customers")), "{report}");
    assert!(count("placed") > 0 && count("placed") <= count("customers"), "{report}");
    assert_eq!(count("ready"), count("placed"), "{report}");

    let refused = house.run(&["place", "--customer", "", "--type", "takeout", "--item", "Soup:1:0"]).await;
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let unknown = house.run(&["track", "ORD_20000101_001"]).await;
    assert_eq!(unknown.status.code(), Some(1), "{unknown:?}");
    house.end(state.path()).await;

    // The next day everything is still there, and one more port is asked for than is free.
    let house = House::open(state.path(), &["--workers", "chef_luigi"]).await;
    let track = house.run(&["track", &number, "--json"]).await;
    assert_eq!(json_lines(&track).len(), 3, "{track:?}");
    let taken = house.order.rsplit(':').next().unwrap().to_owned();
    let other = new_state_dir();
    let second =
        house.run(&["dev", "--state-dir", other.path().to_str().unwrap(), "--order-port", &taken]).await;
    assert_eq!(second.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&second.stderr).contains(&taken), "{second:?}");
    house.end(state.path()).await;
}
