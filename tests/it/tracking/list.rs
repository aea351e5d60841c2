//! `GET /orders`: filters, pages, and what it refuses.

use super::{Order, Tracking, advance, keys, utc};
use serde_json::{Value, json};

fn number(n: usize) -> String {
    format!("ORD_20261122_{n:03}")
}

fn numbers(page: &Value) -> Vec<String> {
    page["orders"]
        .as_array()
        .unwrap()
        .iter()
        .map(|o| o["order_number"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn an_order_has_exactly_its_keys_and_exact_money() {
    let t = Tracking::start().await;
    assert_eq!(t.get("/orders").await, json!({"orders": [], "next_cursor": null}));
    Order { order_type: "dine_in", priority: 5, ..Order::new(&number(1)) }.insert(&t.db).await;
    let page = t.http.get("/orders").await.text;
    assert!(page.contains("\"total_amount\":24.98"), "{page}");
    let page: Value = serde_json::from_str(&page).unwrap();
    assert_eq!(keys(&page), ["next_cursor", "orders"]);
    let order = &page["orders"][0];
    assert_eq!(
        keys(order),
        [
            "completed_at",
            "created_at",
            "current_status",
            "order_number",
            "order_type",
            "priority",
            "processed_by",
            "total_amount",
            "updated_at"
        ]
    );
    utc(&order["created_at"]);
    utc(&order["updated_at"]);
    assert_eq!(
        (&order["order_type"], &order["current_status"], &order["priority"], &order["completed_at"]),
        (&json!("dine_in"), &json!("received"), &json!(5), &Value::Null)
    );
}

#[tokio::test]
async fn filters_select_by_status_and_type_newest_first() {
    let t = Tracking::start().await;
    for (n, order_type) in ["takeout", "dine_in", "delivery", "takeout"].into_iter().enumerate() {
        Order { order_type, ..Order::new(&number(n + 1)) }.insert(&t.db).await;
    }
    advance(&t.db, &number(1), "cooking", "chef_anna").await;
    let [one, two, three, four] = [1, 2, 3, 4].map(number);
    for (query, expected) in [
        ("", vec![&four, &three, &two, &one]),
        ("?status=received", vec![&four, &three, &two]),
        ("?status=cooking", vec![&one]),
        ("?status=completed", vec![]),
        ("?order_type=takeout", vec![&four, &one]),
        ("?order_type=takeout&status=received", vec![&four]),
        ("?limit=1&order_type=takeout", vec![&four]),
        ("?status=received&status=cooking", vec![&four, &three, &two, &one]),
        ("?status=cooking&status=cooking", vec![&one]),
        ("?status=cooking&status=completed", vec![&one]),
        ("?order_type=dine_in&order_type=delivery", vec![&three, &two]),
        ("?order_type=takeout&status=cooking&order_type=dine_in&status=received", vec![&four, &two, &one]),
        ("?status=received&limit=2&status=cooking", vec![&four, &three]),
        (
            "?status=received&status=cooking&status=ready&status=completed&status=cancelled&limit=1",
            vec![&four],
        ),
        ("?st%61tus=cooking", vec![&one]),
        ("?&status=cooking&", vec![&one]),
    ] {
        let page = t.get(&format!("/orders{query}")).await;
        assert_eq!(numbers(&page).iter().collect::<Vec<_>>(), expected, "{query}");
    }
}

#[tokio::test]
async fn pages_of_several_statuses_show_each_order_once() {
    let t = Tracking::start().await;
    for n in 1..=12 {
        Order::new(&number(n)).insert(&t.db).await;
    }
    for n in (1..=12).step_by(3) {
        advance(&t.db, &number(n), "cooking", "chef_anna").await;
        advance(&t.db, &number(n + 1), "cancelled", "staff").await;
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = t.get(&format!("/orders?status=received&limit=3&status=cooking{cursor}")).await;
        seen.extend(numbers(&page));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let expected: Vec<String> = (1..=12).rev().filter(|n| n % 3 != 2).map(number).collect();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn pages_show_each_order_once_while_orders_come_and_change() {
    let t = Tracking::start().await;
    for n in 1..=25 {
        Order::new(&number(n)).insert(&t.db).await;
    }
    let (mut seen, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let page = t.get(&format!("/orders?limit=4{cursor}")).await;
        seen.extend(numbers(&page));
        pages += 1;
        // Between the pages: a new order, and changes to those that were shown and those that were not.
        Order::new(&number(100 + pages)).insert(&t.db).await;
        advance(&t.db, &number(pages), "cooking", "chef_anna").await;
        advance(&t.db, &number(26 - pages), "cooking", "chef_anna").await;
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let expected: Vec<String> = (1..=25).rev().map(number).collect();
    assert_eq!(seen, expected);
    assert_eq!(pages, 7);
}

#[tokio::test]
async fn a_page_that_ends_exactly_at_the_last_order_is_the_last() {
    let t = Tracking::start().await;
    for n in 1..=4 {
        Order::new(&number(n)).insert(&t.db).await;
    }
    assert_eq!(t.get("/orders?limit=4").await["next_cursor"], Value::Null);
    let first = t.get("/orders?limit=2").await;
    let next = first["next_cursor"].as_str().unwrap();
    let second = t.get(&format!("/orders?limit=2&cursor={next}")).await;
    assert_eq!((numbers(&second), &second["next_cursor"]), (vec![number(2), number(1)], &Value::Null));
}

#[tokio::test]
async fn a_page_has_fifty_orders_unless_asked_and_two_hundred_at_most() {
    let t = Tracking::start().await;
    let sql = "insert into orders (number, customer_name, type, total_amount)
        select 'ORD_20261122_' || lpad(n::text, 3, '0'), 'A', 'takeout', 1 from generate_series(1, 201) n";
    t.db.batch_execute(sql).await.unwrap();
    assert_eq!(numbers(&t.get("/orders").await).len(), 50);
    let page = t.get("/orders?limit=200").await;
    assert_eq!(numbers(&page).len(), 200);
    assert!(page["next_cursor"].is_string());
}

#[tokio::test]
async fn an_invalid_parameter_is_refused_by_name() {
    let t = Tracking::start().await;
    for (query, name) in [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=-1", "limit"),
        ("limit=70000", "limit"),
        ("limit=x", "limit"),
        ("limit=1.5", "limit"),
        ("status=eaten", "status"),
        ("status=Received", "status"),
        ("order_type=drive_in", "order_type"),
        ("cursor=x", "cursor"),
        ("cursor=1.5", "cursor"),
        ("cursor=99999999999999999999", "cursor"),
        ("status=%00", "status"),
        ("cursor=%00", "cursor"),
        ("status=%FF", "status"),
        ("status=", "status"),
        ("status", "status"),
        ("order_type=", "order_type"),
        ("limit=", "limit"),
        ("cursor=", "cursor"),
        ("status=received,cooking", "status"),
        ("status=received&status=eaten", "status"),
        ("order_type=takeout&order_type=drive_in", "order_type"),
        ("limit=1&limit=1", "limit"),
        ("cursor=5&cursor=4", "cursor"),
        ("type=takeout", "type"),
        ("since=2026-11-22", "since"),
        ("sort=asc&status=received", "sort"),
        ("Status=received", "Status"),
        ("status%5B%5D=received", "status[]"),
        ("=received", "without a name"),
    ] {
        let problem = t.problem(&format!("/orders?{query}"), 400).await;
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(name), "{query}: {detail}");
        for inside in ["uint16", "expected value", "serde", "OrderType", "line 1"] {
            assert!(!detail.contains(inside), "{query}: {detail}");
        }
    }
    assert_eq!(t.role.logs_of("request_failed"), [] as [Value; 0]);
}
