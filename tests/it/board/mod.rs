//! `board` on a real terminal: what a person sees and presses, and the terminal afterwards.

mod screen;
mod terminal;

use crate::support::{Http, Role, Signal, TestEnv, eventually, takeout};
use serde_json::Value;
use terminal::Terminal;

struct Deployment {
    env: TestEnv,
    orders: Http,
    tracking: String,
    roles: Vec<Role>,
}

impl Deployment {
    async fn open() -> Self {
        let env = TestEnv::new().await;
        let roles = vec![
            env.spawn(&["order-service", "--port", "0"]),
            env.spawn(&["tracking-service", "--port", "0"]),
        ];
        for role in &roles {
            role.wait_for_action("db_connected").await;
        }
        let (orders, tracking) = (Http::of(&roles[0]).await, roles[1].url().await);
        Self { env, orders, tracking, roles }
    }

    /// A cook who has each order ready at once.
    fn cook(&mut self) {
        let args = ["kitchen-worker", "--worker-name", "chef_anna", "--cook-seconds", "0"];
        self.roles.push(self.env.spawn(&args));
    }

    fn args(&self) -> Vec<String> {
        let token_file = self.env.dir().join("staff-token").display().to_string();
        let args = ["--order-url", &self.orders.url, "--tracking-url", &self.tracking];
        ["board"]
            .iter()
            .chain(&args)
            .chain(&["--staff-token-file", &token_file])
            .map(ToString::to_string)
            .collect()
    }

    fn board(&self, columns: u16, rows: u16) -> Terminal {
        let args = self.args();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        Terminal::run(self.env.command(&args), columns, rows)
    }
}

#[tokio::test]
async fn an_order_appears_is_cooked_and_handed_over_and_the_terminal_is_whole_after_the_end() {
    let mut deployment = Deployment::open().await;
    let mut board = deployment.board(100, 24);
    board.shows("● live").await;
    assert!(!board.echoes(), "the board reads each key");
    let number = deployment.orders.place(&takeout()).await;
    board.shows("1 open").await;
    board.shows("Received 1").await;
    board.shows("takeout").await;
    deployment.cook();
    board.shows("Ready 1").await;
    board.press("3f");
    board.shows(&format!("{number} was handed to its customer?")).await;
    board.press("y");
    board.shows(&format!("✓ {number} is completed")).await;
    board.shows("0 open").await;
    let staff = Http::as_staff(&deployment.orders.url);
    assert_eq!(staff.get(&format!("/orders/{number}")).await.json()["status"], "completed");
    board.signal(Signal::SIGTERM);
    assert_eq!(board.ends().await, Some(0));
    assert!(board.echoes() && board.is_whole(), "{}", board.picture());
}

#[tokio::test]
async fn a_board_that_is_stopped_gives_the_terminal_to_the_shell_and_takes_it_again() {
    let deployment = Deployment::open().await;
    let mut board = deployment.board(80, 24);
    board.shows("● live").await;
    board.press("\u{1a}");
    board.stops().await;
    assert!(board.echoes() && board.is_whole());
    board.signal(Signal::SIGCONT);
    eventually("the board has the terminal again", || std::future::ready(!board.echoes())).await;
    board.resize(40, 12);
    board.shows("Recv 0  Cook 0").await;
    board.signal(Signal::SIGHUP);
    assert_eq!(board.ends().await, Some(0));
    assert!(board.echoes() && board.is_whole());
}

#[tokio::test]
async fn a_board_says_that_it_is_not_live_until_the_service_is_back() {
    let mut deployment = Deployment::open().await;
    let mut board = deployment.board(80, 24);
    board.shows("● live").await;
    deployment.roles[1].kill();
    board.shows("NOT LIVE").await;
    let number = deployment.orders.place(&takeout()).await;
    let port = deployment.tracking.rsplit_once(':').unwrap().1.to_owned();
    deployment.roles[1] = deployment.env.spawn(&["tracking-service", "--port", &port]);
    board.shows("● live").await;
    board.shows("Received 1").await;
    board.press("\r");
    board.shows("Ada Lovelace").await;
    board.press("c");
    board.shows(&format!("Why is {number} cancelled?")).await;
    board.press("sold out\r");
    board.shows("is cancelled").await;
    board.press("q");
    assert_eq!(board.ends().await, Some(0));
}

#[tokio::test]
async fn without_a_terminal_a_board_is_printed_or_refused() {
    let deployment = Deployment::open().await;
    let number = deployment.orders.place(&takeout()).await;
    let args = deployment.args();
    let run = async |more: &[&str]| {
        let args: Vec<&str> = args.iter().map(String::as_str).chain(more.iter().copied()).collect();
        deployment.env.run(&args).await
    };
    let json = run(&["--json"]).await;
    let report: Value =
        serde_json::from_slice(&json.stdout).unwrap_or_else(|error| panic!("{error}: {json:?}"));
    assert_eq!(
        (&report["counts"]["received"], &report["orders"][0]["order_number"]),
        (&1.into(), &number.into())
    );
    let tables = run(&["--once"]).await;
    assert!(String::from_utf8_lossy(&tables.stdout).starts_with("1 open, 0 late"), "{tables:?}");
    let refused = run(&[]).await;
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--once"), "{refused:?}");
    let unreachable = deployment.env.run(&["board", "--once", "--tracking-url", "http://127.0.0.1:1"]).await;
    assert_eq!(unreachable.status.code(), Some(1), "{unreachable:?}");
}
