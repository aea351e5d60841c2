//! A station's calls and pages, from outside (contract, section 14): one that listens in the test's own process, with tickets as its
//! worker would take them and make them ready.

mod calls;
mod login;
mod recalls;
mod reordered;
mod streams;
mod system;

use std::sync::Arc;
use std::time::Duration;

use daemon::metrics::Metrics;
use http_kit::server::ServerLimits;
use reqwest::RequestBuilder;
use restaurant_system::domain::{CookTimes, OrderType, PasswordHash, StaffAccess, StaffAccount};
use restaurant_system::http::auth::TokenDigest;
use restaurant_system::services::Transitions;
use restaurant_system::services::kitchen::{
    EstimateErrors, KitchenOptions, KitchenTimes, Station, StationOptions, StationTimes,
};
use serde_json::{Value, json};
use tokio::sync::{Notify, watch};
use tokio_postgres::Client;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::staff::STAFF;
use crate::support::{Answer, Http, STAFF_TOKEN, TestEnv, answer};

const STATION: &str = "grill";
const RECALL_WITHIN: Duration = Duration::from_secs(15 * 60);

/// A station with its database.
struct Grill {
    env: TestEnv,
    db: Client,
    /// Shows the staff's one token.
    http: Http,
    /// What the worker is told by.
    look: Arc<Notify>,
    _stop: DropGuard,
}

impl Grill {
    async fn start() -> Self {
        Self::on(TestEnv::new().await).await
    }

    async fn on(env: TestEnv) -> Self {
        let store = env.store(Duration::from_secs(10)).await;
        let broker = crate::broker::connected(&env).await;
        let look = Arc::new(Notify::new());
        let seconds = |seconds| CookTimes::uniform(Duration::from_secs(seconds));
        let worker = KitchenOptions {
            metrics: Metrics::default(),
            name: STATION.parse().unwrap(),
            order_types: vec![OrderType::DineIn, OrderType::Takeout],
            heartbeat_interval: Duration::from_secs(30),
            prefetch: 8,
            times: KitchenTimes {
                cook: seconds(0),
                stop_timeout: Duration::ZERO,
                grace: Duration::ZERO,
                promote_after: Duration::from_secs(900),
            },
            station: None,
        };
        let options = StationOptions {
            host: "127.0.0.1".to_owned(),
            port: 0,
            limits: ServerLimits::default(),
            times: StationTimes {
                bump_undo: Duration::from_secs(3),
                target: seconds(600),
                warn: 0.6,
                late: 1.0,
            },
            recall_within: RECALL_WITHIN,
            // The sender may go: what was sent last stays.
            staff: watch::channel(staff()).1,
            look: Arc::clone(&look),
            estimate_errors: EstimateErrors::default(),
            transitions: Transitions::default(),
        };
        let stop = CancellationToken::new();
        let station = Station::bind(&worker, options, &store, &broker, &stop).await.unwrap();
        let http = Http::as_staff(format!("http://{}", station.address()));
        tokio::spawn(station.serve(stop.clone()));
        let db = env.connect().await;
        db.execute("insert into workers (name, type) values ($1, 'dine_in,takeout')", &[&STATION])
            .await
            .unwrap();
        Self { env, db, http, look, _stop: stop.drop_guard() }
    }

    /// An order of two entries that waits.
    async fn place(&self, number: &str) {
        let sql = "with o as (
                insert into orders (number, customer_name, type, table_number, total_amount, priority, notes)
                values ($1, 'Ada Lovelace', 'dine_in', 7, 20, 1, 'allergic to nuts') returning id
            ), i as (
                insert into order_items (order_id, name, quantity, price, notes)
                select id, d.name, 2, 5, d.notes from o, (values ('Pizza', 'no basil'), ('Salad', null)) as d (name, notes)
            )
            insert into order_status_log (order_id, status, changed_by, attempt) select id, 'received', 'order-service', 0 from o";
        self.db.execute(sql, &[&number]).await.unwrap();
    }

    /// Has the station take an order, as its worker does.
    async fn take(&self, number: &str) {
        let sql = "with o as (
                update orders set status = 'cooking', processed_by = $2, attempt = attempt + 1, claimed_at = now(), updated_at = now()
                where number = $1 returning id, attempt
            ), l as (
                insert into order_status_log (order_id, status, changed_by, attempt) select id, 'cooking', $2, attempt from o
            )
            insert into station_tickets as t (order_id, station, attempt) select id, $2, attempt from o
            on conflict (order_id) do update set station = excluded.station, attempt = excluded.attempt";
        self.db.execute(sql, &[&number, &STATION]).await.unwrap();
    }

    /// A ticket of the first attempt.
    async fn ticket(&self, number: &str) {
        self.place(number).await;
        self.take(number).await;
    }

    /// Makes ready what was bumped, as the worker does once that cannot be taken back. Says whether there was anything.
    async fn finish(&self, number: &str) -> bool {
        let sql = "with due as (
                select o.id, o.attempt, t.bumped_by from orders o join station_tickets t on t.order_id = o.id and t.attempt = o.attempt
                where o.number = $1 and o.status = 'cooking' and o.claimed_at is not null and t.bumped_at is not null
                for update of o, t
            ), o as (
                update orders o set status = 'ready', completed_at = now(), updated_at = now() from due where o.id = due.id
                returning o.id, o.attempt, due.bumped_by
            )
            insert into order_status_log (order_id, status, changed_by, attempt)
            select id, 'ready', 'staff:' || bumped_by, attempt from o";
        self.db.execute(sql, &[&number]).await.unwrap() > 0
    }

    /// A manager cancels what cooks.
    async fn cancel(&self, number: &str) {
        let sql = "update orders set status = 'cancelled', updated_at = now() where number = $1";
        assert_eq!(self.db.execute(sql, &[&number]).await.unwrap(), 1);
    }

    async fn tickets(&self) -> Value {
        self.http.get("/station/tickets").await.ok()
    }

    /// What a person does with a ticket of an attempt: `start`, `bump`.
    async fn does(&self, what: &str, number: &str, attempt: i32) -> Answer {
        answer(change(&self.http, what, number, &json!({"attempt": attempt}))).await
    }

    async fn token(&self, name: &str) -> String {
        let (cookie, _) = login::logged_in(&self.http, name).await;
        cookie.split_once('=').unwrap().1.to_owned()
    }

    /// What the staff did, the earliest first.
    async fn actions(&self) -> Vec<String> {
        let sql = "select concat_ws(' ', name, action, order_number, detail) from staff_actions order by id";
        self.db.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
    }
}

/// A change of a ticket; `items/1/done` is one of an entry.
fn change(http: &Http, what: &str, number: &str, body: &Value) -> RequestBuilder {
    let method = if what.starts_with("items/") { "PUT" } else { "POST" };
    http.request(method, &format!("/station/tickets/{number}/{what}")).json(body)
}

fn staff() -> StaffAccess {
    let account = |(name, role, password): &(&str, &str, &str)| StaffAccount {
        name: (*name).to_owned(),
        role: role.parse().unwrap(),
        password: PasswordHash::new(password, [7; 16]).unwrap(),
    };
    StaffAccess {
        token_sha256: Some(TokenDigest::of(STAFF_TOKEN).bytes()),
        accounts: Some(STAFF.iter().map(account).collect()),
    }
}
