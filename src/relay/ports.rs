//! What the relay needs of its two servers. `Store` and `Broker` are the real ones; `tests/sim` drives the relay over a
//! model of both.

use std::time::Duration;

use tokio::sync::watch;

use crate::broker::{Broker, BrokerError, BrokerState, Outgoing, PublishOutcome};
use crate::store::{Announcement, OutboxBatch, Store, StoreError};

/// The outbox. Its functions are those of [`Store`].
pub trait RelayStore: Clone + Send + Sync + 'static {
    /// Rows that are locked until they are confirmed or dropped.
    type Batch: LockedRows;

    /// See [`Store::lock_outbox`].
    fn lock_outbox(
        &self,
        limit: i64,
        orders_after: Duration,
    ) -> impl Future<Output = Result<Self::Batch, StoreError>> + Send;

    /// See [`Store::confirm_outbox`].
    fn confirm_outbox(
        &self,
        batch: Self::Batch,
        published: &[i64],
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// Outbox rows in a relay's hands: see [`OutboxBatch`].
pub trait LockedRows: Send {
    /// See [`OutboxBatch::announcements`].
    fn announcements(&self) -> &[Announcement];

    /// See [`OutboxBatch::locked`].
    fn locked(&self) -> usize;
}

/// Confirmed publishing. Its functions are those of [`Broker`].
pub trait RelayBroker: Clone + Send + Sync + 'static {
    /// See [`Broker::state`].
    fn state(&self) -> watch::Receiver<BrokerState>;

    /// See [`Broker::publish`].
    fn publish(&self, messages: Vec<Outgoing>) -> impl Future<Output = Vec<PublishOutcome>> + Send;

    /// See [`Broker::redeclare_topology`].
    fn redeclare_topology(&self) -> impl Future<Output = Result<(), BrokerError>> + Send;
}

impl RelayStore for Store {
    type Batch = OutboxBatch;

    async fn lock_outbox(&self, limit: i64, orders_after: Duration) -> Result<OutboxBatch, StoreError> {
        Self::lock_outbox(self, limit, orders_after).await
    }

    async fn confirm_outbox(&self, batch: OutboxBatch, published: &[i64]) -> Result<(), StoreError> {
        Self::confirm_outbox(self, batch, published).await
    }
}

impl LockedRows for OutboxBatch {
    fn announcements(&self) -> &[Announcement] {
        Self::announcements(self)
    }

    fn locked(&self) -> usize {
        Self::locked(self)
    }
}

impl RelayBroker for Broker {
    fn state(&self) -> watch::Receiver<BrokerState> {
        Self::state(self)
    }

    async fn publish(&self, messages: Vec<Outgoing>) -> Vec<PublishOutcome> {
        Self::publish(self, messages).await
    }

    async fn redeclare_topology(&self) -> Result<(), BrokerError> {
        Self::redeclare_topology(self).await
    }
}
