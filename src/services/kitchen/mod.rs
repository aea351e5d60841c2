//! The kitchen worker: claims orders, cooks them, says so.
//!
//! An order reaches it by message or, when a message is late, held up or lost, by a backlog sweep. Either way the
//! claim decides, and only the holder of the current attempt can finish the order.

mod cook;
mod heartbeat;
mod held;
mod messages;
mod name;
mod run;
mod sweep;
mod unknown;

use std::time::Duration;

use amqp::{BrokerError, NameError};

pub use run::run;

use crate::domain::{CookTimes, OrderType, WorkerName};
use crate::store::StoreError;

#[derive(Debug, Clone)]
pub struct KitchenOptions {
    /// Its name; two living workers never share one.
    pub name: WorkerName,
    pub order_types: Vec<OrderType>,
    /// How often it says that it lives.
    pub heartbeat_interval: Duration,
    /// How many orders it cooks at once.
    pub prefetch: u16,
    /// How long it cooks and waits.
    pub times: KitchenTimes,
}

/// The times of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KitchenTimes {
    /// How long each type cooks.
    pub cook: CookTimes,
    /// How long a worker may go on cooking after it was asked to stop; what is not done then is given back.
    pub stop_timeout: Duration,
    /// How long an order waits for its message before a free worker claims it in a backlog sweep.
    pub grace: Duration,
}

/// Why a worker cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum KitchenError {
    #[error("worker {name} cannot start: {source}")]
    Name { name: WorkerName, source: NameError },
    /// Its name was taken by another while it was cut off.
    #[error("worker {0} stops: another worker of this name has started")]
    Replaced(WorkerName),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the kitchen's queues cannot be consumed: {0}")]
    Consume(#[from] BrokerError),
}
