//! What a worker needs of its two servers, beside what its relay does. `Store` and `Broker` are the real ones;
//! `tests/sim` drives the worker over a model of both.

use std::time::Duration;

use tokio::sync::watch;
use tracing::Level;
use uuid::Uuid;

use crate::broker::{
    Broker, BrokerError, ConsumeOptions, Consumer, ConsumerEvent, Delivery, HeldName, NameError, Properties,
};
use crate::domain::{OrderNumber, WorkerName, WorkerState};
use crate::relay::{RelayBroker, RelayStore};
use crate::services::dead_letters;
use crate::store::{
    Claim, ClaimedOrder, Finish, Heartbeat, NameRecord, Refusal, Registered, Store, StoreError, StoreState,
    WorkerRegistration,
};

/// The kitchen's compare-and-set and the table of workers. Its functions are those of [`Store`].
pub trait KitchenStore: RelayStore {
    /// See [`Store::prepare`].
    fn prepare(&self) -> impl Future<Output = Result<usize, StoreError>> + Send;

    /// See [`Store::state`].
    fn state(&self) -> watch::Receiver<StoreState>;

    /// See [`Store::wait_up`].
    fn wait_up(&self) -> impl Future<Output = ()> + Send;

    /// See [`Store::spare_connections`].
    fn spare_connections(&self, spare: bool);

    /// See [`Store::register_worker`].
    fn register_worker(
        &self,
        worker: &WorkerRegistration,
    ) -> impl Future<Output = Result<Registered, StoreError>> + Send;

    /// See [`Store::register_worker_over`].
    fn register_worker_over(
        &self,
        worker: &WorkerRegistration,
        found: Option<&NameRecord>,
    ) -> impl Future<Output = Result<Option<Registered>, StoreError>> + Send;

    /// See [`Store::name_record`].
    fn name_record(
        &self,
        name: &WorkerName,
    ) -> impl Future<Output = Result<Option<NameRecord>, StoreError>> + Send;

    /// See [`Store::heartbeat`].
    fn heartbeat(
        &self,
        name: &WorkerName,
        session: Uuid,
        state: WorkerState,
        in_hand: &[OrderNumber],
    ) -> impl Future<Output = Result<Heartbeat, StoreError>> + Send;

    /// See [`Store::claim_orders`].
    fn claim_orders(
        &self,
        claim: &Claim,
        numbers: &[OrderNumber],
    ) -> impl Future<Output = Result<Vec<ClaimedOrder>, StoreError>> + Send;

    /// See [`Store::claim_overdue`].
    fn claim_overdue(
        &self,
        claim: &Claim,
        grace: Duration,
        limit: i64,
    ) -> impl Future<Output = Result<Vec<ClaimedOrder>, StoreError>> + Send;

    /// See [`Store::refusal`].
    fn refusal(
        &self,
        claim: &Claim,
        number: &OrderNumber,
    ) -> impl Future<Output = Result<Refusal, StoreError>> + Send;

    /// See [`Store::finish_orders`].
    fn finish_orders(
        &self,
        worker: &WorkerName,
        finished: &[Finish],
    ) -> impl Future<Output = Result<Vec<OrderNumber>, StoreError>> + Send;

    /// See [`Store::give_back_orders`].
    fn give_back_orders(
        &self,
        worker: &WorkerName,
        orders: &[Finish],
    ) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// See [`Store::is_finished_by`].
    fn is_finished_by(
        &self,
        worker: &WorkerName,
        finish: &Finish,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;
}

/// The kitchen's queues and the worker's name. Its functions are those of [`Broker`].
pub trait KitchenBroker: RelayBroker {
    /// A message in the worker's hands.
    type Delivery: KitchenDelivery;
    /// Messages as they come.
    type Consumer: KitchenConsumer<Self::Delivery>;
    /// The name, held as long as this lives.
    type Name: WorkerNameHold;

    /// See [`Broker::death_notice`].
    fn death_notice(&self) -> Duration;

    /// See [`Broker::hold_name`].
    fn hold_name(&self, name: &str) -> impl Future<Output = Result<Self::Name, NameError>> + Send;

    /// See [`Broker::consume`].
    fn consume(
        &self,
        options: ConsumeOptions,
    ) -> impl Future<Output = Result<Self::Consumer, BrokerError>> + Send;

    /// Puts a message to the dead letters, where a person finds it with the reason, which is logged at this level.
    fn bury(&self, delivery: Self::Delivery, reason: &str, level: Level) -> impl Future<Output = ()> + Send;
}

/// See [`Delivery`].
pub trait KitchenDelivery: Send + 'static {
    /// See [`Delivery::body`].
    fn body(&self) -> &[u8];

    /// See [`Delivery::body_bytes`].
    fn body_bytes(&self) -> usize;

