//! One seed: customers order, processes work, and everything happens to them for a while. Then it stops, and all that
//! was promised must come true.

use super::audit::{self, Answer};
use super::broker::SimBroker;
use super::faults;
use super::orders::{form, token};
use super::store::SimStore;
use super::tables::{Tables, Without};
use super::world::{Actor, World, sleep_ms};
use crate::support::token_act;
use daemon::metrics::Metrics;
use daemon::shutdown::Shutdown;
use daemon::systemd::ServiceManager;
use fastrand::Rng;
use restaurant_system::domain::{CookTimes, OrderNumber, OrderType, Status};
use restaurant_system::reconciler::{self, ReconcilerOptions};
use restaurant_system::relay::{self, RelayOwner};
use restaurant_system::services::kitchen::{self, KitchenError, KitchenOptions, KitchenTimes};
use restaurant_system::services::order::{Intake, OrdersReceived};
use restaurant_system::store::{IdempotencyKey, IntakeRequest, StaffChange, StaffOutcome};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long after the last fault everything must have come true.
const PATIENCE_MS: i64 = 300_000;
/// How long after that two processes of one worker may both be at work.
const SETTLED_MS: i64 = 30_000;
/// How long after it was ready an order may be recalled.
const RECALL_MS: i64 = 60_000;
/// A worker looks for promoted orders every 10 s, and may freeze for 12 s meanwhile, or have to look again.
const PROMOTION_SLACK_MS: i64 = 30_000;
/// How long a customer waits for an answer.
const CUSTOMER_TIMEOUT: Duration = Duration::from_secs(8);
const WORKERS: [(&str, &[OrderType]); 3] = [
    ("chef_anna", &OrderType::ALL),
    ("chef_mario", &[OrderType::DineIn, OrderType::Takeout]),
    ("chef_li", &OrderType::ALL),
];

/// What a seed came to.
#[derive(Debug, Default)]
pub struct Outcome {
    pub trace: u64,
    pub violations: Vec<String>,
    pub orders: usize,
    /// How many orders were ready that had been taken over before.
    pub taken_over: usize,
    /// How many finishes came too late.
    pub stale_finishes: usize,
    pub processes: usize,
    /// How many orders were cancelled while they were cooked.
    pub cancelled_cooking: usize,
    /// How often an order was recalled.
    pub recalled: usize,
    /// How often a worker let an order go.
    pub let_go: usize,
}

impl Outcome {
    /// Adds the figures of another seed.
    pub fn add(&mut self, other: &Self) {
        self.orders += other.orders;
        self.taken_over += other.taken_over;
        self.stale_finishes += other.stale_finishes;
        self.processes += other.processes;
        self.cancelled_cooking += other.cancelled_cooking;
        self.recalled += other.recalled;
        self.let_go += other.let_go;
    }
}

/// The parts of one run.
#[derive(Clone)]
pub struct Scenario {
    pub world: World,
    pub workers: usize,
    pub kitchen: KitchenOptions,
    /// In some seeds only: what is promised for orders holds without it.
    reconciler: Option<ReconcilerOptions>,
    /// What is to be stopped, by the worker's or service's place.
    pub shutdowns: Arc<Mutex<Vec<Shutdown>>>,
    services: Arc<Mutex<Vec<Option<Service>>>>,
    answers: Arc<Mutex<Vec<Answer>>>,
}

/// An order service that runs.
#[derive(Clone)]
struct Service {
    actor: Actor,
    intake: Arc<Intake>,
}

/// Runs one seed to its end.
pub fn run_seed(seed: u64, without: Without, verbose: bool) -> Outcome {
    // Jitter comes from the thread's own generator.
    fastrand::seed(seed);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(simulate(seed, without, verbose))
}

