//! Everything that happens, read by one reader for all streams of the process.
//!
//! The reader goes along the log in the order of (transaction, row), up to the oldest running transaction, and keeps the
//! latest events in a ring. A stream takes from the ring what comes after its place. One whose place is older than the
//! ring, because its client comes back late or does not keep up, reads pages of the log itself until it has caught up:
//! nothing waits in memory for a slow client. Wake-ups only say when to look, so a lost one does no harm.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use daemon::sync::locked;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::followed_orders::{FollowedOrders, OrderSubscription};
use super::rendered_event::{RenderedEvent, Reset, STANDBY_PATIENCE};
use crate::domain::OrderNumber;
use crate::store::{Event, EventCursor, EventPage, Store, StoreError, StreamPlace};

/// Events that one look of the reader reads.
const READ_EVENTS: i64 = 500;
/// Events in the ring, some 2 MB: what a busy restaurant tells in half a minute.
const RING_EVENTS: usize = 4_096;
/// Events that a stream takes at once, and that it reads at once where it is behind: some 30 KB for each client that does
/// not keep up.
pub(super) const PAGE_EVENTS: usize = 64;
/// Streams that read for themselves at once; the others wait for their turn, and leave connections to the requests.
const CATCHING_UP: usize = 2;
/// How often the reader looks without having been woken: RabbitMQ may be away, and a running transaction holds back what
/// was committed after it.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// After a wake-up that found nothing, how soon it looks again: the transaction that holds it back is a short one.
const SHORT_POLL_INTERVAL: Duration = Duration::from_millis(50);
/// Looks of that kind after one wake-up.
const SHORT_POLLS: u32 = 5;
/// Between two readings at least: what changes meanwhile is read together.
const MIN_READ_GAP: Duration = Duration::from_millis(10);

/// The latest events, and where they come from.
#[derive(Clone)]
pub(super) struct EventHub(Arc<HubState>);

struct HubState {
    store: Store,
    followed_orders: FollowedOrders,
    ring: Mutex<Ring>,
    /// Streams of all orders that are open.
    subscriptions: AtomicUsize,
    /// There is a stream again.
    opened: Notify,
    /// There is something to look at.
    woken: Notify,
    /// Changes with the ring.
    turned: watch::Sender<()>,
    catching_up: Semaphore,
}

#[derive(Default)]
struct Ring {
    /// Grows when the database turns out to be another one than what was told came from; with the reason.
    resets: u64,
    reason: Option<Reset>,
    /// All events behind it, as far as the reader has come, are here. `None` while it has not begun.
    floor: Option<EventCursor>,
    events: VecDeque<RenderedEvent>,
}

/// What the ring has behind a place.
enum Behind {
    Events(Vec<RenderedEvent>),
    Older,
    NotBegun,
}

/// One stream's place in the hub.
pub(super) struct Subscription {
    hub: EventHub,
    cursor: EventCursor,
    /// Whether the place is one of this database's, and not further back than the ring when it was looked at last.
    has_caught_up: bool,
    resets: u64,
    turned: watch::Receiver<()>,
    awaiting: Awaiting,
}

/// Since when a standby is waited for to come to a place.
#[derive(Default)]
struct Awaiting(Option<Instant>);

impl Awaiting {
    /// Why there is no going on behind a place, by what it is to the server now.
    fn reset_of(&mut self, place: StreamPlace) -> Option<Reset> {
        if place != StreamPlace::Awaited {
            self.0 = None;
            return Reset::of(place);
        }
        let is_over = self.0.get_or_insert_with(Instant::now).elapsed() >= STANDBY_PATIENCE;
        is_over.then_some(Reset::AheadOfDatabase)
    }
}

impl EventHub {
    pub(super) fn new(store: Store, followed_orders: FollowedOrders) -> Self {
        Self(Arc::new(HubState {
            store,
            followed_orders,
            ring: Mutex::default(),
            subscriptions: AtomicUsize::new(0),
            opened: Notify::new(),
            woken: Notify::new(),
            turned: watch::Sender::new(()),
            catching_up: Semaphore::new(CATCHING_UP),
        }))
    }

    /// Goes on behind this place.
    pub(super) fn follow(&self, cursor: EventCursor) -> Subscription {
        self.0.subscriptions.fetch_add(1, Ordering::Relaxed);
        self.0.opened.notify_one();
        let (resets, turned) = (self.ring().resets, self.0.turned.subscribe());
        let awaiting = Awaiting::default();
        Subscription { hub: self.clone(), cursor, has_caught_up: false, resets, turned, awaiting }
    }

