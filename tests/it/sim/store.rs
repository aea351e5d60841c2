//! The model of PostgreSQL as the core's ports see it: statements are refused, their answers lost, or their effects late.

use super::tables::LockedBatch;
use super::world::{Actor, IDLE_TRANSACTION_MS, OPERATION_TIMEOUT_MS, State, sleep_ms};
use restaurant_system::domain::{OrderNumber, WorkerName, WorkerState};
use restaurant_system::store::{
    Announcement, Bumped, Claim, ClaimedOrder, Finish, HeartbeatOutcome, IntakeRequest, IntakeStore,
    KitchenStore, LateOrders, LockedRows, NameRecord, NotHeld, OutboxStore, Placed, ReconcilerStore, Refusal,
    Registered, StoreAccess, StoreError, StoreState, WorkerRegistration, WorkerStore,
};
use std::time::Duration;
use tokio::sync::watch;
use uuid::Uuid;

/// So small that a few orders have several pages.
const EVERYTHING_PAGE: usize = 3;

/// One process's connections to PostgreSQL.
#[derive(Clone)]
pub struct SimStore(pub Actor);

/// What becomes of one statement.
enum Fate {
    Done,
    Refused,
    Busy,
    AnswerLost,
    /// The answer is lost, and the effect comes after so many milliseconds.
    Late(i64),
}

impl SimStore {
    fn fate(&self, state: &mut State) -> Fate {
        let odds = state.odds;
        if !state.can_reach_store(self.0.process) {
            Fate::Refused
        } else if state.chance(odds.refused) {
            if state.rng.bool() { Fate::Refused } else { Fate::Busy }
        } else if state.chance(odds.answer_lost) {
            Fate::AnswerLost
        } else if state.chance(odds.late) {
            Fate::Late(state.rng.i64(1..IDLE_TRANSACTION_MS))
        } else {
            Fate::Done
        }
    }

    /// One statement, with its way there and back.
    pub async fn call<T: Send + 'static>(
        &self,
        what: &'static str,
        effect: impl FnOnce(&mut State, i64) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        self.0.hop().await;
        // What comes of it is dropped out here, where the world is not locked.
        let (done, answer) = {
            let mut state = self.0.world.lock();
            let now = state.now();
            match self.fate(&mut state) {
                Fate::Done => {
                    state.note(Some(self.0.process), what, ());
                    (Some(effect(&mut state, now)), Ok(()))
                }
                Fate::Refused => (None, Err(unavailable())),
                Fate::Busy => (None, Err(StoreError::Busy { reason: "simulated".to_owned() })),
                Fate::AnswerLost => {
                    state.note(Some(self.0.process), what, "answer lost");
                    (Some(effect(&mut state, now)), Err(unavailable()))
                }
                Fate::Late(delay_ms) => {
                    state.note(Some(self.0.process), what, format_args!("{delay_ms} ms late"));
                    self.later(delay_ms, effect);
                    (None, Err(unavailable()))
                }
            }
        };
        self.0.hop().await;
        answer.and_then(|()| done.ok_or_else(unavailable))
    }

    /// The broker may lose its disk while it is being told everything, and be back before that has ended.
    async fn wipe_midway(&self) {
        let pause = {
            let mut state = self.0.world.lock();
            let odds = state.odds.wiped_midway;
            if state.chance(odds) {
                let back_at = state.now() + state.rng.i64(0..200);
                state.restart_broker(true, back_at);
                state.rng.i64(0..OPERATION_TIMEOUT_MS)
            } else {
                0
            }
        };
        sleep_ms(pause).await;
        self.0.awake().await;
    }

    fn later<T: Send + 'static>(
        &self,
        delay_ms: i64,
        effect: impl FnOnce(&mut State, i64) -> T + Send + 'static,
    ) {
        let world = self.0.world.clone();
        tokio::spawn(async move {
            sleep_ms(delay_ms).await;
            let done = {
                let mut state = world.lock();
                let now = state.now();
                effect(&mut state, now)
            };
            drop(done);
        });
    }

    /// From now on the process works, if it has heard so.
    fn note_registered(&self, yes: bool) {
        let mut state = self.0.world.lock();
        state.processes[self.0.process].registered |= yes;
    }

    /// An answer that has arrived: from now on the process knows what it has in hand.
    fn claimed(&self, by_message: bool, claimed: &[ClaimedOrder]) {
        let mut state = self.0.world.lock();
        for order in claimed {
            state.note(
                Some(self.0.process),
                "has",
                format_args!("{} in attempt {}", order.number, order.attempt),
            );
            if by_message {
                state.note_claimed(self.0.process, &order.number, order.attempt);
            }
        }
    }
}

