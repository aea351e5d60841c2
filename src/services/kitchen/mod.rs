//! The kitchen worker: claims orders, cooks them, says so.
//!
//! An order reaches it by message or, when a message is late, held up or lost, by a backlog sweep. Either way the
//! claim decides, and only the holder of the current attempt can finish the order. It is ready when its time is over, or when a
//! person at the worker's station says so.

mod by_hand;
mod cook;
mod estimate_errors;
mod heartbeat;
mod held;
mod messages;
mod metrics;
mod name;
mod promotion;
mod run;
mod station;
mod sweep;
mod unknown;

use std::sync::Arc;
use std::time::Duration;

use amqp::{BrokerError, NameError};
use daemon::metrics::Metrics;
use http_kit::server::ServerLimits;
use tokio::sync::{Notify, watch};

pub use estimate_errors::EstimateErrors;
pub use run::run;
pub use station::{STREAMS_MAX as STATION_STREAMS_MAX, Station, StationServiceApi, info as station_info};

use crate::domain::{CookTimes, OrderType, StaffAccess, WorkerName};
use crate::services::transitions::Transitions;
use crate::store::StoreError;

#[derive(Debug, Clone)]
pub struct KitchenOptions {
    /// The process's metrics.
    pub metrics: Metrics,
    /// Its name; two living workers never share one.
    pub name: WorkerName,
    pub order_types: Vec<OrderType>,
    /// How often it says that it lives.
    pub heartbeat_interval: Duration,
    /// How many orders it cooks at once.
    pub prefetch: u16,
    /// How long it cooks and waits.
    pub times: KitchenTimes,
    /// Where persons say that an order is ready; without it an order is when its time is over.
    pub station: Option<StationOptions>,
}

#[derive(Debug, Clone)]
pub struct StationOptions {
    /// Address to listen on.
    pub host: String,
    /// Port to listen on; 0 for a free one.
    pub port: u16,
    pub limits: ServerLimits,
    pub times: StationTimes,
    /// How long after it was ready a person may recall an order.
    pub recall_within: Duration,
    /// By what staff are known, as it is now; without anything nobody can work at the station.
    pub staff: watch::Receiver<StaffAccess>,
    /// Told when a person has done something: the worker looks at once.
    pub look: Arc<Notify>,
    /// Of the orders that became ready here.
    pub estimate_errors: EstimateErrors,
    /// Those of the worker and of what persons do at its station.
    pub transitions: Transitions,
}

/// The times of a station.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StationTimes {
    /// How long a person may take a bump back before the order is ready.
    pub bump_undo: Duration,
    /// How long after it was placed each type is to be ready.
    pub target: CookTimes,
    /// From which share of its target time on an order is to be hurried.
    pub warn: f64,
    /// From which share of it on an order is late.
    pub late: f64,
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
    /// An order that has waited so long goes before all that have waited for less.
    pub promote_after: Duration,
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
