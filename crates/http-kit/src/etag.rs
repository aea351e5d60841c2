//! Answers that a client may have already: `ETag`, `If-None-Match`, `304`.

use std::fmt::Write;

use poem::{
    IntoResponse, Response,
    http::{HeaderValue, StatusCode, header},
};
use poem_openapi::{
    ApiResponse,
    registry::{MetaHeader, MetaResponse, MetaResponses, Registry},
    types::Type,
};
use sha2::{Digest, Sha256};

use super::{
    fail::header_meta,
    reply::{JsonReply, ok},
};

/// A strong entity tag: equal tags, equal bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ETag(String);

impl ETag {
    /// The tag of a body: the first half of its SHA-256.
    pub fn of(body: &[u8]) -> Self {
        let mut tag = String::with_capacity(34);
        tag.push('"');
        for byte in &Sha256::digest(body)[..16] {
            // Writing to a string cannot fail.
            let _ = write!(tag, "{byte:02x}");
        }
        tag.push('"');
        Self(tag)
    }

    /// The tag of the same in another form.
    #[must_use]
    pub fn variant(&self, form: &str) -> Self {
        Self(format!("{}-{form}\"", self.0.trim_end_matches('"')))
    }

    /// The tag with its quotes, as in the header.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether an `If-None-Match` header names this tag. Weak tags count, as the standard has it for this header; what
    /// is no entity tag does not.
    pub fn is_in(&self, if_none_match: &str) -> bool {
        if if_none_match.trim() == "*" {
            return true;
        }
        let mut rest = if_none_match;
        loop {
            rest = rest.trim_start_matches([' ', '\t', ',']);
            rest = rest.strip_prefix("W/").unwrap_or(rest);
            let Some(end) = rest.strip_prefix('"').and_then(|inner| inner.find('"')) else {
                return false;
            };
            let (tag, behind) = rest.split_at(end + 2);
            if tag == self.0 {
                return true;
            }
            rest = behind;
        }
    }
}

/// A JSON answer with an `ETag`, or `304 Not Modified` without one where the client has it already.
#[derive(Debug)]
pub struct Conditional<T> {
    reply: JsonReply<T>,
    tag: ETag,
    unmodified: bool,
}

impl<T> Conditional<T> {
    /// Decides by the request's `If-None-Match`
    /// (`#[oai(name = "If-None-Match")] if_none_match: Header<Option<String>>`).
    pub fn new(reply: JsonReply<T>, if_none_match: Option<&str>) -> Self {
        let tag = ETag::of(reply.bytes());
        let unmodified = if_none_match.is_some_and(|header| tag.is_in(header));
        Self { reply, tag, unmodified }
    }
}

impl<T> IntoResponse for Conditional<T> {
    fn into_response(self) -> Response {
        let mut response = if self.unmodified {
            Response::builder().status(StatusCode::NOT_MODIFIED).finish()
        } else {
            self.reply.into_response()
        };
        let headers = response.headers_mut();
        if let Ok(tag) = HeaderValue::try_from(self.tag.0) {
            headers.insert(header::ETAG, tag);
        }
        // It may be kept, but is asked for every time: it may change at any moment.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        response
    }
}

impl<T: Type> ApiResponse for Conditional<T> {
    fn meta() -> MetaResponses {
        let mut fresh = ok::<JsonReply<T>>("As asked for.");
        fresh.headers.push(meta_of_tag());
        MetaResponses { responses: vec![fresh, meta_of_unmodified()] }
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

/// The description of the `ETag` of an answer.
pub(super) fn meta_of_tag() -> MetaHeader {
    header_meta("ETag", "Changes with the answer.", String::schema_ref())
}

/// The description of `304 Not Modified`.
pub(super) fn meta_of_unmodified() -> MetaResponse {
    MetaResponse {
        description: "The answer is the one that `If-None-Match` names.",
        status: Some(304),
        status_range: None,
        content: Vec::new(),
        headers: vec![meta_of_tag()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_bytes_have_equal_tags() {
        assert_eq!(ETag::of(b"a"), ETag::of(b"a"));
        assert_ne!(ETag::of(b"a"), ETag::of(b"b"));
        assert_eq!(ETag::of(b"").as_str(), "\"e3b0c44298fc1c149afbf4c8996fb924\"");
    }

    #[test]
    fn if_none_match_is_a_list_with_weak_tags_or_a_star() {
        let tag = ETag("\"ab\"".to_owned());
        for yes in [
            "\"ab\"",
            "W/\"ab\"",
            "\"x\", \"ab\"",
            "\"x,y\",W/\"ab\" , \"z\"",
            "*",
            " * ",
            ", \"ab\"",
            "\"\", \"ab\"",
        ] {
            assert!(tag.is_in(yes), "{yes}");
        }
        for no in
            ["", "ab", "\"a\"", "\"abc\"", "\"ab", "w/\"ab\"", "\"x\" *", "\"x, \"ab\"", "**", "W/", "\""]
        {
            assert!(!tag.is_in(no), "{no}");
        }
    }
}
