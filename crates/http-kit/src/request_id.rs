//! The identity of a request: its id, and the trace that it belongs to.
//!
//! The id is the client's own (`X-Request-Id`) when that is a sane token, else a new one. It is returned on every
//! response, is in every log line of the request, and may go with its messages to other services.

use std::{
    fmt,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use poem::{
    FromRequest, Request, RequestBody,
    http::{HeaderMap, HeaderName, HeaderValue},
};

/// The header that carries the id, both ways.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

pub(super) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// A client's id may have this many characters.
const REQUEST_ID_MAX_CHARS: usize = 128;

/// The id of a request: 1 to 128 characters of `A–Z a–z 0–9 . _ -`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// A new id: a UUID of version 7, so that ids sort by time. They are names, not secrets, so the quick random
    /// generator is good enough.
    pub fn generate() -> Self {
        let millis = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let mut random = [0; 10];
        fastrand::fill(&mut random);
        let millis = u64::try_from(millis).unwrap_or_default();
        let uuid = uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid();
        Self(Arc::from(uuid.hyphenated().encode_lower(&mut uuid::Uuid::encode_buffer()) as &str))
    }

    /// A client's id, unless it is something that had better not be in a header, a log or a query.
    pub fn parse(text: &str) -> Option<Self> {
        let sane = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        let length = 1..=REQUEST_ID_MAX_CHARS;
        (length.contains(&text.len()) && text.bytes().all(sane)).then(|| Self(text.into()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&RequestId> for HeaderValue {
    fn from(id: &RequestId) -> Self {
        // Every character that an id may have is one that a header may have.
        HeaderValue::from_str(&id.0).unwrap_or_else(|_| HeaderValue::from_static("-"))
    }
}

/// A valid W3C `traceparent`: to be put on messages as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceParent(Arc<str>);

impl TraceParent {
    /// Reads `version-traceid-parentid-flags`; versions above 00 may have more behind it. Anything else is as good as
    /// nothing, as the standard has it.
    pub fn parse(text: &str) -> Option<Self> {
        let (head, tail) = text.split_at_checked(55)?;
        let mut parts = head.split('-');
        let version = hex(parts.next()?, 2)?;
        let trace_id = hex(parts.next()?, 32)?;
        let parent_id = hex(parts.next()?, 16)?;
        hex(parts.next()?, 2)?;
        let whole = parts.next().is_none() && (tail.is_empty() || (version != "00" && tail.starts_with('-')));
        let known =
            version != "ff" && trace_id.bytes().any(|b| b != b'0') && parent_id.bytes().any(|b| b != b'0');
        (whole && known && text.len() <= 256).then(|| Self(text.into()))
    }

    /// The header's value.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn hex(text: &str, length: usize) -> Option<&str> {
    let lower_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    (text.len() == length && text.bytes().all(lower_hex)).then_some(text)
}

/// What is known of a request beside its content. A handler takes it as an argument.
#[derive(Debug, Clone)]
pub struct RequestContext {
    /// The id that the request goes by everywhere.
    pub request_id: RequestId,
    /// The trace that the caller is in, if it says so.
    pub trace_parent: Option<TraceParent>,
}

impl RequestContext {
    /// Reads the headers; what is missing or unusable is made or left out.
    pub fn of(headers: &HeaderMap) -> Self {
        let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        Self {
            request_id: text(&X_REQUEST_ID).and_then(RequestId::parse).unwrap_or_else(RequestId::generate),
            trace_parent: text(&TRACEPARENT).and_then(TraceParent::parse),
        }
    }
}

impl<'a> FromRequest<'a> for RequestContext {
    async fn from_request(request: &'a Request, _body: &mut RequestBody) -> poem::Result<Self> {
        // Without the outermost layer there is none yet; that is so in unit tests of single endpoints.
        Ok(request.data::<Self>().cloned().unwrap_or_else(|| Self::of(request.headers())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sane_id_is_taken_and_anything_else_is_not() {
        for sane in ["a", "req-1.2_3", &"x".repeat(128)] {
            assert_eq!(RequestId::parse(sane).unwrap().as_str(), sane);
        }
        for bad in ["", "a b", "a\nb", "ü", "<script>", "a;b", "a/b", &"x".repeat(129)] {
            assert_eq!(RequestId::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_generated_id_is_a_uuid_of_version_7_and_sane() {
        let id = RequestId::generate();
        assert_eq!(uuid::Uuid::parse_str(id.as_str()).unwrap().get_version_num(), 7);
        assert_eq!(RequestId::parse(id.as_str()), Some(id.clone()));
        assert_ne!(RequestId::generate(), id);
    }

    #[test]
    fn a_traceparent_is_taken_only_when_it_is_valid() {
        let valid = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(TraceParent::parse(valid).unwrap().as_str(), valid);
        let later = format!("01{}-more", &valid[2..]);
        assert_eq!(TraceParent::parse(&later).unwrap().as_str(), later);
        let zero_trace = format!("00-{}-b7ad6b7169203331-01", "0".repeat(32));
        let zero_parent = format!("00-0af7651916cd43dd8448eb211c80319c-{}-01", "0".repeat(16));
        let more = format!("{valid}-more");
        let upper = valid.to_uppercase();
        let forbidden = format!("ff{}", &valid[2..]);
        let accented = "é".repeat(30);
        for bad in ["", "00", &zero_trace, &zero_parent, &more, &upper, &forbidden, &valid[1..], &accented] {
            assert_eq!(TraceParent::parse(bad), None, "{bad}");
        }
    }
}
