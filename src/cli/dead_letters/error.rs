//! Why dead letters are not listed, shown, published again or removed.

use std::io;

use amqp::BrokerError;

use super::super::common::NotConnected;

/// The most letters that one command looks at. Those beyond it come up once some of these are gone.
pub(super) const MAX_LOOKED_AT: u32 = 10_000;

/// Why it was not done, or not wholly.
#[derive(Debug, thiserror::Error)]
pub(super) enum DeadLettersError {
    #[error("the dead letters cannot be used: {0}")]
    Broker(#[from] BrokerError),
    #[error("the dead letters cannot be used: {0}")]
    NotConnected(#[from] NotConnected),
    #[error(
        "there is no dead letter {id} among the {looked_at} that were looked at; `restaurant-system dead-letters list` shows them"
    )]
    Unknown { id: String, looked_at: usize },
    #[error("{id} names several dead letters; name one of {}", .names.join(", "))]
    Ambiguous { id: String, names: Vec<String> },
    #[error("{failed} of {tried} could not be published again and stay among the dead letters")]
    NotAll { failed: usize, tried: usize },
    #[error("nothing was discarded")]
    Declined,
    #[error("cannot write to standard output: {0}")]
    Output(#[from] io::Error),
}
