//! The world that the core runs in: one generator, one virtual clock, the servers' models and the processes. Every call
//! of a server is a way there and a way back, on each of which time passes and the process may die or freeze.

use super::broker::BrokerModel;
use super::tables::{Tables, Without};
use amqp::BrokerState;
use fastrand::Rng;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long one operation of the store may take; a statement that is given up may still have its effect that long.
pub const OPERATION_TIMEOUT_MS: i64 = 3_000;
/// PostgreSQL ends a transaction in which nothing happens for so long.
pub const IDLE_TRANSACTION_MS: i64 = 2_700;
/// A process that died is noticed by the servers within this time.
const LINGER_MS: i64 = 2_000;

/// A process: its place in [`State::processes`].
pub type ProcessId = usize;

/// How likely what is at each step, in one of a thousand.
#[derive(Debug, Clone, Copy, Default)]
pub struct Odds {
    /// A process dies on the way to a server or back.
    pub crash: u32,
    /// A statement is not executed.
    pub refused: u32,
    /// It is executed, and its answer is lost.
    pub answer_lost: u32,
    /// Its answer is lost, and it is executed later.
    pub late: u32,
    /// A batch of orders is refused as a whole.
    pub spoilt: u32,
    /// A row of the outbox is in the hands of another relay, just as one looks.
    pub passed_over: u32,
    /// The broker loses its disk in the middle of being told everything again.
    pub wiped_midway: u32,
    /// A message is lost on the way to the broker.
    pub message_lost: u32,
    /// The broker has it, and its confirmation is lost.
    pub confirm_lost: u32,
    /// The broker refuses it.
    pub nacked: u32,
    /// It arrives twice.
    pub repeated: u32,
    /// A message overtakes others in its queue.
    pub overtakes: u32,
}

pub struct Process {
    pub name: String,
    pub alive: bool,
    /// Cancelled when it is dead.
    pub died: CancellationToken,
    /// It does nothing until then.
    pub frozen_until: i64,
    /// It cannot reach PostgreSQL until then.
    pub store_cut_until: i64,
    /// It cannot connect to RabbitMQ until then.
    pub broker_cut_until: i64,
    /// Counts its connections to RabbitMQ.
    pub generation: u64,
    /// Whether RabbitMQ believes in the connection.
    pub server_open: bool,
    /// What the process believes of it.
    pub link: Link,
    /// The name that it holds in RabbitMQ, and where it hears that it lost it.
    pub held_name: Option<(String, watch::Sender<bool>)>,
    /// It is at work, as a worker.
    pub registered: bool,
}

/// What a process believes of its connection to RabbitMQ. Who follows it has a channel of his own: those who share one are
/// woken in an order that tokio draws, and that no seed decides.
pub struct Link {
    state: BrokerState,
    followers: Vec<watch::Sender<BrokerState>>,
}

impl Link {
    fn new(state: BrokerState) -> Self {
        Self { state, followers: Vec::new() }
    }

    pub fn state(&self) -> &BrokerState {
        &self.state
    }

    pub fn follow(&mut self) -> watch::Receiver<BrokerState> {
        self.followers.retain(|follower| !follower.is_closed());
        let (follower, state) = watch::channel(self.state.clone());
        self.followers.push(follower);
        state
    }

    pub fn set(&mut self, state: BrokerState) {
        for follower in &self.followers {
            follower.send_replace(state.clone());
        }
        self.state = state;
    }
}

pub struct State {
    pub rng: Rng,
    pub odds: Odds,
    pub tables: Tables,
    pub broker: BrokerModel,
    pub processes: Vec<Process>,
    /// PostgreSQL is away until then.
    pub store_down_until: i64,
    /// RabbitMQ is away until then.
    pub broker_down_until: i64,
    /// Whose transaction holds outbox rows, and since when.
    pub locks: BTreeMap<u64, (ProcessId, i64)>,
    pub violations: Vec<String>,
    /// How often a worker found that an order in its hands was not its own any more.
    pub let_go: usize,
    start: Instant,
    trace: DefaultHasher,
    verbose: bool,
}

impl State {
    /// Milliseconds since the beginning.
    pub fn now(&self) -> i64 {
        i64::try_from(self.start.elapsed().as_millis()).unwrap()
    }

    /// Whether what has these odds happens.
    pub fn chance(&mut self, per_mille: u32) -> bool {
        per_mille > 0 && self.rng.u32(0..1000) < per_mille
    }

    /// How long a way takes: mostly nothing, at times long.
    fn delay_ms(&mut self) -> i64 {
        match self.rng.u32(0..100) {
            0..60 => 0,
            60..90 => self.rng.i64(1..10),
            90..99 => self.rng.i64(10..100),
            _ => self.rng.i64(100..800),
        }
    }

