//! Estimates of a station: how long persons took is kept, and told of the next orders.

use super::kit::Kit;
use crate::support::{Http, Role, TestEnv, eventually_ok, item, takeout};
use restaurant_system::domain::{CookTimes, OrderNumber, OrderType};
use restaurant_system::store::{Claim, KitchenStore, Store};
use serde_json::json;
use std::time::Duration;
use tokio_postgres::Client;

/// What is promised where nothing was measured.
const TARGET: Duration = Duration::from_secs(900);

/// A station without its process.
struct Grill {
    /// Its database goes with it.
    _env: TestEnv,
    db: Client,
    store: Store,
    claim: Claim,
    placed: u32,
}

/// A row of what was measured: how many, and the three means in seconds.
type Measured = (i64, f64, f64, f64);

impl Grill {
    async fn new() -> Self {
        let env = TestEnv::new().await;
        let (db, store) = (env.connect().await, env.store(Duration::from_secs(30)).await);
        let (order_types, cook_times) = (OrderType::ALL.to_vec(), CookTimes::uniform(TARGET));
        let promote_after = Duration::from_secs(900);
        let claim = Claim {
            worker: "grill".parse().unwrap(),
            order_types,
            cook_times,
            is_manual: true,
            promote_after,
        };
        Self { _env: env, db, store, claim, placed: 0 }
    }

    /// Has taken an order of so many dishes; its number.
    async fn take(&mut self, order_type: &str, dishes: u32) -> OrderNumber {
        self.placed += 1;
        let number = format!("ORD_20261122_{:03}", self.placed);
        let sql = format!(
            "with placed as (
                insert into orders (number, customer_name, type, total_amount, table_number, delivery_address)
                values ('{number}', 'Ada', '{order_type}', 1, case '{order_type}' when 'dine_in' then 7 end,
                        case '{order_type}' when 'delivery' then 'Lovelace Lane 12' end)
                returning id
            )
            insert into order_items (order_id, name, quantity, price)
            select id, 'Pizza', least(10, {dishes} - at), 1 from placed, generate_series(0, {dishes} - 1, 10) as at"
        );
        self.db.batch_execute(&sql).await.unwrap();
        let number = OrderNumber::parse(&number).unwrap();
        let claimed = self.store.claim_orders(&self.claim, std::slice::from_ref(&number)).await.unwrap();
        assert_eq!(claimed.len(), 1);
        number
    }

    /// So many seconds after the claim the order is to be ready.
    async fn promised(&self, number: &OrderNumber) -> f64 {
        let sql = "select extract(epoch from estimated_completion - claimed_at)::float8 from orders where number = $1";
        self.db.query_one(sql, &[&number.as_str()]).await.unwrap().get(0)
    }

    /// A person bumps it so many seconds after it was claimed, where so many were promised.
    async fn bump(&self, number: &OrderNumber, promised: u32, seconds: u32) {
        let sql = format!(
            "update orders set claimed_at = now() - interval '{seconds} s',
                estimated_completion = now() - interval '{seconds} s' + interval '{promised} s'
            where number = '{number}';
            update station_tickets set bumped_at = now(), bumped_by = 'anna'
            where order_id = (select id from orders where number = '{number}')",
            number = number.as_str()
        );
        self.db.batch_execute(&sql).await.unwrap();
    }

    async fn cook(&mut self, order_type: &str, dishes: u32, promised: u32, seconds: u32) {
        let number = self.take(order_type, dishes).await;
        self.bump(&number, promised, seconds).await;
        self.finish(1).await;
    }

    /// Makes ready what was bumped, which are so many; by how much their estimates were wrong.
    async fn finish(&self, count: usize) -> Vec<Option<Duration>> {
        let finished = self.store.finish_bumped(&self.claim.worker, Duration::ZERO).await.unwrap();
        assert_eq!(finished.len(), count);
        finished.into_iter().map(|bumped| bumped.estimate_error).collect()
    }

    async fn measured(&self, order_type: &str, size_class: i32) -> Option<Measured> {
        let sql = "select orders, mean_seconds, mean_error_seconds, mean_absolute_error_seconds
            from cooking_times where order_type = $1 and size_class = $2";
        let row = self.db.query_opt(sql, &[&order_type, &size_class]).await.unwrap()?;
        Some((row.get(0), row.get(1), row.get(2), row.get(3)))
    }

    async fn assert_measured(&self, size_class: i32, expected: Measured) {
        let found = self.measured("takeout", size_class).await.unwrap();
        let off = [(found.1, expected.1), (found.2, expected.2), (found.3, expected.3)];
        let is_near = off.iter().all(|(found, expected)| (found - expected).abs() < 0.5);
        assert!(found.0 == expected.0 && is_near, "{found:?}, not {expected:?}");
    }

    async fn set(&self, order_type: &str, size_class: i32, orders: i64, seconds: f64) {
        let sql = "insert into cooking_times values ($1, $2, $3, $4, 0, 0)
            on conflict (order_type, size_class) do update set orders = $3, mean_seconds = $4";
        self.db.execute(sql, &[&order_type, &size_class, &orders, &seconds]).await.unwrap();
    }
}

#[tokio::test]
async fn the_first_orders_weigh_alike_and_then_the_latest_most() {
    let mut grill = Grill::new().await;
    for seconds in [100, 200, 600] {
        grill.cook("takeout", 1, 300, seconds).await;
    }
    grill.assert_measured(0, (3, 300.0, 0.0, 200.0)).await;
    grill.set("takeout", 0, 5000, 100.0).await;
    for _ in 0..20 {
        let number = grill.take("takeout", 1).await;
        grill.bump(&number, 200, 200).await;
    }
    grill.finish(20).await;
    grill.assert_measured(0, (5020, 150.0, 0.0, 100.0)).await;
    assert_eq!(grill.measured("delivery", 0).await, None);
}

