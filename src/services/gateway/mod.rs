//! The web gateway: the pages for people, and below `/api` the calls of both services that pages need (contract, section 13).
//!
//! It knows the addresses of two services. It has no database, no broker and no password.

mod api;
mod caller;
mod described;
mod health;
mod order_page;
mod ready_page;
mod routes;
mod run;
mod session;
mod staff_page;
mod track_page;
mod upstream;

pub use api::info;
pub use run::{GatewayApi, run};
pub use upstream::CALLS_MAX;

use daemon::metrics::Metrics;
use http_kit::server::{Listener, ServerError, ServerLimits};
use reqwest::Url;

use crate::http::restaurant::Restaurant;

#[derive(Debug)]
pub struct GatewayOptions {
    /// The process's metrics.
    pub metrics: Metrics,
    /// Where they are shown on a port of their own.
    pub metrics_port: Option<Listener>,
    pub host: String,
    /// Port to listen on; 0 for a free one.
    pub port: u16,
    pub limits: ServerLimits,
    pub order_url: Url,
    pub tracking_url: Url,
    /// Streams of live events that are passed on at once.
    pub max_event_streams: usize,
    pub restaurant: Restaurant,
}

/// Why the gateway cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error("no client of the services can be made: {0}")]
    Client(#[from] reqwest::Error),
}