async fn simulate(seed: u64, without: Without, verbose: bool) -> Outcome {
    let world = World::new(seed, without, verbose);
    let mut rng = Rng::with_seed(seed ^ 0x5eed);
    let scenario = Scenario::new(world.clone(), &mut rng);
    let services = rng.usize(1..3);
    for at in 0..services {
        tokio::spawn(scenario.clone().keep_service(at));
    }
    for at in 0..scenario.workers {
        tokio::spawn(scenario.clone().keep_worker(at));
    }
    // A broker that lost its disk is told everything after 12 s: it may lose it again just then.
    let calm_ms = rng.i64(3_000..if scenario.reconciler.is_some() { 24_000 } else { 15_000 });
    let customers = TaskTracker::new();
    for n in 0..rng.usize(2..9) {
        customers.spawn(scenario.clone().customer(n, calm_ms * 3 / 4, rng.fork()));
    }
    customers.close();
    faults::rage(&scenario, calm_ms, &mut rng).await;
    let reconciled = scenario.reconciler.is_some();
    let quiet = until_quiet(&world, &customers, reconciled).await;
    sleep_ms(SETTLED_MS).await;
    let mut state = world.lock();
    if !quiet {
        let waiting = format!("{:?}", state.broker.waiting());
        let open: Vec<i64> = state.tables.outbox.keys().copied().collect();
        state.violate(format!(
            "not quiet: messages {waiting}, outbox {open:?}, customers {}",
            customers.len()
        ));
    }
    audit::audit(&mut state, &scenario.answers.lock().unwrap(), reconciled);
    Outcome {
        trace: state.trace_hash(),
        violations: state.violations.iter().chain(&state.tables.violations).cloned().collect(),
        orders: state.tables.orders.len(),
        taken_over: state.tables.taken_over(),
        stale_finishes: state.tables.stale_finishes,
        processes: state.processes.len(),
        cancelled_cooking: state.tables.count(Status::Cooking, Status::Cancelled),
        recalled: state.tables.count(Status::Ready, Status::Cooking),
        let_go: state.let_go,
    }
}

/// Waits until nothing is left to be done, or until it should long have been.
async fn until_quiet(world: &World, customers: &TaskTracker, reconciled: bool) -> bool {
    let since = world.lock().now();
    loop {
        {
            let state = world.lock();
            let done = customers.is_empty()
                && state.tables.outbox.is_empty()
                && state.broker.is_quiet()
                && (state.broker.has_sentinel || !reconciled)
                && state.tables.orders.values().all(|order| order.status.is_settled());
            if done || !state.violations.is_empty() || !state.tables.violations.is_empty() {
                return true;
            }
            if state.now() - since > PATIENCE_MS {
                return false;
            }
        }
        sleep_ms(500).await;
    }
}

impl Scenario {
    fn new(world: World, rng: &mut Rng) -> Self {
        let mut kitchen = KitchenOptions {
            metrics: Metrics::default(),
            name: "nobody".parse().unwrap(),
            order_types: Vec::new(),
            heartbeat_interval: Duration::from_millis(rng.u64(1_000..4_000)),
            prefetch: rng.u16(1..4),
            times: KitchenTimes {
                cook: CookTimes::uniform(Duration::from_millis(rng.u64(0..5_000))),
                stop_timeout: Duration::from_millis(rng.u64(0..4_000)),
                grace: Duration::from_millis(rng.u64(500..6_000)),
                promote_after: Duration::from_millis(rng.u64(1_000..20_000)),
            },
            station: None,
        };
        let reconciler = (rng.u8(0..3) == 0).then(|| ReconcilerOptions {
            max_rows: 1_000,
            announce_again: Duration::from_millis(rng.u64(1_000..6_000)),
            repeat_updates: Duration::from_secs(3_600),
        });
        // Then, at times, only a message brings a new order to a worker.
        if reconciler.is_some() && rng.bool() {
            kitchen.times.grace = Duration::from_secs(3_600);
        }
        let scenario = Self { reconciler, ..Self::with(world, kitchen, rng.usize(1..4)) };
        scenario.world.lock().tables.promotion_slack_ms = Some(PROMOTION_SLACK_MS);
        scenario
    }