    /// Something happened. Equal seeds must give equal traces.
    pub fn note(&mut self, process: Option<ProcessId>, what: &'static str, detail: impl Debug) {
        let now = self.now();
        (now, process, what).hash(&mut self.trace);
        if self.verbose {
            let name = process.map_or("the world", |process| self.processes[process].name.as_str());
            print(&format!("{now:>6} ms  {name}: {what} {detail:?}"));
        }
    }

    pub fn violate(&mut self, what: String) {
        self.note(None, "VIOLATION", &what);
        self.violations.push(what);
    }

    /// What identifies all that happened so far, and what came of it.
    pub fn trace_hash(&self) -> u64 {
        let mut trace = self.trace.clone();
        for order in self.tables.orders.values() {
            (&order.number, order.status, order.attempt, &order.processed_by).hash(&mut trace);
        }
        for row in &self.tables.log {
            (row.id, row.order_id, row.status, &row.changed_by, row.changed_at).hash(&mut trace);
        }
        trace.finish()
    }

    pub fn can_reach_store(&self, process: ProcessId) -> bool {
        self.now() >= self.store_down_until.max(self.processes[process].store_cut_until)
    }

    pub fn can_connect(&self, process: ProcessId) -> bool {
        self.now() >= self.broker_down_until.max(self.processes[process].broker_cut_until)
    }
}

/// Shows a line of a replay.
#[allow(clippy::print_stderr)]
fn print(line: &str) {
    eprintln!("{line}");
}

/// Shared by everything in one simulation.
#[derive(Clone)]
pub struct World(Arc<Mutex<State>>);

impl World {
    pub fn new(seed: u64, without: Without, verbose: bool) -> Self {
        Self(Arc::new(Mutex::new(State {
            rng: Rng::with_seed(seed),
            odds: Odds::default(),
            tables: Tables::new(2 * OPERATION_TIMEOUT_MS, without),
            broker: BrokerModel::of_long_ago(),
            processes: Vec::new(),
            store_down_until: 0,
            broker_down_until: 0,
            locks: BTreeMap::new(),
            violations: Vec::new(),
            let_go: 0,
            start: Instant::now(),
            trace: DefaultHasher::new(),
            verbose,
        })))
    }

    /// Never held over an await.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// A new process, and its way to the servers.
    pub fn start_process(&self, name: &str) -> Actor {
        let actor = {
            let mut state = self.lock();
            let process = state.processes.len();
            state.processes.push(Process {
                name: format!("{name}#{process}"),
                alive: true,
                died: CancellationToken::new(),
                frozen_until: 0,
                store_cut_until: 0,
                broker_cut_until: 0,
                generation: 0,
                server_open: false,
                link: Link::new(BrokerState::Connecting { since: std::time::Instant::now(), failure: None }),
                held_name: None,
                registered: false,
            });
            state.note(Some(process), "starts", ());
            Actor { world: self.clone(), process }
        };
        tokio::spawn(super::broker::keep_connected(actor.clone()));
        actor
    }

    /// The process is gone from one moment to the next. The servers notice it a little later.
    pub fn kill(&self, process: ProcessId) {
        let linger = {
            let mut state = self.lock();
            if !state.processes[process].alive {
                return;
            }
            state.note(Some(process), "dies", ());
            state.processes[process].alive = false;
            state.processes[process].died.cancel();
            state.rng.i64(0..LINGER_MS)
        };
        let world = self.clone();
        tokio::spawn(async move {
            sleep_ms(linger).await;
            let mut state = world.lock();
            let generation = state.processes[process].generation;
            state.close_server_side(process, generation);
            let locks: Vec<u64> =
                state.locks.iter().filter(|(_, (owner, _))| *owner == process).map(|(l, _)| *l).collect();
            for lock in locks {
                state.locks.remove(&lock);
                state.tables.confirm_outbox(lock, &[]);
            }
        });
    }
}

/// One process's way to the world.
#[derive(Clone)]
pub struct Actor {
    pub world: World,
    pub process: ProcessId,
}

impl Actor {
    /// A way to a server or back.
    pub async fn hop(&self) {
        let (delay, dies) = {
            let mut state = self.world.lock();
            let odds = state.odds.crash;
            (state.delay_ms(), state.chance(odds))
        };
        sleep_ms(delay).await;
        if dies {
            self.world.kill(self.process);
        }
        self.awake().await;
    }

    /// Waits while the process is frozen, and for ever when it is dead: that ends everything that it does.
    pub async fn awake(&self) {
        loop {
            let pause = {
                let state = self.world.lock();
                let process = &state.processes[self.process];
                process.alive.then(|| process.frozen_until - state.now())
            };
            match pause {
                None => std::future::pending().await,
                Some(pause) if pause > 0 => sleep_ms(pause).await,
                Some(_) => return,
            }
        }
    }

    pub fn died(&self) -> CancellationToken {
        self.world.lock().processes[self.process].died.clone()
    }
}

/// Waits; not at all for 0.
pub async fn sleep_ms(ms: i64) {
    if let Ok(ms @ 1..) = u64::try_from(ms) {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
}
