//! Spans of a distributed trace, sent to a collector by OTLP over HTTP.
//!
//! Nothing is loaded, kept or spent where `OTEL_EXPORTER_OTLP_ENDPOINT` is not set, or the crate is built without its feature
//! `otlp`: a [`Span`] is nothing then. Its parent is a W3C `traceparent`, since that is what requests and messages carry.

#[cfg(feature = "otlp")]
mod otlp;

/// What a span is of, as OpenTelemetry has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A request that is answered.
    Server,
    /// A message that is published.
    Producer,
    /// A message that is worked on.
    Consumer,
}

/// Why nothing can be traced: a variable of the environment, and what is wrong with it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct TracesError(String);

/// Sends what is left when it is told to, and ends.
#[derive(Debug, Default)]
pub struct Traces {
    #[cfg(feature = "otlp")]
    provider: Option<opentelemetry_sdk::trace::SdkTracerProvider>,
}

impl Traces {
    /// Begins to trace where the environment asks for it. `service` is the process's name there, unless `OTEL_SERVICE_NAME` is set.
    /// Must be called on a Tokio runtime, once.
    ///
    /// # Errors
    /// When the environment's settings cannot be used.
    pub fn from_env(service: &'static str, version: &'static str) -> Result<Self, TracesError> {
        #[cfg(feature = "otlp")]
        return Ok(Self { provider: otlp::begin(service, version).map_err(TracesError)? });
        #[cfg(not(feature = "otlp"))]
        {
            let _ = (service, version);
            Ok(Self::default())
        }
    }

    /// Sends what is left, within two seconds.
    pub async fn end(self) {
        #[cfg(feature = "otlp")]
        if let Some(provider) = self.provider {
            otlp::end(provider).await;
        }
    }
}

/// Something that takes time; it ends when it is dropped. Nothing, where nobody traces.
#[derive(Debug, Default)]
pub struct Span {
    #[cfg(feature = "otlp")]
    inner: Option<Box<opentelemetry_sdk::trace::Span>>,
}

impl Span {
    /// Begins one below the `traceparent` of whoever asked for it, or a trace of its own.
    pub fn begin(kind: Kind, name: impl FnOnce() -> String, parent: Option<&str>) -> Self {
        #[cfg(feature = "otlp")]
        return Self { inner: otlp::span(kind, name, parent) };
        #[cfg(not(feature = "otlp"))]
        {
            let _ = (kind, name, parent);
            Self::default()
        }
    }

    /// Whether anybody will see it.
    pub fn is_seen(&self) -> bool {
        #[cfg(feature = "otlp")]
        return self.inner.as_deref().is_some_and(opentelemetry::trace::Span::is_recording);
        #[cfg(not(feature = "otlp"))]
        false
    }

    /// Says something about it, by a name of OpenTelemetry's semantic conventions.
    pub fn note(&mut self, name: &'static str, value: impl Into<String>) {
        #[cfg(feature = "otlp")]
        if let Some(span) = &mut self.inner {
            let value: String = value.into();
            opentelemetry::trace::Span::set_attribute(&mut **span, opentelemetry::KeyValue::new(name, value));
        }
        #[cfg(not(feature = "otlp"))]
        let _ = (name, value);
    }

    /// The same of a number.
    pub fn count(&mut self, name: &'static str, value: i64) {
        #[cfg(feature = "otlp")]
        if let Some(span) = &mut self.inner {
            opentelemetry::trace::Span::set_attribute(&mut **span, opentelemetry::KeyValue::new(name, value));
        }
        #[cfg(not(feature = "otlp"))]
        let _ = (name, value);
    }

    /// Calls it differently, now that more is known.
    pub fn rename(&mut self, name: String) {
        #[cfg(feature = "otlp")]
        if let Some(span) = &mut self.inner {
            opentelemetry::trace::Span::update_name(&mut **span, name);
        }
        #[cfg(not(feature = "otlp"))]
        drop(name);
    }

    /// It did not come to its end as it should.
    pub fn fail(&mut self, why: &'static str) {
        #[cfg(feature = "otlp")]
        if let Some(span) = &mut self.inner {
            opentelemetry::trace::Span::set_status(&mut **span, opentelemetry::trace::Status::error(why));
        }
        #[cfg(not(feature = "otlp"))]
        let _ = why;
    }

    /// The `traceparent` for what is done below it; `None` where nobody traces.
    pub fn traceparent(&self) -> Option<String> {
        #[cfg(feature = "otlp")]
        return self.inner.as_deref().map(otlp::traceparent);
        #[cfg(not(feature = "otlp"))]
        None
    }

    /// The trace that it belongs to, for the log; `None` where nobody traces.
    pub fn trace_id(&self) -> Option<String> {
        self.traceparent()?.split('-').nth(1).map(str::to_owned)
    }
}
