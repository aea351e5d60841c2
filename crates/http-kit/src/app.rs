//! What surrounds every request, whatever it is for.
//!
//! One endpoint does it all in one pass, from the outside in: the request's id and the headers of every answer, whom the
//! request is for, admission, the span, the metrics and the access log, the mapping of every error to a problem document, and
//! the net for panics. Layers of middleware would each be a future and a pass over the headers of their own.

use std::{any::Any, error::Error as StdError, panic::AssertUnwindSafe, sync::Arc, time::Instant};

use daemon::metrics::Metrics;
use daemon::ration::Budget;
use daemon::telemetry::request_span;
use daemon::traces::{Kind as TraceKind, Span as Trace};
use futures_util::FutureExt;
use poem::{
    Endpoint, IntoEndpoint, PathPattern, Request, Response,
    endpoint::BoxEndpoint,
    error::MethodNotAllowedError,
    http::{HeaderValue, Method, StatusCode, header},
};
use poem_openapi::{
    OpenApi,
    error::{ParseParamError, ParsePathError},
};
use tracing::Instrument;

use super::{
    body::{self, UnreadBody},
    docs::{self, ApiInfo, Documents},
    framing, headers,
    health::Readiness,
    hosts::{self, AllowedHosts},
    metrics::{ConnectionMetrics, HttpMetrics, known_method},
    problem::{Kind, Problem},
    query::WholeQuery,
    refusals::Refusals,
    request_id::{RequestContext, TRACEPARENT, TraceParent, X_REQUEST_ID},
    routes::{RouteInfo, RouteTable},
    shown::on_one_line,
    system::{Served, SystemApi, WithSystem},
};

/// The metrics' label for what is not in the table of routes.
const UNMATCHED: &str = "unmatched";

/// Asked every few seconds, of which nobody wants a trace.
const PROBES: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// So much is repeated of why a parameter cannot be read: the value may be in it.
const REASON_MAX_CHARS: usize = 200;

/// So much of a host that is not served here is logged: names have 255 bytes at most.
const HOST_MAX_CHARS: usize = 100;

/// Composes an API with what every service serves beside it (documents, health, metrics) and all that surrounds a request.
pub fn app<A: OpenApi + 'static>(api: A, info: &ApiInfo, metrics: &Metrics, readiness: Readiness) -> App {
    let system = SystemApi::new(Documents::of::<Served<A>>(info), metrics.clone(), readiness);
    composed(api, system, info, metrics)
}

/// What every service serves and nothing else, for a port of its own: health, metrics, and the document that says so. Who asks
/// there is not measured.
pub fn system_app(info: &ApiInfo, metrics: &Metrics, readiness: Readiness) -> App {
    let system = SystemApi::new(Documents::of::<Served<()>>(info), metrics.clone(), readiness);
    composed((), system, info, &Metrics::new())
}

fn composed<A: OpenApi + 'static>(api: A, system: SystemApi, info: &ApiInfo, metrics: &Metrics) -> App {
    let (requests, unmatched) = (HttpMetrics::register(metrics), Arc::from(UNMATCHED));
    App {
        routes: docs::service(WholeQuery(WithSystem(api, system)), info).into_endpoint(),
        table: RouteTable::of::<Served<A>>(),
        connections: ConnectionMetrics::register(metrics, &requests, &unmatched),
        metrics: requests,
        unmatched,
        problem_types: info.problem_types,
        admission: None,
        allowed_hosts: AllowedHosts::default(),
        log: Log {
            refusals: Refusals::default(),
            failures: Budget::new("request_failed", metrics),
            hosts: Budget::new("host_refused", metrics),
        },
    }
}

/// The whole HTTP side of a service.
pub struct App {
    routes: BoxEndpoint<'static>,
    table: RouteTable,
    metrics: HttpMetrics,
    connections: ConnectionMetrics,
    unmatched: Arc<str>,
    problem_types: &'static str,
    admission: Option<AdmissionRule>,
    allowed_hosts: AllowedHosts,
    log: Log,
}

/// What is logged of requests that are not served, and how much of it.
struct Log {
    refusals: Refusals,
    failures: Budget,
    hosts: Budget,
}

/// What may refuse the requests of one route unread.
struct AdmissionRule {
    method: Method,
    path: &'static str,
    refusal: Box<dyn Fn() -> Option<Problem> + Send + Sync>,
}

impl App {
    /// What is measured of the connections that bring its requests.
    pub(super) fn connection_metrics(&self) -> ConnectionMetrics {
        self.connections.clone()
    }

    /// What the types of its problems begin with.
    pub(super) fn problem_types(&self) -> &'static str {
        self.problem_types
    }

    /// Serves requests for these hosts alone.
    pub(super) fn with_allowed_hosts(self, allowed_hosts: AllowedHosts) -> Self {
        Self { allowed_hosts, ..self }
    }

    /// Has the requests of one route (a path without parameters) refused, for as long as `refusal` yields why, before anything is
    /// looked at but where they go: what a request that is refused costs in a rush is missing for those that are served.
    #[must_use]
    pub fn with_admission(
        mut self,
        method: Method,
        path: &'static str,
        refusal: impl Fn() -> Option<Problem> + Send + Sync + 'static,
    ) -> Self {
        self.admission = Some(AdmissionRule { method, path, refusal: Box::new(refusal) });
        self
    }
}

