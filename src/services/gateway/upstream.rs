//! The two services behind the gateway, and calls of them: bounded in time, size and number.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use http_kit::Problem;
use http_kit::followed::{Followed, follow};
use http_kit::problem::{Kind, MEDIA_TYPE};
use poem::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use reqwest::{Client, RequestBuilder, Url, redirect};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::caller::Caller;
use crate::http::PROBLEM_TYPES;

/// Calls under way at once, each with a connection: as many as both services answer together in a rush.
pub const CALLS_MAX: usize = 256;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// From sending to the last byte of the answer: longer than a service lets a request wait for its database.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest answer that is read: the largest menu has some 200 KiB.
const ANSWER_MAX_BYTES: usize = 1024 * 1024;
/// A stream that is silent for so long is dead: the services tell something every 15 s.
const STREAM_SILENCE: Duration = Duration::from_secs(45);
/// An idle connection is used again for so long: less than a full service keeps it (2 s), so that a call seldom meets its end.
const KEEP_IDLE: Duration = Duration::from_millis(1500);
/// A refused connection is tried once more after so long: a service that is started again listens soon.
const RETRY_PAUSE: Duration = Duration::from_millis(200);
/// What a client is told to wait while a service is away.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// The two services behind the gateway. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Upstream(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    client: Client,
    order: Url,
    tracking: Url,
    calls: Semaphore,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    Order,
    Tracking,
}

/// What a call was answered with, whatever its status.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// What the opening of a stream was answered with.
pub(super) enum Opened {
    Stream(Followed),
    Answer(Answer),
}

/// An answer that is no success, or none at all.
#[derive(Debug)]
pub(super) struct UpstreamError {
    pub(super) status: StatusCode,
    /// The whole problem document.
    pub(super) problem: Value,
    pub(super) retry_after_s: Option<u64>,
}

impl Service {
    pub(super) const ALL: [Self; 2] = [Self::Order, Self::Tracking];

    /// As `/readyz` and the log call it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Order => "order-service",
            Self::Tracking => "tracking-service",
        }
    }
}

impl Upstream {
    pub(super) fn new(order: Url, tracking: Url) -> Result<Self, reqwest::Error> {
        let client = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(CALL_TIMEOUT)
            .pool_idle_timeout(KEEP_IDLE)
            .tcp_nodelay(true)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .build()?;
        Ok(Self(Arc::new(Inner { client, order, tracking, calls: Semaphore::new(CALLS_MAX) })))
    }

    /// The body of a successful answer.
    ///
    /// # Errors
    /// What the service answered with, or 503 where it is away.
    pub(super) async fn get(
        &self,
        service: Service,
        path: &str,
        caller: &Caller,
    ) -> Result<Bytes, UpstreamError> {
        self.call(service, Method::GET, path, None, caller).await?.success()
    }

    /// The same of a call with a JSON body.
    ///
    /// # Errors
    /// As for [`Self::get`].
    pub(super) async fn post(
        &self,
        service: Service,
        path: &str,
        body: Option<&impl Serialize>,
        caller: &Caller,
    ) -> Result<Bytes, UpstreamError> {
        let body = body.map(serde_json::to_vec).transpose();
        let body =
            body.map_err(|error| UpstreamError::away(format!("the request cannot be written: {error}")))?;
        self.call(service, Method::POST, path, body.map(Bytes::from), caller).await?.success()
    }

    /// One call. The path's segments are plain ones (letters, digits, `-._~`), with a query or without: nothing that has others is
    /// there, and a path from outside leads nowhere else than it seems to.
    ///
    /// # Errors
    /// 503 where the service is away, and 404 for a path that nothing can have.
    pub(super) async fn call(
        &self,
        service: Service,
        method: Method,
        path: &str,
        body: Option<Bytes>,
        caller: &Caller,
    ) -> Result<Answer, UpstreamError> {
        let url = self.url(service, path).ok_or_else(UpstreamError::nothing)?;
        let Ok(_permit) = self.0.calls.try_acquire() else {
            return Err(UpstreamError::away(
                "as many requests are under way as may be; try again in a moment",
            ));
        };
        let mut request = self.0.client.request(method, url).headers(caller.headers());
        if let Some(body) = body {
            request = request.header(header::CONTENT_TYPE, "application/json").body(body);
        }
        let mut response = send(request).await.map_err(|_| UpstreamError::not_there(service))?;
        let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
        let body = whole(response.bytes_stream()).await.map_err(|_| UpstreamError::not_there(service))?;
        Ok(Answer { status, headers, body })
    }

    /// Opens a stream of events, whose bytes follow. What is answered without one is [`Opened::Answer`].
    ///
    /// # Errors
    /// As for [`Self::call`].
    pub(super) async fn open(
        &self,
        service: Service,
        path: &str,
        caller: &Caller,
    ) -> Result<Opened, UpstreamError> {
        let url = self.url(service, path).ok_or_else(UpstreamError::nothing)?;
        let opened = async {
            let (head, body) = ask(&url, caller).await?.into_parts();
            if head.status == StatusCode::OK {
                return Ok(Opened::Stream(body));
            }
            let body = whole(body).await?;
            io::Result::Ok(Opened::Answer(Answer { status: head.status, headers: head.headers, body }))
        };
        let opened = tokio::time::timeout(CALL_TIMEOUT, opened).await.ok().and_then(Result::ok);
        opened.ok_or_else(|| UpstreamError::not_there(service))
    }

