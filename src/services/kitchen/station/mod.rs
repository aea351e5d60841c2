//! A station: the pages and calls with which persons work at a manual worker (contract, section 14).
//!
//! Nothing of it is kept in the process. What a person does is a row in PostgreSQL, of which the worker is told; it makes ready
//! what was bumped, and takes in hand what was recalled.

mod api;
mod events;
mod views;
mod web;

use std::sync::Arc;

use amqp::Broker;
use http_kit::server::{Listener, ServerError, serve};
use http_kit::sse::EventStreams;
use http_kit::{App, app};
use tokio_util::sync::CancellationToken;

pub use api::info;

use crate::http::web::PageFiles;
use crate::services::kitchen::{KitchenOptions, StationOptions};
use crate::services::servers::readiness;
use crate::services::staff::StaffAuth;
use crate::store::{StationLook, Store};
use api::{StationApi, StationState};
use events::Board;
use web::WebApi;

/// Screens that one station serves at once.
pub const STREAMS_MAX: usize = 64;

/// Everything that a station answers.
pub type StationServiceApi = (StationApi, WebApi, PageFiles);

/// A station that listens.
pub struct Station {
    listener: Listener,
    app: App,
    board: Arc<Board>,
    options: StationOptions,
}

impl Station {
    /// Listens. Nobody is served before [`Self::serve`]; streams end when `stopping` is cancelled.
    ///
    /// # Errors
    /// When it cannot listen.
    pub async fn bind(
        worker: &KitchenOptions,
        options: StationOptions,
        store: &Store,
        broker: &Broker,
        stopping: &CancellationToken,
    ) -> Result<Self, ServerError> {
        let listener = Listener::bind(&options.host, options.port).await?;
        let address = listener.local_addr();
        tracing::info!(action = "service_started", %address, "the station listens");
        let look = StationLook {
            station: worker.name.clone(),
            order_types: worker.order_types.clone(),
            recall_within: options.recall_within,
            promote_after: worker.times.promote_after,
        };
        let metrics = worker.metrics.clone();
        let board = Arc::new(Board::new(store.clone(), look, &options));
        let staff = StaffAuth::new(options.staff.clone(), store.clone(), &metrics);
        let streams = EventStreams::new(STREAMS_MAX, STREAMS_MAX, stopping.clone(), &metrics);
        let station = StationApi::new(StationState {
            board: Arc::clone(&board),
            staff: staff.clone(),
            streams,
            look: Arc::clone(&options.look),
            transitions: options.transitions.clone(),
            targets: options.times.target,
            recall_within: options.recall_within,
        });
        let web = WebApi::new(worker.name.clone(), staff);
        let app = app((station, web, PageFiles), &info(), &metrics, readiness(store, broker));
        Ok(Self { listener, app, board, options })
    }

    /// `host:port`, where it listens.
    pub fn address(&self) -> String {
        self.listener.local_addr().to_string()
    }

    /// Serves until `stopping`.
    pub async fn serve(self, stopping: CancellationToken) {
        let Self { listener, app, board, options } = self;
        tokio::select! {
            () = serve(listener, app, options.limits, stopping) => {}
            () = board.watch() => {}
        }
    }
}