impl Endpoint for App {
    type Output = Response;

    async fn call(&self, mut request: Request) -> poem::Result<Response> {
        let started = Instant::now();
        let _in_flight = self.metrics.begin();
        let mut trace = begin_trace(&mut request);
        let context = RequestContext::of(request.headers());
        let body = UnreadBody::of(request.headers());
        if let Some(body) = &body {
            request.set_data(body.clone());
        }
        if let Some(problem) = framing::fault(&request).or_else(|| self.misdirection(&request, &context)) {
            end_trace(&mut trace, None, problem.status());
            return Ok(self.break_off(&request, &context, &problem, started));
        }
        let refusal = self.admission.as_ref().and_then(|rule| rule.refusal(&request));
        let mut response = match refusal {
            Some(problem) => self.refuse(request, &context, &problem, started).await,
            None => {
                request.set_data(context.clone());
                let span = request_span(context.request_id.as_str());
                self.answer(request, &context, &mut trace, started).instrument(span).await
            }
        };
        response.headers_mut().insert(X_REQUEST_ID, HeaderValue::from(&context.request_id));
        headers::complete(response.headers_mut());
        if body.is_some_and(|body| body.is_left()) {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(response)
    }
}

impl App {
    async fn answer(
        &self,
        request: Request,
        context: &RequestContext,
        trace: &mut Trace,
        started: Instant,
    ) -> Response {
        let method = request.method().clone();
        // The router consumes the request; a clone of its address is a count in two places.
        let uri = request.original_uri().clone();
        let outcome = AssertUnwindSafe(self.routes.call(request)).catch_unwind().await;

        let mut matched = None;
        let mut response = match outcome {
            Ok(Ok(response)) => {
                matched = response.data::<PathPattern>().and_then(|pattern| self.table.get(&pattern.0));
                response
            }
            Ok(Err(error)) => {
                matched = error.data::<PathPattern>().and_then(|pattern| self.table.get(&pattern.0));
                let allow = matched.map(|route| &route.allow);
                self.failure(error, &method, allow, uri.path(), context)
            }
            Err(panic) => {
                let problem = Problem::internal(Panicked(panic_text(&*panic)));
                self.log.failure(&problem);
                self.response(&problem, uri.path(), context)
            }
        };
        if matched.is_some_and(|route| route.asks_for_token) {
            response.headers_mut().append(header::VARY, HeaderValue::from_name(header::AUTHORIZATION));
        }
        self.account(&method, matched, response.status(), started);
        end_trace(trace, matched.map(|route| (known_method(&method), &*route.template)), response.status());
        response
    }

    /// Why a request is not for this service.
    fn misdirection(&self, request: &Request, context: &RequestContext) -> Option<Problem> {
        let host = self.allowed_hosts.misdirected(request)?;
        if self.log.hosts.allows() {
            request_span(context.request_id.as_str()).in_scope(|| {
                tracing::warn!(
                    action = "host_refused",
                    details = on_one_line(host, HOST_MAX_CHARS),
                    "a request for a host that is not in http.allowed_hosts was refused"
                );
            });
        }
        Some(hosts::refusal())
    }

    /// The answer to a request whose framing is wrong, or that is for another host; nothing more is read from its connection.
    fn break_off(
        &self,
        request: &Request,
        context: &RequestContext,
        problem: &Problem,
        started: Instant,
    ) -> Response {
        let path = request.uri().path();
        let account = || self.account(request.method(), self.table.get(path), problem.status(), started);
        request_span(context.request_id.as_str()).in_scope(account);
        let mut response = self.response(problem, path, context);
        let headers = response.headers_mut();
        headers.insert(X_REQUEST_ID, HeaderValue::from(&context.request_id));
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        headers::complete(headers);
        response
    }

    /// The answer to a request that is not admitted. The body is taken off the connection, which is used again.
    async fn refuse(
        &self,
        mut request: Request,
        context: &RequestContext,
        problem: &Problem,
        started: Instant,
    ) -> Response {
        self.log.refusals.note(problem);
        body::discard(&mut request).await;
        let path = request.uri().path();
        let account = || self.account(request.method(), self.table.get(path), problem.status(), started);
        if tracing::enabled!(tracing::Level::DEBUG) {
            request_span(context.request_id.as_str()).in_scope(account);
        } else {
            account();
        }
        self.response(problem, path, context)
    }

