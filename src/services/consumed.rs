//! The spans of messages that are worked on.

use daemon::traces::{Kind, Span};

/// What a message was, or would have been: whoever finds an order in the database has had none.
#[derive(Debug, Clone, Default)]
pub(super) struct Consumed {
    pub(super) traceparent: Option<String>,
    pub(super) message_id: Option<String>,
    /// The request's.
    pub(super) request_id: String,
}

impl Consumed {
    /// Begins the span of the work on it, below that of its publication.
    pub(super) fn span(&self, destination: impl Fn() -> String) -> Span {
        let mut span =
            Span::begin(Kind::Consumer, || format!("process {}", destination()), self.traceparent.as_deref());
        if span.is_seen() {
            span.note("messaging.system", "rabbitmq");
            span.note("messaging.operation.type", "process");
            span.note("messaging.operation.name", "process");
            span.note("messaging.destination.name", destination());
            span.note("messaging.message.conversation_id", self.request_id.as_str());
            if let Some(message_id) = &self.message_id {
                span.note("messaging.message.id", message_id.as_str());
            }
        }
        span
    }
}
