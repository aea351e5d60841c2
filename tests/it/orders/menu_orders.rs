//! Orders by the menu: its prices decide, and its portions are taken once (contract, section 12).

use super::menu::{PIZZA, SOUP, apply, configure, offers, put};
use crate::support::{Answer, Http, Role, TestEnv, delivery, eventually_ok, item, takeout, with};
use futures_util::future::join_all;
use serde_json::{Value, json};

/// An order service with pizza and soup on its menu.
async fn start() -> (TestEnv, Role, Http) {
    let env = TestEnv::new().await;
    configure(&env, &[PIZZA, SOUP]);
    let service = env.spawn(&["order-service", "--port", "0"]);
    let http = Http::of(&service).await;
    offers(&http, &["pizza", "soup"]).await;
    (env, service, http)
}

fn order_of(items: Value) -> Value {
    with(&takeout(), "/items", items)
}

fn pizzas(quantity: u8) -> Value {
    json!({"menu_item_id": "pizza", "quantity": quantity})
}

fn kind(answer: &Answer, status: u16) -> String {
    answer.problem(status)["type"].as_str().unwrap().rsplit(':').next().unwrap().to_owned()
}

#[tokio::test]
async fn the_price_the_choices_and_the_allergens_are_those_of_the_menu() {
    let (env, _service, http) = start().await;
    env.rabbit.declare_bound_queue("seen", "orders_topic", "#").await;
    let large = json!({"menu_item_id": "pizza", "quantity": 2, "options": ["large"], "notes": "well done"});
    // The name and the price may be sent.
    let small = with(&with(&pizzas(1), "/price", json!(8)), "/name", json!("Pizza Margherita"));
    let answer = http.post(&order_of(json!([large, small]))).await;
    assert_eq!((answer.status, answer.json()["total_amount"].to_string().as_str()), (201, "35.00"));
    let number = answer.number();
    let message = eventually_ok("the order's message", || async {
        env.rabbit.take_messages("seen", 1).await.pop().ok_or("none")
    })
    .await
    .json();
    let shown = http.staff("GET", &format!("/orders/{number}")).await.json();
    for items in [&message["items"], &shown["items"]] {
        let of = |name: &str| [&items[0][name], &items[1][name]].map(Value::to_string);
        assert_eq!(of("name"), ["\"Pizza\"", "\"Pizza\""]);
        assert_eq!(of("price"), ["13.50", "8.00"]);
        assert_eq!(of("options"), ["[\"Large\"]", "[\"Small\"]"]);
        assert_eq!(of("allergens"), ["[\"gluten\",\"milk\"]"; 2]);
    }
    assert_eq!(message["items"][0]["notes"], "well done");
}

#[tokio::test]
async fn another_price_is_refused_and_named_and_every_other_fault_is_told_at_once() {
    let (_env, _service, http) = start().await;
    let changed = http.post(&order_of(json!([with(&pizzas(1), "/price", json!(9.50))]))).await;
    assert_eq!(kind(&changed, 422), "price-changed");
    assert_eq!(changed.violations(422), ["/items/0/price"]);
    assert!(changed.text.contains("is 8.00 now, not 9.50"), "{changed:?}");

    let items = json!([
        {"menu_item_id": "pizza", "quantity": 1, "options": ["small", "large"], "price": 1},
        {"menu_item_id": "pasta", "quantity": 1},
        {"menu_item_id": "pizza", "quantity": 11, "options": ["tuna"]},
        {"menu_item_id": "soup", "quantity": 1},
        item("Pizza", 1, 9.50),
    ]);
    let refused = http.post(&order_of(items)).await;
    assert_eq!(kind(&refused, 422), "validation-failed");
    assert_eq!(
        refused.violations(422),
        [
            "/items/0/options",
            "/items/1/menu_item_id",
            "/items/2/quantity",
            "/items/2/options/0",
            // The soup is not for takeout.
            "/items/3/menu_item_id",
            "/items/4/menu_item_id"
        ]
    );
    assert_eq!(
        kind(&http.post(&order_of(json!([{"menu_item_id": 7, "quantity": 1}]))).await, 422),
        "validation-failed"
    );
}

