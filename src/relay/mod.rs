//! The relay: outbox → RabbitMQ. It publishes what is committed, in order, and forgets it only when the broker has
//! confirmed that it was routed.
//!
//! Every process that writes outbox rows runs one. It is woken after each commit of its own and sweeps for what others
//! left behind; several at once share the rows. Killed at any point, it repeats at most what it had not yet deleted.

#[cfg(test)]
mod tests;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use amqp::{BrokerState, Outgoing, Properties, Publish, PublishOutcome};
use bytes::Bytes;
use daemon::retry::Backoff;
use daemon::traces::{Kind, Span};
use futures_util::FutureExt;
use tokio::sync::{Mutex, Notify};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::broker::messages::{ORDER_KIND, STATUS_KIND};
use crate::broker::{NOTIFICATIONS_EXCHANGE, ORDERS_EXCHANGE, order_routing_key};
use crate::store::{Announcement, AnnouncementContent, LockedRows, OutboxStore, StoreError};

/// Changes that are published before one deletion is committed; rows of the outbox go as a whole, so that the last one of
/// them may bring some more.
const BATCH_CHANGES: usize = 256;
/// A batch of fewer changes is followed by the next one after this time at the earliest, counted from its beginning: what comes
/// closely after each other goes together. A small batch costs both servers nearly as much as a large one does, and takes
/// that from those who order meanwhile.
const FEW_CHANGES: usize = 128;
const FEW_PACE: Duration = Duration::from_millis(10);
/// How often rows are looked for that no wake-up told of: somebody died, or the broker had refused them.
const SWEEP: Duration = Duration::from_secs(5);
/// How long a row waits that could not be published: from, to.
const REFUSED_PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
/// How long the last announcements may take when the process stops; what is left is another relay's.
const LAST_DRAIN: Duration = Duration::from_secs(5);

#[derive(Debug, Clone)]
pub struct RelayWaker(Arc<Signals>);

#[derive(Debug)]
struct Signals {
    wake: Notify,
    relays: AtomicU32,
}

impl RelayWaker {
    /// Something was committed. Cheap; many calls are one wake-up.
    pub fn wake(&self) {
        self.0.wake.notify_one();
    }

    /// From the next pause on, so many relays sweep in turn: this one as many times more seldom.
    pub fn sweep_as_one_of(&self, relays: u32) {
        self.0.relays.store(relays.max(1), Ordering::Relaxed);
    }
}

/// Whose relay it is. An order is announced by the service that took it, at once; the others help where that did not
/// happen, so that the service's log tells the story in all but the worst case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelayOwner {
    /// Announces everything at once.
    OrderService,
    /// Announces changes of status at once, and orders that were left lying.
    KitchenWorker,
}

impl RelayOwner {
    /// AMQP's `app_id`.
    fn app_id(self) -> &'static str {
        match self {
            Self::OrderService => "order-service",
            Self::KitchenWorker => "kitchen-worker",
        }
    }

    /// How long an order lies before it is this relay's business.
    fn orders_after(self) -> Duration {
        match self {
            Self::OrderService => Duration::ZERO,
            Self::KitchenWorker => Duration::from_secs(2),
        }
    }
}

/// Starts the relay on `tasks`. When `stop` is cancelled it announces what is left, within a few seconds, and ends.
pub fn start<S: OutboxStore, B: Publish>(
    store: S,
    broker: B,
    owner: RelayOwner,
    stop: CancellationToken,
    tasks: &TaskTracker,
) -> RelayWaker {
    let signals = Arc::new(Signals { wake: Notify::new(), relays: AtomicU32::new(1) });
    let relay = Relay {
        store,
        broker,
        owner,
        signals: Arc::clone(&signals),
        reading: Mutex::new(()),
        more: Notify::new(),
        cleared: Notify::new(),
    };
    tasks.spawn(relay.run(stop));
    RelayWaker(signals)
}

struct Relay<S, B> {
    store: S,
    broker: B,
    owner: RelayOwner,
    signals: Arc<Signals>,
    /// Whose turn it is to read: new orders go out in the order in which they were taken.
    reading: Mutex<()>,
    /// A batch did not hold all that there is.
    more: Notify,
    /// Rows went: what waited for them may go now.
    cleared: Notify,
}

/// How a round of publishing ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Round {
    /// Nothing was there for this relay.
    Empty,
    /// Something was published; there may be more.
    Published {
        /// Less than is worth a batch of its own.
        few: bool,
    },
    /// Nothing may go before rows that are in other hands, another relay's or this one's other loop's.
    HeldBack,
    /// Something could not be published: it is tried again after a pause.
    Failed,
}

