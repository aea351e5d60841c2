//! Pressure on PostgreSQL's connections, from many processes: they are given up soon, and waited for when none is left.

use std::error::Error as _;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use deadpool_postgres::{Metrics, Object, Pool, PoolError, TimeoutType};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::StoreError;
use super::error::{chain, is_full};
use daemon::clock::whole_ms;
use daemon::retry::Backoff;
use daemon::sync::locked;

/// How long one of many processes keeps a connection that it does not use: long enough for statements that follow each
/// other. When others wait for one, it is as long as it takes to open another, but at least the first of these.
const UNUSED_LINGER: (Duration, Duration) = (Duration::from_millis(30), Duration::from_millis(250));
/// One of many processes closes a connection that is so old as soon as it is unused for a moment, however often it is
/// used: others may be waiting for their turn, and have heartbeats to send. Not sooner: to open one costs more than most of
/// what is done with it.
const TURN: Duration = Duration::from_secs(5);
/// For so long after the last refusal the server counts as full.
const FULL: Duration = Duration::from_secs(30);
/// For so long after its last answer a server that is slow to connect to counts as overloaded, by one of many processes.
/// Longer than it takes an idle worker to ask again.
const HEARD: Duration = Duration::from_secs(60);
/// The pauses before a full server is asked again: from, to.
const FULL_PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// What one process knows about the others that use the same server.
#[derive(Debug)]
pub(super) struct ConnectionPressure {
    /// How long a connection is kept unused by a process that is under no pressure.
    idle_timeout: Duration,
    /// The process is one of many, which may be more than the server has connections.
    is_high: AtomicBool,
    /// When the server last said that it has no connection left.
    full_at: Mutex<Option<Instant>>,
    /// When the server last gave a connection, or said that.
    heard_at: Mutex<Option<Instant>>,
    /// That has been logged.
    told: AtomicBool,
    /// Then one of many processes uses one connection at a time.
    one_at_a_time: Arc<Semaphore>,
    /// Told when a connection is not used any more.
    returned: Notify,
    /// How long it took to open the last one.
    opening_ms: AtomicU64,
    /// A task is closing what is not used.
    closing: AtomicBool,
}

/// A connection in use.
pub(super) struct Connection {
    // Dropped in this order: whoever waits for the turn finds the connection in the pool.
    client: Object,
    _returned: Returned,
    _turn: Option<OwnedSemaphorePermit>,
}

struct Returned(Arc<ConnectionPressure>);

impl Drop for Returned {
    fn drop(&mut self) {
        self.0.returned.notify_waiters();
    }
}

impl Connection {
    pub(super) fn close(self) {
        drop(self.detach());
    }

    /// Takes it out of the pool: it is closed when it is dropped.
    pub(super) fn detach(self) -> deadpool_postgres::ClientWrapper {
        Object::take(self.client)
    }
}

impl Deref for Connection {
    type Target = Object;

    fn deref(&self) -> &Object {
        &self.client
    }
}

impl DerefMut for Connection {
    fn deref_mut(&mut self) -> &mut Object {
        &mut self.client
    }
}

impl ConnectionPressure {
    pub(super) fn new(idle_timeout: Duration) -> Arc<Self> {
        Arc::new(Self {
            idle_timeout,
            is_high: AtomicBool::new(false),
            full_at: Mutex::new(None),
            heard_at: Mutex::new(None),
            told: AtomicBool::new(false),
            one_at_a_time: Arc::new(Semaphore::new(1)),
            returned: Notify::new(),
            opening_ms: AtomicU64::new(0),
            closing: AtomicBool::new(false),
        })
    }

    /// See [`super::StoreAccess::note_pressure`].
    pub(super) fn set(&self, is_high: bool) {
        self.is_high.store(is_high, Ordering::Relaxed);
    }

    /// What it means that a connection could not be had. A server that many use, that was there a moment ago and takes its
    /// time now, has more to do than it can: it is not away.
    pub(super) fn judged(&self, error: PoolError) -> StoreError {
        let took_too_long = match &error {
            PoolError::Timeout(TimeoutType::Create) => true,
            PoolError::Backend(error) => error
                .source()
                .and_then(|cause| cause.downcast_ref::<std::io::Error>())
                .is_some_and(|cause| cause.kind() == std::io::ErrorKind::TimedOut),
            _ => false,
        };
        if took_too_long && self.is_high() && is_within(HEARD, &self.heard_at) {
            return StoreError::Busy { reason: chain(&error) };
        }
        error.into()
    }

