//! The event streams: what is so far, then each change as it happens. Everything that is sent comes from the database in
//! its order, which is why nothing is missed or repeated.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use daemon::batcher::{BatchLimits, Batcher};
use futures_util::{Stream, stream};
use http_kit::sse::SseFrame;
use tokio::time::{Instant, timeout_at};
use tokio_util::task::TaskTracker;

use super::event_hub::{EventHub, PAGE_EVENTS, Subscription};
use super::followed_orders::{OrderEvents, OrderSubscription};
use super::rendered_event::{RenderedEvent, Reset, STANDBY_PATIENCE};
use crate::store::{EventCursor, OpenOrders, SeenBy, Store, StoreError};

/// Open orders that a stream begins with: those that changed last, where they are more. A stream holds eight bytes of each
/// while it tells them.
pub(super) const OPEN_ORDERS_MAX: usize = 100_000;
/// While PostgreSQL is away, how often it is asked again.
const OPENING_RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Where a stream of all orders begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begin {
    /// With the open orders as they are.
    Open,
    /// With the first change of all.
    Start,
}

/// Reads what is open, once for all streams that begin at the same time.
#[derive(Clone)]
pub(super) struct Openings(Batcher<(), Result<Arc<OpenOrders>, Arc<StoreError>>>);

impl Openings {
    /// Starts it on `tasks`, for so many streams.
    pub(super) fn start(store: Store, max_streams: usize, tasks: &TaskTracker) -> Self {
        let limits = BatchLimits { queue: max_streams, batch: max_streams, writers: 1, linger: None };
        Self(Batcher::start(limits, tasks, move |streams: Vec<()>| {
            let store = store.clone();
            async move {
                let limit = i64::try_from(OPEN_ORDERS_MAX).unwrap_or(i64::MAX);
                let opening = store.open_orders(limit).await.map(Arc::new).map_err(Arc::new);
                vec![opening; streams.len()]
            }
        }))
    }

    /// What is open now; waits for PostgreSQL.
    async fn read(&self) -> Arc<OpenOrders> {
        loop {
            match self.0.submit(()).await {
                Ok(Ok(opening)) => return opening,
                // The store tells of its outage itself; the stream stays open meanwhile.
                Ok(Err(_)) | Err(_) => tokio::time::sleep(OPENING_RETRY_PAUSE).await,
            }
        }
    }
}

/// The events of all orders after `cursor`, or from the beginning. The stream does not end.
pub(super) fn all_events(
    hub: EventHub,
    openings: Openings,
    begin: Begin,
    cursor: Option<EventCursor>,
) -> impl Stream<Item = SseFrame> + Send + 'static {
    let phase = match cursor {
        Some(cursor) => Phase::following(&hub, cursor, None),
        None => Phase::Beginning,
    };
    let tail = AllTail { hub, openings, begin, phase, pending: VecDeque::new() };
    stream::unfold(tail, |mut tail| async move { Some((tail.next().await, tail)) })
}

struct AllTail {
    hub: EventHub,
    openings: Openings,
    begin: Begin,
    phase: Phase,
    pending: VecDeque<SseFrame>,
}

enum Phase {
    Beginning,
    /// Tells the open orders, from this one of them on.
    Opening(Arc<OpenOrders>, usize),
    /// Tells what comes, but for what those who looked at the open orders have seen.
    Following(Subscription, Option<SeenBy>),
}

impl Phase {
    fn following(hub: &EventHub, cursor: EventCursor, seen: Option<SeenBy>) -> Self {
        Self::Following(hub.follow(cursor), seen)
    }
}

impl AllTail {
    async fn next(&mut self) -> SseFrame {
        loop {
            if let Some(frame) = self.pending.pop_front() {
                return frame;
            }
            // A buffer that has held a page is not kept by a stream that waits.
            self.pending = VecDeque::new();
            match &mut self.phase {
                Phase::Beginning => self.begin().await,
                Phase::Opening(opening, next) => {
                    let (opening, first) = (Arc::clone(opening), *next);
                    let last = opening.latest.len().min(first + PAGE_EVENTS);
                    self.tell_open(opening, first, last).await;
                }
                Phase::Following(subscription, seen) => match subscription.next().await {
                    Ok(told) => self.pending = unseen(told, seen),
                    Err(reset) => {
                        self.pending.push_back(reset.frame());
                        self.phase = Phase::Beginning;
                    }
                },
            }
        }
    }

