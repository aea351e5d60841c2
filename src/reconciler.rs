//! The reconciler: sees to it that the broker knows what the database knows, whatever the broker has lost.
//!
//! The relay announces each thing once it is committed. This one comes after it, in every order service: an order that
//! waits too long is announced again, with growing pauses; a broker that lost its disk is told everything again; and
//! when the outbox grows past its limit because RabbitMQ stays away, the service is told to take no more orders.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use amqp::{BrokerSentinel, BrokerState};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::relay::RelayWaker;
use crate::store::{ReconcilerStore, StoreError};

/// How often it looks.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);
/// Waiting orders that one look looks at: a long backlog is walked along in many looks.
const LATE_PAGE: i64 = 500;
/// Rows that one statement enters in the outbox.
const EVERYTHING_PAGE: i64 = 5_000;
/// Subscribers, who lost their queues with the broker, connect again within this time: an update is for those who
/// are bound when it is published. By then every relay has done with what it had sent to the broker as it was before:
/// a row that is in the outbox for that reason is not entered again, and would be deleted as announced.
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
    pub fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Starts it on `tasks`; it ends with `stop`.
pub fn start<S: ReconcilerStore, B: BrokerSentinel>(
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
    /// Where the walk along the backlog goes on.
    next: i64,
    /// The connection whose broker is known to have the sentinel.
    known: Option<u64>,
    /// Since when the broker of this connection is known to lack the sentinel. The next one's may have lost its disk anew.
    unknown_since: Option<(u64, Instant)>,
}

impl<S: ReconcilerStore, B: BrokerSentinel> Reconciler<S, B> {
    /// Every step may be cut off at any point: each is one statement, and none relies on the one before it.
    async fn run(mut self) {
        loop {
            // Spread, so that several services do not look in step.
            tokio::time::sleep(LOOK_INTERVAL.mul_f64(0.75 + fastrand::f64() / 2.0)).await;
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

    /// Meets the broker of a new connection, and tells it everything if it has lost its memory. The sentinel comes last: a
    /// death before it has the next one do it all again.
    async fn greet(&mut self, connection: u64) -> Result<(), StoreError> {
        // The broker's connection tells its own story.
        let Ok(has_sentinel) = self.broker.has_sentinel(connection).await else { return Ok(()) };
        let was_noted = self.store.note_sentinel().await?;
        if !has_sentinel && was_noted {
            let unknown = self.unknown_since.filter(|(of, _)| *of == connection);
            let (_, since) = *self.unknown_since.insert(unknown.unwrap_or((connection, Instant::now())));
            if since.elapsed() < SUBSCRIBERS_RETURN {
                return Ok(());
            }
            self.tell_everything().await?;
        }
        if has_sentinel || self.broker.leave_sentinel(connection).await.is_ok() {
            self.known = Some(connection);
        }
        self.unknown_since = None;
        Ok(())
    }

    async fn tell_everything(&self) -> Result<(), StoreError> {
        let announced = self.store.announce_everything(self.options.repeat_updates, EVERYTHING_PAGE).await?;
        tracing::warn!(
            action = "announced_everything_again",
            details = announced,
            "RabbitMQ has lost its disk, or is another one: orders that wait and late changes are announced again"
        );
        self.relay.wake();
        Ok(())
    }
}
