//! Connections to PostgreSQL: a small pool, deadlines on everything, and a watch on the server's state.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use deadpool_postgres::{Metrics, Object, Pool, PoolError};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::StoreError;
use super::announcement_cache::AnnouncementCache;
use super::connect::{Looks, pool_of};
use super::error::is_full;
use super::hosts::Election;
use super::low_water_mark::LowWaterMark;
use super::options::{StoreOptions, StoreState};
use super::ping::{Ping, answers};
use super::pressure::{Connection, ConnectionPressure};
use super::session::{ServerSetup, Session};
use daemon::clock::whole_ms;
use daemon::retry::Backoff;

/// The way to PostgreSQL. Cheap to clone; all clones share the connections.
#[derive(Clone)]
pub struct Store {
    pub(super) inner: Arc<Inner>,
    /// That of `inner` which this one uses.
    pool: Pool,
}

pub(super) struct Inner {
    shared: Pool,
    /// See [`Store::on_its_own`].
    own: Pool,
    /// One connection to ask whether the server is there.
    pub(super) probe: Pool,
    /// Each connection of it is a look at all hosts, by which the others may be led elsewhere.
    scout: Pool,
    /// Which of the hosts all of them connect to.
    pub(super) election: Arc<Election>,
    pub(super) options: StoreOptions,
    pub(super) session: Arc<Session>,
    state: watch::Sender<StoreState>,
    /// The migrations are applied: only then is an answering server one that can be used.
    prepared: AtomicBool,
    pressure: Arc<ConnectionPressure>,
    /// What this process has just written and will announce.
    pub(super) announcement_cache: AnnouncementCache,
    /// From where on the outbox has rows.
    pub(super) low_water_mark: LowWaterMark,
    /// One at a time decides what a failure means.
    deciding: tokio::sync::Mutex<()>,
}

/// How often PostgreSQL is tried again while it is away: from, to (`kitchen` counts on the latter).
const RECONNECT_PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// The way to PostgreSQL: whether it is there, and how much of it is used.
pub trait StoreAccess: Clone + Send + Sync + 'static {
    fn state(&self) -> watch::Receiver<StoreState>;

    fn wait_up(&self) -> impl Future<Output = ()> + Send;

    /// Applies the migrations as soon as PostgreSQL can be reached, for as long as that takes; waits for somebody else to do
    /// it where this account may not.
    ///
    /// # Errors
    /// Only when a migration itself fails, or the database's encoding is another one.
    fn prepare(&self) -> impl Future<Output = Result<usize, StoreError>> + Send;

    /// Says whether this process is one of many, and all of them together may be more than PostgreSQL has connections.
    /// Then it gives up soon what it does not use, and while PostgreSQL has none left it uses one at a time.
    fn note_pressure(&self, is_high: bool);
}

impl StoreAccess for Store {
    fn state(&self) -> watch::Receiver<StoreState> {
        self.inner.state.subscribe()
    }

    async fn wait_up(&self) {
        let mut state = self.state();
        // The sender lives in `self`: the wait cannot fail.
        let _ = state.wait_for(|s| *s == StoreState::Up).await;
    }

    async fn prepare(&self) -> Result<usize, StoreError> {
        self.prepare_unless(|_| false).await
    }

    fn note_pressure(&self, is_high: bool) {
        self.inner.pressure.set(is_high);
    }
}

impl Store {
    /// Prepares the connections; none is opened yet. A task that ends with `shutdown` closes idle ones and, while
    /// PostgreSQL is away, tries it until it is back.
    ///
    /// # Errors
    /// When the TLS certificates cannot be read.
    pub fn new(options: StoreOptions, shutdown: CancellationToken) -> Result<Self, StoreError> {
        let session = Session::new(options.server.operation_timeout, options.writes);
        let election = Election::new(&options.server.hosts, options.writes);
        let pool = |size, looks| pool_of(&options, &session, &election, size, looks);
        let shared = pool(options.server.pool_size, Looks::AtTheUsual)?;
        let (own, probe) = (pool(1, Looks::AtTheUsual)?, pool(1, Looks::AtTheUsual)?);
        let scout = pool(1, Looks::AtAll)?;
        let (state, _) = watch::channel(StoreState::Starting { since: Instant::now() });
        let pressure = ConnectionPressure::new(options.idle_timeout);
        let pool = shared.clone();
        let inner = Inner {
            shared,
            own,
            probe,
            scout,
            election,
            options,
            session,
            state,
            prepared: AtomicBool::new(false),
            pressure,
            announcement_cache: AnnouncementCache::default(),
            low_water_mark: LowWaterMark::default(),
            deciding: tokio::sync::Mutex::new(()),
        };
        let store = Self { inner: Arc::new(inner), pool };
        tokio::spawn(store.clone().tend(shutdown));
        Ok(store)
    }

