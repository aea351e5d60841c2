//! What the event streams tell, written down once for all of them.

use std::time::Duration;

use http_kit::sse::{SseEvent, SseFrame};
use serde::Serialize;

use crate::store::{Event, EventCursor, StreamPlace};

/// An event with its text.
#[derive(Debug, Clone)]
pub(super) struct RenderedEvent {
    /// Its place in the stream.
    pub(super) cursor: EventCursor,
    /// Whether nothing happens to its order after it.
    pub(super) is_final: bool,
    pub(super) frame: SseFrame,
}

impl RenderedEvent {
    /// An event that clients go on behind.
    pub(super) fn new(event: &Event) -> Self {
        Self::going_on_after(event, event.cursor)
    }

    /// An event of which clients go on behind another one.
    pub(super) fn going_on_after(event: &Event, place: EventCursor) -> Self {
        // Texts and times: nothing that JSON cannot say.
        let data = serde_json::to_string(&event.update).unwrap_or_default();
        let frame = SseEvent { id: Some(place.to_string()), event: Some("status".into()), data };
        Self { cursor: event.cursor, is_final: event.is_final, frame: frame.into() }
    }
}

/// How long a standby, which is behind, is waited for. One that has not come to what was told by then may never do so.
pub(super) const STANDBY_PATIENCE: Duration = Duration::from_secs(60);

/// Why a stream begins anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "reason")]
pub(super) enum Reset {
    /// The client, or this service, has been told of more than the database has come to.
    AheadOfDatabase,
    /// The change after which it is to go on is not in the database.
    UnknownEvent,
}

impl Reset {
    /// Where a stream cannot go on after this place.
    pub(super) fn of(place: StreamPlace) -> Option<Self> {
        match place {
            StreamPlace::Known | StreamPlace::Awaited => None,
            StreamPlace::Ahead => Some(Self::AheadOfDatabase),
            StreamPlace::Unknown => Some(Self::UnknownEvent),
        }
    }

    /// As it is sent. The empty id takes the client's `Last-Event-ID` away, which is worth nothing any more.
    pub(super) fn frame(self) -> SseFrame {
        let data = serde_json::to_string(&self).unwrap_or_default();
        SseEvent { id: Some(String::new()), event: Some("reset".into()), data }.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reset_says_why() {
        let expected = SseEvent {
            id: Some(String::new()),
            event: Some("reset".into()),
            data: r#"{"reason":"ahead_of_database"}"#.to_owned(),
        };
        assert_eq!(Reset::AheadOfDatabase.frame(), expected.into());
    }
}
