//! Errors as RFC 9457 problem documents.
//!
//! A [`Problem`] is what every failed request is answered with, wherever the failure came from: a handler, the
//! framework, or a panic. Handlers make one and return it (see [`Fail`](super::fail::Fail)); the outermost layer adds
//! what only it knows, the request's path and id, and writes the response.
//!
//! `type` is a stable URN: what the program has all of them begin with
//! ([`ApiInfo::problem_types`](super::docs::ApiInfo::problem_types)), and the slug of the [`Kind`].

use std::{borrow::Cow, collections::BTreeMap, error::Error as StdError, fmt, time::Duration};

use poem::{
    Body, Response,
    error::ResponseError,
    http::{HeaderValue, StatusCode, header},
};
use poem_openapi::Object;
use serde::Serialize;
use serde_json::{Map, Value};

pub use super::kind::{Kind, OwnKind};
use super::shown::cut;

/// The media type of a problem document.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// A request's path is echoed in `instance` up to this length, in bytes.
const INSTANCE_MAX_BYTES: usize = 256;

/// So many faults of one request are listed: an answer is not to be larger than what it costs to cause it.
const FAULTS_MAX: usize = 50;

/// So much of a text is repeated that a client may have made: of a pointer, whose longest known one has 19 characters, and of
/// a sentence.
const POINTER_MAX_CHARS: usize = 120;
const DETAIL_MAX_CHARS: usize = 400;

/// One rule that one field breaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Object)]
pub struct FieldError {
    /// Where in the request's body: a JSON pointer (RFC 6901), such as `/items/0/price`; empty for the whole body.
    pub pointer: String,
    /// What is wrong with it, for people.
    pub detail: String,
}

impl FieldError {
    /// A broken rule, at a JSON pointer. What is too long of it is cut.
    pub fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        let (pointer, detail) = (pointer.into(), detail.into());
        let mut shown = cut(&pointer, POINTER_MAX_CHARS);
        if shown.len() != pointer.len() && shown.ends_with("~…") {
            // Half of an escape is none.
            shown = shown.replace("~…", "…");
        }
        Self { pointer: shown, detail: cut(&detail, DETAIL_MAX_CHARS) }
    }
}

/// A problem document as it is sent: RFC 9457 with the members `request_id` and `errors`.
#[derive(Debug, Clone, Serialize, Object)]
#[oai(rename = "Problem")]
pub struct ProblemBody {
    /// The kind of problem: a stable URN, `{problem_types}<kind>`, for programs to compare.
    #[serde(rename = "type")]
    #[oai(rename = "type")]
    pub kind: String,
    /// What this kind of problem is, for people.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What went wrong this time.
    pub detail: String,
    /// The path of the request.
    pub instance: String,
    /// The id under which the logs of all services know this request.
    pub request_id: String,
    /// The broken rules, where fields are invalid: all of them, or the first 50.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[oai(skip_serializing_if_is_none)]
    pub errors: Option<Vec<FieldError>>,
}

/// The same with the members of one kind alone.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    body: ProblemBody,
    #[serde(flatten)]
    members: &'a BTreeMap<&'static str, String>,
}

/// Why a request failed, as the client is told, with what only the log is told beside it.
pub struct Problem(Box<Inner>);

struct Inner {
    kind: Kind,
    detail: Cow<'static, str>,
    errors: Vec<FieldError>,
    retry_after: Option<Duration>,
    allow: Option<HeaderValue>,
    challenge: Option<HeaderValue>,
    members: BTreeMap<&'static str, String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
    /// The document of another service.
    relayed: Option<Map<String, Value>>,
}

impl Problem {
    /// A problem of a kind; `detail` says what went wrong this time and is shown to the client.
    pub fn new(kind: Kind, detail: impl Into<Cow<'static, str>>) -> Self {
        let detail = detail.into();
        let is_long = detail.len() > DETAIL_MAX_CHARS;
        Self(Box::new(Inner {
            kind,
            detail: if is_long { cut(&detail, DETAIL_MAX_CHARS).into() } else { detail },
            errors: Vec::new(),
            retry_after: None,
            allow: None,
            challenge: None,
            members: BTreeMap::new(),
            source: None,
            relayed: None,
        }))
    }