#[tokio::test]
async fn a_forgotten_ticket_counts_as_four_times_its_estimate_or_ten_minutes() {
    let mut grill = Grill::new().await;
    grill.cook("takeout", 1, 300, 36_000).await;
    grill.assert_measured(0, (1, 1200.0, 900.0, 900.0)).await;
    grill.cook("takeout", 2, 5, 36_000).await;
    grill.assert_measured(1, (1, 600.0, 595.0, 595.0)).await;
    grill.cook("takeout", 3, 5, 500).await;
    grill.assert_measured(2, (1, 500.0, 495.0, 495.0)).await;
}

#[tokio::test]
async fn a_claim_promises_what_was_measured_for_its_size_or_for_the_nearest() {
    let mut grill = Grill::new().await;
    for dishes in [1, 2, 12] {
        let number = grill.take("takeout", dishes).await;
        assert_eq!(grill.promised(&number).await, TARGET.as_secs_f64());
    }
    grill.set("takeout", 0, 1, 10.0).await;
    grill.set("takeout", 3, 1, 70.0).await;
    let sizes = [(1, 10.0), (2, 10.0), (3, 70.0), (4, 70.0), (5, 70.0), (8, 70.0), (9, 70.0), (25, 70.0)];
    for (dishes, seconds) in sizes {
        let number = grill.take("takeout", dishes).await;
        assert_eq!(grill.promised(&number).await, seconds, "{dishes} dishes");
    }
    let number = grill.take("delivery", 1).await;
    assert_eq!(grill.promised(&number).await, TARGET.as_secs_f64());
    // Whoever cooks by time knows how long.
    grill.claim.is_manual = false;
    let number = grill.take("takeout", 1).await;
    assert_eq!(grill.promised(&number).await, TARGET.as_secs_f64());
}

#[tokio::test]
async fn an_order_that_was_recalled_or_taken_over_is_not_measured_and_its_estimate_is_judged_all_the_same() {
    let mut grill = Grill::new().await;
    let number = grill.take("takeout", 1).await;
    let sql = "update orders set attempt = 2; update station_tickets set attempt = 2";
    grill.db.batch_execute(sql).await.unwrap();
    grill.bump(&number, 100, 40).await;
    let wrong = grill.finish(1).await[0].unwrap();
    assert!((wrong.as_secs_f64() - 60.0).abs() < 2.0, "{wrong:?}");
    assert_eq!(grill.measured("takeout", 0).await, None);
}

/// Seconds from now until the order is to be ready.
async fn expected_in(tracking: &Http, number: &str) -> i64 {
    let status = tracking.get(&format!("/orders/{number}/status")).await.ok();
    let estimate: jiff::Timestamp = status["estimated_completion"].as_str().unwrap().parse().unwrap();
    jiff::Timestamp::now().duration_until(estimate).as_secs()
}

async fn station(kit: &Kit) -> Role {
    kit.working("grill", &["--cooking", "manual", "--port", "0", "--prefetch", "1"]).await
}

/// Waits until the station holds the order.
async fn wait_ticket(kit: &Kit, number: &str) {
    eventually_ok(&format!("{number} is at the station"), || async {
        let sql =
            "select count(*) from station_tickets t join orders o on o.id = t.order_id where o.number = $1";
        if kit.db.query_one(sql, &[&number]).await.unwrap().get::<_, i64>(0) == 1 { Ok(()) } else { Err(()) }
    })
    .await;
}

#[tokio::test]
async fn estimates_become_what_persons_take_and_stay_so_over_a_restart() {
    let config = "kitchen:\n  grace_seconds: 0.2\n  bump_undo_seconds: 0\n";
    let kit = Kit::with(config).await;
    let mut grill = station(&kit).await;
    let role = kit.env.spawn(&["tracking-service", "--port", "0"]);
    let tracking = Http::of(&role).await;
    role.wait_for_action("db_connected").await;
    let mut waiting = None;
    for took in [5, 5, 5] {
        let number = kit.place("takeout").await;
        wait_ticket(&kit, &number).await;
        if waiting.is_none() {
            waiting = Some(expected_in(&tracking, &number).await);
        }
        let sql = format!(
            "update orders set claimed_at = now() - interval '{took} s' where status = 'cooking';
            update station_tickets set bumped_at = now(), bumped_by = 'anna' where bumped_at is null"
        );
        kit.db.batch_execute(&sql).await.unwrap();
        kit.wait_status(&number, "ready").await;
    }
    assert!((850..=900).contains(&waiting.unwrap()), "{waiting:?} before anything was measured");
    let metrics = Http::of(&grill).await.get("/metrics").await.text;
    assert!(metrics.contains("\nrestaurant_estimate_error_seconds_count 3\n"), "{metrics}");
    grill.kill();
    let _grill = station(&kit).await;
    let mut large = takeout();
    large["items"] = json!([item("Pizza", 10, 0.99)]);
    kit.db.execute("insert into cooking_times values ('takeout', 4, 1, 60, 0, 0)", &[]).await.unwrap();
    let (held, next, large) =
        (kit.place("takeout").await, kit.place("takeout").await, kit.http.place(&large).await);
    wait_ticket(&kit, &held).await;
    // Of three orders that took 5 s, and one that took 60.
    for (number, seconds) in [(&held, 0..=5), (&next, 10..=35), (&large, 75..=105)] {
        let told = expected_in(&tracking, number).await;
        assert!(seconds.contains(&told), "{number} in {told} s, not in {seconds:?}");
    }
}
