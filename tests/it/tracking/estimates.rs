//! `estimated_completion`: honest about the queue and about who is there to cook.

use super::{Order, Tracking, advance, utc};
use crate::support::{TestEnv, eventually_ok, token_act};
use restaurant_system::domain::OrderNumber;
use restaurant_system::store::StaffOutcome;
use serde_json::Value;
use std::time::Duration;

const COOKS: &str = "kitchen:\n  cook_seconds: {dine_in: 100, takeout: 200, delivery: 400}\n";
/// With it, when an order goes before all that have waited for less.
const PROMOTING: &str =
    "kitchen:\n  promote_after_seconds: 1000\n  cook_seconds: {dine_in: 100, takeout: 200, delivery: 400}\n";
/// Estimates are rounded up to at most this.
const STEP: i64 = 5;
/// What may pass between the estimate and the look at the clock.
const SLACK: i64 = 10;

async fn estimate(t: &Tracking, number: &str) -> Value {
    t.get(&format!("/orders/{number}/status")).await["estimated_completion"].clone()
}

/// Waits until nothing can be said: in a rush an estimate may be made from what was so a moment ago.
async fn assert_none(t: &Tracking, number: &str, why: &str) {
    eventually_ok(why, || async {
        let estimate = estimate(t, number).await;
        if estimate.is_null() { Ok(()) } else { Err(estimate) }
    })
    .await;
}

/// Waits until the order is expected to be ready in about so many seconds.
async fn assert_in(t: &Tracking, number: &str, seconds: i64) {
    let range = seconds - SLACK..=seconds + STEP + 1;
    eventually_ok(&format!("{number} to be ready in {seconds} s"), || async {
        let estimate = estimate(t, number).await;
        if estimate.is_null() {
            return Err(None);
        }
        let wait = jiff::Timestamp::now().duration_until(utc(&estimate)).as_secs();
        if range.contains(&wait) { Ok(()) } else { Err(Some(wait)) }
    })
    .await;
}

async fn worker(t: &Tracking, name: &str, types: &str, capacity: i32) {
    let sql = "insert into workers (name, type, capacity) values ($1, $2, $3)";
    t.db.execute(sql, &[&name, &types, &capacity]).await.unwrap();
}

#[tokio::test]
async fn nobody_online_who_can_cook_it_means_none() {
    let t = Tracking::with_config(COOKS).await;
    Order::new("ORD_20261122_001").insert(&t.db).await;
    assert_none(&t, "ORD_20261122_001", "there is no cook").await;
    worker(&t, "chef_luigi", "dine_in,delivery", 1).await;
    assert_none(&t, "ORD_20261122_001", "luigi cooks no takeout").await;
    worker(&t, "chef_anna", "takeout", 1).await;
    assert_in(&t, "ORD_20261122_001", 200).await;
    t.db.execute("update workers set last_seen = now() - interval '61 s'", &[]).await.unwrap();
    assert_none(&t, "ORD_20261122_001", "nobody was seen lately").await;
    t.db.execute("update workers set last_seen = now(), status = 'offline'", &[]).await.unwrap();
    assert_none(&t, "ORD_20261122_001", "all have gone").await;
}

#[tokio::test]
async fn the_queue_ahead_and_the_workers_online_count() {
    let t = Tracking::with_config(COOKS).await;
    worker(&t, "chef_anna", "takeout", 1).await;
    let numbers = ["ORD_20261122_001", "ORD_20261122_002", "ORD_20261122_003"];
    for number in numbers {
        Order::new(number).insert(&t.db).await;
    }
    for (number, seconds) in numbers.into_iter().zip([200, 400, 600]) {
        assert_in(&t, number, seconds).await;
    }
    // Another type's queue is another queue; a more urgent order goes ahead of all.
    Order { order_type: "delivery", ..Order::new("ORD_20261122_004") }.insert(&t.db).await;
    assert_in(&t, numbers[0], 200).await;
    Order { priority: 10, ..Order::new("ORD_20261122_005") }.insert(&t.db).await;
    assert_in(&t, "ORD_20261122_005", 200).await;
    assert_in(&t, numbers[0], 400).await;
    assert_in(&t, numbers[2], 800).await;
    // More hands, less time.
    worker(&t, "chef_mario", "takeout,dine_in", 3).await;
    assert_in(&t, numbers[0], 200).await;
    assert_in(&t, numbers[2], 300).await;
}

/// Lets the order have been placed so many seconds earlier.
async fn placed_earlier(t: &Tracking, number: &str, seconds: i32) {
    let sql = "update orders set created_at = created_at - make_interval(secs => $2::int) where number = $1";
    t.db.execute(sql, &[&number, &seconds]).await.unwrap();
}