    /// The same with a connection of its own, beside those that all others share. It is served where it is opened, by the
    /// runtime of whoever uses this first: all of its users belong there.
    pub fn on_its_own(&self) -> Self {
        Self { inner: Arc::clone(&self.inner), pool: self.inner.own.clone() }
    }

    pub fn setup(&self) -> watch::Receiver<ServerSetup> {
        self.inner.session.setup()
    }

    /// The same for somebody who watches: a pooler that cannot be used and an account that may not change the schema are
    /// errors, and not waited for.
    ///
    /// # Errors
    /// As for [`Self::prepare`], [`StoreError::Pooled`], and [`StoreError::Unprepared`].
    pub async fn prepare_watched(&self) -> Result<usize, StoreError> {
        self.prepare_unless(|error| {
            matches!(error, StoreError::Pooled { .. } | StoreError::Unprepared { .. })
        })
        .await
    }

    async fn prepare_unless(&self, is_final: impl Fn(&StoreError) -> bool) -> Result<usize, StoreError> {
        let mut backoff = Backoff::new(RECONNECT_PAUSES.0, RECONNECT_PAUSES.1);
        let started = Instant::now();
        loop {
            let migrated = match self.migrate().await {
                // A worker finds out with its registration, and many of them have few connections.
                Ok(applied) if self.inner.options.probe_interval.is_some() => {
                    self.pinged().await.map(|()| applied)
                }
                migrated => migrated,
            };
            match migrated {
                Ok(applied) => {
                    self.inner.prepared.store(true, Ordering::Release);
                    self.inner.session.note_prepared();
                    let duration_ms = whole_ms(started.elapsed());
                    self.note_up();
                    tracing::info!(action = "db_connected", duration_ms, details = %format_args!("{applied} migrations applied"), "connected to PostgreSQL");
                    return Ok(applied);
                }
                Err(error) if is_final(&error) => return Err(error),
                Err(error @ StoreError::Pooled { .. }) => self.inner.session.note_pooler(&error),
                Err(error @ StoreError::Unprepared { .. }) => self.inner.session.note_unprepared(&error),
                Err(error) if error.is_unavailable() => self.note_down(&error),
                Err(error) => return Err(error),
            }
            tokio::time::sleep(backoff.next_delay()).await;
        }
    }

