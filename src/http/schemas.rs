//! How the domain's types look in the OpenAPI documents. They are written and read by serde, as everywhere else.

use jiff::Timestamp;
use poem_openapi::Object;
use poem_openapi::registry::{MetaSchema, MetaSchemaRef, Registry};
use poem_openapi::types::{ParseError, ParseFromJSON, ParseFromParameter, ParseResult, ToJSON, Type};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::{Money, OrderItem, OrderType, Status, WorkerState};

/// A time: RFC 3339 in UTC with milliseconds, `2026-11-22T10:11:12.345Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct UtcTime(pub Timestamp);

impl Serialize for UtcTime {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:.3}", self.0))
    }
}

fn schema_of(ty: &'static str, format: Option<&'static str>) -> MetaSchema {
    MetaSchema { format, ..MetaSchema::new(ty) }
}

/// One of these texts.
pub(crate) fn one_of_texts(texts: impl Iterator<Item = &'static str>) -> MetaSchema {
    MetaSchema { enum_items: texts.map(Value::from).collect(), ..MetaSchema::new("string") }
}

/// Implements poem-openapi's `Type` for what is itself its raw value, with this schema in the document; with more of its
/// functions where they are given.
macro_rules! schema_type {
    ($type:ty, $name:expr, $schema:expr $(, $($more:item)+)?) => {
        impl poem_openapi::types::Type for $type {
            const IS_REQUIRED: bool = true;
            type RawValueType = Self;
            type RawElementValueType = Self;

            fn name() -> std::borrow::Cow<'static, str> {
                $name.into()
            }

            fn schema_ref() -> poem_openapi::registry::MetaSchemaRef {
                $schema
            }

            fn as_raw_value(&self) -> Option<&Self> {
                Some(self)
            }

            fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
                Box::new(std::iter::once(self))
            }

            $($($more)+)?
        }
    };
}
pub(crate) use schema_type;

/// Implements poem-openapi's traits on top of serde's.
macro_rules! openapi_type {
    ($type:ty, $name:literal, $schema:expr, $read:expr) => {
        openapi_type!($type, $name, MetaSchemaRef::Inline(Box::new($schema)), |_| (), $read);
    };
    ($type:ty, $name:literal, $reference:expr, $register:expr, $read:expr) => {
        schema_type!(
            $type,
            $name,
            $reference,
            fn register(registry: &mut Registry) {
                ($register)(registry);
            }
        );

        impl ToJSON for $type {
            fn to_json(&self) -> Option<Value> {
                serde_json::to_value(self).ok()
            }
        }

        impl ParseFromJSON for $type {
            fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
                $read(value.unwrap_or_default())
            }
        }

        impl ParseFromParameter for $type {
            fn parse_from_parameter(text: &str) -> ParseResult<Self> {
                $read(Value::from(text))
            }
        }
    };
}

fn by_serde<T: Type + serde::de::DeserializeOwned>(value: Value) -> ParseResult<T> {
    serde_json::from_value(value).map_err(ParseError::custom)
}

/// For what is only ever written.
fn never<T: Type>(_: Value) -> ParseResult<T> {
    Err(ParseError::custom("is only for reading"))
}

openapi_type!(
    Money,
    "Money",
    MetaSchema { multiple_of: Some(0.01), minimum: Some(0.0), ..schema_of("number", None) },
    by_serde
);
openapi_type!(UtcTime, "UtcTime", schema_of("string", Some("date-time")), by_serde);
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