    pub(super) fn follow_order(&self, number: OrderNumber) -> OrderSubscription {
        let following = self.0.followed_orders.follow(number);
        self.0.opened.notify_one();
        following
    }

    /// The events with these `order_status_log.id`, in the order of the stream; waits for a turn and for PostgreSQL.
    pub(super) async fn events_by_id(&self, ids: &[i64]) -> Vec<Event> {
        let begun = Instant::now();
        loop {
            let turn = self.0.catching_up.acquire().await;
            match self.0.store.events_by_id(ids).await {
                Ok(found) if !found.is_behind || begun.elapsed() >= STANDBY_PATIENCE => return found.events,
                Ok(_) => {
                    drop(turn);
                    tokio::time::sleep(POLL_INTERVAL).await;
                }
                Err(_) => tokio::time::sleep(POLL_INTERVAL).await,
            }
        }
    }

    /// Says that this order has changed, or any.
    pub(super) fn changed(&self, order: Option<&OrderNumber>) {
        match order {
            Some(number) => self.0.followed_orders.changed(number),
            None => self.0.followed_orders.any_changed(),
        }
        if self.0.subscriptions.load(Ordering::Relaxed) > 0 {
            self.0.woken.notify_one();
        }
    }

    /// Reads for all streams until `stop`; nothing while there is none.
    pub(super) async fn read(self, stop: CancellationToken) {
        let reading = async {
            loop {
                if !self.is_followed() {
                    self.ring().clear();
                    self.0.opened.notified().await;
                } else if self.read_while_followed().await.is_err() {
                    // The store tells of its outage itself; the streams stay open meanwhile.
                    tokio::time::sleep(POLL_INTERVAL).await;
                }
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = reading => {}
        }
    }

    fn is_followed(&self) -> bool {
        self.0.subscriptions.load(Ordering::Relaxed) > 0 || self.0.followed_orders.is_followed()
    }

    async fn read_while_followed(&self) -> Result<(), StoreError> {
        let mut cursor = match self.head() {
            Some(head) => head,
            None => self.begin().await?,
        };
        let mut short_polls = 0;
        let mut awaiting = Awaiting::default();
        while self.is_followed() {
            self.0.followed_orders.passed(cursor);
            let page = self.0.store.events_after(cursor, READ_EVENTS).await?;
            self.note_changes(&page);
            if let Some(reason) = awaiting.reset_of(page.place) {
                self.reset(reason);
                return Ok(());
            }
            let is_new = page.read_to.is_some();
            if let Some(read_to) = page.read_to {
                cursor = read_to;
                self.turn(&page);
            }
            tokio::time::sleep(MIN_READ_GAP).await;
            if is_new && page.is_full {
                continue;
            }
            short_polls = if is_new { 0_u32 } else { short_polls };
            short_polls = match self.pause(short_polls > 0).await {
                true => SHORT_POLLS,
                false => short_polls.saturating_sub(1),
            };
        }
        Ok(())
    }

    /// Waits for a reason to look; says whether it is a wake-up.
    async fn pause(&self, is_short: bool) -> bool {
        let pause = if is_short { SHORT_POLL_INTERVAL } else { POLL_INTERVAL };
        tokio::time::timeout(pause, self.0.woken.notified()).await.is_ok()
    }

    /// The orders that are followed one by one wait for no other transaction.
    fn note_changes(&self, page: &EventPage) {
        for event in page.events.iter().chain(&page.held_back) {
            self.0.followed_orders.happened(&event.number, event.cursor);
        }
        // More than one look shows is held back: what else is there may concern any of them.
        if page.is_full && !page.held_back.is_empty() {
            self.0.followed_orders.any_changed();
        }
    }

    /// Begins the ring where the stream has come to.
    async fn begin(&self) -> Result<EventCursor, StoreError> {
        let newest = self.0.store.newest_event().await?;
        self.ring().floor = Some(newest);
        self.0.turned.send_replace(());
        // What changed up to here since they were read, no look will show.
        self.0.followed_orders.any_changed();
        Ok(newest)
    }

    /// How far the reader has come.
    fn head(&self) -> Option<EventCursor> {
        let ring = self.ring();
        ring.events.back().map(|last| last.cursor).or(ring.floor)
    }

    fn turn(&self, page: &EventPage) {
        let told: Vec<RenderedEvent> = page.events.iter().map(RenderedEvent::new).collect();
        self.ring().push(told);
        self.0.turned.send_replace(());
    }

    /// What was told came from a database that had more, or other, changes.
    fn reset(&self, reason: Reset) {
        tracing::warn!(
            action = "event_streams_reset",
            details = ?reason,
            "the database has lost changes that were told: the event streams begin anew"
        );
        self.ring().reset(reason);
        self.0.followed_orders.any_changed();
        self.0.turned.send_replace(());
    }

    /// Nothing is left half done while it is held.
    fn ring(&self) -> MutexGuard<'_, Ring> {
        locked(&self.0.ring)
    }
}

