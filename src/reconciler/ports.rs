//! What the reconciler needs of its two servers. `Store` and `Broker` are the real ones; `tests/sim` drives it over a
//! model of both.

use std::time::Duration;

use crate::broker::{Broker, BrokerError};
use crate::relay::RelayBroker;
use crate::store::{LateOrders, Store, StoreError};

/// What may have to be announced again. Its functions are those of [`Store`].
pub trait ReconcilerStore: Clone + Send + Sync + 'static {
    /// See [`Store::outbox_rows`].
    fn outbox_rows(&self, limit: i64) -> impl Future<Output = Result<i64, StoreError>> + Send;

    /// See [`Store::announce_late_orders`].
    fn announce_late_orders(
        &self,
        after: i64,
        limit: i64,
        first_pause: Duration,
    ) -> impl Future<Output = Result<LateOrders, StoreError>> + Send;

    /// See [`Store::announce_everything`].
    fn announce_everything(
        &self,
        window: Duration,
        page: i64,
    ) -> impl Future<Output = Result<i64, StoreError>> + Send;
}

/// What the broker remembers. Its functions are those of [`Broker`].
pub trait ReconcilerBroker: RelayBroker {
    /// See [`Broker::has_mark`].
    fn has_mark(&self, connection: u64) -> impl Future<Output = Result<bool, BrokerError>> + Send;

    /// See [`Broker::leave_mark`].
    fn leave_mark(&self, connection: u64) -> impl Future<Output = Result<(), BrokerError>> + Send;
}

impl ReconcilerStore for Store {
    async fn outbox_rows(&self, limit: i64) -> Result<i64, StoreError> {
        Self::outbox_rows(self, limit).await
    }

    async fn announce_late_orders(
        &self,
        after: i64,
        limit: i64,
        first_pause: Duration,
    ) -> Result<LateOrders, StoreError> {
        Self::announce_late_orders(self, after, limit, first_pause).await
    }

    async fn announce_everything(&self, window: Duration, page: i64) -> Result<i64, StoreError> {
        Self::announce_everything(self, window, page).await
    }
}

impl ReconcilerBroker for Broker {
    async fn has_mark(&self, connection: u64) -> Result<bool, BrokerError> {
        Self::has_mark(self, connection).await
    }

    async fn leave_mark(&self, connection: u64) -> Result<(), BrokerError> {
        Self::leave_mark(self, connection).await
    }
}
