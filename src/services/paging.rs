//! The place in a list that a client comes back with, alike in both HTTP roles: opaque to it, but of a known form.

use http_kit::schema_type;
use poem_openapi::registry::{MetaSchema, MetaSchemaRef};
use poem_openapi::types::{ParseError, ParseFromParameter, ParseResult};

/// Rows on a page where the client does not say, and at most.
pub(super) const PAGE_DEFAULT: u16 = 50;
pub(super) const PAGE_MAX: u16 = 200;

/// A text parameter with a pattern, which the document shows.
pub(super) fn cursor(pattern: &str, example: &str) -> MetaSchemaRef {
    let (pattern, example) = (Some(pattern.to_owned()), Some(example.into()));
    MetaSchemaRef::Inline(Box::new(MetaSchema { pattern, example, ..MetaSchema::new("string") }))
}

/// The place behind the last row of a page.
#[derive(Debug, Clone, Copy)]
pub(super) struct PageCursor(pub(super) i64);
schema_type!(PageCursor, "PageCursor", cursor("^[0-9]{1,18}$", "42"));

impl ParseFromParameter for PageCursor {
    fn parse_from_parameter(text: &str) -> ParseResult<Self> {
        number(text).map(Self).ok_or_else(|| ParseError::custom("it is not one that this service gave"))
    }
}

/// A number of digits only.
pub(super) fn number(text: &str) -> Option<i64> {
    let digits = (1..=18).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}
