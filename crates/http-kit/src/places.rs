//! The places of a server, its connection slots: who holds one, whose turn it is on each, and who gives way when they run out.
//!
//! A client that holds a connection and keeps the server waiting costs it nothing but the place. So the server takes the
//! place back where somebody else needs it: never from a request in work or a stream that is read, always from who keeps
//! it waiting longest, and first from the address that holds most. A request pays for this with a few atomic operations.

use std::{
    cmp::Reverse,
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use daemon::clock::whole_ms;
use daemon::sync::locked;
use tokio::{sync::Notify, task::AbortHandle};

use super::{
    address::{Origin, Shares},
    metrics::ConnectionMetrics,
};

/// Places that ran out count as one incident until nobody had to give way for this long.
const INCIDENT_OVER: Duration = Duration::from_secs(60);

/// Nobody has to give way who has not kept the server waiting for so long, which is what a request over a bad line takes.
/// It also bounds the work that clients cause who come again at once: 1,024 places change hands 5,000 times a second.
const GRACE: Duration = Duration::from_millis(200);

/// The phase of a place is in the lowest bits of its state, the milliseconds since the server's start are above it.
const PHASE_BITS: u32 = 3;
const PHASE_MASK: u64 = (1 << PHASE_BITS) - 1;
/// What came with the connection is not read yet.
const NEW: u64 = 4;
/// A request is in work or its answer is being sent.
const SERVING: u64 = 0;
/// The client has not sent its request, or has not read its answer.
const WAITING: u64 = 1;
/// The client reads nothing of an answer that is not at its end.
const STALLED: u64 = 2;
/// The place is given to somebody else.
const TAKEN: u64 = 3;

/// One connection's place: whose turn it is, the server's or the client's, and since when.
#[derive(Debug)]
pub(super) struct Place {
    state: AtomicU64,
    room: Arc<Room>,
}

/// How the loop that accepts connections hears that somebody may give way.
#[derive(Debug)]
struct Room {
    started: Instant,
    wanted: AtomicBool,
    changed: Notify,
}

impl Room {
    fn now(&self, phase: u64) -> u64 {
        let millis = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX >> PHASE_BITS);
        (millis << PHASE_BITS) | phase
    }

    fn tell(&self) {
        if self.wanted.load(Ordering::SeqCst) {
            self.changed.notify_one();
        }
    }
}

impl Place {
    fn new(room: &Arc<Room>) -> Self {
        Self { state: AtomicU64::new(NEW), room: Arc::clone(room) }
    }

    /// Changes the state unless the place is taken; whether it was not.
    fn change(&self, next: impl Fn(u64) -> Option<u64>) -> bool {
        let next = |state: u64| if state & PHASE_MASK == TAKEN { None } else { next(state & PHASE_MASK) };
        self.state.fetch_update(Ordering::SeqCst, Ordering::SeqCst, next).is_ok()
    }

    /// It is the server's turn: a request is whole. `false` where the place is somebody else's already; nothing may be
    /// done for the request then, since its connection is about to be cut.
    #[must_use]
    pub(super) fn serve(&self) -> bool {
        self.change(|_| Some(SERVING))
    }

    /// It is the client's turn from now on.
    pub(super) fn wait(&self) {
        let now = self.room.now(WAITING);
        self.change(|_| Some(now));
        self.room.tell();
    }

    /// What came with the connection is read, and it was no request: only now may the place be taken.
    pub(super) fn read_out(&self) {
        let now = self.room.now(WAITING);
        self.change(|phase| (phase == NEW).then_some(now));
        self.room.tell();
    }

    /// The client takes nothing of what is sent to it.
    pub(super) fn stalled(&self) {
        if self.state.load(Ordering::Relaxed) & PHASE_MASK == SERVING {
            let now = self.room.now(STALLED);
            self.change(|phase| (phase == SERVING).then_some(now));
            self.room.tell();
        }
    }

    /// The client has taken something.
    pub(super) fn moved(&self) {
        match self.state.load(Ordering::Relaxed) & PHASE_MASK {
            STALLED => {
                self.change(|phase| (phase == STALLED).then_some(SERVING));
            }
            WAITING => {
                let now = self.room.now(WAITING);
                self.change(|phase| (phase == WAITING).then_some(now));
            }
            _ => {}
        }
    }

    fn is_new(&self) -> bool {
        self.state.load(Ordering::Relaxed) & PHASE_MASK == NEW
    }

