//! The tracking service's life.

use tokio_util::task::TaskTracker;

use super::api::{TrackingApi, info};
use super::feed::Feed;
use super::statuses::Statuses;
use super::{TrackingServiceError, TrackingServiceOptions};
use crate::broker::Broker;
use crate::http::app;
use crate::http::sse::EventStreams;
use crate::runtime::metrics::Metrics;
use crate::runtime::shutdown::Shutdown;
use crate::runtime::systemd::ServiceManager;
use crate::services::servers::{Servers, listen, readiness, serve_prepared, settle};
use crate::store::Store;

/// Streams of live events that are served at once; half of all connections, so that others get through.
const MAX_EVENT_STREAMS: usize = 512;

/// Serves until it is asked to stop. It serves at once; while its servers are away it says so.
///
/// # Errors
/// When it cannot listen, or the database's migrations fail.
pub async fn run(
    options: TrackingServiceOptions,
    store: Store,
    broker: Broker,
    shutdown: Shutdown,
    manager: &ServiceManager,
) -> Result<(), TrackingServiceError> {
    let listening = listen(&options.host, options.port, manager).await?;
    let address = listening.0.local_addr();
    tracing::info!(action = "service_started", %address, "the tracking service listens");
    let servers = Servers::of(Some(store.state()), broker.state());
    let _reports = manager.follow(&shutdown, move || servers.condition(format!("answering at {address}")));
    let stopping = shutdown.stopping();
    let background = TaskTracker::new();
    let feed = Feed::new();
    background.spawn(feed.clone().follow(broker.clone(), stopping.clone()));
    let metrics = Metrics::new();
    let streams = EventStreams::new(MAX_EVENT_STREAMS, stopping.clone(), &metrics);
    let statuses = Statuses::start(store.clone(), &background);
    let api = TrackingApi::new(store.clone(), statuses, feed, options.cook_times, streams);
    let endpoint = app(api, &info(), &metrics, readiness(&store, &broker));
    let served = serve_prepared(listening, endpoint, &store, &stopping, manager).await;
    settle(&background).await;
    Ok(served?)
}