fn unavailable() -> StoreError {
    StoreError::Unavailable { reason: "simulated".to_owned() }
}

fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap()
}

/// Rows of the outbox in a process's hands.
pub struct SimBatch {
    actor: Actor,
    batch: LockedBatch,
}

impl LockedRows for SimBatch {
    fn announcements(&self) -> &[Announcement] {
        &self.batch.announcements
    }

    fn locked(&self) -> usize {
        self.batch.locked
    }
}

impl Drop for SimBatch {
    fn drop(&mut self) {
        let mut state = self.actor.world.lock();
        // A dead process drops nothing: its connection is missed in its own time.
        if state.processes[self.actor.process].alive && state.locks.remove(&self.batch.lock).is_some() {
            state.tables.confirm_outbox(self.batch.lock, &[]);
        }
    }
}

impl OutboxStore for SimStore {
    type Batch = SimBatch;

    async fn lock_outbox(&self, limit: i64, orders_after: Duration) -> Result<SimBatch, StoreError> {
        let (process, limit) = (self.0.process, usize::try_from(limit).unwrap());
        let lock = move |state: &mut State, now: i64| {
            state.end_idle_transactions(now);
            let (odds, ids) = (state.odds.passed_over, Vec::from_iter(state.tables.outbox.keys().copied()));
            let passed_over = ids.into_iter().filter(|_| state.chance(odds)).collect();
            let batch = state.tables.lock_outbox(now, limit, ms(orders_after), &passed_over);
            state.locks.insert(batch.lock, (process, now));
            batch
        };
        let batch = self.call("locks the outbox", lock).await?;
        Ok(SimBatch { actor: self.0.clone(), batch })
    }

    async fn confirm_outbox(&self, batch: SimBatch, published: &[i64]) -> Result<(), StoreError> {
        let published = published.to_vec();
        let confirm = move |state: &mut State, now: i64| {
            state.end_idle_transactions(now);
            if state.locks.remove(&batch.batch.lock).is_none() {
                return (Err(unavailable()), batch);
            }
            for log_id in &published {
                state.check_routed(*log_id);
            }
            state.tables.confirm_outbox(batch.batch.lock, &published);
            (Ok(()), batch)
        };
        // The batch is dropped out here, where the world is not locked.
        let (confirmed, _batch) = self.call("clears the outbox", confirm).await?;
        confirmed
    }
}

impl State {
    fn end_idle_transactions(&mut self, now: i64) {
        let idle: Vec<u64> = self
            .locks
            .iter()
            .filter(|(_, (_, since))| now - since > IDLE_TRANSACTION_MS)
            .map(|(lock, _)| *lock)
            .collect();
        for lock in idle {
            self.locks.remove(&lock);
            self.tables.confirm_outbox(lock, &[]);
        }
    }

    /// A row of the outbox goes only when its message has been routed.
    fn check_routed(&mut self, log_id: i64) {
        let Some(order_id) = self.tables.open(log_id) else { return };
        let message_id = format!("{}.{log_id}", self.tables.orders[&order_id].number);
        if !self.broker.routed.contains(&message_id) {
            self.violate(format!("the outbox forgets {message_id}, which was never routed"));
        }
    }
}