    /// The state of a place that may be taken back; smaller is longer.
    fn idle(&self) -> Option<u64> {
        let state = self.state.load(Ordering::Relaxed);
        matches!(state & PHASE_MASK, WAITING | STALLED).then_some(state)
    }

    /// Takes the place back if nothing has changed since this state was seen.
    fn take(&self, seen: u64) -> bool {
        self.state.compare_exchange(seen, TAKEN, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }
}

/// All places of a server.
pub(super) struct Places {
    connections: usize,
    per_address: usize,
    patience: Duration,
    patience_when_full: Duration,
    room: Arc<Room>,
    held: Mutex<Held>,
    metrics: ConnectionMetrics,
}

#[derive(Default)]
struct Held {
    seats: HashMap<u64, Holder>,
    shares: Shares,
    next_id: u64,
    incident: Option<Incident>,
}

struct Holder {
    place: Arc<Place>,
    /// `None`: a proxy, which has no share since it holds places for many.
    origin: Option<Origin>,
    task: Option<AbortHandle>,
}

struct Incident {
    closed: u64,
    latest: Instant,
}

/// What becomes of a new connection.
pub(super) enum Admission {
    /// It has a place.
    Seat(Seat),
    /// Its address has its share in work.
    Refused,
    /// It has to wait for [`Places::changed`], or a moment: every place is in work, or nobody has had his time.
    Full,
}

/// What came of looking for somebody who gives way.
enum Outcome {
    Room,
    /// There is somebody, who has not had his time yet.
    TooSoon,
    AllInWork,
}

/// A place that is held, until it is dropped.
pub(super) struct Seat {
    id: u64,
    place: Arc<Place>,
    places: Arc<Places>,
}

impl Seat {
    pub(super) fn place(&self) -> &Arc<Place> {
        &self.place
    }

    pub(super) fn metrics(&self) -> &ConnectionMetrics {
        &self.places.metrics
    }

    pub(super) fn id(&self) -> u64 {
        self.id
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut held = self.places.held();
        // Who was sent away is not there any more.
        if held.remove(self.id).is_some() {
            self.places.metrics.open.dec();
        }
        drop(held);
        self.places.room.tell();
    }
}

/// How many places there are, and for how long a client may keep the server waiting on one.
pub(super) struct PlaceLimits {
    pub(super) connections: usize,
    /// Of one address.
    pub(super) per_address: usize,
    /// While half of the places are free.
    pub(super) patience: Duration,
    /// While none is.
    pub(super) patience_when_full: Duration,
}

impl Places {
    pub(super) fn new(limits: &PlaceLimits, metrics: ConnectionMetrics) -> Arc<Self> {
        let room = Room { started: Instant::now(), wanted: AtomicBool::new(false), changed: Notify::new() };
        Arc::new(Self {
            connections: limits.connections.max(1),
            per_address: limits.per_address.max(1),
            patience: limits.patience,
            patience_when_full: limits.patience_when_full.min(limits.patience),
            room: Arc::new(room),
            held: Mutex::default(),
            metrics,
        })
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // Whole at every panic.
        locked(&self.held)
    }

    /// A place for a connection from this address, if need be that of somebody who keeps the server waiting.
    pub(super) fn admit(self: &Arc<Self>, peer: SocketAddr, is_proxy: bool) -> Admission {
        let origin = (!is_proxy).then(|| Origin::of(peer.ip()));
        let mut held = self.held();
        let room = if held.shares.of(origin) >= self.per_address {
            self.make_room(&mut held, |_, holder| (holder.origin == origin).then_some(0))
        } else if held.seats.len() >= self.connections {
            match self.make_room(&mut held, |held, holder| Some(held.shares.of(holder.origin))) {
                // Their requests will be answered, and then there is somebody.
                Outcome::AllInWork => Outcome::TooSoon,
                outcome => outcome,
            }
        } else {
            Outcome::Room
        };
        match room {
            Outcome::Room => {}
            Outcome::TooSoon => {
                held.note(self.connections, 0);
                self.room.wanted.store(true, Ordering::SeqCst);
                return Admission::Full;
            }
            Outcome::AllInWork => {
                self.metrics.refused.inc();
                held.note(self.connections, 1);
                return Admission::Refused;
            }
        }
        self.room.wanted.store(false, Ordering::SeqCst);
        let place = Arc::new(Place::new(&self.room));
        let id = held.add(Holder { place: Arc::clone(&place), origin, task: None });
        self.metrics.open.inc();
        Admission::Seat(Seat { id, place, places: Arc::clone(self) })
    }

