//! The places in streams that clients come back with: opaque to them, but of a known form.

use http_kit::Problem;
use http_kit::schema_type;
use poem::http::{HeaderMap, HeaderName};
use poem_openapi::Enum;
use poem_openapi::types::{ParseError, ParseFromParameter, ParseResult};

use crate::services::paging::{cursor, number};
use crate::store::EventCursor;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// The `Last-Event-ID` of a stream; an empty one is none, as the standard has it.
#[derive(Debug, Clone, Copy)]
pub(super) struct LastEventId(pub(super) Option<EventCursor>);
schema_type!(LastEventId, "LastEventId", cursor("^([0-9]{1,18}-[0-9]{1,18})?$", "822-46"));

/// Where a stream of all orders begins.
#[derive(Debug, Clone, Copy, Enum)]
#[oai(rename_all = "lowercase")]
pub(super) enum StreamStart {
    /// With the first change of all.
    Start,
}

impl LastEventId {
    /// Where a stream goes on, by the header or else by the query; `None` where it begins.
    ///
    /// # Errors
    /// 400 where the header is there more than once, or is no text: to pass over it would be to tell everything again.
    pub(super) fn of(
        headers: &HeaderMap,
        header: Option<Self>,
        query: Option<Self>,
    ) -> Result<Option<EventCursor>, Problem> {
        let mut values = headers.get_all(LAST_EVENT_ID).iter();
        let is_text = values.next().is_none_or(|value| value.to_str().is_ok());
        if !is_text || values.next().is_some() {
            return Err(Problem::invalid_parameter(
                "the parameter Last-Event-ID is invalid: there must be one id that this service gave",
            ));
        }
        let given = |id: Option<Self>| id.and_then(|id| id.0);
        Ok(given(header).or_else(|| given(query)))
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