    /// With these workers, all alike but for their types; nothing is announced again.
    pub fn with(world: World, kitchen: KitchenOptions, workers: usize) -> Self {
        Self {
            world,
            workers,
            kitchen,
            reconciler: None,
            shutdowns: Arc::default(),
            services: Arc::default(),
            answers: Arc::default(),
        }
    }

    /// A worker's process, from its start to its end: it stops, gives up, or is killed.
    pub async fn worker(self, at: usize) {
        let (name, order_types) = WORKERS[at % WORKERS.len()];
        let options = KitchenOptions {
            name: name.parse().unwrap(),
            order_types: order_types.to_vec(),
            ..self.kitchen.clone()
        };
        let actor = self.world.start_process(name);
        let shutdown = Shutdown::new();
        self.shutdowns.lock().unwrap().push(shutdown.clone());
        let (store, broker) = (SimStore(actor.clone()), SimBroker(actor.clone()));
        let running = tokio::spawn(async move {
            // In the simulation there is one thread, and its clock.
            let writing = tokio::runtime::Handle::current();
            kitchen::run(options, store, broker, shutdown, &writing, &ServiceManager::default()).await
        });
        let died = actor.died();
        let ended = tokio::select! {
            biased;
            () = died.cancelled() => None,
            ended = running => Some(ended),
        };
        match ended {
            None => {}
            Some(Ok(Ok(()) | Err(KitchenError::Name { .. } | KitchenError::Replaced(_)))) => {
                self.world.kill(actor.process);
            }
            Some(wrong) => self.world.lock().violate(format!("{name} ends: {wrong:?}")),
        }
    }

    pub async fn keep_worker(self, at: usize) {
        loop {
            self.clone().worker(at).await;
            self.rest().await;
        }
    }

    /// How long it takes until somebody starts a process again.
    async fn rest(&self) {
        let pause = self.world.lock().rng.i64(50..6_000);
        sleep_ms(pause).await;
    }

    /// An order service without its HTTP, started again whenever it has died.
    pub async fn keep_service(self, at: usize) {
        self.services.lock().unwrap().push(None);
        loop {
            let actor = self.world.start_process("order-service");
            let (store, broker) = (SimStore(actor.clone()), SimBroker(actor.clone()));
            let tasks = TaskTracker::new();
            let stop = CancellationToken::new();
            let relay =
                relay::start(store.clone(), broker.clone(), RelayOwner::OrderService, stop.clone(), &tasks);
            if let Some(options) = self.reconciler {
                let relay = relay.clone();
                reconciler::start(store.clone(), broker, options, relay, stop.clone(), &tasks);
            }
            let intake = Arc::new(Intake::start(
                store,
                relay,
                4,
                Duration::from_secs(2),
                OrdersReceived::default(),
                &tasks,
            ));
            let shutdown = Shutdown::new();
            self.shutdowns.lock().unwrap().push(shutdown.clone());
            self.services.lock().unwrap()[at] = Some(Service { actor: actor.clone(), intake });
            let (died, stopping) = (actor.died(), shutdown.stopping());
            tokio::select! {
                biased;
                () = died.cancelled() => {}
                () = stopping.cancelled() => {
                    self.services.lock().unwrap()[at] = None;
                    stop.cancel();
                    tasks.close();
                    let _ = tokio::time::timeout(Duration::from_secs(10), tasks.wait()).await;
                    self.world.kill(actor.process);
                }
            }
            self.services.lock().unwrap()[at] = None;
            self.rest().await;
        }
    }

    fn some_service(&self, rng: &mut Rng) -> Option<Service> {
        let services: Vec<Service> = self.services.lock().unwrap().iter().flatten().cloned().collect();
        rng.choice(services)
    }

