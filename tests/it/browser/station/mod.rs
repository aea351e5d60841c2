//! The station's page as a cook sees it (contract, section 14), on tablets that are browsers.

mod accounts;
mod looks;
mod network;
mod pictures;
mod tickets;

use super::{Device, Page};
use crate::staff::{STAFF, configure};
use crate::support::{
    Http, Proxy, Role, STAFF_TOKEN, TestEnv, answer, delivery, dine_in, eventually, eventually_ok, free_port,
    item, takeout, with,
};
use serde_json::{Value, json};
use std::time::Duration;
use tokio_postgres::Client;

/// How soon a change is to be seen.
const SOON: Duration = Duration::from_secs(1);
/// How often that is tried: a loaded machine holds up some attempts, and what is slow by its design holds up all.
const ATTEMPTS: usize = 5;

/// A restaurant whose only worker is a station.
struct Station {
    env: TestEnv,
    http: Http,
    db: Client,
    worker: Role,
    port: u16,
    /// Between the tablets and the station.
    network: Proxy,
    _orders: Role,
}

impl Station {
    async fn open() -> Self {
        let env = TestEnv::new().await;
        configure(&env, true);
        let orders = env.spawn(&["order-service", "--port", "0"]);
        let port = free_port();
        let worker = spawn(&env, port);
        let (http, db, network) = (Http::of(&orders).await, env.connect().await, Proxy::to(port).await);
        http.wait_ready().await;
        Http::of(&worker).await.wait_ready().await;
        Self { env, http, db, worker, port, network, _orders: orders }
    }

    /// A tablet on which anna, a cook, has logged in.
    async fn tablet(&self, device: Device) -> Page {
        let page = self.login_page(device).await;
        log_in(&page).await;
        page.sees("#live[data-live=yes]").await;
        page
    }

    async fn login_page(&self, device: Device) -> Page {
        let page = Page::open(device, &self.network.url()).await;
        page.until("the way in", "location.pathname === '/login'").await;
        page
    }

    async fn place(&self, order: &Value) -> String {
        self.http.place(order).await
    }

    async fn cancel(&self, number: &str) {
        let request = self.http.request("POST", &format!("/orders/{number}/cancel"));
        let request = request.bearer_auth(STAFF_TOKEN).json(&json!({"reason": "the guest has left"}));
        assert_eq!(answer(request).await.status, 200);
    }

    /// Has an order placed so many minutes earlier than it was.
    async fn place_earlier(&self, number: &str, minutes: i32) {
        let sql = "update orders set created_at = created_at - make_interval(mins => $2) where number = $1";
        assert_eq!(self.db.execute(sql, &[&number, &minutes]).await.unwrap(), 1);
    }

    /// The statuses that an order has had, each with who changed it.
    async fn history(&self, number: &str) -> Vec<String> {
        let sql = "select l.status || ' by ' || l.changed_by from order_status_log l join orders o on o.id = l.order_id
            where o.number = $1 order by l.id";
        self.db.query(sql, &[&number]).await.unwrap().iter().map(|row| row.get(0)).collect()
    }

    async fn wait_ready(&self, number: &str) {
        eventually(&format!("{number} is ready"), || async {
            self.history(number).await.last().is_some_and(|last| last.starts_with("ready"))
        })
        .await;
    }
}

fn spawn(env: &TestEnv, port: u16) -> Role {
    let port = port.to_string();
    env.spawn(&[
        "kitchen-worker",
        "--worker-name",
        "grill",
        "--cooking",
        "manual",
        "--port",
        &port,
        "--prefetch",
        "12",
    ])
}

/// Logs anna in by the form that is shown.
async fn log_in(page: &Page) {
    let (name, _, password) = STAFF[0];
    page.fill("#name", name).await;
    page.fill("#password", password).await;
    page.click("button[type=submit]").await;
    page.until("the station is shown", "location.pathname === '/' && document.readyState === 'complete'")
        .await;
}

/// Fails the test unless an attempt takes less than [`SOON`].
async fn within_a_second(mut attempt: impl AsyncFnMut() -> Duration) {
    let mut took = Vec::new();
    for _ in 0..ATTEMPTS {
        took.push(attempt().await);
        if took.last() < Some(&SOON) {
            return;
        }
    }
    panic!("no attempt took less than {SOON:?}: {took:?}");
}

/// The selector of an order's ticket on the board.
fn ticket(number: &str) -> String {
    format!("#tickets [data-order='{number}']")
}

/// The selector of a button of a ticket.
fn button(number: &str, action: &str) -> String {
    format!("{} [data-action={action}]:not([hidden])", ticket(number))
}

/// The selector of an item of a ticket.
fn item_of(number: &str, place: usize) -> String {
    format!("{} [data-item='{place}']", ticket(number))
}

/// An order with two items.
fn two_items() -> Value {
    with(&dine_in(), "/items", json!([item("Margherita", 2, 9.5), item("Lasagne", 1, 11.0)]))
}