#[tokio::test]
async fn fifty_customers_get_the_last_portion_once() {
    let (env, _service, http) = start().await;
    let second = env.spawn(&["order-service", "--port", "0"]);
    let other = Http::of(&second).await;
    offers(&other, &["pizza", "soup"]).await;
    put(&http, "pizza", &json!({"remaining": 1})).await.ok();
    let order = order_of(json!([pizzas(1)]));
    let answers =
        join_all((0..50).map(|n| if n % 2 == 0 { http.post(&order) } else { other.post(&order) })).await;
    let taken = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(taken, 1, "{answers:?}");
    for refused in answers.iter().filter(|answer| answer.status != 201) {
        assert_eq!(kind(refused, 409), "item-sold-out");
        assert_eq!(refused.violations(409), ["/items/0"]);
    }
    let db = env.connect().await;
    let row = db
        .query_one("select remaining, (select count(*) from orders) from menu_shortages", &[])
        .await
        .unwrap();
    assert_eq!((row.get::<_, i32>(0), row.get::<_, i64>(1)), (0, 1));
    // What was refused left no gap.
    put(&http, "pizza", &json!({"available": true})).await.ok();
    assert!(http.place(&order).await.ends_with("_002"));
}

#[tokio::test]
async fn an_order_takes_all_of_its_portions_or_none() {
    let (_env, _service, http) = start().await;
    put(&http, "pizza", &json!({"remaining": 3})).await.ok();
    let two_and_two = order_of(json!([pizzas(2), pizzas(2)]));
    let refused = http.post(&two_and_two).await;
    assert_eq!(
        (kind(&refused, 409).as_str(), refused.violations(409)),
        ("item-sold-out", vec!["/items/1".to_owned()])
    );
    assert!(refused.text.contains("has too few portions left: 3"), "{refused:?}");
    http.place(&order_of(json!([pizzas(1), pizzas(1)]))).await;
    let refused = http.post(&order_of(json!([pizzas(2)]))).await;
    assert!(refused.text.contains("has too few portions left: 1"), "{refused:?}");
    http.place(&order_of(json!([pizzas(1)]))).await;
}

#[tokio::test]
async fn a_repetition_is_answered_as_before_whatever_the_menu_says_now() {
    let (env, _service, http) = start().await;
    put(&http, "pizza", &json!({"remaining": 2})).await.ok();
    let order = order_of(json!([with(&pizzas(2), "/price", json!(8.00))]));
    let first = http.post_keyed("k1", &order).await;
    assert_eq!(first.status, 201, "{first:?}");
    let repeated = async |what: &str| {
        let again = http.post_keyed("k1", &order).await;
        assert_eq!((again.status, &again.text), (201, &first.text), "{what}");
    };
    repeated("sold out").await;
    apply(&env, &[&PIZZA.replace("9.5", "19.5"), SOUP]).await;
    put(&http, "pizza", &json!({"available": true})).await.ok();
    eventually_ok("the new price", || async {
        let answer = http.post(&order).await;
        if answer.status == 422 { Ok(()) } else { Err(answer.text) }
    })
    .await;
    repeated("another price").await;
    let another = with(&order, "/customer_name", json!("Bob"));
    http.post_keyed("k1", &another).await.problem(422);
}

#[tokio::test]
async fn without_a_menu_ids_are_no_fault_and_the_price_is_the_customers() {
    let env = TestEnv::new().await;
    let service = env.spawn(&["order-service", "--port", "0"]);
    let http = Http::of(&service).await;
    http.wait_ready().await;
    let order = with(&delivery(), "/items/0/menu_item_id", json!("pizza"));
    let order = with(&order, "/items/0/options", json!(["large"]));
    let number = http.place(&order).await;
    let shown = http.staff("GET", &format!("/orders/{number}")).await.json();
    assert_eq!((&shown["items"][0]["options"], &shown["items"][0]["allergens"]), (&json!([]), &json!([])));
    let order = with(&order, "/items/0/menu_item_id", json!("No Slug"));
    assert_eq!(http.post(&order).await.violations(422), ["/items/0/menu_item_id"]);
}
