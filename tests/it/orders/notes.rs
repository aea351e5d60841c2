//! Notes on an order and on its entries: taken, kept, announced and shown to staff.

use super::client::OrderService;
use crate::support::{Http, delivery, eventually_ok, item, takeout, with};
use serde_json::{Value, json};

const POINTERS: [&str; 2] = ["/items/0/notes", "/notes"];

/// A right order with notes on it and on the first of its two entries.
fn noted() -> Value {
    let order = with(
        &delivery(),
        "/items",
        json!([item("Margherita Pizza", 2, 15.99), item("Caesar Salad", 1, 8.99)]),
    );
    let order = with(&order, "/items/0/notes", json!("ohne Zwiebeln, bitte gut durch"));
    with(&order, "/notes", json!("Nuts: allergic! 花生过敏 🥜"))
}

async fn as_staff(http: &Http, number: &str) -> Value {
    http.staff("GET", &format!("/orders/{number}")).await.json()
}

/// The notes on an order and on its entries.
fn notes_of(order: &Value) -> Vec<Value> {
    let items = order["items"].as_array().unwrap().iter().map(|item| item["notes"].clone());
    std::iter::once(order["notes"].clone()).chain(items).collect()
}

#[tokio::test]
async fn notes_are_stored_announced_and_shown_to_no_stranger() {
    let service = OrderService::start().await;
    service.env.rabbit.declare_bound_queue("seen", "orders_topic", "#").await;
    // With a key and without: each has a statement of its own.
    let keyed = service.http.post_keyed("k1", &noted()).await.number();
    let expected =
        ["Nuts: allergic! 花生过敏 🥜", "ohne Zwiebeln, bitte gut durch"].map(|notes| json!(notes));
    let expected = [&expected[..], &[Value::Null]].concat();
    for number in [keyed, service.http.place(&noted()).await] {
        let message = eventually_ok("the order's message", || async {
            service.env.rabbit.take_messages("seen", 1).await.pop().ok_or("none")
        })
        .await
        .json();
        assert_eq!((&message["order_number"], notes_of(&message)), (&json!(number), expected.clone()));
        assert_eq!(notes_of(&as_staff(&service.http, &number).await), expected);
        let public = service.http.get(&format!("/orders/{number}")).await;
        for private in ["notes", "allergic", "Zwiebeln"] {
            assert!(!public.text.contains(private), "{public:?}");
        }
    }
    let sql = "select o.notes, i.notes from orders o join order_items i on i.order_id = o.id order by i.id";
    for (at, row) in service.env.connect().await.query(sql, &[]).await.unwrap().iter().enumerate() {
        let notes = [row.get(0), row.get(1)].map(|notes: Option<String>| json!(notes));
        assert_eq!(notes, [expected[0].clone(), expected[1 + at % 2].clone()]);
    }
}

#[tokio::test]
async fn notes_that_break_a_rule_are_refused_where_they_stand() {
    let service = OrderService::start().await;
    let hostile = [
        "",
        " \u{a0}",
        "\u{200e}",
        "two\nlines",
        "a\ttab",
        "bell\u{7}",
        "nul\0",
        "next\u{85}line",
        "a\u{2028}b",
        "a\u{202e}b",
        "a\u{2067}b",
        "zero\u{200b}width",
        "tag\u{e0041}",
        "fi\u{3164}ller",
    ];
    let wrong = hostile.map(|notes| json!(notes));
    let too_long = json!("字".repeat(201));
    for wrong in wrong.iter().chain([&too_long, &json!(7), &json!(["a"]), &json!({}), &json!(true)]) {
        for pointer in POINTERS {
            let mut violations =
                service.http.post(&with(&takeout(), pointer, wrong.clone())).await.violations(422);
            violations.dedup();
            assert_eq!(violations, [pointer], "{wrong}");
        }
    }
    let both = with(&with(&takeout(), POINTERS[0], json!("\n")), POINTERS[1], too_long);
    let mut violations = service.http.post(&both).await.violations(422);
    violations.dedup();
    assert_eq!(violations, POINTERS);
    let misspelled = with(&takeout(), "/items/0/note", json!("x"));
    service.http.post(&misspelled).await.problem(400);
}

#[tokio::test]
async fn notes_within_the_bounds_are_kept_as_they_are() {
    let service = OrderService::start().await;
    for notes in
        ["x", " no ice ", "\"; drop table orders; --", "<img onerror=1>", "👨\u{200d}🍳", &"字".repeat(200)]
    {
        let order = with(&with(&takeout(), POINTERS[0], json!(notes)), POINTERS[1], json!(notes));
        let number = service.http.place(&order).await;
        assert_eq!(notes_of(&as_staff(&service.http, &number).await), [json!(notes), json!(notes)]);
    }
    let none = with(&with(&takeout(), POINTERS[0], Value::Null), POINTERS[1], Value::Null);
    let number = service.http.place(&none).await;
    assert_eq!(notes_of(&as_staff(&service.http, &number).await), [Value::Null, Value::Null]);
}

#[tokio::test]
async fn an_order_of_the_version_before_is_shown_and_announced_without_notes() {
    let service = OrderService::start().await;
    service.env.rabbit.declare_bound_queue("seen", "orders_topic", "#").await;
    let written = "with o as (
            insert into orders (number, customer_name, type, total_amount)
            values ('ORD_20200101_001', 'Ada', 'takeout', 4.50) returning id
        ), i as (
            insert into order_items (order_id, name, quantity, price) select id, 'Soup', 1, 4.50 from o
        ), l as (
            insert into order_status_log (order_id, status, changed_by) select id, 'received', 'x' from o returning id, order_id
        )
        insert into outbox (log_id, order_id, announces, created_at, written_at)
        select id, order_id, 'order', now() - interval '1 hour', now() - interval '1 hour' from l";
    service.env.connect().await.batch_execute(written).await.unwrap();
    let message = eventually_ok("the order's message", || async {
        service.env.rabbit.take_messages("seen", 1).await.pop().ok_or("none")
    })
    .await
    .json();
    assert_eq!(message["order_number"], "ORD_20200101_001");
    assert_eq!(notes_of(&message), [Value::Null, Value::Null]);
    assert_eq!(notes_of(&as_staff(&service.http, "ORD_20200101_001").await), [Value::Null, Value::Null]);
}
