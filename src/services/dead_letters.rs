//! What is done with a message that nobody can ever process.

use crate::broker::{Broker, DeadLettered, Delivery};

/// Why a message goes to the dead letters.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Unprocessable(String);

/// Puts a message to the dead letters, where a person finds it with the reason.
pub(super) async fn bury(broker: &Broker, delivery: Delivery, reason: &str) {
    log_unprocessable(&delivery, reason);
    if let DeadLettered::GivenBack(outcome) = broker.dead_letter(delivery, reason).await {
        tracing::warn!(action = "dead_letter_failed", details = ?outcome, "the message goes back to its queue for now");
    }
}

/// Apart, because the error as it is logged may not be held over an await.
fn log_unprocessable(delivery: &Delivery, reason: &str) {
    let error = Unprocessable(reason.to_owned());
    let error: &dyn std::error::Error = &error;
    tracing::error!(
        action = "message_processing_failed",
        error,
        details = %delivery.queue,
        "the message goes to the dead letters"
    );
}
