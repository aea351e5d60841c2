//! The validation table: every row, both sides of every border.

use super::client::OrderService;
use crate::support::{Http, delivery, dine_in, item, priced, takeout, with, without};
use serde_json::{Value, json};

async fn refused(http: &Http, order: &Value, pointers: &[&str]) {
    let mut violations = http.post(order).await.violations(422);
    // One value can break two rules.
    violations.dedup();
    assert_eq!(violations, pointers, "{order}");
}

#[tokio::test]
async fn names_of_every_script_are_taken_and_kept_as_they_are() {
    let service = OrderService::start().await;
    for name in [
        "A",
        "Ada Lovelace",
        "J. R. Tolkien",
        "Anne-Marie",
        "Seán O'Casey",
        "Miles O’Brien",
        "Ελένη Παπαδοπούλου",
        "Мария Склодовская",
        "李小龍",
        "山田 さくら",
        "タロウ",
        "김민준",
        "محمد",
        "דָּוִד",
        "नरेन्द्र",
        "ปิยะ",
        "தமிழ்",
        "Nguye\u{302}\u{303}n",
        "e\u{301}milie",
        "ʻOkina",
        "𐐀𐐨",
        "ශ්\u{200d}රීමාලි",
        "علی\u{200c}رضا",
        "ジョン・スミス",
        "Gal·la",
        "בן־גוריון",
        &"字".repeat(100),
    ] {
        let number = service.http.place(&with(&takeout(), "/customer_name", json!(name))).await;
        let order = service.http.staff("GET", &format!("/orders/{number}")).await.json();
        assert_eq!(order["customer_name"], name);
    }
}

#[tokio::test]
async fn spaces_of_every_kind_in_a_name_are_kept_as_one_and_counted_as_one() {
    let service = OrderService::start().await;
    let wide = "\u{3000}".repeat(200);
    for (name, kept) in [
        ("山田\u{3000}太郎", "山田 太郎"),
        ("Ada\u{a0}Lovelace", "Ada Lovelace"),
        ("Ada \u{2003} \u{202f}Lovelace", "Ada Lovelace"),
        (&format!("A{wide}{}", "b".repeat(98)), &format!("A {}", "b".repeat(98))),
    ] {
        let number = service.http.place(&with(&takeout(), "/customer_name", json!(name))).await;
        let order = service.http.staff("GET", &format!("/orders/{number}")).await.json();
        assert_eq!(order["customer_name"], kept);
    }
}

#[tokio::test]
async fn names_with_anything_else_are_refused() {
    let service = OrderService::start().await;
    for name in [
        "",
        " ",
        "\u{a0}",
        "R2D2",
        "a@b.c",
        "Ada, Countess",
        "<b>Ada</b>",
        "Ada\0",
        "Ada\nLovelace",
        "Ada\r",
        "Ada\tLovelace",
        "Ada\u{200b}",
        "\u{202e}Ada",
        "\u{301}Ada",
        "Ada 🍕",
        "Ada_Lovelace",
        "Ada\u{2028}",
        "Ada\u{2029}Lovelace",
        "Ada\u{2067}",
        "\u{200d}Ada",
        "Ada\u{200c}",
        "Ada \u{200d}Lovelace",
        "·Ada",
        "Ada・ Lovelace",
        "Ⅳ",
        "٣",
        &"字".repeat(101),
        &"a".repeat(101),
    ] {
        refused(&service.http, &with(&takeout(), "/customer_name", json!(name)), &["/customer_name"]).await;
    }
    for other in [json!(5), json!(true), json!(["Ada"]), json!({"first": "Ada"}), Value::Null] {
        refused(&service.http, &with(&takeout(), "/customer_name", other), &["/customer_name"]).await;
    }
    refused(&service.http, &without(&takeout(), "/customer_name"), &["/customer_name"]).await;
}

#[tokio::test]
async fn the_order_type_is_one_of_three() {
    let service = OrderService::start().await;
    for order in [takeout(), dine_in(), delivery()] {
        service.http.place(&order).await;
    }
    for other in ["", "Takeout", "takeout ", "dine-in", "pickup", "takeout\0"].map(Value::from) {
        refused(&service.http, &with(&takeout(), "/order_type", other), &["/order_type"]).await;
    }
    for other in [Value::Null, json!(1), json!(["takeout"])] {
        refused(&service.http, &with(&takeout(), "/order_type", other), &["/order_type"]).await;
    }
    refused(&service.http, &without(&takeout(), "/order_type"), &["/order_type"]).await;
}

