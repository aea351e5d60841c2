//! `tracking:` the bounds of the tracking service.

use super::keys::Key;
use super::reader::Reader;

pub(super) const KEYS: &[Key] =
    &[Key::single("tracking.max_event_streams"), Key::single("tracking.public_lists")];

/// Each stream is an open connection, and a system gives a process some 65,000 of them at most without being told.
const EVENT_STREAMS_LIMIT: usize = 60_000;

/// The bounds of the tracking service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrackingConfig {
    /// Streams of live events that one process serves at once; the next client gets 503.
    pub max_event_streams: usize,
    /// Whether anybody may list the orders and follow all of them; else staff alone.
    pub public_lists: bool,
}

impl TrackingConfig {
    pub(super) fn read(reader: &mut Reader) -> Self {
        Self {
            max_event_streams: reader
                .number("tracking.max_event_streams", 1..=EVENT_STREAMS_LIMIT)
                .unwrap_or(512),
            public_lists: reader.switch("tracking.public_lists").unwrap_or(false),
        }
    }
}
