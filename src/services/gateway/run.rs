//! The gateway's life.

use daemon::shutdown::Shutdown;
use daemon::systemd::ServiceManager;
use http_kit::app;
use http_kit::server::serve;
use http_kit::sse::EventStreams;

use super::api::{ApiProxy, info};
use super::health::States;
use super::order_page::OrderPage;
use super::ready_page::ReadyPages;
use super::staff_page::StaffPages;
use super::track_page::TrackPages;
use super::upstream::Upstream;
use super::{GatewayError, GatewayOptions};
use crate::http::restaurant::Restaurant;
use crate::http::web::PageFiles;
use crate::services::server_metrics::ServerMetrics;
use crate::services::servers::{listen, show_metrics, stream_limits};

/// Everything that the gateway answers: its calls, and each page.
pub type GatewayApi = (ApiProxy, OrderPage, TrackPages, ReadyPages, StaffPages, PageFiles);

/// Each page file has one of these; a new page is made here.
fn answers(upstream: &Upstream, streams: EventStreams, restaurant: &Restaurant) -> GatewayApi {
    let order_page = OrderPage::new(upstream.clone(), restaurant.clone());
    let track = TrackPages::new(upstream.clone(), restaurant.clone());
    let ready = ReadyPages::new(upstream.clone(), restaurant.clone());
    let staff = StaffPages::new(upstream.clone(), restaurant.clone());
    (ApiProxy::new(upstream.clone(), streams), order_page, track, ready, staff, PageFiles)
}

/// Serves until it is asked to stop. It serves at once; while a service is away it says so.
///
/// # Errors
/// When it cannot listen.
pub async fn run(
    options: GatewayOptions,
    shutdown: Shutdown,
    manager: &ServiceManager,
) -> Result<(), GatewayError> {
    let (listener, _) = listen(&options.host, options.port, manager).await?;
    let address = listener.local_addr();
    tracing::info!(action = "service_started", %address, "the web gateway listens");
    let stopping = shutdown.stopping();
    let upstream = Upstream::new(options.order_url, options.tracking_url)?;
    let states = States::watch(upstream.clone(), stopping.clone());
    let readiness = states.readiness();
    states.measure(&ServerMetrics::register(&options.metrics));
    let _metrics_port =
        options.metrics_port.map(|port| show_metrics(port, &options.metrics, readiness.clone()));
    let _reports = manager.follow(&shutdown, move || states.condition(format!("answering at {address}")));
    let metrics = options.metrics;
    let (max_streams, share) = stream_limits(options.max_event_streams, &options.limits);
    let streams = EventStreams::new(max_streams, share, stopping.clone(), &metrics);
    let answers = answers(&upstream, streams, &options.restaurant);
    let app = app(answers, &info(), &metrics, readiness);
    manager.ready();
    serve(listener, app, options.limits, stopping).await;
    Ok(())
}
