//! `/api`: the calls of both services that pages need, passed on.

use std::collections::HashMap;

use http_kit::Problem;
use http_kit::body::OptionalJsonRequest;
use http_kit::browser::SessionCookie;
use http_kit::docs::ApiInfo;
use http_kit::routes::pattern_of;
use http_kit::sse::EventStreams;
use poem::endpoint::BoxEndpoint;
use poem::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use poem::{Endpoint, EndpointExt, Request, Response};
use poem_openapi::registry::{MetaApi, Registry};
use poem_openapi::types::Any;
use poem_openapi::{ApiExtractor, ExtractParamOptions, OpenApi};
use serde_json::Value;

use super::caller::Caller;
use super::described;
use super::routes::{PREFIX, ROUTES, Route, Way};
use super::session::Session;
use super::upstream::{Answer, Opened, Upstream};
use crate::domain::SESSION_MAX;
use crate::http::PROBLEM_TYPES;

/// What of an answer is passed on beside its status and its body; nothing else is: neither cookies nor what is about the connection.
const ANSWER_HEADERS: [HeaderName; 6] = [
    header::CONTENT_TYPE,
    header::CACHE_CONTROL,
    header::ETAG,
    header::RETRY_AFTER,
    header::VARY,
    header::WWW_AUTHENTICATE,
];

/// What the document says about the service.
pub fn info() -> ApiInfo {
    ApiInfo {
        title: "Web gateway".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        description: "The pages for customers and staff, and below `/api` those calls of the order service and the tracking service \
                      that the pages need: each is answered as that service's own document says."
            .to_owned(),
        license: "MIT".to_owned(),
        problem_types: PROBLEM_TYPES,
    }
}

/// Passes calls on.
#[derive(Clone)]
pub struct ApiProxy {
    upstream: Upstream,
    streams: EventStreams,
}

impl ApiProxy {
    pub(super) fn new(upstream: Upstream, streams: EventStreams) -> Self {
        Self { upstream, streams }
    }
}

impl OpenApi for ApiProxy {
    fn meta() -> Vec<MetaApi> {
        described::meta()
    }

    fn register(registry: &mut Registry) {
        described::register(registry);
    }

    fn add_routes(self, routes: &mut HashMap<String, HashMap<Method, BoxEndpoint<'static>>>) {
        for route in ROUTES.iter() {
            let endpoint = Passed { route, proxy: self.clone() };
            let methods = routes.entry(pattern_of(&route.public_path())).or_default();
            methods.insert(route.method.clone(), endpoint.boxed());
        }
    }
}

/// One route.
struct Passed {
    route: &'static Route,
    proxy: ApiProxy,
}

impl Endpoint for Passed {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let caller = Caller::of(&request)?.with_headers_of(&request, &self.route.headers);
        let path = upstream_path(&request);
        match self.route.way {
            Way::Stream => Ok(self.stream(&request, &path, &caller).await?),
            _ => self.answer(request, &path, &caller).await,
        }
    }
}

impl Passed {
    async fn stream(&self, request: &Request, path: &str, caller: &Caller) -> Result<Response, Problem> {
        let Self { route, proxy: ApiProxy { upstream, streams } } = self;
        let place = streams.place(request.remote_addr())?;
        Ok(match upstream.open(route.service, path, caller).await? {
            Opened::Stream(bytes) => place.relay(bytes),
            Opened::Answer(answer) => passed_on(answer.checked()?),
        })
    }

    async fn answer(&self, request: Request, path: &str, caller: &Caller) -> poem::Result<Response> {
        let Self { route, proxy: ApiProxy { upstream, .. } } = self;
        let (request, mut body) = request.split();
        let body = match route.way {
            Way::WithBody | Way::BeginSession => {
                let options = ExtractParamOptions::default();
                OptionalJsonRequest::<Any<Value>>::from_request(&request, &mut body, options)
                    .await?
                    .bytes()?
            }
            Way::Bare | Way::EndSession | Way::Stream => None,
        };
        let answer = upstream.call(route.service, route.method.clone(), path, body, caller).await;
        let answer = answer.and_then(Answer::checked).map_err(Problem::from)?;
        let cookie = SessionCookie::of(request.headers(), request.remote_addr());
        Ok(match route.way {
            Way::BeginSession if answer.status.is_success() => {
                let Session { token, document } = Session::read(&answer.body).map_err(Problem::from)?;
                let answer = Answer { body: document.into(), ..answer };
                with_cookie(passed_on(answer), &cookie.set(&token, SESSION_MAX))
            }
            Way::EndSession if answer.status.is_success() || answer.status == StatusCode::UNAUTHORIZED => {
                with_cookie(passed_on(answer), &cookie.forget())
            }
            _ => passed_on(answer),
        })
    }
}

/// Where a request goes: what stands behind `/api`, as it came.
fn upstream_path(request: &Request) -> String {
    let uri = request.original_uri();
    let path = uri.path().strip_prefix(PREFIX).unwrap_or_default();
    uri.query()
        .filter(|query| !query.is_empty())
        .map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"))
}

fn passed_on(answer: Answer) -> Response {
    let Answer { status, headers, body } = answer;
    let mut response = Response::builder().status(status).body(body);
    for name in ANSWER_HEADERS {
        for value in headers.get_all(&name) {
            response.headers_mut().append(name.clone(), value.clone());
        }
    }
    if let Some(location) = location(&headers) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// The same place below `/api`; none where it is not at the service itself.
fn location(headers: &HeaderMap) -> Option<HeaderValue> {
    let location = headers.get(header::LOCATION)?.to_str().ok()?;
    let is_path = location.starts_with('/') && !location.starts_with("//");
    is_path.then(|| HeaderValue::try_from(format!("{PREFIX}{location}")).ok())?
}

fn with_cookie(mut response: Response, cookie: &str) -> Response {
    if let Ok(cookie) = HeaderValue::from_str(cookie) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}
