//! The tracking service's life.

use tokio_util::task::TaskTracker;

use super::api::{TrackingApi, info};
use super::feed::Feed;
use super::{TrackingServiceError, TrackingServiceOptions};
use crate::broker::Broker;
use crate::http::app;
use crate::http::server::Listener;
use crate::runtime::metrics::Metrics;
use crate::runtime::shutdown::Shutdown;
use crate::services::servers::{readiness, serve_prepared, settle};
use crate::store::Store;

/// Serves until it is asked to stop. It serves at once; while its servers are away it says so.
///
/// # Errors
/// When it cannot listen, or the database's migrations fail.
pub async fn run(
    options: TrackingServiceOptions,
    store: Store,
    broker: Broker,
    shutdown: Shutdown,
) -> Result<(), TrackingServiceError> {
    let listener = Listener::bind(&options.host, options.port).await?;
    tracing::info!(action = "service_started", address = %listener.local_addr(), "the tracking service listens");
    let stopping = shutdown.stopping();
    let background = TaskTracker::new();
    let feed = Feed::new();
    background.spawn(feed.clone().follow(broker.clone(), stopping.clone()));
    let api = TrackingApi::new(store.clone(), feed, options.cook_times, stopping.clone());
    let endpoint = app(api, &info(), &Metrics::new(), readiness(&store, &broker));
    let served = serve_prepared(listener, endpoint, &store, &stopping).await;
    settle(&background).await;
    Ok(served?)
}