impl IntakeStore for SimStore {
    async fn place_orders(&self, batch: &[IntakeRequest]) -> Result<Vec<Placed>, StoreError> {
        let batch = batch.to_vec();
        let spoilt = {
            let mut state = self.0.world.lock();
            let odds = state.odds.spoilt;
            batch.len() > 1 && state.chance(odds)
        };
        if spoilt {
            // One of them breaks a rule of the schema; alone each of them is taken.
            self.0.hop().await;
            return Err(StoreError::Refused { reason: "simulated".to_owned() });
        }
        self.call("takes orders", move |state, now| state.tables.place(now, &batch)).await
    }
}

impl ReconcilerStore for SimStore {
    async fn outbox_rows(&self, limit: i64) -> Result<i64, StoreError> {
        self.call("counts the outbox", move |state, _| state.tables.outbox_rows(limit)).await
    }

    async fn announce_late_orders(
        &self,
        after: i64,
        limit: i64,
        first_pause: Duration,
    ) -> Result<LateOrders, StoreError> {
        let limit = usize::try_from(limit).unwrap();
        let effect = move |state: &mut State, now| {
            state.tables.announce_late_orders(now, after, limit, ms(first_pause))
        };
        self.call("announces late orders", effect).await
    }

    async fn note_sentinel(&self) -> Result<bool, StoreError> {
        let note = |state: &mut State, _| std::mem::replace(&mut state.tables.sentinel_noted, true);
        self.call("notes the sentinel", note).await
    }

    async fn announce_everything(&self, window: Duration, _page: i64) -> Result<i64, StoreError> {
        let mut announced = 0;
        for window_ms in [None, Some(ms(window))] {
            let mut after = 0;
            loop {
                let page = move |state: &mut State, now| {
                    state.tables.announce_page(now, window_ms, after, EVERYTHING_PAGE)
                };
                let (last, seen, new) = self.call("announces everything", page).await?;
                announced += new;
                self.wipe_midway().await;
                if seen < EVERYTHING_PAGE {
                    break;
                }
                after = last;
            }
        }
        Ok(announced)
    }
}

impl StoreAccess for SimStore {
    async fn prepare(&self) -> Result<usize, StoreError> {
        self.wait_up().await;
        Ok(0)
    }

    /// For the service manager, of which there is none here.
    fn state(&self) -> watch::Receiver<StoreState> {
        watch::channel(StoreState::Up).1
    }

    async fn wait_up(&self) {
        loop {
            self.0.awake().await;
            let pause = {
                let mut state = self.0.world.lock();
                if state.can_reach_store(self.0.process) {
                    return;
                }
                let back = state.store_down_until.max(state.processes[self.0.process].store_cut_until);
                back - state.now() + state.rng.i64(0..300)
            };
            sleep_ms(pause.min(OPERATION_TIMEOUT_MS)).await;
        }
    }

    /// There are always connections here.
    fn note_pressure(&self, _: bool) {}
}

impl WorkerStore for SimStore {
    async fn register_worker(&self, worker: &WorkerRegistration) -> Result<Registered, StoreError> {
        let worker = worker.clone();
        let registered = self.call("registers", move |state, now| state.tables.register(now, &worker)).await;
        self.note_registered(registered.is_ok());
        registered
    }

    async fn register_worker_over(
        &self,
        worker: &WorkerRegistration,
        found: Option<&NameRecord>,
    ) -> Result<Option<Registered>, StoreError> {
        let (worker, found) = (worker.clone(), found.cloned());
        let effect = move |state: &mut State, now| state.tables.register_over(now, &worker, found.as_ref());
        let registered = self.call("registers alone", effect).await;
        self.note_registered(matches!(registered, Ok(Some(_))));
        registered
    }

    async fn name_record(&self, name: &WorkerName) -> Result<Option<NameRecord>, StoreError> {
        let name = name.clone();
        self.call("looks at its name", move |state, now| state.tables.name_record(now, &name)).await
    }

