//! What no worker can ever process goes to the dead letters, with why, and never round in circles.

use std::time::Duration;

use jiff::Timestamp;

use super::confirms::PublishOutcome;
use super::consumer::Delivery;
use super::properties::Outgoing;
use super::topology::DEAD_LETTER_EXCHANGE;
use crate::runtime::clock::rfc3339_ms;

/// The header that says why a message is dead.
pub const DEATH_REASON_HEADER: &str = "x-death-reason";
/// The header that says when it was put there, RFC 3339 in UTC.
pub const DEATH_TIME_HEADER: &str = "x-death-time";
/// The header that names the queue it came from.
pub const ORIGINAL_QUEUE_HEADER: &str = "x-original-queue";
/// The header that names the exchange it was published to.
pub const ORIGINAL_EXCHANGE_HEADER: &str = "x-original-exchange";
/// The header with the routing key it was published with.
pub const ORIGINAL_ROUTING_KEY_HEADER: &str = "x-original-routing-key";
/// The header with the bytes that the content had, where only its beginning is kept.
pub const ORIGINAL_BYTES_HEADER: &str = "x-original-bytes";
/// All of them.
pub(super) const BURIAL_HEADERS: [&str; 6] = [
    DEATH_REASON_HEADER,
    DEATH_TIME_HEADER,
    ORIGINAL_QUEUE_HEADER,
    ORIGINAL_EXCHANGE_HEADER,
    ORIGINAL_ROUTING_KEY_HEADER,
    ORIGINAL_BYTES_HEADER,
];

/// How long a message rests that could not be put to the dead letters, before it comes again.
pub(super) const RETRY_PAUSE: Duration = Duration::from_secs(5);
/// The longest reason that is written down.
const MAX_REASON_BYTES: usize = 1024;
/// The most that foreign headers may take beside ours; beyond it they are left behind, or the letter would not fit.
const MAX_FOREIGN_HEADERS_BYTES: usize = 32 * 1024;

/// What became of a dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeadLettered {
    /// It is with the dead letters, confirmed, and acknowledged.
    Moved,
    /// It could not be put there; it goes back to its queue in a while.
    GivenBack(PublishOutcome),
}

/// The copy that goes to the dead letters.
pub(super) fn letter(delivery: &Delivery, reason: &str) -> Outgoing {
    let mut properties = delivery.properties.clone();
    // Room for our own: the foreign ones may fill a frame.
    if properties.headers_bytes() > MAX_FOREIGN_HEADERS_BYTES {
        properties.headers.clear();
        properties.traceparent = None;
    }
    let headers = &mut properties.headers;
    let end = reason.floor_char_boundary(MAX_REASON_BYTES);
    headers.insert(DEATH_REASON_HEADER.to_owned(), reason[..end].to_owned());
    headers.insert(DEATH_TIME_HEADER.to_owned(), rfc3339_ms(Timestamp::now()));
    headers.insert(ORIGINAL_QUEUE_HEADER.to_owned(), delivery.queue.clone());
    headers.insert(ORIGINAL_EXCHANGE_HEADER.to_owned(), delivery.exchange.clone());
    headers.insert(ORIGINAL_ROUTING_KEY_HEADER.to_owned(), delivery.routing_key.clone());
    // Whoever published it may have said so of itself.
    headers.remove(ORIGINAL_BYTES_HEADER);
    if delivery.body_bytes > delivery.body.len() {
        headers.insert(ORIGINAL_BYTES_HEADER.to_owned(), delivery.body_bytes.to_string());
    }
    Outgoing {
        exchange: DEAD_LETTER_EXCHANGE.into(),
        routing_key: delivery.routing_key.clone(),
        body: delivery.body.clone(),
        properties,
    }
}