    /// One request; `None` when it is refused, or the answer does not come.
    pub async fn ask(&self, request: IntakeRequest, rng: &mut Rng) -> Option<OrderNumber> {
        let service = self.some_service(rng)?;
        let died = service.actor.died();
        let answered = tokio::select! {
            biased;
            () = died.cancelled() => None,
            answered = tokio::time::timeout(CUSTOMER_TIMEOUT, service.intake.place(request.clone())) => {
                answered.ok().and_then(Result::ok).map(|taken| taken.number)
            }
        }?;
        // The answer's own way: a process that has died or is frozen sends none.
        let sent = tokio::time::timeout(CUSTOMER_TIMEOUT, service.actor.hop()).await;
        sent.ok()?;
        let answer =
            Answer { number: answered.clone(), key: request.idempotency.map(|idempotency| idempotency.key) };
        audit::answered(&mut self.world.lock(), &answer);
        self.answers.lock().unwrap().push(answer);
        Some(answered)
    }

    /// Somebody who orders, and may ask again: under a key until there is an answer, else as often as patience lasts.
    async fn customer(self, n: usize, within_ms: i64, mut rng: Rng) {
        sleep_ms(rng.i64(0..within_ms)).await;
        let keyed = rng.u8(0..3) > 0;
        let idempotency = keyed.then(|| IdempotencyKey { key: format!("key {n}"), body_sha256: [7; 32] });
        let request = IntakeRequest {
            order: form(&mut rng),
            request_id: format!("request {n}"),
            traceparent: None,
            token: token(&rng),
            source: None,
            idempotency,
        };
        if keyed && rng.u8(0..4) == 0 {
            // The same at once, from another window.
            let (scenario, request, mut rng) = (self.clone(), request.clone(), rng.fork());
            tokio::spawn(async move { scenario.ask(request, &mut rng).await });
        }
        let mut tries = 0;
        let number = loop {
            tries += 1;
            match self.ask(request.clone(), &mut rng).await {
                Some(number) => break number,
                None if !keyed && tries > 2 => return,
                None => sleep_ms(rng.i64(100..2_000)).await,
            }
        };
        if keyed && rng.u8(0..4) == 0 {
            sleep_ms(rng.i64(0..3_000)).await;
            self.ask(request, &mut rng).await;
        }
        let pause_ms = rng.i64(0..2_000);
        match rng.u8(0..8) {
            0..2 => self.cancel(number, rng.i64(0..6_000)).await,
            2..4 => self.hand_out(&number, pause_ms).await,
            4..6 => {
                for _ in 0..rng.u8(1..3) {
                    self.until_done(&number, pause_ms, "staff recalls", |tables, now, number| {
                        tables.recall_order(now, number, &token_act(), RECALL_MS)
                    })
                    .await;
                }
                self.hand_out(&number, pause_ms).await;
            }
            _ => {}
        }
    }

    /// Staff cancels an order, perhaps too late.
    async fn cancel(&self, number: OrderNumber, after_ms: i64) {
        sleep_ms(after_ms).await;
        let mut state = self.world.lock();
        let now = state.now();
        state.note(None, "staff cancels", &number);
        state.tables.move_order(now, &number, &StaffChange::new(Status::Cancelled, token_act()));
    }

    /// Staff sends a delivery out, and hands any order to its customer.
    async fn hand_out(&self, number: &OrderNumber, pause_ms: i64) {
        for (to, what) in
            [(Status::OutForDelivery, "staff dispatches"), (Status::Completed, "staff completes")]
        {
            let change = StaffChange::new(to, token_act());
            let moved =
                |tables: &mut Tables, now, number: &OrderNumber| tables.move_order(now, number, &change);
            self.until_done(number, pause_ms, what, moved).await;
        }
    }

    /// Staff does it soon after the order is ready; nobody waits for that for long.
    async fn until_done(
        &self,
        number: &OrderNumber,
        pause_ms: i64,
        what: &'static str,
        change: impl Fn(&mut Tables, i64, &OrderNumber) -> StaffOutcome,
    ) {
        for _ in 0..8 {
            sleep_ms(pause_ms).await;
            let mut state = self.world.lock();
            let now = state.now();
            match change(&mut state.tables, now, number) {
                StaffOutcome::Done { .. } => return state.note(None, what, number),
                StaffOutcome::OtherType(_) => return,
                StaffOutcome::Conflict(_) | StaffOutcome::TooLate | StaffOutcome::NotFound => {}
            }
        }
    }
}
