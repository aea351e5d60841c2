//! The places in lists and streams that clients come back with: opaque to them, but of a known form.

use std::borrow::Cow;

use poem_openapi::Enum;
use poem_openapi::registry::{MetaSchema, MetaSchemaRef};
use poem_openapi::types::{ParseError, ParseFromParameter, ParseResult, Type};

use crate::store::EventCursor;

/// A text parameter with a pattern, which the document shows.
macro_rules! cursor {
    ($type:ident, $pattern:literal, $example:literal) => {
        impl Type for $type {
            const IS_REQUIRED: bool = true;
            type RawValueType = Self;
            type RawElementValueType = Self;

            fn name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn schema_ref() -> MetaSchemaRef {
                let pattern = Some($pattern.to_owned());
                let example = Some($example.into());
                MetaSchemaRef::Inline(Box::new(MetaSchema { pattern, example, ..MetaSchema::new("string") }))
            }

            fn as_raw_value(&self) -> Option<&Self> {
                Some(self)
            }

            fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
                Box::new(std::iter::once(self))
            }
        }
    };
}

/// The place behind the last order of a page.
#[derive(Debug, Clone, Copy)]
pub(super) struct PageCursor(pub(super) i64);
cursor!(PageCursor, "^[0-9]{1,18}$", "42");

/// The `Last-Event-ID` of a stream; an empty one is none, as the standard has it.
#[derive(Debug, Clone, Copy)]
pub(super) struct LastEventId(pub(super) Option<EventCursor>);
cursor!(LastEventId, "^([0-9]{1,18}-[0-9]{1,18})?$", "822-46");

/// Where a stream of all orders begins.
#[derive(Debug, Clone, Copy, Enum)]
#[oai(rename_all = "lowercase")]
pub(super) enum StreamStart {
    /// With the first change of all.
    Start,
}

impl LastEventId {
    /// Where a stream goes on, by the header or else by the query; `None` where it begins.
    pub(super) fn of(header: Option<Self>, query: Option<Self>) -> Option<EventCursor> {
        let given = |id: Option<Self>| id.and_then(|id| id.0);
        given(header).or_else(|| given(query))
    }
}

impl ParseFromParameter for PageCursor {
    fn parse_from_parameter(text: &str) -> ParseResult<Self> {
        number(text).map(Self).ok_or_else(|| ParseError::custom("it is not one that this service gave"))
    }
}

impl ParseFromParameter for LastEventId {
    fn parse_from_parameter(text: &str) -> ParseResult<Self> {
        if text.is_empty() {
            return Ok(Self(None));
        }
        let parts = text.split_once('-').filter(|(transaction, log)| {
            // Digits only: what the cursor's own reading lets pass beyond that is none of ours.
            number(transaction).is_some() && number(log).is_some()
        });
        let cursor = parts.and_then(|_| text.parse().ok());
        cursor
            .map(|cursor| Self(Some(cursor)))
            .ok_or_else(|| ParseError::custom("it is not an id that this service gave"))
    }
}

fn number(text: &str) -> Option<i64> {
    let digits = (1..=18).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}