impl<S: OutboxStore, B: Publish> Relay<S, B> {
    /// Two relay loops: while the batch of one waits for its confirmations, the other reads the next and publishes it, so that
    /// neither server waits for the other. To each other they are what relays of two processes are. The second works only
    /// while one batch does not hold all that there is: before that it would halve the batches, and a small one costs
    /// nearly as much as a large one.
    async fn run(self, stop: CancellationToken) {
        tokio::join!(self.relay_loop(&stop, true), self.relay_loop(&stop, false));
        let last = async { while matches!(self.round().await, Round::Published { .. }) {} };
        let _ = tokio::time::timeout(LAST_DRAIN, last).await;
    }

    async fn relay_loop(&self, stop: &CancellationToken, first: bool) {
        let mut backoff = Backoff::new(REFUSED_PAUSES.0, REFUSED_PAUSES.1);
        let mut broker = self.broker.state();
        while !stop.is_cancelled() {
            // Hears of what goes from here on, while this loop reads.
            let cleared = self.cleared.notified();
            let began = Instant::now();
            let round = self.round().await;
            if round == (Round::Published { few: true }) {
                tokio::select! {
                    biased;
                    () = stop.cancelled() => {}
                    () = tokio::time::sleep_until(began + FEW_PACE) => {}
                }
            }
            let pause = match round {
                Round::HeldBack | Round::Failed => backoff.next_delay(),
                Round::Empty | Round::Published { .. } => {
                    backoff.reset();
                    if first { self.sweep_pause() } else { Duration::MAX }
                }
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = self.signals.wake.notified(), if first => {}
                // Not after a failure: two loops that RabbitMQ refuses would spur each other on, without a pause.
                () = self.more.notified(), if round != Round::Failed => {}
                () = cleared, if round == Round::HeldBack => {}
                _ = broker.changed() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Spread, so that many processes do not sweep in step.
    fn sweep_pause(&self) -> Duration {
        let sweep = SWEEP.saturating_mul(self.signals.relays.load(Ordering::Relaxed));
        sweep.mul_f64(0.75 + fastrand::f64() / 2.0)
    }

    async fn round(&self) -> Round {
        // While RabbitMQ is away the outbox keeps everything; the reconnection wakes this relay.
        if !matches!(*self.broker.state().borrow(), BrokerState::Connected { .. }) {
            return Round::Empty;
        }
        let turn = self.reading.lock().await;
        let batch = match self.store.lock_outbox(BATCH_CHANGES as i64, self.owner.orders_after()).await {
            Ok(batch) if batch.locked() == 0 => return Round::Empty,
            Ok(batch) if batch.announcements().is_empty() => return Round::HeldBack,
            Ok(batch) => batch,
            Err(error) => return failed(&error),
        };
        if batch.locked() >= BATCH_CHANGES {
            self.more.notify_one();
        }
        let mut publishing = pin!(self.publish(batch));
        // It is on its way to RabbitMQ before the one behind it is even read.
        let published = match publishing.as_mut().now_or_never() {
            Some(published) => published,
            None => {
                drop(turn);
                publishing.await
            }
        };
        published.unwrap_or_else(|error| failed(&error))
    }

    async fn publish(&self, batch: S::Batch) -> Result<Round, StoreError> {
        let held_back = batch.locked() - batch.announcements().len();
        let few = batch.locked() < FEW_CHANGES;
        let mut messages: Vec<Outgoing> = batch.announcements().iter().map(|a| self.message(a)).collect();
        let mut traces: Vec<Span> = messages.iter_mut().map(producing).collect();
        let outcomes = self.broker.publish(messages).await;
        for (trace, outcome) in traces.iter_mut().zip(&outcomes) {
            if *outcome != PublishOutcome::Routed {
                trace.fail("the message was not routed and confirmed");
            }
        }
        drop(traces);
        let mut published = Vec::with_capacity(outcomes.len());
        let mut refused = None;
        for (announcement, outcome) in batch.announcements().iter().zip(outcomes) {
            match outcome {
                PublishOutcome::Routed => {
                    log_published(announcement);
                    published.push(announcement.log_id);
                }
                other => refused = Some((announcement.number.clone(), other)),
            }
        }
        self.store.confirm_outbox(batch, &published).await?;
        if !published.is_empty() {
            self.cleared.notify_waiters();
        }
        if let Some((number, outcome)) = refused {
            self.mend(&number, &outcome).await;
            return Ok(Round::Failed);
        }
        if held_back > 0 {
            self.more.notify_one();
        }
        Ok(Round::Published { few })
    }

    /// What can be done about a message that was not routed. Its row stays, whatever happens here.
    async fn mend(&self, number: &crate::domain::OrderNumber, outcome: &PublishOutcome) {
        match outcome {
            PublishOutcome::Unroutable { reply } => {
                tracing::warn!(action = "message_unroutable", order_number = %number, details = %reply, "no queue takes the message; declaring the topology again");
                if let Err(error) = self.broker.redeclare_topology().await {
                    tracing::debug!(action = "topology_failed", details = %error, "the topology could not be declared");
                }
            }
            PublishOutcome::Invalid(error) => {
                tracing::error!(action = "message_processing_failed", order_number = %number, error = error as &dyn std::error::Error, "the announcement cannot be published");
            }
            // The broker's connection tells its own story.
            PublishOutcome::Routed | PublishOutcome::Nacked | PublishOutcome::Unconfirmed(_) => {}
        }
    }

    fn message(&self, announcement: &Announcement) -> Outgoing {
        let number = announcement.number.as_str();
        let (exchange, routing_key, kind, body) = match &announcement.content {
            AnnouncementContent::Order(order) => {
                let key = order_routing_key(order.order_type.as_str(), announcement.priority.value());
                (ORDERS_EXCHANGE, key, ORDER_KIND, to_json(order))
            }
            AnnouncementContent::Status(update) => {
                (NOTIFICATIONS_EXCHANGE, String::new(), STATUS_KIND, to_json(update))
            }
        };
        Outgoing {
            exchange: exchange.into(),
            routing_key,
            body,
            properties: Properties {
                // The same change has the same id, however often it is published.
                message_id: Some(format!("{number}.{}", announcement.log_id)),
                correlation_id: Some(announcement.request_id.clone()),
                timestamp_s: u64::try_from(announcement.changed_at.as_second()).ok(),
                kind: Some(kind.to_owned()),
                app_id: Some(self.owner.app_id().to_owned()),
                priority: Some(announcement.priority.value()),
                traceparent: announcement.traceparent.clone(),
                ..Properties::default()
            },
        }
    }
}

/// The span of a message that is published; what is done with it elsewhere is below that.
fn producing(message: &mut Outgoing) -> Span {
    let parent = message.properties.traceparent.as_deref();
    let mut trace = Span::begin(Kind::Producer, || format!("publish {}", message.exchange), parent);
    if trace.is_seen() {
        for (name, value) in [
            ("messaging.system", "rabbitmq"),
            ("messaging.operation.type", "send"),
            ("messaging.operation.name", "publish"),
            ("messaging.destination.name", &*message.exchange),
            ("messaging.rabbitmq.destination.routing_key", &*message.routing_key),
            ("messaging.message.id", message.properties.message_id.as_deref().unwrap_or_default()),
            (
                "messaging.message.conversation_id",
                message.properties.correlation_id.as_deref().unwrap_or_default(),
            ),
        ] {
            trace.note(name, value);
        }
    }
    if let Some(own) = trace.traceparent() {
        message.properties.traceparent = Some(own);
    }
    trace
}

/// The outage is logged by the store; everything else here.
fn failed(error: &StoreError) -> Round {
    if !error.is_unavailable() {
        let error: &dyn std::error::Error = error;
        tracing::error!(action = "relay_failed", error, "announcing failed; trying again");
    }
    Round::Failed
}

/// These types hold nothing that JSON cannot say; an empty body would go to the dead letters and be seen.
fn to_json(message: &impl serde::Serialize) -> Bytes {
    serde_json::to_vec(message).unwrap_or_default().into()
}

fn log_published(announcement: &Announcement) {
    let (order_number, request_id) = (&announcement.number, &announcement.request_id);
    match &announcement.content {
        AnnouncementContent::Order(order) => tracing::info!(
            action = "order_published",
            %order_number,
            %request_id,
            details = %order_routing_key(order.order_type.as_str(), announcement.priority.value()),
            "the order is on its way to the kitchen"
        ),
        AnnouncementContent::Status(update) => tracing::debug!(
            action = "status_published", %order_number, %request_id, details = %update.new_status, "the change is announced"
        ),
    }
}
