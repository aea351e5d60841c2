//! `tracking:` the bounds of the tracking service.

use settings::Reader;

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
            max_event_streams: reader.number("tracking.max_event_streams"),
            public_lists: reader.switch("tracking.public_lists"),
        }
    }
}