    /// What goes with it.
    fn properties(&self) -> &Properties;

    /// See [`Delivery::ack`].
    fn ack(self) -> impl Future<Output = bool> + Send;

    /// See [`Delivery::give_back`].
    fn give_back(self) -> impl Future<Output = bool> + Send;
}

/// See [`Consumer`].
pub trait KitchenConsumer<D>: Send {
    /// See [`Consumer::next`].
    fn next(&mut self) -> impl Future<Output = Option<ConsumerEvent<D>>> + Send;

    /// See [`Consumer::stop`].
    fn stop(&mut self) -> impl Future<Output = ()> + Send;
}

/// See [`HeldName`].
pub trait WorkerNameHold: Send + Sync {
    /// See [`HeldName::lost`].
    fn lost(&self) -> impl Future<Output = ()> + Send;
}

impl KitchenStore for Store {
    async fn prepare(&self) -> Result<usize, StoreError> {
        Self::prepare(self).await
    }

    fn state(&self) -> watch::Receiver<StoreState> {
        Self::state(self)
    }

    async fn wait_up(&self) {
        Self::wait_up(self).await;
    }

    fn spare_connections(&self, spare: bool) {
        Self::spare_connections(self, spare);
    }

    async fn register_worker(&self, worker: &WorkerRegistration) -> Result<Registered, StoreError> {
        Self::register_worker(self, worker).await
    }

    async fn register_worker_over(
        &self,
        worker: &WorkerRegistration,
        found: Option<&NameRecord>,
    ) -> Result<Option<Registered>, StoreError> {
        Self::register_worker_over(self, worker, found).await
    }

    async fn name_record(&self, name: &WorkerName) -> Result<Option<NameRecord>, StoreError> {
        Self::name_record(self, name).await
    }

    async fn heartbeat(
        &self,
        name: &WorkerName,
        session: Uuid,
        state: WorkerState,
        in_hand: &[OrderNumber],
    ) -> Result<Heartbeat, StoreError> {
        Self::heartbeat(self, name, session, state, in_hand).await
    }

    async fn claim_orders(
        &self,
        claim: &Claim,
        numbers: &[OrderNumber],
    ) -> Result<Vec<ClaimedOrder>, StoreError> {
        Self::claim_orders(self, claim, numbers).await
    }

    async fn claim_overdue(
        &self,
        claim: &Claim,
        grace: Duration,
        limit: i64,
    ) -> Result<Vec<ClaimedOrder>, StoreError> {
        Self::claim_overdue(self, claim, grace, limit).await
    }

    async fn refusal(&self, claim: &Claim, number: &OrderNumber) -> Result<Refusal, StoreError> {
        Self::refusal(self, claim, number).await
    }

    async fn finish_orders(
        &self,
        worker: &WorkerName,
        finished: &[Finish],
    ) -> Result<Vec<OrderNumber>, StoreError> {
        Self::finish_orders(self, worker, finished).await
    }

    async fn give_back_orders(&self, worker: &WorkerName, orders: &[Finish]) -> Result<u64, StoreError> {
        Self::give_back_orders(self, worker, orders).await
    }

    async fn is_finished_by(&self, worker: &WorkerName, finish: &Finish) -> Result<bool, StoreError> {
        Self::is_finished_by(self, worker, finish).await
    }
}

impl KitchenBroker for Broker {
    type Delivery = Delivery;
    type Consumer = Consumer;
    type Name = HeldName;

    fn death_notice(&self) -> Duration {
        Self::death_notice(self)
    }

    async fn hold_name(&self, name: &str) -> Result<HeldName, NameError> {
        Self::hold_name(self, name).await
    }

    async fn consume(&self, options: ConsumeOptions) -> Result<Consumer, BrokerError> {
        Self::consume(self, options).await
    }

    async fn bury(&self, delivery: Delivery, reason: &str, level: Level) {
        dead_letters::bury_at(level, self, delivery, reason).await;
    }
}

impl KitchenDelivery for Delivery {
    fn body(&self) -> &[u8] {
        &self.body
    }

    fn body_bytes(&self) -> usize {
        self.body_bytes
    }

    fn properties(&self) -> &Properties {
        &self.properties
    }

    async fn ack(self) -> bool {
        Self::ack(self).await
    }

    async fn give_back(self) -> bool {
        Self::give_back(self).await
    }
}

impl KitchenConsumer<Delivery> for Consumer {
    async fn next(&mut self) -> Option<ConsumerEvent> {
        Self::next(self).await
    }

    async fn stop(&mut self) {
        Self::stop(self).await;
    }
}

impl WorkerNameHold for HeldName {
    async fn lost(&self) {
        Self::lost(self).await;
    }
}