    async fn begin(&mut self) {
        self.phase = match self.begin {
            Begin::Start => Phase::following(&self.hub, EventCursor::START, None),
            Begin::Open => Phase::Opening(self.openings.read().await, 0),
        };
    }

    /// Tells a page of the open orders, and behind the last one where the client goes on from here. A client that goes on
    /// behind one of them is told what is later in the stream. That is not all where a running transaction holds the
    /// change back: there it goes on from the last event that nothing can precede.
    async fn tell_open(&mut self, opening: Arc<OpenOrders>, first: usize, last: usize) {
        let (seen, horizon) = (&opening.seen, opening.horizon);
        if first < last {
            let events = self.hub.events_by_id(&opening.latest[first..last]).await;
            self.pending.extend(events.iter().map(|event| match seen.is_settled(event.cursor) {
                true => RenderedEvent::new(event).frame,
                false => RenderedEvent::going_on_after(event, horizon).frame,
            }));
        }
        if last < opening.latest.len() {
            self.phase = Phase::Opening(opening, last);
            return;
        }
        self.pending.push_back(SseFrame::place(&horizon.to_string()));
        self.phase = Phase::following(&self.hub, horizon, seen.holds_back().then(|| seen.clone()));
    }
}

/// What was not seen when the stream began.
fn unseen(told: Vec<RenderedEvent>, seen: &mut Option<SeenBy>) -> VecDeque<SseFrame> {
    let mut frames = VecDeque::with_capacity(told.len());
    for RenderedEvent { cursor, frame, .. } in told {
        if seen.as_ref().is_some_and(|seen| seen.is_behind(cursor)) {
            *seen = None;
        }
        if seen.as_ref().is_none_or(|seen| !seen.has_seen(cursor)) {
            frames.push_back(frame);
        }
    }
    frames
}

/// The events of one order after `cursor`; ends after a final status.
pub(super) fn order_events(
    order: OrderSubscription,
    cursor: Option<EventCursor>,
) -> impl Stream<Item = SseFrame> + Send + 'static {
    let tail = OrderTail { order, cursor, pending: VecDeque::new(), is_over: false, awaited_since: None };
    stream::unfold(tail, |mut tail| async move { tail.next().await.map(|frame| (frame, tail)) })
}

struct OrderTail {
    order: OrderSubscription,
    /// The last event that was told.
    cursor: Option<EventCursor>,
    pending: VecDeque<SseFrame>,
    is_over: bool,
    /// Since when a standby is waited for to come to the last event that was told.
    awaited_since: Option<Instant>,
}

impl OrderTail {
    async fn next(&mut self) -> Option<SseFrame> {
        loop {
            if let Some(frame) = self.pending.pop_front() {
                return Some(frame);
            }
            if self.is_over {
                return None;
            }
            let Some(life) = self.order.life() else {
                self.order.read_again().await;
                continue;
            };
            self.go_on(&life);
            if self.pending.is_empty() && !self.is_over {
                match self.awaited_since {
                    // Looked at once more when that is over.
                    Some(since) => drop(timeout_at(since + STANDBY_PATIENCE, self.order.read_again()).await),
                    None => self.order.read_again().await,
                }
            }
        }
    }

    fn go_on(&mut self, life: &OrderEvents) {
        let rest = rest_of(life, self.cursor);
        let is_awaited = rest.is_err() && self.cursor.is_some_and(|cursor| self.order.may_come_to(cursor));
        if is_awaited && self.awaited_since.get_or_insert_with(Instant::now).elapsed() < STANDBY_PATIENCE {
            return;
        }
        self.awaited_since = None;
        let after = rest.unwrap_or_else(|reset| {
            self.pending.push_back(reset.frame());
            life
        });
        self.pending.extend(after.iter().map(|told| told.frame.clone()));
        self.cursor = life.last().map(|told| told.cursor);
        self.is_over = life.last().is_none_or(|told| told.is_final);
    }
}

/// What happened to an order after this event of it.
///
/// # Errors
/// It is none of this order's.
pub(super) fn rest_of(
    life: &[RenderedEvent],
    cursor: Option<EventCursor>,
) -> Result<&[RenderedEvent], Reset> {
    let Some(cursor) = cursor else { return Ok(life) };
    match life.iter().position(|told| told.cursor == cursor) {
        Some(place) => Ok(&life[place + 1..]),
        None => Err(Reset::UnknownEvent),
    }
}
