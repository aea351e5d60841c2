//! How a role lives with its servers.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use amqp::{Broker, BrokerState, Publish};
use daemon::metrics::Metrics;
use daemon::systemd::{Condition, ServiceManager, inherited_socket};
use http_kit::docs::ApiInfo;
use http_kit::health::{Readiness, ReadinessReport};
use http_kit::server::{Listener, ServerError, ServerLimits, serve};
use http_kit::{App, Problem, system_app};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use crate::http::PROBLEM_TYPES;
use crate::store::{Store, StoreAccess, StoreError, StoreState};

/// What a client is told to wait while PostgreSQL is away.
const DATABASE_RETRY_AFTER: Duration = Duration::from_secs(2);
/// How long clients of an inherited socket are kept waiting for the first news of PostgreSQL.
const ADMISSION_WAIT: Duration = Duration::from_secs(2);
/// Those who ask for metrics at once: a scraper or two, a service manager, and somebody with a browser.
const METRICS_CONNECTIONS: usize = 16;
/// How long background tasks may take to end.
const SETTLE_PATIENCE: Duration = Duration::from_secs(10);

/// A role's servers, as its service manager hears of them.
#[derive(Clone)]
pub(super) struct ServerStates {
    store: Option<watch::Receiver<StoreState>>,
    broker: watch::Receiver<BrokerState>,
    blocked: Option<watch::Receiver<Option<Instant>>>,
}

impl ServerStates {
    pub(super) fn of(
        store: Option<watch::Receiver<StoreState>>,
        broker: watch::Receiver<BrokerState>,
    ) -> Self {
        Self { store, broker, blocked: None }
    }

    /// With what is known of RabbitMQ's alarms.
    pub(super) fn with_alarms(self, broker: &Broker) -> Self {
        Self { blocked: Some(broker.blocked()), ..self }
    }

    /// A role that does this, and waits for those servers that are away.
    pub(super) fn condition(&self, doing: impl Into<String>) -> Condition {
        let store = self.store.as_ref().and_then(|store| match *store.borrow() {
            StoreState::Up => None,
            StoreState::Starting { since } | StoreState::Down { since } => Some(("PostgreSQL", since)),
        });
        let broker = match *self.broker.borrow() {
            BrokerState::Connecting { since, .. } => Some(("RabbitMQ", since)),
            BrokerState::Connected { .. } | BrokerState::Closed => None,
        };
        let blocked = self.blocked.as_ref().and_then(|blocked| *blocked.borrow());
        let blocked = match (blocked, &broker) {
            (Some(since), None) => Some(("room in RabbitMQ", since)),
            _ => None,
        };
        let away = [store, broker, blocked].into_iter().flatten();
        let away: Vec<_> =
            away.map(|(server, since)| format!("{server} since {}", in_words(wall_clock(since)))).collect();
        let waiting_for = (!away.is_empty()).then(|| away.join(" and "));
        Condition { doing: doing.into(), waiting_for, finishing: None }
    }
}

/// `14:02 UTC`, with the date where that is not today's.
fn in_words(time: Timestamp) -> String {
    let (date, now) = (time.strftime("%F").to_string(), Timestamp::now().strftime("%F").to_string());
    let format = if date == now { "%H:%M UTC" } else { "%F %H:%M UTC" };
    time.strftime(format).to_string()
}

/// The socket that the service manager has opened, else one of our own.
pub(super) async fn listen(
    host: &str,
    port: u16,
    manager: &ServiceManager,
) -> Result<(Listener, Admission), ServerError> {
    let inherited = inherited_socket().map_err(|source| ServerError::Listen {
        address: "the socket given to the process".to_owned(),
        source,
    })?;
    let (listener, admission) = match inherited {
        Some(socket) => (Listener::from_std(socket)?, Admission::WhenKnown),
        None => (Listener::bind(host, port).await?, Admission::AtOnce),
    };
    Ok((listener.with_heartbeat(manager.heartbeat()), admission))
}

/// One address may hold half of the streams, or so many where that is less: a wall of screens behind one address.
const STREAMS_OF_AN_ADDRESS_MIN: usize = 16;

/// Connections that are kept for others than streams of events.
pub const CONNECTIONS_BESIDE_STREAMS: usize = 512;

/// How many streams of events are served at once, and how many of them to one address.
pub(super) fn stream_limits(wished: usize, limits: &ServerLimits) -> (usize, usize) {
    let connections = limits.connections;
    // Where fewer connections are possible than were meant to be, half of them are for others.
    let possible = connections.saturating_sub(CONNECTIONS_BESIDE_STREAMS).max(connections.div_ceil(2));
    let max_streams = wished.min(possible);
    let share = limits.connections_per_address;
    if share > connections.div_ceil(2) {
        // So the operator has it configured: there are few addresses, or one.
        return (max_streams, share);
    }
    (max_streams, share.min(max_streams.div_ceil(2).max(STREAMS_OF_AN_ADDRESS_MIN)))
}

/// Whether clients are let in before it is known how things stand with PostgreSQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    /// They are told that it is not there yet.
    AtOnce,
    /// Their connections wait in the inherited socket: a restart between two requests must not fail one of them.
    WhenKnown,
}

