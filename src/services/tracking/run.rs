//! The tracking service's life.

use std::time::Duration;

use amqp::{Broker, Publish};
use daemon::shutdown::Shutdown;
use daemon::systemd::ServiceManager;
use http_kit::app;
use http_kit::sse::EventStreams;
use tokio_util::task::TaskTracker;

use super::api::{Live, TrackingApi, info};
use super::board::Room;
use super::event_hub::EventHub;
use super::feed;
use super::followed_orders::FollowedOrders;
use super::lists::Lists;
use super::statuses::Statuses;
use super::stream::Openings;
use super::{TrackingServiceError, TrackingServiceOptions};
use crate::services::house_metrics;
use crate::services::load::KitchenPictures;
use crate::services::servers::{ServerStates, listen, readiness, serve_prepared, settle, stream_limits};
use crate::services::staff::StaffAuth;
use crate::store::{Store, StoreAccess};

/// An order service that starts at the same time watches the house.
const WATCH_PATIENCE: Duration = Duration::from_secs(5);

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
    let servers = ServerStates::of(Some(store.state()), broker.state()).with_alarms(&broker);
    let _reports = manager.follow(&shutdown, move || servers.condition(format!("answering at {address}")));
    let stopping = shutdown.stopping();
    let background = TaskTracker::new();
    let followed_orders = FollowedOrders::default();
    let hub = EventHub::new(store.clone(), followed_orders.clone());
    background.spawn(followed_orders.serve(store.clone(), stopping.clone()));
    background.spawn(hub.clone().read(stopping.clone()));
    let connections = options.limits.connections;
    let room = Room::start(store.clone(), connections, stopping.clone(), &background);
    background.spawn(feed::follow(broker.clone(), hub.clone(), room.clone(), stopping.clone()));
    let metrics = options.metrics;
    background.spawn(house_metrics::observe(&store, &broker, &metrics, WATCH_PATIENCE, &stopping));
    let (max_streams, share) = stream_limits(options.max_event_streams, &options.limits);
    let streams = EventStreams::new(max_streams, share, stopping.clone(), &metrics);
    let openings = Openings::start(store.clone(), max_streams, &background);
    let statuses = Statuses::start(store.clone(), connections, &background);
    let live = Live { hub, openings, room, streams };
    let lists = if options.public_lists {
        Lists::public()
    } else {
        Lists::for_staff(StaffAuth::new(options.staff, store.clone(), &metrics))
    };
    let pictures = KitchenPictures::new(store.clone(), options.unmeasured, options.promote_after);
    let api = TrackingApi::new(store.clone(), statuses, pictures, live, lists);
    let endpoint = app(api, &info(), &metrics, readiness(&store, &broker));
    let served = serve_prepared(listening, endpoint, options.limits, &store, &stopping, manager).await;
    settle(&background).await;
    Ok(served?)
}