    /// The response to an error of a handler or of the framework.
    fn failure(
        &self,
        error: poem::Error,
        method: &Method,
        allow: Option<&HeaderValue>,
        path: &str,
        context: &RequestContext,
    ) -> Response {
        if let (true, Some(allow)) = (error.is::<MethodNotAllowedError>(), allow) {
            if method == Method::OPTIONS {
                return Response::builder()
                    .status(StatusCode::NO_CONTENT)
                    .header(header::ALLOW, allow)
                    .finish();
            }
            let detail =
                format!("{} is not allowed here, only what the Allow header has", known_method(method));
            return self.response(&Problem::method_not_allowed(allow.clone(), detail), path, context);
        }
        let problem = problem_of(error);
        match problem.status() {
            StatusCode::INTERNAL_SERVER_ERROR => self.log.failure(&problem),
            StatusCode::SERVICE_UNAVAILABLE => self.log.refusals.note(&problem),
            _ => {}
        }
        self.response(&problem, path, context)
    }

    fn response(&self, problem: &Problem, path: &str, context: &RequestContext) -> Response {
        problem.to_response(self.problem_types, path, context.request_id.as_str())
    }

    /// The metrics and the access log.
    fn account(&self, method: &Method, matched: Option<&RouteInfo>, status: StatusCode, started: Instant) {
        let route = matched.map_or(&self.unmatched, |route| &route.template);
        let elapsed = started.elapsed();
        self.metrics.record(method, route, status, elapsed);
        tracing::debug!(
            action = "request_completed",
            method = known_method(method),
            route = &**route,
            status = status.as_u16(),
            duration_ms = elapsed.as_secs_f64() * 1000.0,
            "request completed"
        );
    }
}

/// Begins the span of a request, below that of its caller; what is done for the request is below this one. Who asks how the process
/// is makes none.
fn begin_trace(request: &mut Request) -> Trace {
    if PROBES.contains(&request.uri().path()) {
        return Trace::default();
    }
    let parent =
        request.headers().get(TRACEPARENT).and_then(|value| TraceParent::parse(value.to_str().ok()?));
    let parent = parent.as_ref().map(TraceParent::as_str);
    let trace = Trace::begin(TraceKind::Server, || known_method(request.method()).to_owned(), parent);
    if let Some(own) = trace.traceparent().and_then(|own| HeaderValue::try_from(own).ok()) {
        request.headers_mut().insert(TRACEPARENT, own);
    }
    trace
}

/// Says what a request was. Addresses are not noted, only their routes: tokens and numbers of orders are in them.
fn end_trace(trace: &mut Trace, route: Option<(&'static str, &str)>, status: StatusCode) {
    if !trace.is_seen() {
        return;
    }
    if let Some((method, route)) = route {
        trace.rename(format!("{method} {route}"));
        trace.note("http.request.method", method);
        trace.note("http.route", route);
    }
    trace.count("http.response.status_code", i64::from(status.as_u16()));
    if status.is_server_error() {
        trace.fail("the request failed");
    }
}

impl AdmissionRule {
    fn refusal(&self, request: &Request) -> Option<Problem> {
        let concerns = request.method() == self.method && request.uri().path() == self.path;
        if concerns { (self.refusal)() } else { None }
    }
}

/// Our own problem as it is; an error of the framework by its status, without its text where that might show the inside.
fn problem_of(error: poem::Error) -> Problem {
    let error = match error.downcast::<Problem>() {
        Ok(problem) => return problem,
        Err(error) => error,
    };
    if let Some(parameter) = error.downcast_ref::<ParseParamError>() {
        let ParseParamError { name, reason } = parameter;
        return Problem::invalid_parameter(format!(
            "the parameter {name} is invalid: {}",
            on_one_line(without_types(reason), REASON_MAX_CHARS)
        ));
    }
    if error.is::<ParsePathError>() {
        // A path that nothing can have (not UTF-8, not a number where there are only numbers) is one without anything.
        return Problem::not_found("there is nothing at this path");
    }
    match error.status() {
        StatusCode::NOT_FOUND => Problem::not_found("there is nothing at this path"),
        StatusCode::BAD_REQUEST => Problem::bad_request("the request cannot be read"),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => {
            Problem::unsupported_media_type("the body must be application/json")
        }
        StatusCode::INTERNAL_SERVER_ERROR => Problem::internal(error),
        status => Problem::new(Kind::Other(status), "the request cannot be answered").because(error),
    }
}

/// poem-openapi's reason, `failed to parse "integer(uint16)": … (occurred while …)`, without the names of types.
fn without_types(reason: &str) -> &str {
    let reason = reason.split(" (occurred while").next().unwrap_or(reason);
    let behind = reason.strip_prefix("failed to parse \"").and_then(|rest| rest.split_once("\": "));
    behind.map_or(reason, |(_, reason)| reason)
}

impl Log {
    /// The one place where a request that failed by our fault is logged.
    fn failure(&self, problem: &Problem) {
        if self.failures.allows() {
            let error = problem.source().unwrap_or(problem);
            tracing::error!(action = "request_failed", error, "a request failed");
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("panic: {0}")]
struct Panicked(String);

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "of an unknown kind".to_owned())
}
