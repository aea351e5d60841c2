//! The order service: takes orders over HTTP. It answers once an order is committed; the relay announces it.

mod api;
mod document;
mod intake;
mod intake_api;
mod intake_board;
mod looking;
mod menu;
mod menu_api;
mod menu_views;
mod metrics;
mod order_views;
mod reading;
mod run;
mod staff_api;
mod tables;

use std::time::Duration;

pub use api::info;
pub use intake::{Intake, Taken};
pub use metrics::OrdersReceived;
pub use reading::parse_order;
pub use run::run;
pub use tables::TableTokens;

use daemon::metrics::Metrics;
use http_kit::server::{ServerError, ServerLimits};
use jiff::tz::TimeZone;
use tokio::sync::watch;

use crate::domain::{IntakeTimes, Menu, OpeningHours, StaffAccess};
use crate::reconciler::ReconcilerOptions;
use crate::services::load::UnmeasuredTimes;
use crate::store::{IntakeLimits, StoreError};

#[derive(Debug, Clone)]
pub struct OrderServiceOptions {
    /// The process's metrics.
    pub metrics: Metrics,
    pub host: String,
    /// Port to listen on; 0 for a free one.
    pub port: u16,
    pub limits: ServerLimits,
    /// Orders being taken at once; more wait for [`OrderServiceOptions::queue_timeout`] and are then refused.
    pub max_concurrent: usize,
    /// How long an order waits for its turn.
    pub queue_timeout: Duration,
    /// The outbox's limit, and what is announced again.
    pub reconciler: ReconcilerOptions,
    /// By what staff are known, as it is now; without anything what is for staff is off.
    pub staff: watch::Receiver<StaffAccess>,
    /// How long after it was ready staff may recall an order.
    pub recall_within: Duration,
    /// What the customers' links to their orders begin with, without a slash at its end.
    pub public_url: Option<String>,
    /// Put in force at the start; without one what was applied before stays.
    pub menu: Option<Menu>,
    /// Of the restaurant.
    pub time_zone: TimeZone,
    pub intake: IntakeRules,
}

/// When orders are taken.
#[derive(Debug, Clone)]
pub struct IntakeRules {
    pub hours: OpeningHours,
    pub times: IntakeTimes,
    pub limits: IntakeLimits,
    pub tables: TableTokens,
    /// What estimates are made from, as the tracking service makes them.
    pub unmeasured: UnmeasuredTimes,
    /// From when on a waiting order goes before all that have waited for less.
    pub promote_after: Duration,
}

/// Everything that the service answers.
pub type OrderServiceApi = (api::OrderApi, staff_api::StaffApi, menu_api::MenuApi, intake_api::IntakeApi);

/// Why the order service cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum OrderServiceError {
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Thread(std::io::Error),
}
