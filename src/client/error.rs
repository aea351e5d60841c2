//! The errors between a client and a service, and the problem documents (RFC 9457) that services answer with.

use std::fmt;
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde::Deserialize;

/// A failed call of one of the HTTP services. Its `Display` is the whole story: there is no `source` to add.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("`{url}` is not a usable service address: {reason}")]
    InvalidUrl { url: String, reason: String },
    #[error("the HTTP client could not be set up: {}", root_cause(.0))]
    Setup(reqwest::Error),
    #[error("no answer from {url}: is the service running there? ({})", root_cause(cause))]
    Unreachable { url: String, cause: reqwest::Error },
    /// The call was made and then broke or took too long: what it asked for may have happened.
    #[error("the call of {url} broke off before its answer: {}", root_cause(cause))]
    BrokenOff { url: String, cause: reqwest::Error },
    #[error(transparent)]
    Problem(Box<ProblemAnswer>),
    /// An answer outside the contract: the address is perhaps that of some other service.
    #[error("{url} answered what this client does not understand: {reason}")]
    UnexpectedAnswer { url: String, reason: String },
    #[error("the event stream {url} was lost and {attempts} attempts to reach it again failed: {reason}")]
    StreamLost { url: String, attempts: u32, reason: String },
}

impl ClientError {
    /// Sorts a transport failure: nothing was sent, or nobody knows what became of it.
    pub(crate) fn transport(url: &reqwest::Url, cause: reqwest::Error) -> Self {
        let (url, cause) = (url.to_string(), cause.without_url());
        if cause.is_connect() { Self::Unreachable { url, cause } } else { Self::BrokenOff { url, cause } }
    }

    pub(crate) fn unexpected(url: &reqwest::Url, reason: impl Into<String>) -> Self {
        Self::UnexpectedAnswer { url: url.to_string(), reason: reason.into() }
    }

    /// The HTTP status of the refusal, when the service answered one.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Problem(problem) => Some(problem.status),
            _ => None,
        }
    }

    /// Whether the same call may well succeed later: connection failures, overload, servers restarting.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::BrokenOff { .. } => true,
            Self::Problem(problem) => matches!(problem.status, 408 | 429 | 500..=599),
            Self::InvalidUrl { .. }
            | Self::Setup(_)
            | Self::UnexpectedAnswer { .. }
            | Self::StreamLost { .. } => false,
        }
    }

    /// How long the service asked to be left alone, if it did.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Problem(problem) => problem.retry_after,
            _ => None,
        }
    }
}

/// The last cause of a chain: "Connection refused (os error 111)" rather than "error sending request".
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// A refusal as the service explained it (RFC 9457 `application/problem+json`).
///
/// Its `Display` is for people: the first line says what was refused and why, then one line per violation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProblemAnswer {
    pub status: u16,
    pub title: String,
    pub detail: Option<String>,
    /// Every field that broke a rule.
    pub errors: Vec<FieldFault>,
    /// When to try again, if the service said so.
    pub retry_after: Option<Duration>,
    /// The request's id, to be found in the service's log.
    pub request_id: Option<String>,
    /// The answer as it stands.
    pub body: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct FieldFault {
    /// JSON pointer (RFC 6901) to the field; empty for the whole document.
    #[serde(default)]
    pub pointer: String,
    #[serde(default)]
    pub detail: String,
}

/// The members of a problem document that are used; all of them may be missing.
#[derive(Default, Deserialize)]
#[serde(default)]
struct ProblemDocument {
    title: Option<String>,
    detail: Option<String>,
    errors: Vec<FieldFault>,
    request_id: Option<String>,
}

impl ProblemAnswer {
    /// Reads a refusal; an answer without a (readable) problem document still tells its status.
    pub(crate) fn from_answer(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let document: ProblemDocument = serde_json::from_slice(body).unwrap_or_default();
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        Self {
            status: status.as_u16(),
            title: document
                .title
                .unwrap_or_else(|| status.canonical_reason().unwrap_or("refused").to_owned()),
            detail: document.detail,
            errors: document.errors,
            retry_after: header(RETRY_AFTER.as_str())
                .and_then(|seconds| seconds.parse().ok())
                .map(Duration::from_secs),
            request_id: document.request_id.or_else(|| header("x-request-id")),
            body: String::from_utf8_lossy(body).into_owned(),
        }
    }
}

impl fmt::Display for ProblemAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.title, self.status)?;
        if let Some(detail) = &self.detail {
            write!(f, ": {detail}")?;
        }
        for FieldFault { pointer, detail } in &self.errors {
            let pointer = if pointer.is_empty() { "(the whole document)" } else { pointer };
            write!(f, "\n  {pointer}: {detail}")?;
        }
        if let Some(wait) = self.retry_after {
            write!(f, "\n  try again in {} s", wait.as_secs())?;
        }
        if let Some(request_id) = &self.request_id {
            write!(f, "\n  request id: {request_id}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ProblemAnswer {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_lists_every_violation_with_its_pointer() {
        let body = br#"{"type":"about:blank","title":"Invalid order","status":422,"detail":"2 fields break a rule",
            "instance":"/orders","request_id":"r-1","errors":[
            {"pointer":"/items/0/price","detail":"at most two decimals"},{"pointer":"/table_number","detail":"required"}]}"#;
        let problem = ProblemAnswer::from_answer(StatusCode::UNPROCESSABLE_ENTITY, &HeaderMap::new(), body);
        assert_eq!(
            problem.to_string(),
            "Invalid order (422): 2 fields break a rule\n  /items/0/price: at most two decimals\n  \
             /table_number: required\n  request id: r-1"
        );
    }

    #[test]
    fn a_refusal_without_a_document_still_tells_status_wait_and_request_id() {
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", "3".parse().unwrap());
        headers.insert("x-request-id", "r-2".parse().unwrap());
        let problem =
            ProblemAnswer::from_answer(StatusCode::SERVICE_UNAVAILABLE, &headers, b"<html>busy</html>");
        assert_eq!(problem.to_string(), "Service Unavailable (503)\n  try again in 3 s\n  request id: r-2");
        assert!(ClientError::Problem(Box::new(problem)).is_transient());
    }
}