    /// Asks PostgreSQL whether it is there ([`StoreOptions::writes`]). That it has no connection left is an answer, too.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn ping(&self) -> Result<(), StoreError> {
        let pinged = loop {
            match self.inner.probe.get().await {
                Ok(client) => match answers(client, self.ping_kind(), &self.inner.session).await {
                    Ok(false) => {}
                    answered => break answered.map(drop),
                },
                Err(error) if is_full(&error) => break Ok(()),
                Err(error) => break Err(self.inner.pressure.judged(error)),
            }
        };
        match &pinged {
            Ok(()) => self.note_up(),
            Err(error) => self.note_down(error),
        }
        pinged
    }

    /// Asks without drawing conclusions, on a connection that is for this alone: that all others are in use says
    /// nothing about the server.
    pub(super) async fn pinged(&self) -> Result<(), StoreError> {
        while !answers(self.inner.probe.get().await?, self.ping_kind(), &self.inner.session).await? {}
        Ok(())
    }

    fn ping_kind(&self) -> Ping {
        match (self.inner.options.writes, self.inner.prepared.load(Ordering::Acquire)) {
            (false, _) => Ping::Read,
            (true, false) => Ping::Write,
            (true, true) => Ping::Tick,
        }
    }

    /// Runs `operation` on a connection of the pool, within the deadline.
    pub(super) async fn run<T>(
        &self,
        name: &'static str,
        operation: impl AsyncFnOnce(&mut Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut client = self.checked_out().await?;
        let result = self.on(&mut client, name, operation).await;
        if matches!(&result, Err(error) if error.is_unavailable()) {
            // The statement may still be running: its connection must not be used for another one.
            client.close();
        }
        result
    }

    /// A connection of the pool. While PostgreSQL is known to be away it is refused at once: nobody waits for what does
    /// not come.
    pub(super) async fn checked_out(&self) -> Result<Connection, StoreError> {
        if self.inner.session.is_pooled() {
            return Err(StoreError::Pooled { reason: "that was found before".to_owned() });
        }
        let reason = match *self.inner.state.borrow() {
            StoreState::Up => None,
            StoreState::Starting { .. } => Some("it has not been reached yet".to_owned()),
            StoreState::Down { since } => Some(format!("away for {} s", since.elapsed().as_secs())),
        };
        if let Some(reason) = reason {
            return Err(StoreError::Unavailable { reason });
        }
        match self.connection().await {
            Ok(client) => Ok(client),
            Err(error) => {
                let (full, error) = (is_full(&error), self.inner.pressure.judged(error));
                if !full {
                    self.decide_state().await;
                }
                Err(error)
            }
        }
    }

    /// Runs `operation` on a connection that the caller has, within the deadline. After an error that
    /// [`StoreError::is_unavailable`] the connection must be thrown away.
    pub(super) async fn on<T>(
        &self,
        client: &mut Connection,
        name: &'static str,
        operation: impl AsyncFnOnce(&mut Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let result = self.timed(client, name, operation).await;
        if let Err(error @ StoreError::Pooled { .. }) = &result {
            self.inner.session.note_pooler(error);
        }
        if matches!(&result, Err(error) if error.is_unavailable()) {
            self.decide_state().await;
        }
        result
    }

    /// One failed operation may be its own fault (a lock, a dead connection): the ping decides.
    async fn decide_state(&self) {
        let _turn = self.inner.deciding.lock().await;
        // Many operations fail at once when PostgreSQL goes away, and one ping is enough.
        if !matches!(*self.inner.state.borrow(), StoreState::Down { .. }) {
            let _ = self.ping().await;
        }
    }

    async fn timed<T>(
        &self,
        client: &mut Connection,
        name: &'static str,
        operation: impl AsyncFnOnce(&mut Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let limit = self.inner.options.server.operation_timeout;
        match tokio::time::timeout(limit, operation(client)).await {
            Ok(result) => result,
            Err(_) => Err(StoreError::deadline(name, limit)),
        }
    }

    /// A connection of the pool, whatever is known of PostgreSQL's state.
    pub(super) async fn connection(&self) -> Result<Connection, PoolError> {
        self.inner.pressure.connection(&self.pool, self.inner.options.server.connect_timeout).await
    }

    fn note_up(&self) {
        let mut outage = None;
        self.inner.state.send_if_modified(|state| {
            let before = std::mem::replace(state, StoreState::Up);
            if let StoreState::Down { since } = before {
                outage = Some(since.elapsed());
            }
            before != StoreState::Up
        });
        if let Some(outage) = outage {
            let duration_ms = whole_ms(outage);
            tracing::info!(action = "reconnected", details = "postgresql", duration_ms, "PostgreSQL is back");
        }
    }

    fn note_down(&self, error: &StoreError) {
        if matches!(error, StoreError::Busy { .. }) {
            return;
        }
        // Whoever cannot be used at the moment may have been replaced.
        self.inner.election.reopen();
        let newly_down = self.inner.state.send_if_modified(|state| {
            let since = match *state {
                StoreState::Down { .. } => return false,
                StoreState::Starting { since } => since,
                StoreState::Up => Instant::now(),
            };
            *state = StoreState::Down { since };
            true
        });
        if newly_down {
            let server = &self.inner.options.server;
            let hosts: Vec<String> = server.hosts.iter().map(ToString::to_string).collect();
            tracing::error!(
                action = "db_connection_failed",
                error = error as &dyn std::error::Error,
                details = %format_args!("{} database {} as {}", hosts.join(","), server.database, server.user),
                "PostgreSQL is not available; trying again until it is"
            );
            // Connections of before are dead or suspect.
            self.inner.retain(|_| false);
        }
    }

    /// Closes idle connections; notices that PostgreSQL went away and that it came back.
    async fn tend(self, shutdown: CancellationToken) {
        let StoreOptions { idle_timeout, probe_interval, .. } = self.inner.options;
        let pressure = &self.inner.pressure;
        let mut backoff = Backoff::new(RECONNECT_PAUSES.0, RECONNECT_PAUSES.1);
        let mut state = self.state();
        loop {
            let down = matches!(*state.borrow_and_update(), StoreState::Down { .. });
            let pause = if down { backoff.next_delay() } else { probe_interval.unwrap_or(idle_timeout) };
            tokio::select! {
                () = shutdown.cancelled() => return,
                // An outage that begins now is looked after now, not when the pause is over.
                _ = state.changed(), if !down => continue,
                () = tokio::time::sleep(pause) => {}
            }
            // Until then `prepare` does the trying.
            let prepared = self.inner.prepared.load(Ordering::Acquire);
            let is_in_doubt = prepared && (down || self.inner.session.is_in_doubt());
            let is_fit = !is_in_doubt || self.has_sessions(down).await;
            let is_asked = prepared && is_fit && (down || probe_interval.is_some());
            if is_asked && self.ping().await.is_ok() {
                backoff.reset();
            }
            if self.inner.election.wants_a_look() {
                let scout = self.inner.scout.clone();
                // One that does not answer keeps nobody waiting. The connection has done its part.
                tokio::spawn(async move { scout.get().await.map(Object::take) });
            }
            self.inner.retain(|metrics| pressure.is_kept(metrics));
        }
    }
}

impl Inner {
    /// Closes the unused connections that are not to be kept.
    fn retain(&self, is_kept: impl Fn(Metrics) -> bool) {
        for pool in [&self.shared, &self.own, &self.probe] {
            pool.retain(|_, metrics| is_kept(metrics));
        }
    }
}