    /// `None` where there is nothing at such a path.
    fn url(&self, service: Service, path: &str) -> Option<Url> {
        let mut url = match service {
            Service::Order => self.0.order.clone(),
            Service::Tracking => self.0.tracking.clone(),
        };
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        let segments = path.strip_prefix('/')?;
        if !segments.split('/').all(is_plain) {
            return None;
        }
        let whole = format!("{}/{segments}", url.path().trim_end_matches('/'));
        url.set_path(&whole);
        url.set_query(query);
        Some(url)
    }
}

fn is_plain(segment: &str) -> bool {
    let of_segment = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    !matches!(segment, "" | "." | "..") && segment.bytes().all(of_segment)
}

/// Sends a request, once more where the connection was refused: nothing of it has arrived then.
async fn send(request: RequestBuilder) -> reqwest::Result<reqwest::Response> {
    let again = request.try_clone();
    match (request.send().await, again) {
        (Err(error), Some(again)) if error.is_connect() && !error.is_timeout() => {
            tokio::time::sleep(RETRY_PAUSE).await;
            again.send().await
        }
        (outcome, _) => outcome,
    }
}

/// Asks for a stream.
async fn ask(url: &Url, caller: &Caller) -> io::Result<Response<Followed>> {
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let target = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
    let mut request = Request::get(target).body(()).map_err(io::Error::other)?;
    let named = HeaderValue::try_from(format!("{host}:{port}"));
    *request.headers_mut() = caller.headers();
    request.headers_mut().insert(header::HOST, named.map_err(io::Error::other)?);
    // An IPv6 address stands in brackets in a URL alone.
    follow((host.trim_matches(['[', ']']), port), &request, STREAM_SILENCE).await
}

/// A body of at most [`ANSWER_MAX_BYTES`].
async fn whole<E>(body: impl Stream<Item = Result<Bytes, E>>) -> io::Result<Bytes>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (mut body, mut read) = (pin!(body), BytesMut::new());
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(io::Error::other)?;
        if read.len() + piece.len() > ANSWER_MAX_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        read.extend_from_slice(&piece);
    }
    Ok(read.freeze())
}

impl Answer {
    fn success(self) -> Result<Bytes, UpstreamError> {
        if self.status.is_success() { Ok(self.body) } else { Err(self.into()) }
    }

    /// Itself, where it is one that the services give: all their refusals are problem documents.
    pub(super) fn checked(self) -> Result<Self, UpstreamError> {
        let is_refusal = self.status.is_client_error() || self.status.is_server_error();
        if is_refusal && !self.is_problem() { Err(UpstreamError::unexpected()) } else { Ok(self) }
    }

    fn is_problem(&self) -> bool {
        self.headers.get(header::CONTENT_TYPE).is_some_and(|value| value == MEDIA_TYPE)
    }
}

impl From<Answer> for UpstreamError {
    fn from(answer: Answer) -> Self {
        let is_problem = answer.is_problem();
        let Answer { status, headers, body } = answer;
        let problem = serde_json::from_slice(&body).ok();
        let Some(problem) = problem.filter(|problem: &Value| is_problem && problem.is_object()) else {
            return Self::unexpected();
        };
        let retry_after =
            headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        Self { status, problem, retry_after_s: retry_after }
    }
}

impl UpstreamError {
    /// 503 of the gateway's own.
    pub(super) fn away(detail: impl AsRef<str>) -> Self {
        Self { retry_after_s: Some(RETRY_AFTER.as_secs()), ..Self::of(Kind::Unavailable, detail.as_ref()) }
    }

    fn not_there(service: Service) -> Self {
        Self::away(format!("the {} is not available at the moment", service.as_str()))
    }

    /// The service is another than was meant, or something stands between.
    pub(super) fn unexpected() -> Self {
        Self::away("the service behind answers with something else than was expected")
    }

    fn nothing() -> Self {
        Self::of(Kind::NotFound, "there is nothing at this path")
    }

    fn of(kind: Kind, detail: &str) -> Self {
        let status = kind.status();
        let problem = json!({
            "type": format!("{PROBLEM_TYPES}{}", kind.slug()), "title": kind.title(), "status": status.as_u16(), "detail": detail,
        });
        Self { status, problem, retry_after_s: None }
    }
}

impl From<UpstreamError> for Problem {
    fn from(error: UpstreamError) -> Self {
        let document = error.problem.as_object().cloned().unwrap_or_default();
        Self::relayed(error.status, document, error.retry_after_s.map(Duration::from_secs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_from_outside_leads_nowhere_else() {
        let url = |text: &str| Url::parse(text).unwrap();
        let upstream = Upstream::new(url("http://a:1"), url("http://b:2/below/")).unwrap();
        let at = |service, path| upstream.url(service, path).map(String::from);
        assert_eq!(
            at(Service::Order, "/orders/ORD_1-x.y~z").as_deref(),
            Some("http://a:1/orders/ORD_1-x.y~z")
        );
        assert_eq!(
            at(Service::Tracking, "/orders?a=b&c=%2F#d").as_deref(),
            Some("http://b:2/below/orders?a=b&c=%2F%23d")
        );
        for path in [
            "",
            "orders",
            "/orders/../metrics",
            "/./a",
            "//a",
            "/a/",
            "/a%2fb",
            "/a b",
            "/ä",
            "/a\\b",
            "/a#b",
            "/a@b:c",
        ] {
            assert_eq!(at(Service::Order, path), None, "{path}");
        }
    }
}
