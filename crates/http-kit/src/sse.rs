//! Live events: Server-Sent Events that live long, say so, and end in order.

use std::{
    borrow::Cow,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use daemon::metrics::Metrics;
use daemon::sync::locked;
use futures_util::{
    Stream, StreamExt, future,
    stream::{self, BoxStream},
};
use poem::{
    Body, IntoResponse, Response,
    http::{HeaderValue, header},
    web::RemoteAddr,
};
use poem_openapi::{
    ApiResponse,
    payload::Payload,
    registry::{MetaResponses, MetaSchema, MetaSchemaRef, Registry},
};
use prometheus_client::metrics::gauge::Gauge;
use tokio_util::sync::CancellationToken;

use super::{
    address::{Origin, Shares},
    problem::Problem,
    reply::ok,
};

/// A comment is sent when nothing else was for this long, so that proxies keep the connection and a client that is gone
/// is noticed.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// What the client is told to wait before it connects again.
const RETRY: &str = "retry: 2000\n\n";

/// What a client is told to wait when there are too many streams.
const RETRY_WHEN_FULL: Duration = Duration::from_secs(5);

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

/// An event as it is sent. Clones share the text: what many streams tell is written down once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SseFrame(Bytes);

impl SseFrame {
    /// Moves the client's `Last-Event-ID` on and tells nothing.
    pub fn place(id: &str) -> Self {
        let mut text = String::with_capacity(id.len() + 8);
        field(&mut text, "id", id);
        text.push('\n');
        Self(text.into())
    }
}

impl From<SseEvent> for SseFrame {
    fn from(event: SseEvent) -> Self {
        let mut text = String::with_capacity(64 + event.data.len());
        event.write(&mut text);
        text.shrink_to_fit();
        Self(text.into())
    }
}

/// One line; a value with a line's end in it would be two, so it is cut there.
fn field(out: &mut String, name: &str, value: &str) {
    let value = value.split(['\n', '\r', '\0']).next().unwrap_or_default();
    out.extend([name, ": ", value, "\n"]);
}

/// Opens streams of events: so many at once, and none beyond the life of the service.
///
/// Each holds a connection for as long as its client likes; without a bound of their own they could take all that the
/// server has (see [`ServerLimits`](super::server::ServerLimits)), and nobody else would be served.
#[derive(Clone)]
pub struct EventStreams {
    slots: Arc<Slots>,
    shutdown: CancellationToken,
}

struct Slots {
    max_open: usize,
    max_of_address: usize,
    taken: Mutex<Taken>,
    open: Gauge,
}

#[derive(Default)]
struct Taken {
    all: usize,
    shares: Shares,
}

impl EventStreams {
    /// With the number of streams that may be open at once, in all and for one address, and the token that ends the service.
    /// Registers the metric `live_streams`.
    pub fn new(
        max_open: usize,
        max_of_address: usize,
        shutdown: CancellationToken,
        metrics: &Metrics,
    ) -> Self {
        let open = Gauge::default();
        metrics.register(|registry| {
            registry.register("live_streams", "Streams of live events that are open", open.clone());
        });
        Self { slots: Arc::new(Slots { max_open, max_of_address, taken: Mutex::default(), open }), shutdown }
    }

    /// Opens a stream for a client. It ends when its events do, and when the service stops: the client then connects again,
    /// with the `Last-Event-ID` that it has (`#[oai(name = "Last-Event-ID")] last_event_id: Header<Option<String>>`).
    ///
    /// # Errors
    /// 503 when as many are open as may be, in all or from the client's address.
    pub fn open<E>(
        &self,
        client: &RemoteAddr,
        events: impl Stream<Item = E> + Send + 'static,
    ) -> Result<Sse, Problem>
    where
        E: Into<SseFrame> + 'static,
    {
        let slot = Slot::take(&self.slots, client)?;
        let events = events.map(Into::into).boxed();
        Ok(Sse { events, heartbeat: HEARTBEAT, shutdown: self.shutdown.clone(), slot })
    }

    /// Takes a place for a stream of events that another service tells.
    ///
    /// # Errors
    /// As for [`Self::open`].
    pub fn place(&self, client: &RemoteAddr) -> Result<StreamPlace, Problem> {
        Ok(StreamPlace { slot: Slot::take(&self.slots, client)?, shutdown: self.shutdown.clone() })
    }
}

/// A place for a stream that is passed on.
pub struct StreamPlace {
    slot: Slot,
    shutdown: CancellationToken,
}

impl StreamPlace {
    /// A `200 OK` with what the other service tells, its heartbeats among it, as it is. It ends with that, however that ends, and
    /// when this service stops.
    pub fn relay<E>(self, bytes: impl Stream<Item = Result<Bytes, E>> + Send + 'static) -> Response
    where
        E: Send + 'static,
    {
        let Self { slot, shutdown } = self;
        let held = move |piece: Result<Bytes, E>| {
            let _ = &slot;
            piece.ok().map(Ok::<_, io::Error>)
        };
        let pieces =
            bytes.map(held).take_while(|piece| future::ready(piece.is_some())).filter_map(future::ready);
        response(Body::from_bytes_stream(pieces.take_until(shutdown.cancelled_owned())))
    }
}

/// One open stream, until it is dropped.
struct Slot {
    slots: Arc<Slots>,
    origin: Option<Origin>,
}

impl Slot {
    fn take(slots: &Arc<Slots>, client: &RemoteAddr) -> Result<Self, Problem> {
        let full = |detail: &'static str| Err(Problem::unavailable(RETRY_WHEN_FULL, detail));
        let origin = client.as_socket_addr().map(|client| Origin::of(client.ip()));
        // Whole at every panic.
        let mut taken = locked(&slots.taken);
        if taken.all >= slots.max_open {
            return full("as many streams of events are open as may be; try again later");
        }
        if taken.shares.of(origin) >= slots.max_of_address {
            return full("as many streams of events are open from your address as may be; try again later");
        }
        taken.shares.add(origin);
        taken.all += 1;
        slots.open.inc();
        Ok(Self { slots: Arc::clone(slots), origin })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = locked(&self.slots.taken);
        taken.all -= 1;
        self.slots.open.dec();
        taken.shares.remove(self.origin);
    }
}

/// A `200 OK` with a stream of events.
pub struct Sse {
    events: BoxStream<'static, SseFrame>,
    heartbeat: Duration,
    shutdown: CancellationToken,
    slot: Slot,
}

impl Sse {
    /// With another time between heartbeats than 15 s.
    #[must_use]
    pub fn heartbeat(self, heartbeat: Duration) -> Self {
        Self { heartbeat, ..self }
    }

    fn into_bytes(self) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
        let Self { events, heartbeat, shutdown, slot } = self;
        let state = (events.ready_chunks(BATCH_MAX), shutdown, slot);
        let pieces = stream::unfold(state, move |(mut events, shutdown, slot)| async move {
            let piece = tokio::select! {
                biased;
                () = shutdown.cancelled() => None,
                batch = events.next() => batch.map(text_of),
                () = tokio::time::sleep(heartbeat) => Some(Bytes::from_static(b":\n\n")),
            };
            piece.map(|piece| (piece, (events, shutdown, slot)))
        });
        stream::iter([Bytes::from_static(RETRY.as_bytes())]).chain(pieces).map(Ok)
    }
}

/// One piece of what is ready at once; a lone event is not copied.
fn text_of(batch: Vec<SseFrame>) -> Bytes {
    match <[SseFrame; 1]>::try_from(batch) {
        Ok([SseFrame(alone)]) => alone,
        Err(batch) => batch.iter().map(|SseFrame(text)| &**text).collect::<Vec<_>>().concat().into(),
    }
}

impl std::fmt::Debug for Sse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sse")
    }
}

