//! The framing of requests (RFC 9112): what is refused of it, and what is said to a request that cannot be read at all.

use bytes::Bytes;
use poem::{
    Request,
    http::{HeaderMap, StatusCode, Version, header, uri::Authority},
};

use super::{
    headers,
    problem::{Kind, MEDIA_TYPE, Problem},
    request_id::RequestId,
};

/// Why a request must not be served although it could be: two recipients might read it in two ways, one of them a proxy
/// that lets through what it would not have let through.
pub(super) fn fault(request: &Request) -> Option<Problem> {
    let headers = request.headers();
    let detail = host_fault(headers, request.version()).or_else(|| coding_fault(headers))?;
    Some(Problem::bad_request(detail))
}

fn host_fault(headers: &HeaderMap, version: Version) -> Option<&'static str> {
    let mut hosts = headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) if version == Version::HTTP_11 => Some("the Host header is missing"),
        (None, _) => None,
        (Some(_), Some(_)) => Some("there is more than one Host header"),
        (Some(host), None) => {
            let host = host.as_bytes();
            let is_valid = host.is_empty() || (!host.contains(&b'@') && Authority::try_from(host).is_ok());
            (!is_valid).then_some("the Host header is no host")
        }
    }
}

/// `chunked`, once, is the only transfer coding there is here.
fn coding_fault(headers: &HeaderMap) -> Option<&'static str> {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let coding = codings.next()?;
    let is_chunked = coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked");
    (!is_chunked || codings.next().is_some())
        .then_some("the Transfer-Encoding is not supported; it must be chunked, once")
}

/// The status of an answer that hyper gives by itself to what it cannot read: a head without any body. Answers of ours
/// have the id of their request.
pub(super) fn status_of_bare(head: &[u8]) -> Option<StatusCode> {
    let rest = head.strip_prefix(b"HTTP/1.1 4")?;
    let head = str::from_utf8(head).ok()?;
    let is_bare = head.contains("\r\ncontent-length: 0\r\n")
        && head.ends_with("\r\n\r\n")
        && !head.contains("\r\nx-request-id: ");
    let status = StatusCode::from_bytes(&[b'4', *rest.first()?, *rest.get(1)?]).ok()?;
    is_bare.then_some(status)
}

/// The same answer as a problem document, with an id by which it can be spoken of.
pub(super) fn document(bare_head: &[u8], status: StatusCode, problem_types: &str) -> Bytes {
    let problem = match status {
        StatusCode::URI_TOO_LONG => {
            Problem::new(Kind::Other(status), "the target of the request is too long")
        }
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => Problem::new(
            Kind::Other(status),
            "the header of the request is too large, or has too many fields",
        ),
        _ => Problem::bad_request("the request is no HTTP/1.1 that can be read"),
    };
    let head = String::from_utf8_lossy(bare_head).replace("content-length: 0\r\n", "");
    raw(head.trim_end(), &problem, problem_types)
}

/// The answer to a connection that is not served.
pub(super) fn refusal(problem: &Problem, problem_types: &str) -> Bytes {
    let status = problem.status();
    let reason = status.canonical_reason().unwrap_or_default();
    let head = format!("HTTP/1.1 {} {reason}\r\nretry-after: 2\r\nconnection: close", status.as_str());
    raw(&head, problem, problem_types)
}

fn raw(head: &str, problem: &Problem, problem_types: &str) -> Bytes {
    let id = RequestId::generate();
    let body = problem.to_json(problem_types, "", id.as_str());
    let length = body.len();
    let always = headers::lines();
    let head = format!(
        "{head}\r\ncontent-type: {MEDIA_TYPE}\r\ncontent-length: {length}\r\nx-request-id: {id}\r\n{always}\r\n"
    );
    [head.as_bytes(), &body].concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_fine(version: Version, headers: &[(&'static str, &'static str)]) -> bool {
        let request = headers.iter().fold(Request::builder().version(version), |request, (name, value)| {
            request.header(*name, *value)
        });
        fault(&request.finish()).is_none()
    }

    #[test]
    fn one_host_and_one_chunked_are_what_there_may_be() {
        let http_11 = Version::HTTP_11;
        for host in ["example.org", "example.org:3000", "[::1]:3000", "127.0.0.1", ""] {
            assert!(is_fine(http_11, &[("host", host)]), "{host}");
        }
        for host in ["a b", "a@b", "a/b", "a:b:c", "[::1"] {
            assert!(!is_fine(http_11, &[("host", host)]), "{host}");
        }
        assert!(!is_fine(http_11, &[]));
        assert!(is_fine(Version::HTTP_10, &[]));
        assert!(!is_fine(http_11, &[("host", "a"), ("host", "a")]));
        assert!(!is_fine(Version::HTTP_10, &[("host", "a"), ("host", "b")]));
        let coded = |codings: &[&'static str]| {
            let codings = codings.iter().map(|coding| ("transfer-encoding", *coding));
            is_fine(http_11, &[("host", "a")].into_iter().chain(codings).collect::<Vec<_>>())
        };
        assert!(coded(&["chunked"]) && coded(&[" Chunked "]));
        for bad in [&["gzip, chunked"][..], &["chunked, chunked"], &["chunked", "chunked"], &["identity"]] {
            assert!(!coded(bad), "{bad:?}");
        }
    }

    #[test]
    fn only_a_bare_answer_is_taken_for_one() {
        let bare = b"HTTP/1.1 431 X\r\ncontent-length: 0\r\ndate: now\r\n\r\n";
        assert_eq!(status_of_bare(bare).unwrap(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
        for other in [
            &b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"[..],
            b"HTTP/1.1 404 X\r\ncontent-length: 0\r\nx-request-id: a\r\n\r\n",
            b"HTTP/1.1 404 X\r\ncontent-length: 0\r\n\r\nbody",
            b"HTTP/1.1 4",
            b"{}",
        ] {
            assert_eq!(status_of_bare(other), None);
        }
        let document = document(bare, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "urn:test:problem:");
        let text = str::from_utf8(&document).unwrap();
        assert!(
            text.starts_with("HTTP/1.1 431 X\r\ndate: now\r\ncontent-type: application/problem+json\r\n")
        );
        let (_, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(text.contains(&format!("\r\ncontent-length: {}\r\n", body.len())), "{text}");
    }
}
