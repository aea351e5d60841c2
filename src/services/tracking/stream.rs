//! The event streams: the history so far, then each change as it happens. Everything that is sent comes from the
//! database in its order; the wake-ups only say when to look. That is why nothing is missed or repeated.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::{Stream, stream};

use super::feed::{Feed, Wakes};
use crate::broker::messages::StatusUpdate;
use crate::domain::OrderNumber;
use crate::http::sse::SseEvent;
use crate::store::{Event, EventCursor, Store, StoreError};

/// Events that are read at once; a longer history is sent in several reads.
const PAGE: i64 = 500;
/// How often a stream looks without having been woken: RabbitMQ may be away, and a running transaction holds back what
/// was committed after it.
const LOOK: Duration = Duration::from_secs(1);
/// After a wake-up that found nothing, how soon it looks again: the transaction that holds it back is a short one.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// Looks of that kind after one wake-up.
const LOOKS_AGAIN: u32 = 5;

/// What a stream tells of.
#[derive(Debug, Clone)]
pub(super) enum Scope {
    /// One order; it ends after a final status.
    Order(OrderNumber),
    /// All of them; it does not end.
    All,
}

struct Tail {
    store: Store,
    wakes: Wakes,
    scope: Scope,
    cursor: EventCursor,
    pending: VecDeque<Event>,
    looks_again: u32,
    over: bool,
}

/// The events of `scope` after `cursor`.
pub(super) fn events(
    store: Store,
    feed: &Feed,
    scope: Scope,
    cursor: EventCursor,
) -> impl Stream<Item = SseEvent> + Send + 'static {
    // Subscribed before the first read, so that no change falls between the two.
    let wakes = feed.subscribe();
    let tail = Tail { store, wakes, scope, cursor, pending: VecDeque::new(), looks_again: 0, over: false };
    stream::unfold(tail, |mut tail| async move { tail.next().await.map(|event| (event, tail)) })
}

impl Tail {
    async fn next(&mut self) -> Option<SseEvent> {
        loop {
            if let Some(event) = self.pending.pop_front() {
                self.cursor = event.cursor;
                self.over = event.status.is_final() && matches!(self.scope, Scope::Order(_));
                return Some(sse_event(&event));
            }
            if self.over {
                return None;
            }
            match self.read().await {
                Ok(events) if events.is_empty() => self.wait().await,
                Ok(events) => {
                    self.pending = events.into();
                    self.looks_again = 0;
                }
                // PostgreSQL is away: the stream stays open and goes on where it was.
                Err(_) => tokio::time::sleep(LOOK).await,
            }
        }
    }

    async fn read(&self) -> Result<Vec<Event>, StoreError> {
        match &self.scope {
            Scope::Order(number) => self.store.order_events_after(number, self.cursor).await,
            Scope::All => self.store.events_after(self.cursor, PAGE).await,
        }
    }

    async fn wait(&mut self) {
        if self.looks_again > 0 {
            self.looks_again -= 1;
            return tokio::time::sleep(LOOK_AGAIN).await;
        }
        let order = match &self.scope {
            Scope::Order(number) => Some(number.as_str()),
            Scope::All => None,
        };
        tokio::select! {
            () = self.wakes.wait(order) => {
                self.looks_again = if order.is_none() { LOOKS_AGAIN } else { 0 };
            }
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

fn sse_event(event: &Event) -> SseEvent {
    let update = StatusUpdate {
        order_number: event.number.as_str().to_owned(),
        old_status: event.status.previous().map(|s| s.as_str().to_owned()),
        new_status: event.status.as_str().to_owned(),
        changed_by: event.changed_by.clone(),
        timestamp: event.changed_at,
        estimated_completion: event.estimated_completion,
    };
    SseEvent {
        id: Some(event.cursor.to_string()),
        event: Some("status".into()),
        // Texts and times: nothing that JSON cannot say.
        data: serde_json::to_string(&update).unwrap_or_default(),
    }
}