    /// 400: the body cannot be read as what it should be.
    pub fn bad_request(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::MalformedRequest, detail)
    }

    /// 400: a parameter of the path, the query or a header cannot be read.
    pub fn invalid_parameter(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::InvalidParameter, detail)
    }

    /// 400: the members of the body that nobody knows, by their JSON pointers.
    pub fn unknown_fields(pointers: impl IntoIterator<Item = String>) -> Self {
        let errors: Vec<_> =
            pointers.into_iter().map(|pointer| FieldError::new(pointer, "is not a known field")).collect();
        let detail = match errors.as_slice() {
            [only] => format!("the field {} is unknown", only.pointer),
            all => format!("{} fields are unknown", all.len()),
        };
        Self::bad_request(detail).errors(errors)
    }

    /// 401: no token, or a wrong one. `challenge` is the whole `WWW-Authenticate` header.
    pub fn unauthorized(challenge: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        let mut problem = Self::new(Kind::Unauthorized, detail);
        problem.0.challenge = Some(HeaderValue::from_static(challenge));
        problem
    }

    /// 403: switched off, or not for this caller.
    pub fn forbidden(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Forbidden, detail)
    }

    /// 404: what was asked for is not there.
    pub fn not_found(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::NotFound, detail)
    }

    /// 405: the route is there; `allow` is the whole `Allow` header.
    pub fn method_not_allowed(allow: HeaderValue, detail: impl Into<Cow<'static, str>>) -> Self {
        let mut problem = Self::new(Kind::MethodNotAllowed, detail);
        problem.0.allow = Some(allow);
        problem
    }

    /// 409: it contradicts the present state.
    pub fn conflict(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Conflict, detail)
    }

    /// 413: more than `limit_bytes`.
    pub fn payload_too_large(limit_bytes: usize) -> Self {
        Self::new(Kind::PayloadTooLarge, format!("the body may have {limit_bytes} bytes at most"))
    }

    /// 415: the body is of another type than what is read here.
    pub fn unsupported_media_type(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::UnsupportedMediaType, detail)
    }

    /// 422: every rule that the request breaks.
    pub fn unprocessable(errors: Vec<FieldError>) -> Self {
        let detail = match errors.as_slice() {
            [only] if only.pointer.is_empty() => format!("the body {}", only.detail),
            [only] => format!("{}: {}", only.pointer, only.detail),
            all => format!("{} rules are broken", all.len()),
        };
        Self::new(Kind::ValidationFailed, detail).errors(errors)
    }

    /// 429: too many attempts failed; try again after `retry_after`.
    pub fn too_many_requests(retry_after: Duration, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::TooManyRequests, detail).retry_after(retry_after)
    }

    /// 503: a server is away or the service is full; try again after `retry_after` (told in whole seconds).
    pub fn unavailable(retry_after: Duration, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Unavailable, detail).retry_after(retry_after)
    }

    /// 500: our fault. The cause is for the log alone; the client is told nothing of it.
    pub fn internal(cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(Kind::Internal, "an internal error occurred; the request id leads to it in the log")
            .because(cause)
    }

    /// What another service has answered with: its document, told on under the path and the id of the request to this one.
    pub fn relayed(status: StatusCode, document: Map<String, Value>, retry_after: Option<Duration>) -> Self {
        let detail = document.get("detail").and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut problem = Self::new(Kind::Other(status), detail);
        problem.0.retry_after = retry_after;
        problem.0.relayed = Some(document);
        problem
    }

    /// Adds what broke which rule: the first faults, where there are many.
    #[must_use]
    pub fn errors(mut self, mut errors: Vec<FieldError>) -> Self {
        if errors.len() > FAULTS_MAX {
            errors.truncate(FAULTS_MAX);
            self.0.detail = format!("{}; the first {FAULTS_MAX} are listed", self.0.detail).into();
        }
        self.0.errors = errors;
        self
    }

    /// Adds after how long to try again (told in whole seconds).
    #[must_use]
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.0.retry_after = Some(after);
        self
    }

    /// Adds a member of the document that its kind alone has.
    #[must_use]
    pub fn member(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.0.members.insert(name, value.into());
        self
    }

    /// Adds the cause, which is logged and never shown to the client.
    #[must_use]
    pub fn because(mut self, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(cause.into());
        self
    }

    /// What kind of problem it is.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.0.kind.status()
    }

    /// What the client is told.
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// After how many whole seconds to try again.
    pub fn retry_after_s(&self) -> Option<u64> {
        self.0.retry_after.map(|after| (after.as_secs() + u64::from(after.subsec_nanos() > 0)).max(1))
    }

    /// Every broken rule.
    pub fn field_errors(&self) -> &[FieldError] {
        &self.0.errors
    }

    /// The response to a request for `instance` (its path), known as `request_id`, with what the program has the types of
    /// problems begin with.
    pub fn to_response(&self, types: &str, instance: &str, request_id: &str) -> Response {
        let Inner { kind, allow, challenge, .. } = &*self.0;
        let body = self.to_json(types, instance, request_id);
        let mut response =
            Response::builder().status(kind.status()).content_type(MEDIA_TYPE).body(Body::from(body));
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after_s() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(allow) = allow {
            headers.insert(header::ALLOW, allow.clone());
        }
        if let Some(challenge) = challenge {
            headers.insert(header::WWW_AUTHENTICATE, challenge.clone());
        }
        response
    }

    /// The document alone.
    pub(super) fn to_json(&self, types: &str, instance: &str, request_id: &str) -> Vec<u8> {
        let Inner { kind, detail, errors, members, relayed, .. } = &*self.0;
        if let Some(mut document) = relayed.clone() {
            document.insert("instance".to_owned(), shorten(instance).into());
            document.insert("request_id".to_owned(), request_id.into());
            return serde_json::to_vec(&document).unwrap_or_default();
        }
        let body = ProblemBody {
            kind: format!("{types}{}", kind.slug()),
            title: kind.title().to_owned(),
            status: kind.status().as_u16(),
            detail: detail.as_ref().to_owned(),
            instance: shorten(instance).to_owned(),
            request_id: request_id.to_owned(),
            errors: (!errors.is_empty()).then(|| errors.clone()),
        };
        serde_json::to_vec(&Document { body, members }).unwrap_or_default()
    }
}

