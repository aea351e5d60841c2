//! The same by OpenTelemetry's own crates: <https://opentelemetry.io/docs/specs/otel/protocol/exporter/> says which variables are read.

use std::borrow::Cow;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use opentelemetry::trace::{
    SpanContext, SpanId, SpanKind, TraceContextExt, TraceFlags, TraceId, TraceState, Tracer, TracerProvider,
};
use opentelemetry::{Context, KeyValue, trace};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, Span};
use tokio::runtime::Handle;

use super::Kind;

/// Where traces go; nothing is traced without it.
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const SERVICE_NAME: &str = "OTEL_SERVICE_NAME";
/// A collector that takes longer has lost these spans.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the last spans may take.
const END_TIMEOUT: Duration = Duration::from_secs(2);

static TRACER: OnceLock<SdkTracer> = OnceLock::new();

pub(super) fn begin(
    service: &'static str,
    version: &'static str,
) -> Result<Option<SdkTracerProvider>, String> {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    if !is_set(ENDPOINT) {
        return Ok(None);
    }
    let unusable = |error: &dyn std::fmt::Display| format!("{ENDPOINT} cannot be used: {error}");
    let http = reqwest::Client::builder().timeout(SEND_TIMEOUT).no_proxy().build();
    let http = http.map_err(|error| unusable(&error))?;
    let client = Client { http, runtime: Handle::current(), is_told: AtomicBool::new(false) };
    let exporter =
        SpanExporter::builder().with_http().with_http_client(client).with_protocol(Protocol::HttpJson);
    let exporter = exporter.build().map_err(|error| unusable(&error))?;
    let instance = uuid::Uuid::now_v7().to_string();
    let mut resource = Resource::builder().with_attributes([
        KeyValue::new("service.version", version),
        KeyValue::new("service.instance.id", instance),
    ]);
    if !is_set(SERVICE_NAME) {
        resource = resource.with_service_name(service);
    }
    let provider =
        SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource.build()).build();
    let _ = TRACER.set(provider.tracer(service));
    Ok(Some(provider))
}

pub(super) async fn end(provider: SdkTracerProvider) {
    // It blocks, while this runtime sends what is left.
    let ending = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(END_TIMEOUT));
    let _ = tokio::time::timeout(END_TIMEOUT, ending).await;
}

pub(super) fn span(kind: Kind, name: impl FnOnce() -> String, parent: Option<&str>) -> Option<Box<Span>> {
    let tracer = TRACER.get()?;
    let kind = match kind {
        Kind::Server => SpanKind::Server,
        Kind::Producer => SpanKind::Producer,
        Kind::Consumer => SpanKind::Consumer,
    };
    let parent = parent.and_then(parsed).map(|parent| Context::new().with_remote_span_context(parent));
    let builder = tracer.span_builder(Cow::Owned(name())).with_kind(kind);
    Some(Box::new(builder.start_with_context(tracer, &parent.unwrap_or_default())))
}

fn parsed(traceparent: &str) -> Option<SpanContext> {
    let mut parts = traceparent.split('-').skip(1);
    let trace = TraceId::from_hex(parts.next()?).ok()?;
    let span = SpanId::from_hex(parts.next()?).ok()?;
    let flags = TraceFlags::new(u8::from_str_radix(parts.next()?, 16).ok()?);
    Some(SpanContext::new(trace, span, flags, true, TraceState::default()))
}

pub(super) fn traceparent(span: &Span) -> String {
    let context = trace::Span::span_context(span);
    format!("00-{}-{}-{:02x}", context.trace_id(), context.span_id(), context.trace_flags().to_u8())
}

/// Sends on the runtime of the process: the batches are made on a thread that has none.
#[derive(Debug)]
struct Client {
    http: reqwest::Client,
    runtime: Handle,
    is_told: AtomicBool,
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (parts, body) = request.into_parts();
        let request =
            self.http.request(parts.method, parts.uri.to_string()).headers(parts.headers).body(body);
        let sent = self.runtime.spawn(async move {
            let answer = request.send().await?;
            let (status, body) = (answer.status(), answer.bytes().await?);
            Ok::<_, reqwest::Error>((status, body))
        });
        let sent = sent.await.map_err(HttpError::from).and_then(|sent| sent.map_err(HttpError::from));
        let is_taken = sent.as_ref().is_ok_and(|(status, _)| status.is_success());
        if self.is_told.swap(!is_taken, Ordering::Relaxed) == is_taken {
            self.tell(is_taken);
        }
        let (status, body) = sent?;
        Ok(Response::builder().status(status).body(body)?)
    }
}

impl Client {
    /// Once for each outage.
    fn tell(&self, is_taken: bool) {
        if is_taken {
            tracing::info!(action = "traces_sent", "the collector of traces takes them again");
        } else {
            tracing::warn!(
                action = "traces_lost",
                "the collector of traces ({ENDPOINT}) does not take them; what it misses is lost"
            );
        }
    }
}
