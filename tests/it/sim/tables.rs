//! A model of PostgreSQL's tables and of the statements on them, each of them one step. `differential` holds it against
//! the real ones. Times are milliseconds of any clock that never goes back.

mod held;
mod names;
mod outbox;
mod promotion;
mod staff;
mod writes;

pub use outbox::{LockedBatch, OutboxRow};
pub use writes::WritesClock;

use restaurant_system::domain::{
    NewOrder, OFFLINE_AFTER_INTERVALS, OrderNumber, OrderType, Status, TrackingToken, WorkerName, WorkerState,
};
use restaurant_system::store::{
    Claim, ClaimTimes, ClaimedOrder, Finish, HeartbeatOutcome, IntakeRequest, PeerCount, Placed, Refusal,
    Registered, WorkerRegistration,
};
use std::collections::BTreeMap;
use uuid::Uuid;

/// PostgreSQL's limit: more than the simulation needs.
const MAX_CONNECTIONS: usize = 400;

/// A mechanism that is taken away, to see whether anything notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Without {
    #[default]
    Nothing,
    /// The claim's compare-and-set: whatever is asked for is taken.
    StatusCheck,
    /// The fencing token: a finish counts whoever holds the order in whichever attempt.
    Attempt,
    /// The outbox row in the transaction of the finish.
    Outbox,
    /// The relay's wait for the broker's word: a message that was sent counts as routed.
    ConfirmWait,
    /// Acknowledging after the commit: a message counts as acknowledged when it is delivered.
    AckAfterCommit,
    /// Acknowledging after the finish: it is acknowledged as soon as the order is claimed.
    AckAfterFinish,
    /// The backlog sweep.
    Sweep,
    /// The row of the idempotency key in the order's transaction.
    KeyRow,
    /// The new attempt that a recall begins.
    NewAttempt,
    /// What goes before all others.
    Promotion,
    /// Announcing again what waits for long, and what a broker without memory has to be told.
    Reconciler,
}

#[derive(Debug, Clone)]
pub struct Order {
    pub number: OrderNumber,
    pub form: NewOrder,
    pub request_id: String,
    pub traceparent: Option<String>,
    pub token: TrackingToken,
    pub status: Status,
    pub processed_by: Option<String>,
    pub attempt: i32,
    pub claimed_at: Option<i64>,
    pub created_at: i64,
    pub updated_at: i64,
    /// Since when it has been ready.
    pub completed_at: Option<i64>,
    pub estimated_completion: Option<i64>,
    /// How often it was announced again, and when last.
    pub announced_again: u32,
    pub announced_again_at: Option<i64>,
}

#[derive(Debug, Clone)]
pub struct LogRow {
    pub id: i64,
    pub order_id: i64,
    pub previous: Option<Status>,
    pub status: Status,
    pub attempt: i32,
    pub changed_by: String,
    pub changed_at: i64,
    pub notes: Option<String>,
    pub estimated_completion: Option<i64>,
}

#[derive(Debug, Clone)]
pub struct Worker {
    pub order_types: Vec<OrderType>,
    pub state: WorkerState,
    pub last_seen: i64,
    pub orders_processed: i32,
    pub session: Uuid,
    pub heartbeat_interval_ms: i64,
    pub capacity: u16,
    /// What the clock of writes showed then; `None` for one of an old version.
    pub seen_writing_ms: Option<i64>,
}

/// Everything that is committed.
#[derive(Debug, Default)]
pub struct Tables {
    pub orders: BTreeMap<i64, Order>,
    pub log: Vec<LogRow>,
    pub workers: BTreeMap<String, Worker>,
    /// By the first of their changes.
    pub outbox: BTreeMap<i64, OutboxRow>,
    pub keys: BTreeMap<String, ([u8; 32], i64)>,
    /// Today, `YYYYMMDD`.
    pub day: String,
    pub last_sequence: i64,
    /// The row of `broker_mark` is there.
    pub sentinel_noted: bool,
    /// When PostgreSQL was started.
    pub server_started_at: i64,
    pub writes: WritesClock,
    /// How long after a claim its answer is not on its way any more: twice the store's operation timeout.
    pub settled_ms: i64,
    pub without: Without,
    /// So long may an order be promoted before nobody passes it over any more, where that is looked at.
    pub promotion_slack_ms: Option<i64>,
    /// How many finishes came from somebody who did not hold the order any more.
    pub stale_finishes: usize,
    /// What no statement may do and one did.
    pub violations: Vec<String>,
    next_order_id: i64,
    next_log_id: i64,
    next_lock: u64,
}

