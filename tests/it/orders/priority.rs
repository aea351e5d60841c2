//! Exact totals, and the priority that follows from them: in the answer, the tables and the order's message.

use super::client::OrderService;
use crate::support::{delivery, dine_in, item, takeout, with};
use serde_json::{Value, json};

fn costing(order: &Value, items: Value) -> Value {
    with(order, "/items", items)
}

#[tokio::test]
async fn totals_are_exact_in_the_answer_and_in_the_tables() {
    let service = OrderService::start().await;
    let most: Value = (0..20).map(|n| item(&format!("Dish {n}"), 10, 999.99)).collect();
    for (items, total) in [
        (json!([item("Tenth", 3, 0.1), item("Fifth", 1, 0.2)]), "0.50"),
        (json!([item("Margherita Pizza", 1, 15.99), item("Caesar Salad", 1, 8.99)]), "24.98"),
        (json!([item("Tea", 10, 0.07), item("Cup", 3, 1.15)]), "4.15"),
        (most, "199998.00"),
    ] {
        let answer = service.http.post(&costing(&takeout(), items)).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        assert!(answer.text.contains(&format!("\"total_amount\":{total}")), "{total}: {}", answer.text);
        let number = answer.json()["order_number"].as_str().unwrap().to_owned();
        let shown = service.http.staff("GET", &format!("/orders/{number}")).await.text;
        assert!(shown.contains(&format!("\"total_amount\":{total}")), "{total}: {shown}");
        let sql = "select o.total_amount::text, (select sum(quantity * price)::text from order_items where order_id = o.id)
            from orders o where number = $1";
        let row = service.env.connect().await.query_one(sql, &[&number]).await.unwrap();
        assert_eq!((row.get::<_, &str>(0), row.get::<_, &str>(1)), (total, total));
    }
}

#[tokio::test]
async fn the_priority_follows_from_the_total_and_is_in_the_routing_key() {
    let service = OrderService::start().await;
    let cases = [
        (takeout(), json!([item("Plate", 1, 49.99)]), 1, "takeout"),
        (takeout(), json!([item("Plate", 1, 50.0)]), 5, "takeout"),
        (dine_in(), json!([item("Plate", 5, 10.0)]), 5, "dine_in"),
        (dine_in(), json!([item("Plate", 1, 50.01)]), 5, "dine_in"),
        (delivery(), json!([item("Plate", 4, 25.0)]), 5, "delivery"),
        (delivery(), json!([item("Plate", 1, 100.01)]), 10, "delivery"),
        (delivery(), json!([item("Plate", 3, 33.33), item("Cent", 1, 0.01)]), 5, "delivery"),
    ];
    let database = service.env.connect().await;
    for (order, items, priority, order_type) in cases {
        let order = costing(&order, items);
        let number = service.http.place(&order).await;
        let row =
            database.query_one("select priority from orders where number = $1", &[&number]).await.unwrap();
        assert_eq!(row.get::<_, i32>(0), priority, "{order}");
        assert_eq!(
            service.http.staff("GET", &format!("/orders/{number}")).await.json()["priority"],
            priority
        );
        let queue = format!("kitchen_{order_type}_queue");
        service.env.rabbit.wait_for_depth(&queue, 1).await;
        let message = service.env.rabbit.take_messages(&queue, 1).await.remove(0);
        assert_eq!(message.routing_key, format!("kitchen.{order_type}.{priority}"), "{order}");
        assert_eq!(
            (&message.properties["priority"], &message.json()["priority"]),
            (&json!(priority), &json!(priority))
        );
    }
}

#[tokio::test]
async fn the_order_message_is_the_contracts() {
    let service = OrderService::start().await;
    let order = costing(&delivery(), json!([item("Soup", 2, 4.5), item("Tea", 1, 2.0)]));
    let request = service.http.order_request(order.to_string()).header("x-request-id", "req-77");
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let answer = crate::support::answer(request.header("traceparent", trace)).await;
    let number = answer.json()["order_number"].clone();
    service.env.rabbit.wait_for_depth("kitchen_delivery_queue", 1).await;
    let message = service.env.rabbit.take_messages("kitchen_delivery_queue", 1).await.remove(0);
    let sent = message.json();
    let expected = [
        ("order_number", number),
        ("customer_name", json!("Ada Lovelace")),
        ("order_type", json!("delivery")),
        ("table_number", Value::Null),
        ("delivery_address", json!("12 Analytical Row, London")),
        ("priority", json!(1)),
    ];
    for (field, value) in expected {
        assert_eq!(sent.get(field), Some(&value), "{field}: {sent}");
    }
    let amount = |value: &Value| value.is_number().then(|| value.to_string().parse::<f64>().unwrap());
    assert_eq!(amount(&sent["total_amount"]), Some(11.0), "{sent}");
    assert_eq!(sent["items"].as_array().unwrap().len(), 2);
    for (index, (name, quantity, price)) in [("Soup", 2, 4.5), ("Tea", 1, 2.0)].into_iter().enumerate() {
        let item = &sent["items"][index];
        assert_eq!((&item["name"], &item["quantity"]), (&json!(name), &json!(quantity)));
        assert_eq!(amount(&item["price"]), Some(price), "{sent}");
    }
    assert_eq!(message.exchange, "orders_topic");
    let properties = &message.properties;
    assert_eq!(
        (&properties["delivery_mode"], &properties["content_type"]),
        (&json!(2), &json!("application/json"))
    );
    assert_eq!(
        (&properties["correlation_id"], &properties["headers"]["traceparent"]),
        (&json!("req-77"), &json!(trace))
    );
    for property in ["message_id", "timestamp", "type", "app_id"] {
        assert!(!properties[property].is_null(), "{property}: {properties}");
    }
}
