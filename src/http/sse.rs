//! Live events: Server-Sent Events that live long, say so, and end in order.

use std::{borrow::Cow, io, time::Duration};

use bytes::Bytes;
use futures_util::{
    Stream, StreamExt,
    stream::{self, BoxStream},
};
use poem::{
    Body, IntoResponse, Response,
    http::{HeaderValue, header},
};
use poem_openapi::{
    ApiResponse,
    payload::Payload,
    registry::{MetaResponses, MetaSchema, MetaSchemaRef, Registry},
};
use tokio_util::sync::CancellationToken;

use super::reply::ok;

/// A comment is sent when nothing else was for this long, so that proxies keep the connection and a client that is gone
/// is noticed.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// What the client is told to wait before it connects again.
const RETRY: &str = "retry: 2000\n\n";

/// Events that are ready at once are sent as one piece, up to this many.
const BATCH_MAX: usize = 64;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SseEvent {
    /// What the client sends back as `Last-Event-ID` to go on behind this event.
    pub id: Option<String>,
    /// The kind of event; without one it is a `message`.
    pub event: Option<Cow<'static, str>>,
    /// The content; each of its lines becomes a `data:` line.
    pub data: String,
}

impl SseEvent {
    fn write(&self, out: &mut String) {
        if let Some(id) = &self.id {
            field(out, "id", id);
        }
        if let Some(event) = &self.event {
            field(out, "event", event);
        }
        for line in self.data.split(['\n', '\r']) {
            field(out, "data", line);
        }
        out.push('\n');
    }
}

/// One line; a value with a line's end in it would be two, so it is cut there.
fn field(out: &mut String, name: &str, value: &str) {
    let value = value.split(['\n', '\r', '\0']).next().unwrap_or_default();
    out.extend([name, ": ", value, "\n"]);
}

/// A `200 OK` with a stream of events.
///
/// It ends when its events do, and when the service stops: the client then connects again, with the `Last-Event-ID` that
/// it has (`#[oai(name = "Last-Event-ID")] last_event_id: Header<Option<String>>`).
pub struct Sse {
    events: BoxStream<'static, SseEvent>,
    heartbeat: Duration,
    shutdown: CancellationToken,
}

impl Sse {
    /// From its events and the token that ends the service.
    pub fn new(events: impl Stream<Item = SseEvent> + Send + 'static, shutdown: CancellationToken) -> Self {
        Self { events: events.boxed(), heartbeat: HEARTBEAT, shutdown }
    }

    /// With another time between heartbeats than 15 s.
    #[must_use]
    pub fn heartbeat(self, heartbeat: Duration) -> Self {
        Self { heartbeat, ..self }
    }

    fn into_bytes(self) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
        let Self { events, heartbeat, shutdown } = self;
        let pieces = stream::unfold(
            (events.ready_chunks(BATCH_MAX), shutdown),
            move |(mut events, shutdown)| async move {
                let piece = tokio::select! {
                    biased;
                    () = shutdown.cancelled() => None,
                    batch = events.next() => batch.map(|batch| text_of(&batch)),
                    () = tokio::time::sleep(heartbeat) => Some(Bytes::from_static(b":\n\n")),
                };
                piece.map(|piece| (piece, (events, shutdown)))
            },
        );
        stream::iter([Bytes::from_static(RETRY.as_bytes())]).chain(pieces).map(Ok)
    }
}

fn text_of(batch: &[SseEvent]) -> Bytes {
    let mut text = String::with_capacity(256 * batch.len());
    for event in batch {
        event.write(&mut text);
    }
    text.into()
}

impl std::fmt::Debug for Sse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sse")
    }
}

impl IntoResponse for Sse {
    fn into_response(self) -> Response {
        let body = Body::from_bytes_stream(self.into_bytes());
        let mut response = Response::builder().content_type(Self::CONTENT_TYPE).body(body);
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
        response
    }
}

impl Payload for Sse {
    const CONTENT_TYPE: &'static str = "text/event-stream";

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Inline(Box::new(MetaSchema {
            description: Some(
                "Server-Sent Events: lines `id:`, `event:` and `data:`, an empty line after each event.",
            ),
            ..MetaSchema::new("string")
        }))
    }
}

impl ApiResponse for Sse {
    fn meta() -> MetaResponses {
        MetaResponses { responses: vec![ok::<Self>("Events as they happen.")] }
    }

    fn register(_registry: &mut Registry) {}
}

/// A stream of events that may have ended before: a browser connects again to a stream that ended, unless it is told
/// that nothing more comes.
#[derive(ApiResponse)]
pub enum SseReply {
    /// Events as they happen.
    #[oai(status = 200)]
    Stream(Sse),
    /// Nothing comes after the event that `Last-Event-ID` names; do not connect again.
    #[oai(status = 204)]
    Over,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn event(id: &str, data: &str) -> SseEvent {
        SseEvent { id: Some(id.to_owned()), event: Some("status".into()), data: data.to_owned() }
    }

    async fn text(sse: Sse) -> String {
        sse.into_response().into_body().into_string().await.unwrap()
    }

    #[tokio::test]
    async fn events_have_their_lines() {
        let events = stream::iter([event("1", "{}"), event("2", "a\nb")]);
        assert_eq!(
            text(Sse::new(events, CancellationToken::new())).await,
            "retry: 2000\n\nid: 1\nevent: status\ndata: {}\n\nid: 2\nevent: status\ndata: a\ndata: b\n\n"
        );
    }

    #[tokio::test]
    async fn a_field_cannot_smuggle_in_another() {
        let events = stream::iter([event("1\ndata: x", "y\rid: 9")]);
        let text = text(Sse::new(events, CancellationToken::new())).await;
        assert!(text.ends_with("\n\nid: 1\nevent: status\ndata: y\ndata: id: 9\n\n"), "{text}");
    }

    #[tokio::test]
    async fn a_quiet_stream_has_heartbeats_and_ends_with_the_service() {
        let shutdown = CancellationToken::new();
        let quiet = Sse::new(stream::pending(), shutdown.clone()).heartbeat(Duration::from_millis(20));
        let mut pieces = std::pin::pin!(quiet.into_bytes());
        assert_eq!(pieces.next().await.unwrap().unwrap(), RETRY);
        for _ in 0..3 {
            assert_eq!(pieces.next().await.unwrap().unwrap(), ":\n\n");
        }
        shutdown.cancel();
        assert!(pieces.next().await.is_none());
    }
}