impl Ring {
    fn clear(&mut self) {
        *self = Self { resets: self.resets, reason: self.reason, ..Self::default() };
    }

    fn reset(&mut self, reason: Reset) {
        *self = Self { resets: self.resets + 1, reason: Some(reason), ..Self::default() };
    }

    fn push(&mut self, told: Vec<RenderedEvent>) {
        self.events.extend(told);
        while self.events.len() > RING_EVENTS {
            self.floor = self.events.pop_front().map(|oldest| oldest.cursor).or(self.floor);
        }
    }

    fn behind(&self, cursor: EventCursor) -> Behind {
        match self.floor {
            None => Behind::NotBegun,
            Some(floor) if cursor < floor => Behind::Older,
            Some(_) => {
                let next = self.events.partition_point(|told| told.cursor <= cursor);
                Behind::Events(self.events.range(next..).take(PAGE_EVENTS).cloned().collect())
            }
        }
    }
}

impl Subscription {
    /// The next events, at least one; or the reason why there is no going on from here.
    pub(super) async fn next(&mut self) -> Result<Vec<RenderedEvent>, Reset> {
        loop {
            self.turned.borrow_and_update();
            let is_at_ring = self.has_caught_up;
            let told = if is_at_ring { self.take_from_ring()? } else { self.catch_up().await? };
            if !told.is_empty() {
                return Ok(told);
            }
            match is_at_ring {
                true if self.has_caught_up => self.has_caught_up = self.turn_comes().await,
                // The ring begins later. Where the log was read to its end before, it is a standby's, which is behind the ring.
                true => tokio::time::sleep(SHORT_POLL_INTERVAL).await,
                false => {}
            }
        }
    }

    /// Waits until the ring has more. A stream may be ahead of the reader, which comes there with its next look, unless the
    /// place is gone from the database: `false`, then it has to look by itself, or it would wait for ever.
    async fn turn_comes(&mut self) -> bool {
        // The sender lives in the hub, which this holds.
        let turned = self.turned.changed();
        if self.hub.head().is_some_and(|head| self.cursor > head) {
            return tokio::time::timeout(POLL_INTERVAL, turned).await.is_ok();
        }
        let _ = turned.await;
        true
    }

    fn take_from_ring(&mut self) -> Result<Vec<RenderedEvent>, Reset> {
        let ring = self.hub.ring();
        match ring.reason {
            Some(reason) if ring.resets != self.resets => return Err(reason),
            _ => {}
        }
        match ring.behind(self.cursor) {
            Behind::Events(told) => {
                self.cursor = told.last().map_or(self.cursor, |last| last.cursor);
                Ok(told)
            }
            Behind::NotBegun => Ok(Vec::new()),
            Behind::Older => {
                self.has_caught_up = false;
                Ok(Vec::new())
            }
        }
    }

