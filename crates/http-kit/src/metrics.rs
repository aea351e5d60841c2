//! What is measured of every HTTP request.

use std::sync::Arc;
use std::time::Duration;

use daemon::metrics::Metrics;
use poem::http::{Method, StatusCode};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
};

/// Upper bounds in seconds: a 304 is some tenths of a millisecond, a full service waits seconds.
const BUCKETS_SECONDS: [f64; 13] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    route: Arc<str>,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: Arc<str>,
}

/// Requests by method, route and status; their duration by route; how many are in work.
#[derive(Debug, Clone)]
pub struct HttpMetrics {
    requests: Family<RequestLabels, Counter>,
    durations: Family<RouteLabels, Histogram, fn() -> Histogram>,
    in_flight: Gauge,
}

impl HttpMetrics {
    /// Registers `http_requests_total`, `http_request_duration_seconds` and `http_requests_in_flight`.
    pub fn register(metrics: &Metrics) -> Self {
        let new_histogram: fn() -> Histogram = || Histogram::new(BUCKETS_SECONDS);
        let all = Self {
            requests: Family::default(),
            durations: Family::new_with_constructor(new_histogram),
            in_flight: Gauge::default(),
        };
        metrics.register(|registry| {
            registry.register("http_requests", "Requests answered", all.requests.clone());
            let help = "Time from a request's header to the response's header, by route";
            registry.register("http_request_duration_seconds", help, all.durations.clone());
            registry.register("http_requests_in_flight", "Requests in work right now", all.in_flight.clone());
        });
        all
    }

    /// Counts a request as in work until the guard is dropped, also when the client goes away meanwhile.
    pub fn begin(&self) -> InFlight<'_> {
        self.in_flight.inc();
        InFlight(&self.in_flight)
    }

    /// Counts an answered request.
    pub fn record(&self, method: &Method, route: &Arc<str>, status: StatusCode, duration: Duration) {
        let labels =
            RequestLabels { method: known_method(method), route: Arc::clone(route), status: status.as_u16() };
        self.requests.get_or_create(&labels).inc();
        let labels = RouteLabels { route: labels.route };
        self.durations.get_or_create(&labels).observe(duration.as_secs_f64());
    }
}

/// Connections: how many are open, and how many had to go.
#[derive(Debug, Clone)]
pub struct ConnectionMetrics {
    pub(super) open: Gauge,
    pub(super) refused: Counter,
    requests: HttpMetrics,
    unmatched: Arc<str>,
}

impl ConnectionMetrics {
    /// Registers `http_connections_open` and `http_connections_refused_total`. Requests that cannot be read are counted
    /// among the others, as of that route.
    pub fn register(metrics: &Metrics, requests: &HttpMetrics, unmatched: &Arc<str>) -> Self {
        let all = Self {
            open: Gauge::default(),
            refused: Counter::default(),
            requests: requests.clone(),
            unmatched: Arc::clone(unmatched),
        };
        metrics.register(|registry| {
            registry.register("http_connections_open", "Connections that hold a place", all.open.clone());
            let help = "Connections closed to make room, or refused because their address had its share";
            registry.register("http_connections_refused", help, all.refused.clone());
        });
        all
    }

    /// Counts a request that could not be read.
    pub(super) fn record_unreadable(&self, status: StatusCode) {
        let route = Arc::clone(&self.unmatched);
        let labels = RequestLabels { method: UNKNOWN_METHOD, route, status: status.as_u16() };
        self.requests.requests.get_or_create(&labels).inc();
        tracing::debug!(
            action = "request_unreadable",
            status = status.as_u16(),
            "a request could not be read"
        );
    }
}

/// One request in work.
#[derive(Debug)]
pub struct InFlight<'a>(&'a Gauge);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// The label of a method that is none of the known ones, or could not be read.
const UNKNOWN_METHOD: &str = "other";

/// Methods as labels: a client cannot make new series by inventing methods.
pub(super) fn known_method(method: &Method) -> &'static str {
    const KNOWN: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or(UNKNOWN_METHOD)
}
