//! A PostgreSQL that somebody set up for other programs: what the roles set on their connections, what they refuse, and
//! what they say of it.

mod encoding;
mod log_in;
mod pooler;
mod rights;
mod settings;

use crate::support::{Role, TestEnv};
use serde_json::{Value, json};
use tokio_postgres::Client;

/// Keeps with each order what holds in the transaction that writes it.
async fn watch_settings(db: &Client) {
    db.batch_execute(
        "create table seen (name text, setting text);
         grant insert on seen to public;
         create function see() returns trigger language plpgsql as $$
         begin
             insert into seen select name, current_setting(name)
             from unnest(array['synchronous_commit', 'transaction_isolation', 'enable_seqscan', 'lock_timeout']) as name;
             return null;
         end $$;
         create trigger see after insert on orders for each statement execute function see()",
    )
    .await
    .unwrap();
}

/// What this setting was when the last order was written.
async fn seen(db: &Client, name: &str) -> String {
    db.query_one("select setting from seen where name = $1 order by ctid desc limit 1", &[&name])
        .await
        .unwrap()
        .get(0)
}

fn order() -> Value {
    json!({"customer_name": "Ada", "order_type": "takeout", "items": [{"name": "Soup", "quantity": 1, "price": 5}]})
}

/// The status and the number, where there is one.
async fn place(url: &str) -> (u16, String) {
    let answer = reqwest::Client::new().post(format!("{url}/orders")).json(&order()).send().await.unwrap();
    let status = answer.status().as_u16();
    let body: Value = answer.json().await.unwrap();
    (status, body["order_number"].as_str().unwrap_or_default().to_owned())
}

async fn readiness(url: &str) -> (u16, Value) {
    let answer = reqwest::get(format!("{url}/readyz")).await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

/// An order service that has its database.
async fn order_service(env: &TestEnv) -> (Role, String) {
    let role = env.spawn(&["order-service", "--port", "0"]);
    role.wait_for_action("db_connected").await;
    let url = role.url().await;
    (role, url)
}

/// Has the environment's configuration lead elsewhere.
fn edit_config(env: &TestEnv, from: &str, to: &str) {
    let text = std::fs::read_to_string(env.config()).unwrap();
    assert!(text.contains(from), "{from}: {text}");
    std::fs::write(env.config(), text.replace(from, to)).unwrap();
}