impl Tables {
    /// Empty ones, on a server that has run for long.
    pub fn new(settled_ms: i64, without: Without) -> Self {
        Self {
            server_started_at: -1_000_000,
            settled_ms,
            without,
            day: "20261122".to_owned(),
            // The system was started long ago, and the broker has the sentinel.
            sentinel_noted: true,
            ..Self::default()
        }
    }

    pub fn by_number(&self, number: &OrderNumber) -> Option<(i64, &Order)> {
        self.orders.iter().find(|(_, order)| order.number == *number).map(|(id, order)| (*id, order))
    }

    /// Answers with what there is to announce of it.
    fn log(&mut self, now: i64, row: LogRow) -> Option<(i64, i64)> {
        self.next_log_id += 1;
        let id = self.next_log_id;
        let entered = |row: &LogRow| (row.order_id, row.status, row.attempt);
        if self.log.iter().any(|other| entered(other) == entered(&row)) {
            let number = &self.orders[&row.order_id].number;
            self.violations.push(format!("{number} enters {} twice in attempt {}", row.status, row.attempt));
        }
        let order_id = row.order_id;
        let announced = self.without != Without::Outbox || row.status != Status::Ready;
        self.log.push(LogRow { id, changed_at: now, ..row });
        announced.then_some((id, order_id))
    }

    /// `orders_refuse_illegal_transition`. Answers with what it was.
    fn set_status(&mut self, id: i64, status: Status) -> Option<Status> {
        let order = self.orders.get_mut(&id)?;
        if order.status != status && !order.status.may_become(status) {
            self.violations.push(format!("{} goes from {} to {status}", order.number, order.status));
        }
        Some(std::mem::replace(&mut order.status, status))
    }

    /// `Store::place_orders`
    pub fn place(&mut self, now: i64, batch: &[IntakeRequest]) -> Vec<Placed> {
        let (mut placed, mut logged) = (Vec::with_capacity(batch.len()), BTreeMap::new());
        for request in batch {
            self.next_order_id += 1;
            let id = self.next_order_id;
            if let Some(key) = &request.idempotency {
                match self.keys.get(&key.key) {
                    Some((body_sha256, _)) if *body_sha256 != key.body_sha256 => {
                        placed.push(Placed::OtherBody);
                        continue;
                    }
                    Some((_, earlier)) => {
                        let Order { number, form, token, .. } = &self.orders[earlier];
                        placed.push(Placed::Before(number.clone(), form.total_amount(), Some(*token)));
                        continue;
                    }
                    None if self.without == Without::KeyRow => {}
                    None => drop(self.keys.insert(key.key.clone(), (key.body_sha256, id))),
                }
            }
            let number = self.insert(now, id, request);
            logged.extend(self.log(now, log_row(id, None, Status::Received, 0, "order-service")));
            placed.push(Placed::New(number));
        }
        self.announce(now, true, logged);
        placed
    }

    fn insert(&mut self, now: i64, id: i64, request: &IntakeRequest) -> OrderNumber {
        self.last_sequence += 1;
        let number = OrderNumber::parse(&format!("ORD_{}_{:03}", self.day, self.last_sequence)).unwrap();
        let order = Order {
            number: number.clone(),
            form: request.order.clone(),
            request_id: request.request_id.clone(),
            traceparent: request.traceparent.clone(),
            token: request.token,
            status: Status::Received,
            processed_by: None,
            attempt: 0,
            claimed_at: None,
            created_at: now,
            updated_at: now,
            completed_at: None,
            estimated_completion: None,
            announced_again: 0,
            announced_again_at: None,
        };
        self.orders.insert(id, order);
        number
    }

    /// `Store::claim_orders`
    pub fn claim_orders(&mut self, now: i64, claim: &Claim, numbers: &[OrderNumber]) -> Vec<ClaimedOrder> {
        let unchecked = self.without == Without::StatusCheck;
        let wanted = |order: &Order| {
            numbers.contains(&order.number)
                && claim.order_types.contains(&order.form.order_type())
                && (unchecked || self.is_claimable(now, order, &claim.worker))
        };
        let picked: Vec<i64> =
            self.orders.iter().filter(|(_, order)| wanted(order)).map(|(id, _)| *id).collect();
        self.take(now, claim, &picked)
    }

