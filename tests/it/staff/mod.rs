//! The staff, from outside (contract, section 11): accounts, sessions, rights, and what is kept of what they did.

mod accounts;
mod actions;
mod logins;
mod rights;
mod sessions;

use std::sync::LazyLock;

use crate::support::{Answer, Http, Role, TestEnv, answer};
use reqwest::RequestBuilder;
use restaurant_system::domain::PasswordHash;
use serde_json::{Value, json};
use tokio_postgres::Client;

/// Each account with its role and its password.
pub const STAFF: [(&str, &str, &str); 3] = [
    ("anna", "kitchen", "flour and water"),
    ("carla", "counter", "exact change"),
    ("max", "manager", "who closes up?"),
];

/// The accounts file.
static ACCOUNTS: LazyLock<String> = LazyLock::new(|| STAFF.iter().map(entry).collect());

/// An entry of the accounts file.
fn entry((name, role, password): &(&str, &str, &str)) -> String {
    let hash = PasswordHash::new(password, [7; 16]).unwrap();
    format!("- name: {name}\n  role: {role}\n  password_hash: {}\n", hash.as_str())
}

/// Both services of a restaurant that has staff, behind a proxy: a client's address is the one that it names.
struct Restaurant {
    env: TestEnv,
    orders: Role,
    tracking: Role,
    http: Http,
    track: Http,
    db: Client,
}

impl Restaurant {
    async fn start() -> Self {
        let env = TestEnv::new().await;
        configure(&env, true);
        let orders = env.spawn(&["order-service", "--port", "0"]);
        let tracking = env.spawn(&["tracking-service", "--port", "0"]);
        let (http, track) = (Http::of(&orders).await, Http::of(&tracking).await);
        http.wait_ready().await;
        track.wait_ready().await;
        let db = env.connect().await;
        Self { env, orders, tracking, http, track, db }
    }

    /// The token of a new session of somebody, who is at an address of their own.
    async fn token(&self, name: &str) -> String {
        let (_, _, password) = STAFF.iter().find(|(of, ..)| *of == name).unwrap();
        let answer = login(&self.http, name, password, &format!("198.51.100.{}", name.len())).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()["token"].as_str().unwrap().to_owned()
    }

    /// An order that is ready.
    async fn ready_order(&self) -> String {
        self.order_through(&["cooking", "ready"]).await
    }

    /// An order that somebody cooks.
    async fn cooking_order(&self) -> String {
        self.order_through(&["cooking"]).await
    }

    async fn order_through(&self, statuses: &[&str]) -> String {
        let number = self.http.place(&crate::support::delivery()).await;
        for (status, cook) in statuses.iter().map(|status| (status, "chef")) {
            let sql = "with o as (update orders set status = $2, processed_by = $3, updated_at = now(),
                    completed_at = case when $2 = 'ready' then now() end where number = $1 returning id)
                insert into order_status_log (order_id, status, changed_by) select id, $2, $3 from o";
            self.db.execute(sql, &[&number, &status, &cook]).await.unwrap();
        }
        number
    }
}

/// Names the accounts file, and the one with the token where that is wanted.
pub fn configure(env: &TestEnv, with_token: bool) {
    write_accounts(env, &ACCOUNTS);
    let path = |name: &str| env.dir().join(name).display().to_string();
    env.write_config("");
    let text = std::fs::read_to_string(env.config()).unwrap();
    let others = text.split("staff:").next().unwrap();
    let token = if with_token { format!("  token_file: {}\n", path("staff-token")) } else { String::new() };
    let text = format!(
        "{others}staff:\n  accounts_file: {}\n{token}http: {{trusted_proxies: [127.0.0.1]}}\n",
        path("accounts.yaml")
    );
    std::fs::write(env.config(), text).unwrap();
}

fn write_accounts(env: &TestEnv, text: &str) {
    std::fs::write(env.dir().join("accounts.yaml"), text).unwrap();
}

fn login_request(http: &Http, body: &Value, from: &str) -> RequestBuilder {
    http.request("POST", "/sessions")
        .header("content-type", "application/json")
        .header("x-forwarded-for", from)
        .body(body.to_string())
}

async fn login(http: &Http, name: &str, password: &str, from: &str) -> Answer {
    answer(login_request(http, &json!({"name": name, "password": password}), from)).await
}

async fn ask(http: &Http, method: &str, path: &str, token: &str) -> Answer {
    answer(http.request(method, path).bearer_auth(token)).await
}

async fn post(http: &Http, path: &str, token: &str, body: &Value) -> Answer {
    answer(http.request("POST", path).bearer_auth(token).json(body)).await
}