#[tokio::test]
async fn an_order_has_1_to_20_items() {
    let service = OrderService::start().await;
    let items = |count: usize| -> Value { (0..count).map(|n| item(&format!("Dish {n}"), 1, 0.5)).collect() };
    for count in [1, 20] {
        service.http.place(&with(&takeout(), "/items", items(count))).await;
    }
    for wrong in [items(0), items(21), items(500), Value::Null, json!({}), json!("Pizza"), json!(1)] {
        refused(&service.http, &with(&takeout(), "/items", wrong), &["/items"]).await;
    }
    refused(&service.http, &without(&takeout(), "/items"), &["/items"]).await;
    for wrong in [json!(1), json!("Pizza"), json!([]), Value::Null] {
        refused(&service.http, &with(&takeout(), "/items/0", wrong), &["/items/0"]).await;
    }
}

#[tokio::test]
async fn an_items_name_has_1_to_50_visible_characters() {
    let service = OrderService::start().await;
    for name in [
        "x",
        "Bœuf №1 – 50% “spicy” 🌶",
        &"é".repeat(50),
        &"🍕".repeat(50),
        " Soup ",
        "کتلت\u{200c}ها",
        "පාන් ශ්\u{200d}රී",
        "🍕 by a 👨\u{200d}🍳",
        "'; drop table orders; --",
    ] {
        let number = service.http.place(&with(&takeout(), "/items/0/name", json!(name))).await;
        let order = service.http.staff("GET", &format!("/orders/{number}")).await.json();
        assert_eq!(order["items"][0]["name"], name);
    }
    for name in [
        "",
        " ",
        "\t",
        "  \u{a0}\u{2003}\u{3000}",
        "\u{200b}\u{feff}",
        "Piz\0za",
        "Pizza\n",
        "\r\nPizza",
        "Pizza\u{7f}",
        "Pizza\u{85}",
        "Pi\u{1b}[31mzza",
        "Pizza\u{2028}Soup",
        "Pizza\u{2029}",
        "\u{202a}Pizza",
        "Pi\u{202e}azz",
        "\u{2066}Pizza\u{2069}",
        "Pi\u{200b}zza",
        "Pi\u{ad}zza",
        "Pizza\u{2060}",
        "\u{feff}Pizza",
        "Pi\u{e0041}zza",
        "Pizza\u{200d}",
        "\u{200c}Pizza",
        "Pizza \u{200d}1",
        &"é".repeat(51),
    ] {
        refused(&service.http, &with(&takeout(), "/items/0/name", json!(name)), &["/items/0/name"]).await;
    }
    for other in [json!(5), Value::Null, json!([])] {
        refused(&service.http, &with(&takeout(), "/items/0/name", other), &["/items/0/name"]).await;
    }
    refused(&service.http, &without(&takeout(), "/items/0/name"), &["/items/0/name"]).await;
}

#[tokio::test]
async fn a_quantity_is_an_integer_from_1_to_10() {
    let service = OrderService::start().await;
    for quantity in [1, 10] {
        service.http.place(&with(&takeout(), "/items/0/quantity", json!(quantity))).await;
    }
    for wrong in ["0", "11", "-1", "257", "1.5", "99999999999999999999", "\"1\"", "true", "null", "[1]"] {
        let body = takeout().to_string().replace("\"quantity\":1", &format!("\"quantity\":{wrong}"));
        let answer = service.http.post_text(body).await;
        assert_eq!(answer.violations(422), ["/items/0/quantity"], "{wrong}");
    }
    refused(&service.http, &without(&takeout(), "/items/0/quantity"), &["/items/0/quantity"]).await;
}

#[tokio::test]
async fn twenty_entries_may_name_the_same_dish() {
    let service = OrderService::start().await;
    let entries: Value = (0..20).map(|_| item("Soup", 10, 1.0)).collect();
    let answer = service.http.post(&with(&takeout(), "/items", entries)).await;
    assert!(answer.status == 201 && answer.text.contains("\"total_amount\":200.00"), "{answer:?}");
}

#[tokio::test]
async fn a_price_is_from_a_cent_to_999_99_with_at_most_two_decimals() {
    let service = OrderService::start().await;
    for (price, total) in [
        ("0.01", "0.01"),
        ("0.1", "0.10"),
        ("8", "8.00"),
        ("15.99", "15.99"),
        ("9.990", "9.99"),
        ("1e2", "100.00"),
        ("1.599E+1", "15.99"),
        ("1599e-2", "15.99"),
        ("999.99", "999.99"),
    ] {
        let answer = service.http.post_text(priced(price)).await;
        assert_eq!(answer.status, 201, "{price}: {answer:?}");
        assert!(answer.text.contains(&format!("\"total_amount\":{total}")), "{price}: {}", answer.text);
    }
    for price in [
        "0",
        "0.00",
        "-0",
        "0.001",
        "0.009",
        "0.0100001",
        "9.999",
        "-1",
        "-0.01",
        "999.991",
        "999.995",
        "1000",
        "1e3",
        "1e400",
        "1e-400",
        "1e99999999999",
        "15.990000000000001",
        "\"15.99\"",
        "\"\"",
        "true",
        "null",
        "[]",
        "{}",
    ] {
        let answer = service.http.post_text(priced(price)).await;
        assert_eq!(answer.violations(422), ["/items/0/price"], "{price}");
    }
    refused(&service.http, &without(&takeout(), "/items/0/price"), &["/items/0/price"]).await;
}