    /// `CLAIM_TAIL`
    fn take(&mut self, now: i64, claim: &Claim, picked: &[i64]) -> Vec<ClaimedOrder> {
        self.check_promotion(now, claim, picked);
        let (mut claimed, mut logged) = (Vec::with_capacity(picked.len()), BTreeMap::new());
        for id in picked {
            let previous = self.set_status(*id, Status::Cooking);
            let taken_over = previous == Some(Status::Cooking);
            let Some(order) = self.orders.get_mut(id) else { continue };
            let cook_ms = claim.cook_times.of(order.form.order_type()).as_millis();
            order.processed_by = Some(claim.worker.as_str().to_owned());
            order.attempt += 1;
            order.claimed_at = Some(now);
            order.updated_at = now;
            order.estimated_completion = Some(now + i64::try_from(cook_ms).unwrap());
            claimed.push(ClaimedOrder {
                number: order.number.clone(),
                order_type: order.form.order_type(),
                attempt: order.attempt,
                request_id: order.request_id.clone(),
                traceparent: None,
                times: ClaimTimes::default(),
            });
            if !taken_over {
                let (attempt, estimated_completion) = (order.attempt, order.estimated_completion);
                let row = log_row(*id, previous, Status::Cooking, attempt, claim.worker.as_str());
                logged.extend(self.log(now, LogRow { estimated_completion, ..row }));
            }
        }
        self.announce(now, false, logged);
        claimed
    }

    /// `Store::refusal`
    pub fn refusal(&self, claim: &Claim, number: &OrderNumber) -> Refusal {
        match self.by_number(number) {
            None => Refusal::Unknown,
            Some((_, order)) if !claim.order_types.contains(&order.form.order_type()) => {
                Refusal::OtherType(order.form.order_type())
            }
            Some((_, order)) => {
                Refusal::NotWaiting { status: order.status, processed_by: order.processed_by.clone() }
            }
        }
    }

    /// `Store::finish_orders`
    pub fn finish(&mut self, now: i64, worker: &WorkerName, finished: &[Finish]) -> Vec<OrderNumber> {
        let (mut numbers, mut logged) = (Vec::new(), BTreeMap::new());
        for held in finished {
            let Some((id, order)) = self.by_number(&held.number) else { continue };
            let fenced = order.attempt == held.attempt
                && order.claimed_at.is_some()
                && order.processed_by.as_deref() == Some(worker.as_str());
            let attempt = order.attempt;
            self.stale_finishes += usize::from(!fenced);
            let Some(order) = self.orders.get(&id) else { continue };
            if order.status != Status::Cooking || !(fenced || self.without == Without::Attempt) {
                continue;
            }
            if !fenced {
                self.violations.push(format!(
                    "{worker} finishes {} in attempt {}, which is in attempt {attempt} with {:?}",
                    held.number, held.attempt, self.orders[&id].processed_by
                ));
            }
            let previous = self.set_status(id, Status::Ready);
            if let Some(order) = self.orders.get_mut(&id) {
                order.completed_at = Some(now);
                order.updated_at = now;
                order.estimated_completion = None;
            }
            let was_ready = self.log.iter().any(|row| row.order_id == id && row.status == Status::Ready);
            let why = if was_ready { "recalled" } else { "taken over" };
            let notes = (attempt > 1).then(|| format!("{why}; attempt {attempt}"));
            let row = log_row(id, previous, Status::Ready, attempt, worker.as_str());
            logged.extend(self.log(now, LogRow { notes, ..row }));
            numbers.push(held.number.clone());
        }
        self.announce(now, false, logged);
        if let Some(worker) = self.workers.get_mut(worker.as_str()) {
            worker.orders_processed += i32::try_from(numbers.len()).unwrap();
        }
        numbers
    }

    /// `Store::give_back_orders`
    pub fn give_back(&mut self, now: i64, worker: &WorkerName, orders: &[Finish]) -> u64 {
        self.release(now, worker.as_str(), |order| {
            orders.iter().any(|held| held.number == order.number && held.attempt == order.attempt)
        })
    }

    /// Puts those of a worker's orders that `wanted` names back into the backlog.
    fn release(&mut self, now: i64, worker: &str, wanted: impl Fn(&Order) -> bool) -> u64 {
        let mut released = 0;
        for order in self.orders.values_mut() {
            let held = order.status == Status::Cooking && order.processed_by.as_deref() == Some(worker);
            if held && wanted(order) {
                order.claimed_at = None;
                order.updated_at = now;
                order.estimated_completion = None;
                released += 1;
            }
        }
        released
    }