#[tokio::test]
async fn an_order_that_has_waited_for_long_has_only_its_elders_ahead_and_counts_on_it_before() {
    let t = Tracking::with_config(PROMOTING).await;
    worker(&t, "chef_anna", "takeout", 1).await;
    let (first, second, urgent) = ("ORD_20261122_001", "ORD_20261122_002", "ORD_20261122_003");
    for number in [first, second] {
        Order::new(number).insert(&t.db).await;
    }
    for n in 3..23 {
        Order { priority: 10, ..Order::new(&format!("ORD_20261122_{n:03}")) }.insert(&t.db).await;
    }
    let ahead = async |number: &str| {
        t.get(&format!("/orders/{number}/status")).await["orders_ahead"].as_u64().unwrap()
    };
    // Twenty are more urgent: 4,000 s. After 1,000 s none of them goes first any more; the cook is in the midst of one then.
    assert_in(&t, first, 1000 + 100 + 200).await;
    assert_in(&t, second, 1000 + 100 + 400).await;
    assert_in(&t, urgent, 200).await;
    assert_eq!([ahead(first).await, ahead(second).await, ahead(urgent).await], [20, 21, 0]);
    placed_earlier(&t, first, 900).await;
    assert_in(&t, first, 100 + 100 + 200).await;
    placed_earlier(&t, first, 101).await;
    assert_in(&t, first, 200).await;
    assert_in(&t, urgent, 400).await;
    assert_eq!([ahead(first).await, ahead(second).await, ahead(urgent).await], [0, 21, 1]);
    placed_earlier(&t, second, 1001).await;
    assert_in(&t, second, 400).await;
    assert_eq!([ahead(first).await, ahead(second).await, ahead(urgent).await], [0, 1, 2]);
}

#[tokio::test]
async fn a_recalled_order_has_its_old_place_in_the_queue_until_somebody_takes_it() {
    let t = Tracking::with_config(COOKS).await;
    worker(&t, "chef_anna", "takeout", 1).await;
    let (recalled, waiting) = ("ORD_20261122_001", "ORD_20261122_002");
    for number in [recalled, waiting] {
        Order::new(number).insert(&t.db).await;
    }
    advance(&t.db, recalled, "cooking", "chef_anna").await;
    advance(&t.db, recalled, "ready", "chef_anna").await;
    // It took no time, as far as this kitchen can remember.
    t.db.execute(
        "update orders set claimed_at = completed_at - interval '200 s' where status = 'ready'",
        &[],
    )
    .await
    .unwrap();
    assert_in(&t, waiting, 200).await;
    let store = t.env.store(Duration::from_secs(10)).await;
    let number = OrderNumber::parse(recalled).unwrap();
    let outcome = store.recall_order(&number, &token_act(), Duration::from_secs(60)).await.unwrap();
    assert_eq!(outcome, StaffOutcome::Done { from: restaurant_system::domain::Status::Ready });
    assert_in(&t, recalled, 200).await;
    assert_in(&t, waiting, 400).await;
}

#[tokio::test]
async fn it_is_the_cooks_own_while_cooking_and_none_after() {
    let t = Tracking::with_config(COOKS).await;
    let number = "ORD_20261122_001";
    worker(&t, "chef_anna", "takeout", 1).await;
    Order::new(number).insert(&t.db).await;
    advance(&t.db, number, "cooking", "chef_anna").await;
    let sql = "update orders set estimated_completion = '2036-01-02T03:04:05.678Z'";
    t.db.execute(sql, &[]).await.unwrap();
    assert_eq!(estimate(&t, number).await, "2036-01-02T03:04:05.678Z");
    advance(&t.db, number, "ready", "chef_anna").await;
    assert_eq!(estimate(&t, number).await, Value::Null);
}

#[tokio::test]
async fn a_cook_that_is_late_keeps_its_estimate_and_a_lost_one_loses_it_when_it_is_over() {
    let t = Tracking::with_config(COOKS).await;
    let number = "ORD_20261122_001";
    worker(&t, "chef_anna", "takeout", 1).await;
    worker(&t, "chef_mario", "takeout", 1).await;
    Order::new(number).insert(&t.db).await;
    advance(&t.db, number, "cooking", "chef_anna").await;
    t.db.execute("update orders set estimated_completion = '2020-01-02T03:04:05Z'", &[]).await.unwrap();
    assert_eq!(estimate(&t, number).await, "2020-01-02T03:04:05.000Z");
    for lost in ["last_seen = now() - interval '61 s'", "last_seen = now(), status = 'offline'"] {
        t.db.execute(&format!("update workers set {lost} where name = 'chef_anna'"), &[]).await.unwrap();
        assert_eq!(estimate(&t, number).await, Value::Null, "{lost}");
    }
    t.db.execute("update orders set estimated_completion = '2036-01-02T03:04:05Z'", &[]).await.unwrap();
    assert_eq!(estimate(&t, number).await, "2036-01-02T03:04:05.000Z", "it may only be cut off");
    t.db.execute("update orders set claimed_at = null, estimated_completion = null", &[]).await.unwrap();
    assert_in(&t, number, 200).await;
}

