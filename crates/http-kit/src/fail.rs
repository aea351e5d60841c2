//! How an operation says which problems it may answer with.
//!
//! ```ignore
//! async fn status(&self, number: Path<String>) -> Result<JsonReply<Status>, Fail<{ may::NOT_FOUND | may::UNAVAILABLE }>>
//! ```
//! A handler uses `?` on anything that converts into a [`Problem`]. The set is the operation's documentation: each of its
//! statuses is in the OpenAPI document, as `application/problem+json` with the `Problem` schema, and nothing else is
//! (500 always is, and 400, for a query that the route does not have). A test or debug build panics where a handler answers with a status that it did not declare.

use poem_openapi::{
    ApiResponse,
    registry::{MetaHeader, MetaMediaType, MetaResponse, MetaResponses, MetaSchemaRef, Registry},
    types::Type,
};

use super::problem::{MEDIA_TYPE, Problem, ProblemBody};

/// The statuses that an operation may fail with, to be combined with `|` for [`Fail`].
pub mod may {
    /// 400: a parameter, a header or the body cannot be read.
    pub const BAD_REQUEST: u32 = 1;
    /// 401: the token is missing or wrong.
    pub const UNAUTHORIZED: u32 = 1 << 1;
    /// 403: switched off, or not for this caller.
    pub const FORBIDDEN: u32 = 1 << 2;
    /// 404: not there.
    pub const NOT_FOUND: u32 = 1 << 3;
    /// 408: the body did not arrive in time.
    pub const REQUEST_TIMEOUT: u32 = 1 << 4;
    /// 409: it contradicts the present state.
    pub const CONFLICT: u32 = 1 << 5;
    /// 413: the body is too large.
    pub const PAYLOAD_TOO_LARGE: u32 = 1 << 6;
    /// 415: the body is not JSON.
    pub const UNSUPPORTED_MEDIA_TYPE: u32 = 1 << 7;
    /// 422: a rule is broken.
    pub const UNPROCESSABLE: u32 = 1 << 8;
    /// 503: not now.
    pub const UNAVAILABLE: u32 = 1 << 9;
    /// 429: too many attempts of this address failed.
    pub const TOO_MANY_REQUESTS: u32 = 1 << 10;
    /// 429: the caller has as much open as it may.
    pub const TOO_MANY_OPEN: u32 = 1 << 11;
    /// Nothing but 500, which every operation may fail with.
    pub const NOTHING: u32 = 0;

    /// What reading a JSON body ([`JsonRequest`](super::super::body::JsonRequest)) may fail with.
    pub const BODY: u32 = BAD_REQUEST | REQUEST_TIMEOUT | PAYLOAD_TOO_LARGE | UNSUPPORTED_MEDIA_TYPE;
    /// What looking at a token may fail with.
    pub const TOKEN: u32 = UNAUTHORIZED | TOO_MANY_REQUESTS;
    /// What a call that is only for staff may fail with.
    pub const STAFF: u32 = TOKEN | FORBIDDEN;
}

