//! How types that serde reads and writes look in the OpenAPI document.

use jiff::Timestamp;
use poem_openapi::{
    registry::MetaSchema,
    types::{ParseError, ParseResult, Type},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

/// One of these texts.
pub fn one_of_texts(texts: impl Iterator<Item = &'static str>) -> MetaSchema {
    MetaSchema { enum_items: texts.map(Value::from).collect(), ..MetaSchema::new("string") }
}

/// Reads as serde does.
///
/// # Errors
/// What serde says.
pub fn by_serde<T: Type + DeserializeOwned>(value: Value) -> ParseResult<T> {
    serde_json::from_value(value).map_err(ParseError::custom)
}

/// Reads what is only ever written.
///
/// # Errors
/// Always.
pub fn never<T: Type>(_: Value) -> ParseResult<T> {
    Err(ParseError::custom("is only for reading"))
}

/// Implements poem-openapi's `Type` for what is itself its raw value, with this schema in the document; with more of its
/// functions where they are given.
#[macro_export]
macro_rules! schema_type {
    ($type:ty, $name:expr, $schema:expr $(, $($more:item)+)?) => {
        impl ::poem_openapi::types::Type for $type {
            const IS_REQUIRED: bool = true;
            type RawValueType = Self;
            type RawElementValueType = Self;

            fn name() -> ::std::borrow::Cow<'static, str> {
                $name.into()
            }

            fn schema_ref() -> ::poem_openapi::registry::MetaSchemaRef {
                $schema
            }

            fn as_raw_value(&self) -> Option<&Self> {
                Some(self)
            }

            fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
                Box::new(::std::iter::once(self))
            }

            $($($more)+)?
        }
    };
}

/// Implements poem-openapi's traits on top of serde's `Serialize`: with a schema that stands wherever the type does, or with a
/// reference and what registers the schema that it names. The last is what reads it:
/// [`by_serde`](crate::schemas::by_serde) or [`never`](crate::schemas::never).
#[macro_export]
macro_rules! openapi_type {
    ($type:ty, $name:literal, $schema:expr, $read:expr) => {
        $crate::openapi_type!(
            $type,
            $name,
            ::poem_openapi::registry::MetaSchemaRef::Inline(Box::new($schema)),
            |_| (),
            $read
        );
    };
    ($type:ty, $name:literal, $reference:expr, $register:expr, $read:expr) => {
        $crate::schema_type!(
            $type,
            $name,
            $reference,
            fn register(registry: &mut ::poem_openapi::registry::Registry) {
                ($register)(registry);
            }
        );

        impl ::poem_openapi::types::ToJSON for $type {
            fn to_json(&self) -> Option<::serde_json::Value> {
                ::serde_json::to_value(self).ok()
            }
        }

        impl ::poem_openapi::types::ParseFromJSON for $type {
            fn parse_from_json(
                value: Option<::serde_json::Value>,
            ) -> ::poem_openapi::types::ParseResult<Self> {
                $read(value.unwrap_or_default())
            }
        }

        impl ::poem_openapi::types::ParseFromParameter for $type {
            fn parse_from_parameter(text: &str) -> ::poem_openapi::types::ParseResult<Self> {
                $read(::serde_json::Value::from(text))
            }
        }
    };
}

/// A time: RFC 3339 in UTC with milliseconds, `2026-11-22T10:11:12.345Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct UtcTime(pub Timestamp);

impl Serialize for UtcTime {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:.3}", self.0))
    }
}

crate::openapi_type!(
    UtcTime,
    "UtcTime",
    MetaSchema { format: Some("date-time"), ..MetaSchema::new("string") },
    by_serde
);