/// Readiness of a role that cannot work without PostgreSQL but can without RabbitMQ: it has the outbox, or the database
/// to look at.
pub fn readiness(store: &Store, broker: &Broker) -> Readiness {
    let (store, setup) = (store.state(), store.setup());
    let (broker, blocked) = (broker.state(), broker.blocked());
    let started = Timestamp::now();
    Readiness::new(move || {
        let setup = setup.borrow().clone();
        let (store_up, store_since) = match (*store.borrow(), setup.pooled_since) {
            (StoreState::Starting { since } | StoreState::Down { since }, _)
            | (StoreState::Up, Some(since)) => (false, wall_clock(since)),
            (StoreState::Up, None) => (true, started),
        };
        let report = ReadinessReport::new()
            .required("postgresql", store_up, store_since)
            .warnings("postgresql", &setup.texts());
        match (&*broker.borrow(), *blocked.borrow()) {
            (BrokerState::Connected { .. }, Some(since)) => report.blocked("rabbitmq", wall_clock(since)),
            (BrokerState::Connected { .. }, None) => report.optional("rabbitmq", true, started),
            (BrokerState::Connecting { since, .. }, _) => {
                report.optional("rabbitmq", false, wall_clock(*since))
            }
            (BrokerState::Closed, _) => report.optional("rabbitmq", false, Timestamp::now()),
        }
    })
}

/// Readiness of a role that has RabbitMQ alone.
pub fn broker_readiness(broker: &Broker) -> Readiness {
    let broker = broker.state();
    let started = Timestamp::now();
    Readiness::new(move || {
        let (is_up, since) = match *broker.borrow() {
            BrokerState::Connected { .. } => (true, started),
            BrokerState::Connecting { since, .. } => (false, wall_clock(since)),
            BrokerState::Closed => (false, Timestamp::now()),
        };
        ReadinessReport::new().required("rabbitmq", is_up, since)
    })
}

/// Shows a role's metrics and health on a port of their own, until the result is dropped.
pub fn show_metrics(listener: Listener, metrics: &Metrics, readiness: Readiness) -> AbortOnDropHandle<()> {
    let info = ApiInfo {
        title: "Metrics and health".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        description: "How a process of the restaurant is.".to_owned(),
        license: "MIT".to_owned(),
        problem_types: PROBLEM_TYPES,
    };
    let limits = ServerLimits {
        connections: METRICS_CONNECTIONS,
        connections_per_address: METRICS_CONNECTIONS,
        ..ServerLimits::default()
    };
    tracing::info!(action = "metrics_listening", address = %listener.local_addr(), "metrics and health are shown");
    let app = system_app(&info, metrics, readiness);
    AbortOnDropHandle::new(tokio::spawn(serve(listener, app, limits, CancellationToken::new())))
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
    (listener, admission): (Listener, Admission),
    app: App,
    limits: ServerLimits,
    store: &Store,
    stopping: &CancellationToken,
    manager: &ServiceManager,
) -> Result<(), StoreError> {
    let mut serving = pin!(async {
        if admission == Admission::WhenKnown {
            until_known(store, stopping).await;
        }
        serve(listener, app, limits, stopping.clone()).await;
    });
    let prepared = tokio::select! {
        () = &mut serving => return Ok(()),
        prepared = store.prepare() => prepared,
    };
    match prepared {
        Ok(_) => manager.ready(),
        Err(_) => stopping.cancel(),
    }
    serving.await;
    prepared.map(drop)
}

/// Waits until it is known how things stand with PostgreSQL, but not for long.
async fn until_known(store: &Store, stopping: &CancellationToken) {
    let mut state = store.state();
    let known = state.wait_for(|state| !matches!(state, StoreState::Starting { .. }));
    tokio::select! {
        _ = known => {}
        () = stopping.cancelled() => {}
        () = tokio::time::sleep(ADMISSION_WAIT) => {}
    }
}

/// Waits for a role's background tasks, which have been told to stop, but not for ever.
pub(super) async fn settle(tasks: &TaskTracker) {
    tasks.close();
    // What hangs longer than this is a server that hangs; everything it does is safe to be cut off.
    let _ = tokio::time::timeout(SETTLE_PATIENCE, tasks.wait()).await;
}

/// The store's failures as the outside sees them: nothing of their texts, which are for the log.
impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        shared_failure(Arc::new(error))
    }
}

/// The same of a failure that several requests share.
pub(super) fn shared_failure(error: Arc<StoreError>) -> Problem {
    match &*error {
        StoreError::Unavailable { .. }
        | StoreError::Busy { .. }
        | StoreError::Pooled { .. }
        | StoreError::Unprepared { .. } => {
            Problem::unavailable(DATABASE_RETRY_AFTER, "the database is not available at the moment")
                .because(error)
        }
        StoreError::Encoding { .. }
        | StoreError::Refused { .. }
        | StoreError::Unknown(_)
        | StoreError::Migration(_) => Problem::internal(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_half_of_the_streams_unless_it_may_have_more_connections_than_that() {
        let limits = |connections_per_address| ServerLimits {
            connections: 3012,
            connections_per_address,
            ..ServerLimits::default()
        };
        assert_eq!(stream_limits(2500, &limits(1506)), (2500, 1250));
        assert_eq!(stream_limits(2500, &limits(100)), (2500, 100));
        assert_eq!(stream_limits(2500, &limits(2600)), (2500, 2600));
    }
}