    async fn heartbeat(
        &self,
        name: &WorkerName,
        session: Uuid,
        worker_state: WorkerState,
        in_hand: &[OrderNumber],
    ) -> Result<HeartbeatOutcome, StoreError> {
        let (name, in_hand) = (name.clone(), in_hand.to_vec());
        self.call("beats", move |state, now| {
            state.tables.heartbeat(now, &name, session, worker_state, &in_hand)
        })
        .await
    }
}

impl KitchenStore for SimStore {
    async fn claim_orders(
        &self,
        claim: &Claim,
        numbers: &[OrderNumber],
    ) -> Result<Vec<ClaimedOrder>, StoreError> {
        let (claim, numbers) = (claim.clone(), numbers.to_vec());
        let effect = move |state: &mut State, now| state.tables.claim_orders(now, &claim, &numbers);
        let claimed = self.call("claims", effect).await?;
        self.claimed(true, &claimed);
        Ok(claimed)
    }

    async fn claim_overdue(
        &self,
        claim: &Claim,
        grace: Duration,
        limit: i64,
    ) -> Result<Vec<ClaimedOrder>, StoreError> {
        let (claim, limit) = (claim.clone(), usize::try_from(limit).unwrap());
        let effect = move |state: &mut State, now| state.tables.claim_overdue(now, &claim, ms(grace), limit);
        let claimed = self.call("sweeps the backlog", effect).await?;
        self.claimed(false, &claimed);
        Ok(claimed)
    }

    async fn claim_promoted(&self, claim: &Claim, limit: i64) -> Result<Vec<ClaimedOrder>, StoreError> {
        let (claim, limit) = (claim.clone(), usize::try_from(limit).unwrap());
        let effect = move |state: &mut State, now| state.tables.claim_promoted(now, &claim, limit);
        let claimed = self.call("claims promoted orders", effect).await?;
        self.claimed(false, &claimed);
        Ok(claimed)
    }

    async fn promotion_due(&self, claim: &Claim) -> Result<Option<Duration>, StoreError> {
        let claim = claim.clone();
        self.call("looks for the oldest order", move |state, now| state.tables.promotion_due(now, &claim))
            .await
    }

    async fn refusal(&self, claim: &Claim, number: &OrderNumber) -> Result<Refusal, StoreError> {
        let (claim, number) = (claim.clone(), number.clone());
        self.call("asks for the refusal", move |state, _| state.tables.refusal(&claim, &number)).await
    }

    async fn finish_orders(
        &self,
        worker: &WorkerName,
        finished: &[Finish],
    ) -> Result<Vec<OrderNumber>, StoreError> {
        let (worker, finished) = (worker.clone(), finished.to_vec());
        self.call("finishes", move |state, now| state.tables.finish(now, &worker, &finished)).await
    }

    async fn give_back_orders(&self, worker: &WorkerName, orders: &[Finish]) -> Result<u64, StoreError> {
        let (worker, orders) = (worker.clone(), orders.to_vec());
        self.call("gives back", move |state, now| state.tables.give_back(now, &worker, &orders)).await
    }

    async fn not_held(&self, worker: &WorkerName, held: &[Finish]) -> Result<Vec<NotHeld>, StoreError> {
        let (worker, held) = (worker.clone(), held.to_vec());
        let effect = move |state: &mut State, _| {
            let lost = state.tables.not_held(&worker, &held);
            state.let_go += lost.len();
            lost
        };
        self.call("looks at what it has", effect).await
    }

    // Nobody works at a station here: every worker cooks by time.
    async fn finish_bumped(&self, _: &WorkerName, _: Duration) -> Result<Vec<Bumped>, StoreError> {
        Ok(Vec::new())
    }

    async fn adopt_orders(&self, _: &WorkerName) -> Result<Vec<ClaimedOrder>, StoreError> {
        Ok(Vec::new())
    }

    async fn is_finished_by(&self, worker: &WorkerName, finish: &Finish) -> Result<bool, StoreError> {
        let (worker, finish) = (worker.clone(), finish.clone());
        self.call("asks whether it is finished", move |state, _| {
            state.tables.is_finished_by(&worker, &finish)
        })
        .await
    }
}
