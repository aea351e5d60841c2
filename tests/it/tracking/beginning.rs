//! `GET /events` without `Last-Event-ID`: the open orders as they are, then each change; and the whole history.

use super::{Order, Tracking, advance};
use crate::support::eventually;
use std::collections::HashSet;
use tokio_postgres::Client;

const CANCELLED: &str = "ORD_20261122_001";
const COOKING: &str = "ORD_20261122_002";
const RECEIVED: &str = "ORD_20261122_003";
const COMPLETED: &str = "ORD_20261122_004";
const READY: &str = "ORD_20261122_005";

/// An order in every status, 12 changes in all.
async fn insert_orders(db: &Client) {
    for number in [CANCELLED, COOKING, RECEIVED, COMPLETED, READY] {
        Order::new(number).insert(db).await;
    }
    advance(db, CANCELLED, "cancelled", "staff").await;
    for (number, statuses) in [
        (READY, &["cooking", "ready"][..]),
        (COOKING, &["cooking"]),
        (COMPLETED, &["cooking", "ready", "completed"]),
    ] {
        for status in statuses {
            advance(db, number, status, "chef_anna").await;
        }
    }
    held_back_by_nobody(db).await;
}

/// Waits until no transaction of another test holds back what is in the log.
async fn held_back_by_nobody(db: &Client) {
    const HELD_BACK: &str = "select count(*) from order_status_log
        where transaction_id >= pg_snapshot_xmin(pg_current_snapshot())::text::bigint";
    eventually("the events are held back by nobody", || async {
        db.query_one(HELD_BACK, &[]).await.unwrap().get::<_, i64>(0) == 0
    })
    .await;
}

#[tokio::test]
async fn without_an_id_it_begins_with_the_open_orders_as_they_are() {
    let t = Tracking::start().await;
    insert_orders(&t.db).await;
    for id in [None, Some("")] {
        let mut stream = t.events("/events", id).await;
        let open = stream.take(3).await;
        let open: Vec<_> = open.iter().map(|event| (event.order(), event.new_status())).collect();
        // By their last change, the latest last.
        assert_eq!(open, [(RECEIVED, "received"), (READY, "ready"), (COOKING, "cooking")]);
    }
    let mut stream = t.events("/events", None).await;
    stream.take(3).await;
    advance(&t.db, READY, "completed", "staff").await;
    let next = stream.next().await.unwrap();
    assert_eq!((next.order(), next.new_status()), (READY, "completed"), "then each change, none again");
}

#[tokio::test]
async fn behind_each_of_the_open_orders_it_resumes_without_a_gap() {
    let t = Tracking::start().await;
    insert_orders(&t.db).await;
    let mut stream = t.events("/events", None).await;
    let open = stream.take(3).await;
    // What a browser has when it was told all of them, and no change since.
    let place = stream.last_id_after(&open[2].id).await;
    advance(&t.db, RECEIVED, "cooking", "chef_anna").await;
    let change = stream.next().await.unwrap();
    assert_eq!(t.events("/events", Some(&place)).await.next().await.unwrap(), change);
    for event in &open {
        let mut rest = t.events("/events", Some(&event.id)).await;
        while rest.next().await.unwrap() != change {}
    }
}

#[tokio::test]
async fn from_the_start_it_tells_the_whole_history() {
    let t = Tracking::start().await;
    insert_orders(&t.db).await;
    let history = t.events("/events?from=start", None).await.take(12).await;
    let received = history.iter().filter(|event| event.new_status() == "received").count();
    assert_eq!((received, history[11].order(), history[11].new_status()), (5, COMPLETED, "completed"));
    // Who comes back with an id goes on there.
    let rest = t.events("/events?from=start", Some(&history[9].id)).await.take(2).await;
    assert_eq!(rest, history[10..]);
    for path in ["/events?from=the_start", "/events?from="] {
        let problem = t.problem(path, 400).await;
        assert!(problem["detail"].as_str().unwrap().contains("from"), "{problem}");
    }
}

#[tokio::test]
async fn the_id_may_be_in_the_query_and_the_header_wins() {
    let t = Tracking::start().await;
    insert_orders(&t.db).await;
    let history = t.events("/events?from=start", None).await.take(12).await;
    let (ninth, eleventh) = (&history[8].id, &history[10].id);
    let by_query = t.events(&format!("/events?last_event_id={ninth}"), None).await.take(3).await;
    assert_eq!(by_query, history[9..]);
    let both = t.events(&format!("/events?last_event_id={ninth}"), Some(eleventh)).await.take(1).await;
    assert_eq!(both, history[11..]);
    let own = format!("/orders/{COMPLETED}/events");
    let whole = t.events(&own, None).await.until_end().await;
    let rest = t.events(&format!("{own}?last_event_id={}", whole[1].id), None).await.until_end().await;
    assert_eq!(rest, whole[2..]);
    t.problem("/events?last_event_id=x", 400).await;
}

#[tokio::test]
async fn what_a_running_transaction_holds_back_is_told_once() {
    let t = Tracking::start().await;
    insert_orders(&t.db).await;
    let slow = t.env.connect().await;
    slow.batch_execute("begin").await.unwrap();
    Order::new("ORD_20261122_006").insert(&slow).await;
    advance(&t.db, RECEIVED, "cooking", "chef_anna").await;
    advance(&t.db, RECEIVED, "ready", "chef_anna").await;
    advance(&t.db, READY, "completed", "staff").await;
    let mut stream = t.events("/events", None).await;
    let open = stream.take(2).await;
    let shown: Vec<_> = open.iter().map(|event| (event.order(), event.new_status())).collect();
    assert_eq!(shown, [(COOKING, "cooking"), (RECEIVED, "ready")], "as they are, and no settled one");
    slow.batch_execute("commit").await.unwrap();
    let late = stream.next().await.unwrap();
    assert_eq!((late.order(), late.new_status()), ("ORD_20261122_006", "received"));
    advance(&t.db, RECEIVED, "completed", "staff").await;
    let next = stream.next().await.unwrap();
    assert_eq!((next.order(), next.new_status()), (RECEIVED, "completed"), "nothing came twice");
    // Who was cut off in between has missed nothing.
    for id in [&open[0].id, &open[1].id] {
        let mut rest = t.events("/events", Some(id)).await;
        while rest.next().await.unwrap() != late {}
    }
}

#[tokio::test]
async fn many_open_orders_are_all_told_once() {
    const MANY: usize = 1_000;
    const SQL: &str = "
        with o as (
            insert into orders (number, customer_name, type, total_amount)
            select 'ORD_20261122_' || 1000 + n, 'Ada Lovelace', 'takeout', 9.99 from generate_series(1, 1000) as n
            returning id)
        insert into order_status_log (order_id, status, changed_by) select id, 'received', 'order-service' from o";
    let t = Tracking::start().await;
    t.db.batch_execute(SQL).await.unwrap();
    held_back_by_nobody(&t.db).await;
    let open = t.events("/events", None).await.take(MANY).await;
    let numbers: HashSet<&str> = open.iter().map(|event| event.order()).collect();
    assert_eq!(numbers.len(), MANY);
    let history = t.events("/events?from=start", None).await.take(MANY).await;
    assert_eq!(history, open);
}