/// What PostgreSQL's clock says, for whoever does not name the schema.
const CLOCK_AHEAD: &str = "
create function public.now() returns timestamptz language sql stable as $$ select pg_catalog.now() + interval '90 s' $$;
do $$ begin execute format('alter database %I set search_path = public, pg_catalog', current_database()); end $$;";

#[tokio::test]
async fn it_is_made_with_postgresqls_clock() {
    let env = TestEnv::new().await;
    env.write_config(COOKS);
    env.connect().await.batch_execute(CLOCK_AHEAD).await.unwrap();
    let t = Tracking::in_env(env).await;
    let number = "ORD_20261122_001";
    worker(&t, "chef_anna", "takeout", 1).await;
    Order::new(number).insert(&t.db).await;
    t.db.batch_execute("update workers set last_seen = now(); update orders set updated_at = now()")
        .await
        .unwrap();
    let status = t.get(&format!("/orders/{number}/status")).await;
    let wait = utc(&status["updated_at"]).duration_until(utc(&status["estimated_completion"])).as_secs();
    assert!((200..=200 + STEP + 1 + SLACK).contains(&wait), "{status}");
}

#[tokio::test]
async fn measured_times_replace_configured_ones() {
    let t = Tracking::with_config(COOKS).await;
    worker(&t, "chef_anna", "takeout,delivery", 1).await;
    let sql = "insert into orders (number, customer_name, type, total_amount, status, processed_by, claimed_at, completed_at)
        select 'ORD_20261121_00' || n, 'A', 'takeout', 1, 'ready', 'chef_anna', now() - interval '40 s', now()
        from generate_series(1, 3) n";
    t.db.batch_execute(sql).await.unwrap();
    Order::new("ORD_20261122_001").insert(&t.db).await;
    assert_in(&t, "ORD_20261122_001", 40).await;
    Order { order_type: "delivery", ..Order::new("ORD_20261122_002") }.insert(&t.db).await;
    assert_in(&t, "ORD_20261122_002", 400).await;
}

#[tokio::test]
async fn where_persons_cook_it_is_made_from_what_they_took_for_its_size() {
    let t = Tracking::with_config(&format!("{COOKS}  target_minutes:\n    takeout: 10\n")).await;
    worker(&t, "grill", "takeout", 1).await;
    t.db.execute("update workers set cooking = 'manual'", &[]).await.unwrap();
    let numbers = ["ORD_20261122_001", "ORD_20261122_002"];
    for number in numbers {
        Order::new(number).insert(&t.db).await;
    }
    let sql = "insert into order_items (order_id, name, quantity, price) select max(id), 'Pizza', 9, 9.99 from orders";
    t.db.batch_execute(sql).await.unwrap();
    for (number, seconds) in numbers.into_iter().zip([600, 1200]) {
        assert_in(&t, number, seconds).await;
    }
    // One dish, and nine; the first kind was cooked thrice as often lately.
    let sql = "insert into cooking_times values ('takeout', 0, 15, 100, 0, 0), ('takeout', 4, 5, 300, 0, 0)";
    t.db.batch_execute(sql).await.unwrap();
    for (number, seconds) in numbers.into_iter().zip([100, 150 + 300]) {
        assert_in(&t, number, seconds).await;
    }
    // Beside a worker that cooks by time the last orders say it, as ever.
    worker(&t, "chef_anna", "takeout", 1).await;
    assert_in(&t, numbers[0], 200).await;
}

/// The queue is read for many at once; each order's place in it is its own.
#[tokio::test]
async fn many_who_ask_at_once_are_each_told_their_own_place() {
    let t = Tracking::with_config(COOKS).await;
    worker(&t, "chef_anna", "takeout", 1).await;
    let priorities = [1, 10, 5, 1, 5, 10, 1, 5];
    let mut places = Vec::new();
    for (n, priority) in priorities.into_iter().enumerate() {
        let number = format!("ORD_20261122_00{n}");
        Order { priority, ..Order::new(&number) }.insert(&t.db).await;
        let goes_ahead = |(m, other): (usize, &i32)| *other > priority || (*other == priority && m < n);
        let ahead = priorities.iter().enumerate().filter(|other| goes_ahead(*other)).count();
        places.push((number, 200 * (i64::try_from(ahead).unwrap() + 1)));
    }
    let asked = places.iter().cycle().take(100).map(|(number, seconds)| assert_in(&t, number, *seconds));
    futures_util::future::join_all(asked).await;
    advance(&t.db, "ORD_20261122_001", "cooking", "chef_anna").await;
    advance(&t.db, "ORD_20261122_001", "ready", "chef_anna").await;
    t.db.execute(
        "update orders set claimed_at = completed_at - interval '200 s' where status = 'ready'",
        &[],
    )
    .await
    .unwrap();
    assert_in(&t, "ORD_20261122_005", 200).await;
    assert_in(&t, "ORD_20261122_006", 1400).await;
}
