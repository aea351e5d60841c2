//! What is done with a message that nobody can ever process.

use amqp::{Consume, DeadLettered, Properties, Received};
use http_kit::request_id::RequestId;
use tracing::Level;

use crate::broker::messages::MAX_MESSAGE_BYTES;

/// Why a message goes to the dead letters.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Unprocessable(String);

/// Puts a message to the dead letters, where a person finds it with the reason.
pub(super) async fn dead_letter<B: Consume>(broker: &B, delivery: B::Delivery, reason: &str) {
    dead_letter_at(Level::ERROR, broker, delivery, reason).await;
}

/// The same; the reason is logged as an error, or at any other level for those who look for it, where one line tells of many.
/// Where the dead letters are as many as they may be it is dropped: the kitchen goes on without it either way.
pub(super) async fn dead_letter_at<B: Consume>(
    level: Level,
    broker: &B,
    delivery: B::Delivery,
    reason: &str,
) {
    if !broker.has_room_for_dead_letter().await {
        let details = delivery.queue();
        tracing::debug!(action = "message_unprocessable", %details, "dropped: {reason}");
        delivery.ack().await;
        return;
    }
    log_unprocessable(delivery.queue(), reason, level);
    if let DeadLettered::GivenBack(outcome) = broker.dead_letter(delivery, reason).await {
        tracing::warn!(action = "dead_letter_failed", details = ?outcome, "the message goes back to its queue for now");
    }
}

/// How serde begins what it says of a value, which it repeats before it says what it expected.
const BEFORE_VALUES: [&str; 4] = ["invalid type: ", "invalid value: ", "invalid length ", "unknown variant "];
/// How it begins what has no value.
const WITHOUT_VALUES: [&str; 2] = ["missing field ", "duplicate field "];

/// Why a message is not what it should be, in the parser's words but without the values that it met: they may be a
/// customer's name or address, and the reason is logged.
pub(super) fn unreadable(what: &str, error: &serde_json::Error) -> String {
    let text = error.to_string();
    let begins = |beginnings: &[&str]| beginnings.iter().any(|beginning| text.starts_with(beginning));
    if !error.is_data() || begins(&WITHOUT_VALUES) {
        return format!("{what}: {text}");
    }
    match text.rsplit_once(", expected ") {
        Some((_value, expected)) if begins(&BEFORE_VALUES) => format!("{what}: expected {expected}"),
        // A type's own words, with the value wherever it likes.
        _ => format!("{what}: a value cannot be read at line {} column {}", error.line(), error.column()),
    }
}

/// Why a message of so many bytes is not even looked into.
pub(super) fn too_large(bytes: usize) -> Option<String> {
    (bytes > MAX_MESSAGE_BYTES)
        .then(|| format!("the message has {bytes} bytes, which is more than {MAX_MESSAGE_BYTES}"))
}

/// The request that a message says it belongs to, where that is an id as the services make and take them: it is logged.
pub(super) fn request_id(properties: &Properties) -> String {
    let id = properties.correlation_id.as_deref().and_then(RequestId::parse);
    id.map(|id| id.as_str().to_owned()).unwrap_or_default()
}

/// Apart, because the error as it is logged may not be held over an await.
fn log_unprocessable(queue: &str, reason: &str, level: Level) {
    if level != Level::ERROR {
        tracing::debug!(action = "message_unprocessable", details = %queue, "to the dead letters: {reason}");
        return;
    }
    let error = Unprocessable(reason.to_owned());
    let error: &dyn std::error::Error = &error;
    tracing::error!(
        action = "message_processing_failed",
        error,
        details = %queue,
        "the message goes to the dead letters"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{OrderMessage, StatusUpdate};

    fn reason(body: &str) -> String {
        unreadable("no order", &serde_json::from_str::<OrderMessage>(body).unwrap_err())
    }

    #[test]
    fn the_reason_says_what_was_expected_and_where() {
        assert_eq!(reason("not JSON"), "no order: expected ident at line 1 column 2");
        assert_eq!(reason("{}"), "no order: missing field `order_number` at line 1 column 2");
        assert_eq!(reason("[7]"), "no order: expected a string at line 1 column 2");
    }

    #[test]
    fn the_reason_never_has_a_value_of_the_message() {
        for body in [
            r#"{"items": "Ada Lovelace"}"#,
            r#"{"items": "Ada Lovelace, expected today"}"#,
            r#"{"order_type": "Ada Lovelace"}"#,
            r#"{"table_number": "Ada Lovelace"}"#,
            r#"{"total_amount": "Ada Lovelace"}"#,
            r#"{"priority": "Ada Lovelace"}"#,
            r#"{"items": [{"quantity": "Ada Lovelace"}]}"#,
            r#"["Ada Lovelace"]"#,
            r#""Ada Lovelace""#,
        ] {
            let reason = reason(body);
            assert!(!reason.contains("Ada") && !reason.contains("today"), "{body}: {reason}");
        }
        for value in
            [r#""Ada Lovelace""#, r#""Ada, expected Lovelace""#, r#""invalid type: , expected Lovelace""#]
        {
            let body = format!(r#"{{"timestamp": {value}}}"#);
            let reason = unreadable("no update", &serde_json::from_str::<StatusUpdate>(&body).unwrap_err());
            assert!(!reason.contains("Ada") && !reason.contains("Lovelace"), "{body}: {reason}");
        }
    }
}
