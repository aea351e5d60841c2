//! What no consumer can ever process goes to the dead letters, with why, and never round in circles.

use std::time::Duration;

use super::confirms::PublishOutcome;

/// The header that says why a message is dead.
pub(super) const DEATH_REASON_HEADER: &str = "x-death-reason";
/// The header that says when it was put there, RFC 3339 in UTC.
pub(super) const DEATH_TIME_HEADER: &str = "x-death-time";
/// The header that names the queue it came from.
pub(super) const ORIGINAL_QUEUE_HEADER: &str = "x-original-queue";
/// The header that names the exchange it was published to.
pub(super) const ORIGINAL_EXCHANGE_HEADER: &str = "x-original-exchange";
/// The header with the routing key it was published with.
pub(super) const ORIGINAL_ROUTING_KEY_HEADER: &str = "x-original-routing-key";
/// The header with the bytes that the content had, where only its beginning is kept.
pub(super) const ORIGINAL_BYTES_HEADER: &str = "x-original-bytes";
/// All of them.
pub(super) const DEAD_LETTER_HEADERS: [&str; 6] = [
    DEATH_REASON_HEADER,
    DEATH_TIME_HEADER,
    ORIGINAL_QUEUE_HEADER,
    ORIGINAL_EXCHANGE_HEADER,
    ORIGINAL_ROUTING_KEY_HEADER,
    ORIGINAL_BYTES_HEADER,
];

/// How long a message rests that could not be put to the dead letters, before it comes again.
pub(super) const DEAD_LETTER_RETRY_PAUSE: Duration = Duration::from_secs(5);
/// The longest reason that is written down.
pub(super) const MAX_REASON_BYTES: usize = 1024;
/// The most that foreign headers may take beside ours; beyond it they are left behind, or the letter would not fit.
pub(super) const MAX_FOREIGN_HEADERS_BYTES: usize = 32 * 1024;

/// What became of a dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeadLettered {
    /// It is with the dead letters, confirmed, and acknowledged.
    Moved,
    /// It could not be put there; it goes back to its queue in a while.
    GivenBack(PublishOutcome),
}
