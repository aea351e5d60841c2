//! How the domain's types look in the OpenAPI documents. They are written and read by serde, as everywhere else.

use http_kit::openapi_type;
use http_kit::schemas::{by_serde, never, one_of_texts};
use poem_openapi::Object;
use poem_openapi::registry::MetaSchema;

use crate::domain::{Money, OrderItem, OrderType, Status, WorkerState};

openapi_type!(
    Money,
    "Money",
    MetaSchema { multiple_of: Some(0.01), minimum: Some(0.0), ..MetaSchema::new("number") },
    by_serde
);
openapi_type!(Status, "Status", one_of_texts(Status::ALL.into_iter().map(Status::as_str)), by_serde);
openapi_type!(
    OrderType,
    "OrderType",
    one_of_texts(OrderType::ALL.into_iter().map(OrderType::as_str)),
    by_serde
);
openapi_type!(
    WorkerState,
    "WorkerState",
    one_of_texts(
        [WorkerState::Online, WorkerState::Processing, WorkerState::Offline].map(|s| s.as_str()).into_iter()
    ),
    never
);
openapi_type!(OrderItem, "Item", Item::schema_ref(), Item::register, by_serde);

/// An entry of an order.
// The schema of [`OrderItem`] alone: the domain derives nothing for a web framework. A test compares the fields.
#[derive(Object)]
struct Item {
    name: String,
    quantity: u8,
    /// What one costs.
    price: Money,
}

#[cfg(test)]
mod tests {
    use poem_openapi::registry::Registry;
    use poem_openapi::types::Type;
    use serde_json::Value;

    use super::*;

    #[test]
    fn the_schema_of_an_item_has_its_fields() {
        let mut registry = Registry::new();
        OrderItem::register(&mut registry);
        let documented: Vec<_> = registry.schemas["Item"].properties.iter().map(|(name, _)| *name).collect();
        let item = OrderItem { name: "Soup".to_owned(), quantity: 1, price: Money::from_cents(450) };
        let Value::Object(written) = serde_json::to_value(item).unwrap() else { panic!("no object") };
        let mut written: Vec<&str> = written.keys().map(String::as_str).collect();
        written.sort_by_key(|name| documented.iter().position(|documented| documented == name));
        assert_eq!(documented, written);
    }
}