    /// By which task the holder of a place is served: it is ended when the place is taken back.
    pub(super) fn served_by(&self, id: u64, task: AbortHandle) {
        if let Some(holder) = self.held().seats.get_mut(&id) {
            holder.task = Some(task);
        }
    }

    /// Resolves when somebody may give way to a connection that found none.
    pub(super) async fn changed(&self) {
        self.room.changed.notified().await;
    }

    /// Whether [`Places::sweep`] has anything to do, now and then.
    pub(super) fn are_scarce(&self) -> bool {
        let held = self.held();
        held.incident.is_some() || held.seats.len() > self.connections / 2
    }

    /// Sends away who keeps the server waiting longer than it can afford: [`PlaceLimits::patience`] while half of
    /// the places are free, and less with each that is not.
    pub(super) fn sweep(&self) {
        let mut held = self.held();
        held.end_incident();
        let (taken, half) = (held.seats.len(), self.connections / 2);
        if taken <= half {
            return;
        }
        let fullness = (taken - half) as f64 / (self.connections - half) as f64;
        let patience = self
            .patience
            .saturating_sub((self.patience - self.patience_when_full).mul_f64(fullness.clamp(0.0, 1.0)));
        let Some(overdue) = self.room.started.elapsed().checked_sub(patience) else { return };
        let overdue = whole_ms(overdue);
        let late: Vec<_> = held
            .seats
            .iter()
            .filter_map(|(id, holder)| Some((*id, holder.place.idle()?)))
            .filter(|(_, state)| state >> PHASE_BITS < overdue)
            .collect();
        for (id, state) in late {
            self.send_away(&mut held, id, state);
        }
    }

    /// Sends away who keeps the server waiting, of those that have a weight: the heaviest, and of these who does so for
    /// longest.
    fn make_room(&self, held: &mut Held, weight: impl Fn(&Held, &Holder) -> Option<usize>) -> Outcome {
        let due = self.room.started.elapsed().saturating_sub(GRACE).as_millis();
        loop {
            let mut is_too_soon = false;
            let candidates = held.seats.iter().filter_map(|(id, holder)| {
                let weight = weight(held, holder)?;
                is_too_soon |= holder.place.is_new();
                let state = holder.place.idle()?;
                let since = state >> PHASE_BITS;
                is_too_soon |= u128::from(since) > due;
                (u128::from(since) <= due).then_some((weight, Reverse(since), Reverse(*id), state))
            });
            let Some((_, _, Reverse(id), state)) = candidates.max() else {
                return if is_too_soon { Outcome::TooSoon } else { Outcome::AllInWork };
            };
            // Its request may have come this very moment.
            if self.send_away(held, id, state) {
                held.note(self.connections, 1);
                return Outcome::Room;
            }
        }
    }

    fn send_away(&self, held: &mut Held, id: u64, seen: u64) -> bool {
        let taken = held.seats.get(&id).is_some_and(|holder| holder.place.take(seen));
        if taken && let Some(holder) = held.remove(id) {
            self.metrics.open.dec();
            self.metrics.refused.inc();
            if let Some(task) = holder.task {
                task.abort();
            }
        }
        taken
    }
}

impl Held {
    fn add(&mut self, holder: Holder) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.shares.add(holder.origin);
        self.seats.insert(id, holder);
        id
    }

    fn remove(&mut self, id: u64) -> Option<Holder> {
        let holder = self.seats.remove(&id)?;
        self.shares.remove(holder.origin);
        Some(holder)
    }

    /// Somebody had to give way, or to wait: the first of an incident is told.
    fn note(&mut self, places: usize, closed: u64) {
        let open = self.seats.len();
        let incident = self.incident.get_or_insert_with(|| {
            tracing::warn!(
                action = "connections_full",
                connections = open,
                details = %format_args!("{places} places"),
                "clients hold all places, or all that one address may hold; who keeps the service waiting longest is closed"
            );
            Incident { closed: 0, latest: Instant::now() }
        });
        incident.closed += closed;
        incident.latest = Instant::now();
    }

    fn end_incident(&mut self) {
        if let Some(Incident { closed, .. }) =
            self.incident.take_if(|incident| incident.latest.elapsed() > INCIDENT_OVER)
        {
            tracing::info!(
                action = "connections_free",
                connections = closed,
                "there are places again; so many connections were closed or refused"
            );
        }
    }
}