#[tokio::test]
async fn a_table_is_for_dine_in_and_only_for_it() {
    let service = OrderService::start().await;
    for table in [1, 100] {
        let number = service.http.place(&with(&dine_in(), "/table_number", json!(table))).await;
        assert_eq!(
            service.http.staff("GET", &format!("/orders/{number}")).await.json()["table_number"],
            table
        );
    }
    for wrong in
        [json!(0), json!(101), json!(-1), json!(1.5), json!("7"), json!(true), json!([7]), Value::Null]
    {
        refused(&service.http, &with(&dine_in(), "/table_number", wrong), &["/table_number"]).await;
    }
    refused(&service.http, &without(&dine_in(), "/table_number"), &["/table_number"]).await;
    for other in [takeout(), delivery()] {
        for table in [json!(7), json!(0), json!("seven")] {
            refused(&service.http, &with(&other, "/table_number", table), &["/table_number"]).await;
        }
        service.http.place(&with(&other, "/table_number", Value::Null)).await;
    }
}

#[tokio::test]
async fn an_address_is_for_delivery_and_only_for_it() {
    let service = OrderService::start().await;
    for address in ["字".repeat(10), "é".repeat(500), "1 Main Street\nSpringfield".to_owned()] {
        let number = service.http.place(&with(&delivery(), "/delivery_address", json!(address))).await;
        let order = service.http.staff("GET", &format!("/orders/{number}")).await.json();
        assert_eq!(order["delivery_address"], address);
    }
    for wrong in [
        "",
        &"字".repeat(9),
        &"a".repeat(501),
        &" ".repeat(20),
        &"\n".repeat(20),
        &"\u{3000}".repeat(20),
        "1 Main Street\0",
        "1 Main Street\u{1b}[2J",
        "1 Main Street\u{2028}Springfield",
        "1 Main Street\u{2029}",
        "1 Main \u{202b}Street",
        "1 Main \u{202d}Street",
        "1 Main Street\u{2068}",
    ] {
        refused(&service.http, &with(&delivery(), "/delivery_address", json!(wrong)), &["/delivery_address"])
            .await;
    }
    for wrong in [Value::Null, json!(12), json!({"street": "Main Street"})] {
        refused(&service.http, &with(&delivery(), "/delivery_address", wrong), &["/delivery_address"]).await;
    }
    refused(&service.http, &without(&delivery(), "/delivery_address"), &["/delivery_address"]).await;
    for other in [takeout(), dine_in()] {
        for address in [json!("12 Analytical Row, London"), json!(""), json!(1)] {
            refused(&service.http, &with(&other, "/delivery_address", address), &["/delivery_address"]).await;
        }
        service.http.place(&with(&other, "/delivery_address", Value::Null)).await;
    }
}

#[tokio::test]
async fn every_violation_is_listed_with_its_pointer() {
    let service = OrderService::start().await;
    let order = json!({
        "customer_name": "R2D2\n", "order_type": "dine_in", "delivery_address": "12 Analytical Row, London",
        "items": [
            {"name": " ", "quantity": 0, "price": 9.999},
            item("Soup", 10, 1.0),
            {"name": "Soup", "quantity": 1, "price": "1"},
            null,
            {},
        ],
    });
    let pointers = [
        "/customer_name",
        "/items/0/name",
        "/items/0/quantity",
        "/items/0/price",
        "/items/2/price",
        "/items/3",
        "/items/4/name",
        "/items/4/quantity",
        "/items/4/price",
        "/table_number",
        "/delivery_address",
    ];
    refused(&service.http, &order, &pointers).await;
    refused(&service.http, &json!({}), &["/customer_name", "/order_type", "/items"]).await;
}

#[tokio::test]
async fn a_refused_order_leaves_nothing_and_uses_no_number() {
    let service = OrderService::start().await;
    let first = service.http.place(&takeout()).await;
    refused(&service.http, &with(&takeout(), "/items/0/price", json!(0)), &["/items/0/price"]).await;
    service.http.post_text("{").await.problem(400);
    let keyed = service.http.post_keyed("k1", &with(&takeout(), "/order_type", json!("x"))).await;
    assert_eq!(keyed.violations(422), ["/order_type"]);
    let second = service.http.place(&takeout()).await;
    assert_eq!((first.rsplit('_').next(), second.rsplit('_').next()), (Some("001"), Some("002")));
    let counts = "select (select count(*) from orders), (select count(*) from order_items),
        (select count(*) from order_status_log), (select count(*) from idempotency_keys)";
    let row = service.env.connect().await.query_one(counts, &[]).await.unwrap();
    assert_eq!([0, 1, 2, 3].map(|column| row.get::<_, i64>(column)), [2, 2, 2, 0]);
}
