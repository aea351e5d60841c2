//! The spans of messages that are worked on.

use amqp::Properties;
use daemon::traces::{Kind, Span};

/// Begins one, below that of the message's publication.
pub(super) fn consuming(destination: &str, properties: &Properties) -> Span {
    let parent = properties.traceparent.as_deref();
    let mut trace = Span::begin(Kind::Consumer, || format!("process {destination}"), parent);
    if trace.is_seen() {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        trace.note("messaging.system", "rabbitmq");
        trace.note("messaging.operation.type", "process");
        trace.note("messaging.operation.name", "process");
        trace.note("messaging.destination.name", destination);
        trace.note("messaging.message.id", text(&properties.message_id));
        trace.note("messaging.message.conversation_id", text(&properties.correlation_id));
    }
    trace
}