impl IntoResponse for Sse {
    fn into_response(self) -> Response {
        response(Body::from_bytes_stream(self.into_bytes()))
    }
}

fn response(body: Body) -> Response {
    let mut response = Response::builder().content_type(Sse::CONTENT_TYPE).body(body);
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

impl Payload for Sse {
    const CONTENT_TYPE: &'static str = "text/event-stream";

    fn schema_ref() -> MetaSchemaRef {
        let text = |about| {
            let schema = MetaSchema { description: Some(about), ..MetaSchema::new("string") };
            MetaSchemaRef::Inline(Box::new(schema))
        };
        // As tools read it: the schema of a stream is that of one event in it.
        MetaSchemaRef::Inline(Box::new(MetaSchema {
            description: Some("Server-Sent Events; each has these fields, a line each."),
            required: vec!["id", "event", "data"],
            properties: vec![
                ("id", text("What to send as `Last-Event-ID` to go on behind this event.")),
                ("event", text("Its kind.")),
                ("data", text("Its content, as JSON.")),
            ],
            ..MetaSchema::new("object")
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
mod tests {
    use super::*;

    fn event(id: &str, data: &str) -> SseEvent {
        SseEvent { id: Some(id.to_owned()), event: Some("status".into()), data: data.to_owned() }
    }

    fn streams(max_open: usize) -> EventStreams {
        EventStreams::new(max_open, max_open - 1, CancellationToken::new(), &Metrics::new())
    }

    fn client(address: &str) -> RemoteAddr {
        RemoteAddr(std::net::SocketAddr::new(address.parse().unwrap(), 4711).into())
    }

    async fn text(events: &[SseEvent]) -> String {
        let sse = streams(2).open(&client("192.0.2.1"), stream::iter(events.to_vec())).unwrap();
        sse.into_response().into_body().into_string().await.unwrap()
    }

    #[tokio::test]
    async fn events_have_their_lines() {
        assert_eq!(
            text(&[event("1", "{}"), event("2", "a\nb")]).await,
            "retry: 2000\n\nid: 1\nevent: status\ndata: {}\n\nid: 2\nevent: status\ndata: a\ndata: b\n\n"
        );
    }

    #[tokio::test]
    async fn a_field_cannot_smuggle_in_another() {
        let text = text(&[event("1\ndata: x", "y\rid: 9")]).await;
        assert!(text.ends_with("\n\nid: 1\nevent: status\ndata: y\ndata: id: 9\n\n"), "{text}");
    }

    #[tokio::test]
    async fn a_place_is_an_id_alone() {
        let sse = streams(2)
            .open(&client("192.0.2.1"), stream::iter([event("1", "{}").into(), SseFrame::place("2-7")]))
            .unwrap();
        let text = sse.into_response().into_body().into_string().await.unwrap();
        assert!(text.ends_with("data: {}\n\nid: 2-7\n\n"), "{text}");
    }

    #[tokio::test]
    async fn a_quiet_stream_has_heartbeats_and_ends_with_the_service() {
        let streams = streams(2);
        let quiet = streams
            .open(&client("192.0.2.1"), stream::pending::<SseFrame>())
            .unwrap()
            .heartbeat(Duration::from_millis(20));
        let mut pieces = std::pin::pin!(quiet.into_bytes());
        assert_eq!(pieces.next().await.unwrap().unwrap(), RETRY);
        for _ in 0..3 {
            assert_eq!(pieces.next().await.unwrap().unwrap(), ":\n\n");
        }
        streams.shutdown.cancel();
        assert!(pieces.next().await.is_none());
    }

    #[test]
    fn only_so_many_streams_are_open_at_once_and_fewer_for_one_address() {
        let streams = streams(3);
        let open = |address| streams.open(&client(address), stream::pending::<SseFrame>());
        let (first, _second) = (open("192.0.2.1").unwrap(), open("192.0.2.1").unwrap());
        assert_eq!(open("192.0.2.1").unwrap_err().status().as_u16(), 503);
        let _third = open("2001:db8::1").unwrap();
        assert_eq!(open("192.0.2.2").unwrap_err().status().as_u16(), 503);
        assert_eq!(streams.slots.open.get(), 3);
        drop(first.into_response());
        assert_eq!(streams.slots.open.get(), 2);
        assert!(open("192.0.2.1").is_ok());
    }
}