/// The beginning of a path, cut at a character.
fn shorten(path: &str) -> &str {
    if path.len() <= INSTANCE_MAX_BYTES {
        return path;
    }
    let end = (0..=INSTANCE_MAX_BYTES).rev().find(|end| path.is_char_boundary(*end)).unwrap_or(0);
    &path[..end]
}

impl fmt::Debug for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Problem")
            .field("kind", &self.0.kind)
            .field("detail", &self.0.detail)
            .field("errors", &self.0.errors)
            .field("source", &self.0.source)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.status(), self.0.detail)
    }
}

impl StdError for Problem {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

/// So that `?` works wherever poem expects its own error.
impl ResponseError for Problem {
    fn status(&self) -> StatusCode {
        Problem::status(self)
    }

    /// Only where no [`App`](super::App) is around: what it adds is unknown here.
    fn as_response(&self) -> Response {
        self.to_response("", "", "")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPES: &str = "urn:test:problem:";

    async fn body_of(response: Response) -> serde_json::Value {
        serde_json::from_slice(&response.into_body().into_bytes().await.unwrap()).unwrap()
    }

    #[tokio::test]
    async fn a_problem_has_exactly_the_members_of_its_schema() {
        let response = Problem::not_found("there is no thing 1").to_response(TYPES, "/things/1", "abc");
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        assert_eq!(response.content_type(), Some(MEDIA_TYPE));
        assert_eq!(
            body_of(response).await,
            serde_json::json!({
                "type": "urn:test:problem:not-found", "title": "Not found", "status": 404,
                "detail": "there is no thing 1", "instance": "/things/1", "request_id": "abc",
            })
        );
    }

    #[tokio::test]
    async fn a_kind_may_have_a_member_of_its_own() {
        let problem = Problem::conflict("not now").member("opens_at", "2026-11-22T10:00:00Z");
        let body = body_of(problem.to_response(TYPES, "/things", "x")).await;
        assert_eq!((&body["opens_at"], &body["status"]), (&"2026-11-22T10:00:00Z".into(), &409.into()));
    }

    #[tokio::test]
    async fn broken_rules_are_listed_with_their_pointers() {
        let errors = vec![FieldError::new("/items/0/price", "a"), FieldError::new("/name", "b")];
        let body = body_of(Problem::unprocessable(errors).to_response(TYPES, "/things", "x")).await;
        assert_eq!(
            body["errors"],
            serde_json::json!([
                {"pointer": "/items/0/price", "detail": "a"},
                {"pointer": "/name", "detail": "b"},
            ])
        );
        assert_eq!(body["detail"], "2 rules are broken");
    }

    #[test]
    fn no_more_is_listed_and_repeated_than_helps() {
        let problem = Problem::unknown_fields((0..8_550).map(|n| format!("/{n}")));
        assert_eq!(problem.detail(), "8550 fields are unknown; the first 50 are listed");
        let pointers: Vec<_> = problem.field_errors().iter().map(|e| e.pointer.as_str()).collect();
        assert_eq!((pointers.len(), pointers[0], pointers[49]), (50, "/0", "/49"));
        for name in ["é".repeat(60_000), "~1".repeat(60_000), "\u{1}".repeat(60_000)] {
            let problem = Problem::unknown_fields([format!("/{name}")]);
            let document = problem.to_json(TYPES, "/things", "x");
            assert!(document.len() < 2_000, "{}", document.len());
            let [error] = problem.field_errors() else { panic!("{problem:?}") };
            let shown = error.pointer.strip_suffix('…').unwrap();
            assert!(format!("/{name}").starts_with(shown) && !shown.ends_with('~'), "{shown}");
        }
        assert!(Problem::conflict("x".repeat(60_000)).detail().len() < 500);
        assert!(FieldError::new("/a", "x".repeat(60_000)).detail.len() < 500);
    }

    #[test]
    fn retry_after_is_rounded_up_to_whole_seconds() {
        for (millis, seconds) in [(0, "1"), (1, "1"), (1000, "1"), (1001, "2"), (2500, "3")] {
            let problem = Problem::unavailable(Duration::from_millis(millis), "full");
            assert_eq!(problem.to_response(TYPES, "/", "").headers()[header::RETRY_AFTER], seconds);
        }
    }

    #[tokio::test]
    async fn a_cause_is_for_the_log_and_not_for_the_client() {
        let problem = Problem::internal(std::io::Error::other("SELECT secret FROM /etc/passwd"));
        assert!(problem.source().unwrap().to_string().contains("SELECT"));
        let body = body_of(problem.to_response(TYPES, "/things", "x")).await.to_string();
        assert!(!body.contains("SELECT") && !body.contains("passwd"), "{body}");
    }

    #[tokio::test]
    async fn the_problem_of_another_service_is_told_on_with_all_its_members() {
        let document = serde_json::json!({
            "type": "urn:other:problem:closed", "title": "Closed", "status": 409, "detail": "it is closed", "instance": "/there",
            "request_id": "abc", "opens_at": "2026-12-01T10:00:00Z",
        });
        let problem = Problem::relayed(
            StatusCode::CONFLICT,
            document.as_object().cloned().unwrap(),
            Some(Duration::from_secs(60)),
        );
        assert_eq!(problem.detail(), "it is closed");
        let response = problem.to_response(TYPES, "/here", "abc");
        assert_eq!(
            (response.status(), &response.headers()[header::RETRY_AFTER]),
            (StatusCode::CONFLICT, &"60".parse().unwrap())
        );
        let mut expected = document;
        expected["instance"] = "/here".into();
        assert_eq!(body_of(response).await, expected);
    }

    #[test]
    fn a_long_path_is_cut_at_a_character() {
        let path = format!("/{}", "é".repeat(500));
        let short = shorten(&path);
        assert!(short.len() <= INSTANCE_MAX_BYTES && path.starts_with(short));
    }
}