    /// `Store::register_worker`
    pub fn register(&mut self, now: i64, registration: &WorkerRegistration) -> Registered {
        self.writes.tick(now);
        let name = registration.name.as_str();
        let interval_ms = i64::try_from(registration.heartbeat_interval.as_millis()).unwrap().max(1);
        let orders_processed = self.workers.get(name).map_or(0, |worker| worker.orders_processed);
        let worker = Worker {
            order_types: registration.order_types.clone(),
            state: WorkerState::Online,
            last_seen: now,
            orders_processed,
            session: registration.session,
            heartbeat_interval_ms: interval_ms,
            capacity: registration.capacity,
            seen_writing_ms: Some(self.writes.writing_ms),
        };
        self.workers.insert(name.to_owned(), worker);
        let released = self.release(now, name, |order| order.claimed_at.is_some());
        Registered { released: i64::try_from(released).unwrap(), peers: self.peers(now, name) }
    }

    /// `PEERS_TAIL`
    fn peers(&self, now: i64, name: &str) -> PeerCount {
        let others: Vec<&Worker> = self
            .workers
            .iter()
            .filter(|(other, worker)| {
                let silence = worker.heartbeat_interval_ms * i64::from(OFFLINE_AFTER_INTERVALS);
                *other != name && worker.state != WorkerState::Offline && worker.last_seen > now - silence
            })
            .map(|(_, worker)| worker)
            .collect();
        let fewest = |counts: fn(&Worker) -> bool| {
            let of_type = |order_type: &OrderType| {
                others.iter().filter(|w| w.order_types.contains(order_type) && counts(w)).count()
            };
            let fewest = self.workers[name].order_types.iter().map(of_type).min().unwrap();
            u32::try_from(1 + fewest).unwrap()
        };
        let connection_pressure = (1 + others.len()) * 4 > MAX_CONNECTIONS;
        PeerCount {
            living: fewest(|_| true),
            waiting: fewest(|worker| worker.state == WorkerState::Online),
            connection_pressure,
        }
    }

    /// `Store::heartbeat`
    pub fn heartbeat(
        &mut self,
        now: i64,
        name: &WorkerName,
        session: Uuid,
        state: WorkerState,
        in_hand: &[OrderNumber],
    ) -> HeartbeatOutcome {
        self.writes.tick(now);
        match self.workers.get_mut(name.as_str()).filter(|worker| worker.session == session) {
            None => return HeartbeatOutcome::Replaced,
            Some(worker) => {
                worker.last_seen = now;
                worker.state = state;
                worker.seen_writing_ms = Some(self.writes.writing_ms);
            }
        }
        let settled = now - self.settled_ms;
        let unknown = |order: &Order| {
            order.claimed_at.is_some_and(|at| at < settled) && !in_hand.contains(&order.number)
        };
        let released = self.release(now, name.as_str(), unknown);
        let peers = self.peers(now, name.as_str());
        HeartbeatOutcome::Alive { released: i64::try_from(released).unwrap(), peers }
    }

    /// Renames log rows as the real database has numbered them: a statement that writes several does so in any order.
    pub fn renumber_log(&mut self, id_of: impl Fn(&OrderNumber, usize) -> i64) {
        let orders = &self.orders;
        let (mut renamed, mut places) = (BTreeMap::new(), BTreeMap::new());
        for row in &mut self.log {
            let place: &mut usize = places.entry(row.order_id).or_default();
            let id = id_of(&orders[&row.order_id].number, *place);
            *place += 1;
            renamed.insert(row.id, id);
            row.id = id;
        }
        self.log.sort_unstable_by_key(|row| row.id);
        for (_, mut row) in std::mem::take(&mut self.outbox) {
            row.changes = row.changes.into_iter().map(|(id, order_id)| (renamed[&id], order_id)).collect();
            self.outbox.extend(row.changes.keys().next().copied().map(|first| (first, row)));
        }
        self.next_log_id = self.log.last().map_or(0, |row| row.id);
    }
}

fn log_row(
    order_id: i64,
    previous: Option<Status>,
    status: Status,
    attempt: i32,
    changed_by: &str,
) -> LogRow {
    LogRow {
        id: 0,
        order_id,
        previous,
        status,
        attempt,
        changed_by: changed_by.to_owned(),
        changed_at: 0,
        notes: None,
        estimated_completion: None,
    }
}
