//! How a role lives with its servers.

use std::pin::pin;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::broker::{Broker, BrokerState};
use crate::http::health::{Readiness, ReadinessReport};
use crate::http::server::{Listener, ServerLimits, serve};
use crate::http::{App, Problem};
use crate::store::{Store, StoreError, StoreState};

/// What a client is told to wait while PostgreSQL is away.
const RETRY_AFTER: Duration = Duration::from_secs(2);
/// How long background tasks may take to end.
const SETTLE: Duration = Duration::from_secs(10);

/// Readiness of a role that cannot work without PostgreSQL but can without RabbitMQ: it has the outbox, or the database
/// to look at.
pub(super) fn readiness(store: &Store, broker: &Broker) -> Readiness {
    let (store, broker, started) = (store.state(), broker.state(), Timestamp::now());
    Readiness::new(move || {
        let (store_up, store_since) = match *store.borrow() {
            StoreState::Up => (true, started),
            StoreState::Starting { since } | StoreState::Down { since } => (false, wall_clock(since)),
        };
        let (broker_up, broker_since) = match *broker.borrow() {
            BrokerState::Connected { .. } => (true, started),
            BrokerState::Connecting { since, .. } => (false, wall_clock(since)),
            BrokerState::Closed => (false, Timestamp::now()),
        };
        ReadinessReport::new().required("postgresql", store_up, store_since).optional(
            "rabbitmq",
            broker_up,
            broker_since,
        )
    })
}

fn wall_clock(since: Instant) -> Timestamp {
    let elapsed = SignedDuration::try_from(since.elapsed()).unwrap_or(SignedDuration::MAX);
    Timestamp::now().checked_sub(elapsed).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Serves until `stopping`, from the first moment on; meanwhile waits for PostgreSQL and brings its schema up to date.
///
/// # Errors
/// When a migration fails. The server has been stopped then.
pub(super) async fn serve_prepared(
    listener: Listener,
    endpoint: App,
    store: &Store,
    stopping: &CancellationToken,
) -> Result<(), StoreError> {
    let mut serving = pin!(serve(listener, endpoint, ServerLimits::default(), stopping.clone()));
    let prepared = tokio::select! {
        () = &mut serving => return Ok(()),
        prepared = store.prepare() => prepared,
    };
    if prepared.is_err() {
        stopping.cancel();
    }
    serving.await;
    prepared.map(drop)
}

/// Waits for a role's background tasks, which have been told to stop, but not for ever.
pub(super) async fn settle(tasks: &TaskTracker) {
    tasks.close();
    // What hangs longer than this is a server that hangs; everything it does is safe to be cut off.
    let _ = tokio::time::timeout(SETTLE, tasks.wait()).await;
}

/// The store's failures as the outside sees them: nothing of their texts, which are for the log.
impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable { .. } | StoreError::Busy { .. } => {
                Self::unavailable(RETRY_AFTER, "the database is not available at the moment")
            }
            StoreError::Refused { .. } | StoreError::Unknown(_) | StoreError::Migration(_) => {
                Self::internal(error)
            }
        }
    }
}
