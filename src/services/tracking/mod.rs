//! The tracking service: where an order is, what happened to it, and how the workers are. It only reads.

mod api;
mod board;
mod cursors;
mod event_hub;
mod feed;
mod followed_orders;
mod lists;
mod rendered_event;
mod run;
mod statuses;
mod stream;
mod views;

pub use api::{TrackingApi, info};
pub use run::run;

use std::time::Duration;

use daemon::metrics::Metrics;
use http_kit::server::{ServerError, ServerLimits};
use tokio::sync::watch;

use crate::domain::StaffAccess;
use crate::services::load::UnmeasuredTimes;
use crate::store::StoreError;

#[derive(Debug, Clone)]
pub struct TrackingServiceOptions {
    /// The process's metrics.
    pub metrics: Metrics,
    pub host: String,
    /// Port to listen on; 0 for a free one.
    pub port: u16,
    pub limits: ServerLimits,
    pub unmeasured: UnmeasuredTimes,
    /// From when on a waiting order goes before all that have waited for less.
    pub promote_after: Duration,
    /// Streams of live events that are served at once.
    pub max_event_streams: usize,
    /// Whether anybody may list the orders and follow all of them; else staff alone.
    pub public_lists: bool,
    /// By what staff are known, as it is now; without anything what is for staff is off.
    pub staff: watch::Receiver<StaffAccess>,
}

/// Why the tracking service cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum TrackingServiceError {
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error(transparent)]
    Store(#[from] StoreError),
}
