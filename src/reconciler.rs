//! The reconciler: sees to it that the broker knows what the database knows, whatever the broker has lost.
//!
//! The relay announces each thing once it is committed. This one comes after it, in every order service: an order that
//! waits too long is announced again, with growing pauses; a broker that lost its disk is told everything again; and
//! when the outbox grows past its limit because RabbitMQ stays away, the service is told to take no more orders.

mod ports;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use ports::{ReconcilerBroker, ReconcilerStore};

use crate::broker::BrokerState;
use crate::relay::RelayWaker;
use crate::store::StoreError;

/// How often it looks.
const LOOK: Duration = Duration::from_secs(2);
/// Waiting orders that one look looks at: a long rail is walked along in many looks.
const LATE_PAGE: i64 = 500;
/// Rows that one statement enters in the outbox.
const EVERYTHING_PAGE: i64 = 5_000;
/// Subscribers, who lost their queues with the broker, connect again within this time: an update is for those who
/// are bound when it is published.
const SUBSCRIBERS_RETURN: Duration = Duration::from_secs(12);

/// When what is announced again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReconcilerOptions {
    /// The outbox takes no more orders past so many rows.
    pub max_rows: u32,
    /// An order that waits so long is announced again; then after twice that time, and so on.
    pub announce_again: Duration,
    /// Changes of status so old are told again to a broker that lost its disk.
    pub repeat_updates: Duration,
}

/// Whether the outbox is full, as far as the last look knows.
#[derive(Debug, Clone, Default)]
pub struct OutboxFull(Arc<AtomicBool>);

impl OutboxFull {
    /// The answer.
    pub fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Starts it on `tasks`; it ends with `stop`.
pub fn start<S: ReconcilerStore, B: ReconcilerBroker>(
    store: S,
    broker: B,
    options: ReconcilerOptions,
    relay: RelayWaker,
    stop: CancellationToken,
    tasks: &TaskTracker,
) -> OutboxFull {
    let full = OutboxFull::default();
    let reconciler = Reconciler {
        store,
        broker,
        options,
        relay,
        full: full.clone(),
        next: 0,
        known: None,
        unknown_since: None,
    };
    tasks.spawn(async move {
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = reconciler.run() => {}
        }
    });
    full
}

struct Reconciler<S, B> {
    store: S,
    broker: B,
    options: ReconcilerOptions,
    relay: RelayWaker,
    full: OutboxFull,
    /// Where the walk along the rail goes on.
    next: i64,
    /// The connection whose broker is known to have the mark.
    known: Option<u64>,
    /// Since when the broker is known to lack the mark.
    unknown_since: Option<Instant>,
}

impl<S: ReconcilerStore, B: ReconcilerBroker> Reconciler<S, B> {
    /// Every step may be cut off at any point: each is one statement, and none relies on the one before it.
    async fn run(mut self) {
        loop {
            // Spread, so that several services do not look in step.
            tokio::time::sleep(LOOK.mul_f64(0.75 + fastrand::f64() / 2.0)).await;
            if let Err(error) = self.look().await
                && !error.is_unavailable()
            {
                let error: &dyn std::error::Error = &error;
                tracing::error!(action = "reconciler_failed", error, "announcing again failed; trying again");
            }
        }
    }

    async fn look(&mut self) -> Result<(), StoreError> {
        self.measure().await?;
        let connection = match *self.broker.state().borrow() {
            BrokerState::Connected { generation, .. } => generation,
            BrokerState::Connecting { .. } | BrokerState::Closed => return Ok(()),
        };
        if self.known != Some(connection) {
            self.greet(connection).await?;
        }
        let late = self.store.announce_late_orders(self.next, LATE_PAGE, self.options.announce_again).await?;
        self.next = late.next;
        if late.announced > 0 {
            tracing::info!(
                action = "orders_announced_again",
                details = late.announced,
                "orders wait for long: they are announced again"
            );
            self.relay.wake();
        }
        Ok(())
    }

    async fn measure(&mut self) -> Result<(), StoreError> {
        let limit = i64::from(self.options.max_rows);
        let full = self.store.outbox_rows(limit).await? >= limit;
        if full != self.full.0.swap(full, Ordering::Relaxed) {
            if full {
                tracing::warn!(
                    action = "outbox_full",
                    details = limit,
                    "RabbitMQ has taken nothing for long: no more orders are taken"
                );
            } else {
                tracing::info!(action = "outbox_drained", "orders are taken again");
            }
        }
        Ok(())
    }

    /// Meets the broker of a new connection, and tells it everything if it knows nothing. The mark comes last: a death
    /// before it has the next one do it all again.
    async fn greet(&mut self, connection: u64) -> Result<(), StoreError> {
        match self.broker.has_mark(connection).await {
            Ok(true) => self.known = Some(connection),
            Ok(false) => {
                let unknown_since = *self.unknown_since.get_or_insert_with(Instant::now);
                if unknown_since.elapsed() < SUBSCRIBERS_RETURN {
                    return Ok(());
                }
                let announced =
                    self.store.announce_everything(self.options.repeat_updates, EVERYTHING_PAGE).await?;
                if announced > 0 {
                    tracing::warn!(
                        action = "announced_everything_again",
                        details = announced,
                        "RabbitMQ is new, or has lost its disk: orders that wait and late changes are announced again"
                    );
                    self.relay.wake();
                }
                if self.broker.leave_mark(connection).await.is_ok() {
                    self.known = Some(connection);
                }
            }
            // The broker's connection tells its own story.
            Err(_) => return Ok(()),
        }
        self.unknown_since = None;
        Ok(())
    }
}