    fn is_high(&self) -> bool {
        self.is_high.load(Ordering::Relaxed)
    }

    fn is_full(&self) -> bool {
        is_within(FULL, &self.full_at)
    }

    fn linger(&self) -> Duration {
        if !self.is_full() {
            return UNUSED_LINGER.1;
        }
        Duration::from_millis(self.opening_ms.load(Ordering::Relaxed)).clamp(UNUSED_LINGER.0, UNUSED_LINGER.1)
    }

    /// Whether an unused connection stays open.
    pub(super) fn is_kept(&self, metrics: Metrics) -> bool {
        if self.is_high() {
            metrics.last_used() < self.linger() && metrics.age() < TURN
        } else {
            metrics.last_used() < self.idle_timeout
        }
    }

    /// A connection of `pool`. A server that has none left is asked again until `patience` is over: it is there, and
    /// others give theirs up all the time.
    pub(super) async fn connection(
        self: &Arc<Self>,
        pool: &Pool,
        patience: Duration,
    ) -> Result<Connection, PoolError> {
        let begun = Instant::now();
        let mut backoff = Backoff::new(FULL_PAUSES.0, FULL_PAUSES.1);
        let mut turn = None;
        let mut refused = false;
        loop {
            if turn.is_none() && self.is_high() && self.is_full() {
                turn = Some(self.turn(patience.saturating_sub(begun.elapsed())).await?);
            }
            let asked = Instant::now();
            let error = match pool.get().await {
                Ok(client) => {
                    if !refused {
                        self.told.store(false, Ordering::Relaxed);
                    }
                    note(&self.heard_at);
                    if Object::metrics(&client).recycled.is_none() {
                        self.note_opening(asked.elapsed());
                    }
                    if self.is_high() {
                        self.close_soon(pool);
                    }
                    return Ok(Connection { client, _returned: Returned(Arc::clone(self)), _turn: turn });
                }
                Err(error) if is_full(&error) => error,
                Err(error) => return Err(error),
            };
            refused = true;
            note(&self.full_at);
            note(&self.heard_at);
            let pause = backoff.next_delay();
            if begun.elapsed() + pause > patience {
                self.tell(&error);
                return Err(error);
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.returned.notified() => {}
            }
        }
    }

    async fn turn(&self, patience: Duration) -> Result<OwnedSemaphorePermit, PoolError> {
        let turn = tokio::time::timeout(patience, Arc::clone(&self.one_at_a_time).acquire_owned()).await;
        turn.map_err(|_| PoolError::Timeout(TimeoutType::Wait))?.map_err(|_| PoolError::Closed)
    }

    fn note_opening(&self, took: Duration) {
        self.opening_ms.store(whole_ms(took), Ordering::Relaxed);
    }

    /// Closes connections as they become unused, until there is none.
    fn close_soon(self: &Arc<Self>, pool: &Pool) {
        if self.closing.swap(true, Ordering::AcqRel) {
            return;
        }
        let (pressure, pool) = (Arc::clone(self), pool.clone());
        tokio::spawn(async move {
            while pool.status().size > 0 && pressure.is_high() {
                tokio::time::sleep(pressure.linger()).await;
                pool.retain(|_, metrics| pressure.is_kept(metrics));
            }
            // One that is opened in this moment is met by the store's own task, later.
            pressure.closing.store(false, Ordering::Release);
        });
    }

    /// Once, until there was a connection without being refused first.
    fn tell(&self, error: &PoolError) {
        if !self.told.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                action = "db_connections_exhausted",
                details = chain(error),
                "PostgreSQL has no connection left; waiting for one. Raise its max_connections, or lower database.pool_size"
            );
        }
    }
}

fn note(at: &Mutex<Option<Instant>>) {
    *locked(at) = Some(Instant::now());
}

fn is_within(time: Duration, at: &Mutex<Option<Instant>>) -> bool {
    locked(at).is_some_and(|at| at.elapsed() < time)
}