    /// Reads a page of the log.
    async fn catch_up(&mut self) -> Result<Vec<RenderedEvent>, Reset> {
        let page = {
            let _turn = self.hub.0.catching_up.acquire().await;
            let limit = i64::try_from(PAGE_EVENTS).unwrap_or(i64::MAX);
            self.hub.0.store.events_after(self.cursor, limit).await
        };
        match page {
            Ok(page) => {
                if let Some(reason) = self.awaiting.reset_of(page.place) {
                    return Err(reason);
                }
                self.has_caught_up = !page.is_full || page.read_to.is_none();
                self.cursor = page.read_to.unwrap_or(self.cursor);
                Ok(page.events.iter().map(RenderedEvent::new).collect())
            }
            Err(_) => {
                tokio::time::sleep(POLL_INTERVAL).await;
                Ok(Vec::new())
            }
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.hub.0.subscriptions.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{OrderNumber, StatusUpdate};
    use crate::store::{DatabaseOptions, StoreOptions};

    /// The event of this row, each in a transaction of its own.
    fn told(row: usize) -> Option<RenderedEvent> {
        let event = Event {
            cursor: at(row)?,
            number: OrderNumber::parse("ORD_20261122_001").ok()?,
            is_final: false,
            update: StatusUpdate {
                order_number: "ORD_20261122_001".to_owned(),
                old_status: None,
                new_status: "received".to_owned(),
                changed_by: "order-service".to_owned(),
                timestamp: jiff::Timestamp::UNIX_EPOCH,
                estimated_completion: None,
            },
        };
        Some(RenderedEvent::new(&event))
    }

    fn at(row: usize) -> Option<EventCursor> {
        format!("{}-{row}", 1_000 + row).parse().ok()
    }

    fn behind(ring: &Ring, row: usize) -> Option<Result<Vec<EventCursor>, &'static str>> {
        Some(match ring.behind(at(row)?) {
            Behind::Events(told) => Ok(told.iter().map(|told| told.cursor).collect()),
            Behind::Older => Err("older"),
            Behind::NotBegun => Err("not begun"),
        })
    }

    #[test]
    fn a_ring_has_the_latest_events_and_says_so_where_it_lacks_one() {
        let mut ring = Ring::default();
        assert_eq!(behind(&ring, 0), Some(Err("not begun")));
        ring.floor = at(0);
        ring.push((1..=RING_EVENTS).filter_map(told).collect());
        let first: Vec<_> = (1..=PAGE_EVENTS).filter_map(at).collect();
        assert_eq!(behind(&ring, 0), Some(Ok(first)));
        assert_eq!(behind(&ring, RING_EVENTS), Some(Ok(Vec::new())));
        assert_eq!(behind(&ring, RING_EVENTS + 7), Some(Ok(Vec::new())), "another process was quicker");
        ring.push((RING_EVENTS + 1..=RING_EVENTS + 2).filter_map(told).collect());
        assert_eq!(behind(&ring, 1), Some(Err("older")));
        let next: Vec<_> = (3..PAGE_EVENTS + 3).filter_map(at).collect();
        assert_eq!(behind(&ring, 2), Some(Ok(next)));
        assert_eq!(ring.events.len(), RING_EVENTS);
    }

    #[tokio::test(start_paused = true)]
    async fn a_standby_is_waited_for_and_not_for_ever() {
        let mut awaiting = Awaiting::default();
        assert_eq!(awaiting.reset_of(StreamPlace::Ahead), Some(Reset::AheadOfDatabase));
        for place in [StreamPlace::Awaited, StreamPlace::Known, StreamPlace::Awaited] {
            assert_eq!(awaiting.reset_of(place), None);
            tokio::time::advance(STANDBY_PATIENCE - POLL_INTERVAL).await;
        }
        assert_eq!(awaiting.reset_of(StreamPlace::Awaited), None);
        tokio::time::advance(POLL_INTERVAL).await;
        assert_eq!(awaiting.reset_of(StreamPlace::Awaited), Some(Reset::AheadOfDatabase));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_ahead_of_the_reader_looks_by_itself_and_any_other_waits() {
        let nowhere = StoreOptions {
            server: DatabaseOptions {
                hosts: vec![settings::HostPort { host: "127.0.0.1".to_owned(), port: 1 }],
                user: String::new(),
                password: String::new().into(),
                database: String::new(),
                tls: None,
                pool_size: 1,
                operation_timeout: POLL_INTERVAL,
                connect_timeout: POLL_INTERVAL,
            },
            application_name: String::new(),
            idle_timeout: POLL_INTERVAL,
            probe_interval: None,
            writes: false,
        };
        let Ok(store) = Store::new(nowhere, CancellationToken::new()) else { panic!("no store") };
        let hub = EventHub::new(store, FollowedOrders::default());
        hub.ring().floor = at(5);
        for (row, outcome) in [(6, Ok(false)), (5, Err(()))] {
            let mut subscription = hub.follow(at(row).unwrap_or_default());
            let waited = tokio::time::timeout(POLL_INTERVAL * 10, subscription.turn_comes()).await;
            assert_eq!(waited.map_err(drop), outcome, "{row}");
        }
    }
}
