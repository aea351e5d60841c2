//! Orders as customers send them.

use std::sync::LazyLock;

use restaurant_system::domain::StaffMember;
use restaurant_system::store::StaffAct;
use serde_json::{Value, json};

/// An order of the simplest kind that is right.
pub fn takeout() -> Value {
    json!({"customer_name": "Ada Lovelace", "order_type": "takeout", "items": [item("Margherita Pizza", 1, 15.99)]})
}

/// One for table 7.
pub fn dine_in() -> Value {
    with(&with(&takeout(), "/order_type", json!("dine_in")), "/table_number", json!(7))
}

/// One to be brought.
pub fn delivery() -> Value {
    let order = with(&takeout(), "/order_type", json!("delivery"));
    with(&order, "/delivery_address", json!("12 Analytical Row, London"))
}

/// A right order of this type.
pub fn order_of(order_type: &str) -> Value {
    match order_type {
        "takeout" => takeout(),
        "dine_in" => dine_in(),
        "delivery" => delivery(),
        other => panic!("no order is of type {other}"),
    }
}

/// An entry of an order.
pub fn item(name: &str, quantity: u8, price: f64) -> Value {
    json!({"name": name, "quantity": quantity, "price": price})
}

/// The order with another value at a pointer; its last part may be a new member.
pub fn with(order: &Value, pointer: &str, value: Value) -> Value {
    let mut order = order.clone();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let parent = order.pointer_mut(parent).unwrap();
    match parent {
        Value::Array(list) => list[key.parse::<usize>().unwrap()] = value,
        parent => parent[key] = value,
    }
    order
}

/// The order without the member at a pointer.
pub fn without(order: &Value, pointer: &str) -> Value {
    let mut order = order.clone();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    order.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(key).unwrap();
    order
}

/// An order of one item with this price, written exactly so.
pub fn priced(price: &str) -> String {
    format!(
        r#"{{"customer_name":"Ada","order_type":"takeout","items":[{{"name":"Soup","quantity":1,"price":{price}}}]}}"#
    )
}

/// What the holder of the token does to an order.
pub fn token_act() -> StaffAct<'static> {
    static HOLDER: LazyLock<StaffMember> = LazyLock::new(StaffMember::token_holder);
    StaffAct { by: &HOLDER, action: "move", detail: None, request_id: "" }
}