/// Bit, status, description and header (with its own description) of each declared status.
type Row = (u32, u16, &'static str, Option<(&'static str, &'static str)>);

const BAD_REQUEST: &str = "The request cannot be read.";

const ROWS: [Row; 12] = [
    (may::BAD_REQUEST, 400, BAD_REQUEST, None),
    (
        may::UNAUTHORIZED,
        401,
        "The staff's token, or a name or password, is missing or wrong.",
        Some(("WWW-Authenticate", "Always `Bearer`.")),
    ),
    (may::FORBIDDEN, 403, "Calls for staff are switched off, or this one is not allowed.", None),
    (may::NOT_FOUND, 404, "It does not exist.", None),
    (may::REQUEST_TIMEOUT, 408, "The body did not arrive in time.", None),
    (may::CONFLICT, 409, "It contradicts the present state.", None),
    (may::PAYLOAD_TOO_LARGE, 413, "The body is too large.", None),
    (may::UNSUPPORTED_MEDIA_TYPE, 415, "The body is not `application/json`.", None),
    (may::UNPROCESSABLE, 422, "A rule is broken; `errors` lists every broken one.", None),
    (
        may::TOO_MANY_REQUESTS,
        429,
        "This address has shown too many wrong tokens or passwords, and none of them is looked at for now.",
        Some(("Retry-After", "Seconds to wait.")),
    ),
    (
        may::TOO_MANY_OPEN,
        429,
        "This caller has as much open as it may.",
        Some(("Retry-After", "Seconds to wait.")),
    ),
    (
        may::UNAVAILABLE,
        503,
        "A server is away or the service is full: try again later.",
        Some(("Retry-After", "Seconds to wait.")),
    ),
];

/// The failure of an operation that may fail with the statuses in `MAY`, and with 500.
#[derive(Debug)]
pub struct Fail<const MAY: u32>(Problem);

impl<const MAY: u32, P: Into<Problem>> From<P> for Fail<MAY> {
    fn from(problem: P) -> Self {
        let problem = problem.into();
        debug_assert!(declared(MAY, problem.status().as_u16()), "an undeclared status: {problem}");
        Self(problem)
    }
}

fn declared(may: u32, status: u16) -> bool {
    status == 500 || ROWS.iter().any(|row| row.1 == status && may & row.0 != 0)
}

impl<const MAY: u32> From<Fail<MAY>> for poem::Error {
    fn from(fail: Fail<MAY>) -> Self {
        fail.0.into()
    }
}

impl<const MAY: u32> ApiResponse for Fail<MAY> {
    fn meta() -> MetaResponses {
        let declared = ROWS
            .iter()
            .filter(|(bit, ..)| MAY & bit != 0)
            .map(|(_, status, description, header)| meta_of(*status, description, *header));
        let always = meta_of(500, "Our fault; the log has the cause under the request id.", None);
        let mut responses: Vec<_> = declared.chain([always]).collect();
        responses.sort_by_key(|response| response.status);
        MetaResponses { responses }
    }

    fn register(registry: &mut Registry) {
        ProblemBody::register(registry);
    }
}

/// The description of 400, which every operation may answer with: its query may be wrong.
pub(super) fn meta_of_bad_request() -> MetaResponse {
    meta_of(400, BAD_REQUEST, None)
}

fn meta_of(
    status: u16,
    description: &'static str,
    header: Option<(&'static str, &'static str)>,
) -> MetaResponse {
    let headers = header.map(|(name, description)| header_meta(name, description, String::schema_ref()));
    MetaResponse {
        description,
        status: Some(status),
        status_range: None,
        content: vec![MetaMediaType { content_type: MEDIA_TYPE, schema: ProblemBody::schema_ref() }],
        headers: headers.into_iter().collect(),
    }
}

/// The description of a response header that is always there.
pub(super) fn header_meta(name: &str, description: &str, schema: MetaSchemaRef) -> MetaHeader {
    MetaHeader {
        name: name.to_owned(),
        description: Some(description.to_owned()),
        required: true,
        deprecated: false,
        schema,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_statuses_are_the_declared_ones_and_500() {
        let statuses =
            |meta: MetaResponses| -> Vec<_> { meta.responses.iter().filter_map(|r| r.status).collect() };
        assert_eq!(statuses(Fail::<{ may::NOTHING }>::meta()), [500]);
        assert_eq!(statuses(Fail::<{ may::NOT_FOUND | may::STAFF }>::meta()), [401, 403, 404, 429, 500]);
        assert_eq!(statuses(Fail::<{ may::BODY }>::meta()), [400, 408, 413, 415, 500]);
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "an undeclared status")]
    fn an_undeclared_status_is_noticed_by_tests() {
        let _ = Fail::<{ may::NOT_FOUND }>::from(Problem::conflict("no"));
    }
}
