//! Holds the model of the tables against PostgreSQL: the same random operations on both give the same answers and leave
//! the same rows. What depends on time is made to be long ago or far away.

mod promotion;
mod staff;

use super::orders::{form, token};
use super::tables::{LockedBatch, OutboxRow, Tables, Without};
use crate::support::{TestEnv, eventually};
use fastrand::Rng;
use restaurant_system::domain::{
    CookTimes, OrderNumber, OrderType, Status, StatusUpdate, WorkerName, WorkerState,
};
use restaurant_system::store::{
    Announcement, AnnouncementContent, Claim, ClaimTimes, ClaimedOrder, Finish, HeartbeatOutcome,
    IdempotencyKey, IntakeRequest, IntakeStore, KitchenStore, LockedRows, NameRecord, OutboxBatch,
    OutboxStore, ReconcilerStore, Store, WorkerRegistration, WorkerStore,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio_postgres::Client;
use uuid::Uuid;

const STEPS: usize = 400;
/// Longer than the test takes, and twice of it shorter than [`DAY_MS`].
const OPERATION_TIMEOUT: Duration = Duration::from_secs(600);
const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
const WORKERS: [(&str, &[OrderType]); 3] = [
    ("chef_anna", &OrderType::ALL),
    ("chef_mario", &[OrderType::DineIn, OrderType::Takeout]),
    ("chef_li", &[OrderType::Delivery]),
];

/// Both stores, and what the callers of one know.
struct Pair {
    rng: Rng,
    real: Store,
    db: Client,
    model: Tables,
    /// The model's clock; every step is later than the one before.
    now: i64,
    sessions: BTreeMap<&'static str, Uuid>,
    /// All that was ever claimed, late and stale holders among them.
    held: Vec<(WorkerName, Finish)>,
    batches: Vec<(OutboxBatch, LockedBatch)>,
}

#[tokio::test]
async fn the_model_of_the_tables_answers_as_postgresql_does() {
    let env = TestEnv::new().await;
    let mut pair = Pair::new(&env, super::variable("SIM_SEED").unwrap_or(4)).await;
    for step in 0..STEPS {
        let what = pair.step().await;
        pair.adopt_log_ids().await;
        pair.compare_tables(&format!("step {step}, {what}")).await;
    }
    assert!(pair.model.violations.is_empty(), "{:?}", pair.model.violations);
    for status in Status::ALL {
        assert!(pair.model.orders.values().any(|order| order.status == status), "no order is {status}");
    }
}

impl Pair {
    async fn new(env: &TestEnv, seed: u64) -> Self {
        let real = env.store(OPERATION_TIMEOUT).await;
        let db = env.connect().await;
        // Until then nobody counts as lost.
        let sql = "select now() > pg_postmaster_start_time() + interval '6 s'";
        eventually("PostgreSQL has run for a while", async || db.query_one(sql, &[]).await.unwrap().get(0))
            .await;
        let settled_ms = i64::try_from(OPERATION_TIMEOUT.as_millis() * 2).unwrap();
        let model = Tables::new(settled_ms, Without::Nothing);
        let (sessions, held, batches) = (BTreeMap::new(), Vec::new(), Vec::new());
        Self { rng: Rng::with_seed(seed), real, db, model, now: 0, sessions, held, batches }
    }

    async fn step(&mut self) -> &'static str {
        self.now += 10;
        match self.rng.u32(0..100) {
            0..15 => self.place().await,
            15..32 => self.claim().await,
            32..40 => self.claim_overdue().await,
            40..43 => self.claim_promoted().await,
            43..60 => self.finish().await,
            60..65 => self.give_back().await,
            65..71 => self.register().await,
            71..78 => self.heartbeat().await,
            78..82 => self.age().await,
            82..86 => self.staff().await,
            86..88 => self.recall().await,
            88..91 => self.announce_late().await,
            91..92 => self.announce_everything().await,
            92..96 => self.lock_outbox().await,
            _ => self.confirm_outbox().await,
        }
    }

    async fn place(&mut self) -> &'static str {
        let day = "select to_char(now() at time zone 'UTC', 'YYYYMMDD')";
        self.model.day = self.db.query_one(day, &[]).await.unwrap().get(0);
        let first_key = self.rng.u8(0..12);
        let batch: Vec<IntakeRequest> = (0..self.rng.u8(1..5))
            .map(|n| {
                let idempotency = self.rng.bool().then(|| IdempotencyKey {
                    key: format!("key {}", first_key + n),
                    body_sha256: [self.rng.u8(0..2); 32],
                });
                let (order, request_id) = (form(&mut self.rng), format!("request {}", self.rng.u16(..)));
                let token = token(&self.rng);
                IntakeRequest { order, request_id, traceparent: None, token, source: None, idempotency }
            })
            .collect();
        let expected = self.model.place(self.now, &batch);
        assert_eq!(self.real.place_orders(&batch).await.unwrap(), expected);
        "place"
    }

    fn claimant(&mut self) -> Claim {
        let (name, order_types) = WORKERS[self.rng.usize(..WORKERS.len())];
        let cook_times = CookTimes::uniform(Duration::from_secs(5));
        let (order_types, promote_after) = (order_types.to_vec(), Duration::from_secs(3600));
        Claim { worker: name.parse().unwrap(), order_types, cook_times, promote_after, is_manual: false }
    }

    /// Any order, or one that does not exist.
    fn some_number(&mut self) -> OrderNumber {
        let numbers: Vec<OrderNumber> =
            self.model.orders.values().map(|order| order.number.clone()).collect();
        let unknown = OrderNumber::parse("ORD_19990101_001").unwrap();
        if self.rng.u8(0..20) == 0 { unknown } else { self.rng.choice(numbers).unwrap_or(unknown) }
    }

    async fn claim(&mut self) -> &'static str {
        let claim = self.claimant();
        let mut numbers: Vec<OrderNumber> = (0..self.rng.u8(1..5)).map(|_| self.some_number()).collect();
        numbers.sort_unstable();
        let expected = self.model.claim_orders(self.now, &claim, &numbers);
        let found = self.real.claim_orders(&claim, &numbers).await.unwrap();
        self.claimed(&claim, expected, found);
        let expected = self.model.refusal(&claim, &numbers[0]);
        assert_eq!(self.real.refusal(&claim, &numbers[0]).await.unwrap(), expected);
        "claim"
    }

    fn claimed(&mut self, claim: &Claim, mut expected: Vec<ClaimedOrder>, mut found: Vec<ClaimedOrder>) {
        // The clocks are different ones, and nothing traces the model.
        for order in &mut found {
            (order.times, order.traceparent) = (ClaimTimes::default(), None);
        }
        expected.sort_unstable_by(|a, b| a.number.cmp(&b.number));
        found.sort_unstable_by(|a, b| a.number.cmp(&b.number));
        assert_eq!(found, expected);
        let held = expected.into_iter().map(|order| Finish { number: order.number, attempt: order.attempt });
        self.held.extend(held.map(|held| (claim.worker.clone(), held)));
    }

    /// Some of what one worker has or had in hand, mostly the latest; at times with another's name.
    fn some_held(&mut self) -> (WorkerName, Vec<Finish>) {
        let mut worker: WorkerName = WORKERS[self.rng.usize(..WORKERS.len())].0.parse().unwrap();
        let latest = self.rng.u8(0..4) > 0;
        let mut own: Vec<Finish> =
            self.held.iter().filter(|(holder, _)| *holder == worker).map(|(_, held)| held.clone()).collect();
        if latest {
            own.drain(..own.len().saturating_sub(3));
        }
        self.rng.shuffle(&mut own);
        own.truncate(self.rng.usize(1..4));
        if self.rng.u8(0..8) == 0 {
            worker = "chef_anna".parse().unwrap();
        }
        (worker, own)
    }

    async fn finish(&mut self) -> &'static str {
        let (worker, finished) = self.some_held();
        let mut expected = self.model.finish(self.now, &worker, &finished);
        let mut found = self.real.finish_orders(&worker, &finished).await.unwrap();
        expected.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, expected, "{worker} {finished:?}");
        for held in &finished {
            let expected = self.model.is_finished_by(&worker, held);
            assert_eq!(self.real.is_finished_by(&worker, held).await.unwrap(), expected);
        }
        let expected = self.model.not_held(&worker, &finished);
        assert_eq!(self.real.not_held(&worker, &finished).await.unwrap(), expected);
        "finish"
    }

    async fn give_back(&mut self) -> &'static str {
        let (worker, orders) = self.some_held();
        let expected = self.model.give_back(self.now, &worker, &orders);
        assert_eq!(self.real.give_back_orders(&worker, &orders).await.unwrap(), expected);
        "give back"
    }

    async fn register(&mut self) -> &'static str {
        let (name, order_types) = WORKERS[self.rng.usize(..WORKERS.len())];
        let session = Uuid::from_u128(self.rng.u128(..));
        let registration = WorkerRegistration {
            name: name.parse().unwrap(),
            session,
            order_types: order_types.to_vec(),
            heartbeat_interval: Duration::from_secs(3600),
            capacity: self.rng.u16(1..4),
            is_manual: false,
        };
        if self.rng.bool() {
            return self.register_over(name, registration).await;
        }
        self.sessions.insert(name, session);
        let expected = self.model.register(self.now, &registration);
        assert_eq!(self.real.register_worker(&registration).await.unwrap(), expected);
        "register"
    }

    /// Over what is found, or over something else.
    async fn register_over(&mut self, name: &'static str, registration: WorkerRegistration) -> &'static str {
        let mut found = self.model.name_record(self.now, &registration.name);
        let mut real = self.real.name_record(&registration.name).await.unwrap();
        let shown = |record: &NameRecord| {
            (record.session, record.is_offline, record.is_free, record.heartbeat_interval)
        };
        assert_eq!(real.as_ref().map(shown), found.as_ref().map(shown));
        match self.rng.u8(0..4) {
            0 => (found, real) = (None, None),
            1 => {
                for record in [&mut found, &mut real].into_iter().flatten() {
                    record.last_seen -= jiff::SignedDuration::from_millis(1);
                }
            }
            _ => {}
        }
        let expected = self.model.register_over(self.now, &registration, found.as_ref());
        let answer = self.real.register_worker_over(&registration, real.as_ref()).await.unwrap();
        assert_eq!(answer, expected);
        if answer.is_some() {
            self.sessions.insert(name, registration.session);
        }
        "register over"
    }

    async fn heartbeat(&mut self) -> &'static str {
        let name = WORKERS[self.rng.usize(..WORKERS.len())].0;
        let worker: WorkerName = name.parse().unwrap();
        let stale = self.rng.u8(0..6) == 0;
        let session = self.sessions.get(name).copied().filter(|_| !stale).unwrap_or_default();
        let states = [WorkerState::Online, WorkerState::Processing, WorkerState::Offline];
        let state = states[self.rng.usize(..3)];
        let in_hand: Vec<OrderNumber> = (0..self.rng.u8(0..3)).map(|_| self.some_number()).collect();
        let expected = self.model.heartbeat(self.now, &worker, session, state, &in_hand);
        let found = self.real.heartbeat(&worker, session, state, &in_hand).await.unwrap();
        assert_eq!(found, expected);
        if matches!(found, HeartbeatOutcome::Alive { .. }) {
            self.set_silent(name, false).await;
        }
        "heartbeat"
    }

    /// A worker has not been heard of for a day, or an order was claimed a day ago.
    async fn age(&mut self) -> &'static str {
        if self.rng.bool() {
            let name = WORKERS[self.rng.usize(..WORKERS.len())].0;
            self.set_silent(name, true).await;
            return "a silent worker";
        }
        match self.rng.u8(0..3) {
            0 => return self.outage().await,
            1 => return self.promote().await,
            _ => {}
        }
        let number = self.some_number();
        let sql = "update orders set claimed_at = claimed_at - interval '1 day' where number = $1";
        self.db.execute(sql, &[&number.as_str()]).await.unwrap();
        if let Some(order) = self.model.orders.values_mut().find(|order| order.number == number) {
            order.claimed_at = order.claimed_at.map(|at| at - DAY_MS);
        }
        "an old claim"
    }

    /// Nothing was committed for a day, so that somebody is silent, and then something is; a moment later others look for the
    /// lost.
    async fn outage(&mut self) -> &'static str {
        let name = WORKERS[self.rng.usize(..WORKERS.len())].0;
        self.set_silent(name, true).await;
        let sql = "update database_writes set ticked_at = now() - interval '1 day'";
        self.db.batch_execute(sql).await.unwrap();
        self.model.writes.ticked_at = Some(self.now - DAY_MS);
        self.heartbeat().await;
        for _ in WORKERS {
            self.claim_overdue().await;
        }
        // Everybody has found the way back.
        self.db.batch_execute("update database_writes set spared_until = '-infinity'").await.unwrap();
        assert!(self.model.writes.spared_until.take().is_some());
        "an outage"
    }

    /// One who is silent has an interval so short that the start of PostgreSQL is long ago, too. Some of them have been
    /// silent by the clock of writes as well, others by the time of day alone, or have never seen that clock.
    async fn set_silent(&mut self, name: &str, silent: bool) {
        let interval_ms = if silent { 1 } else { HOUR_MS };
        let silent_s = if silent { 86_400.0 } else { 0.0 };
        let seen_writing_ms = match self.rng.u8(0..4) {
            0 => None,
            1 => Some(DAY_MS),
            _ => Some(-DAY_MS),
        };
        let sql = "update workers set heartbeat_interval_ms = $2::bigint::int, seen_writing_ms = $4,
            last_seen = now() - make_interval(secs => $3::float8) where name = $1";
        self.db.execute(sql, &[&name, &interval_ms, &silent_s, &seen_writing_ms]).await.unwrap();
        if let Some(worker) = self.model.workers.get_mut(name) {
            worker.heartbeat_interval_ms = interval_ms;
            worker.last_seen = self.now - if silent { DAY_MS } else { 0 };
            worker.seen_writing_ms = seen_writing_ms;
        }
    }

    async fn announce_late(&mut self) -> &'static str {
        let (after, limit) = (self.rng.i64(0..20), self.rng.u8(1..8));
        let pause = if self.rng.bool() { Duration::ZERO } else { Duration::from_secs(3600) };
        let pause_ms = i64::try_from(pause.as_millis()).unwrap();
        let expected = self.model.announce_late_orders(self.now, after, usize::from(limit), pause_ms);
        assert_eq!(self.real.announce_late_orders(after, i64::from(limit), pause).await.unwrap(), expected);
        let expected = self.model.outbox_rows(i64::from(limit));
        assert_eq!(self.real.outbox_rows(i64::from(limit)).await.unwrap(), expected);
        "announce late orders"
    }

    async fn announce_everything(&mut self) -> &'static str {
        let window = if self.rng.bool() { Duration::ZERO } else { Duration::from_secs(3600) };
        let (window_ms, page) = (i64::try_from(window.as_millis()).unwrap(), self.rng.u8(3..10));
        let mut expected = 0;
        for window_ms in [None, Some(window_ms)] {
            let mut after = 0;
            loop {
                let (last, seen, new) =
                    self.model.announce_page(self.now, window_ms, after, usize::from(page));
                expected += new;
                if seen < usize::from(page) {
                    break;
                }
                after = last;
            }
        }
        assert_eq!(self.real.announce_everything(window, i64::from(page)).await.unwrap(), expected);
        "announce everything"
    }

    async fn lock_outbox(&mut self) -> &'static str {
        if self.batches.len() >= 3 {
            return "nothing";
        }
        let limit = self.rng.u8(1..8);
        let after = if self.rng.bool() { Duration::ZERO } else { Duration::from_secs(3600) };
        let after_ms = i64::try_from(after.as_millis()).unwrap();
        let found = self.real.lock_outbox(i64::from(limit), after).await.unwrap();
        let expected = self.model.lock_outbox(self.now, usize::from(limit), after_ms, &BTreeSet::new());
        assert_eq!(found.locked(), expected.locked);
        let known: Vec<_> = found.announcements().iter().map(comparable).collect();
        assert_eq!(known, expected.announcements.iter().map(comparable).collect::<Vec<_>>());
        self.batches.push((found, expected));
        "lock the outbox"
    }

    async fn confirm_outbox(&mut self) -> &'static str {
        if self.batches.is_empty() {
            return "nothing";
        }
        let at = self.rng.usize(..self.batches.len());
        let (real, model) = self.batches.swap_remove(at);
        let mut published: Vec<i64> = model.announcements.iter().map(|a| a.log_id).collect();
        if self.rng.u8(0..3) == 0 {
            self.rng.shuffle(&mut published);
            published.truncate(published.len() / 2);
        }
        self.real.confirm_outbox(real, &published).await.unwrap();
        self.model.confirm_outbox(model.lock, &published);
        "confirm the outbox"
    }

    /// A statement that logs several orders numbers them in any order.
    async fn adopt_log_ids(&mut self) {
        let sql = "select o.number, array_agg(l.id order by l.id) from order_status_log l
            join orders o on o.id = l.order_id group by o.number";
        let rows = self.db.query(sql, &[]).await.unwrap();
        let ids: BTreeMap<String, Vec<i64>> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        assert_eq!(ids.values().map(Vec::len).sum::<usize>(), self.model.log.len(), "rows in the log");
        self.model.renumber_log(|number, place| ids[number.as_str()][place]);
    }

    async fn compare_tables(&self, when: &str) {
        let model = &self.model;
        let orders = model.orders.values().map(|order| {
            let by = order.processed_by.as_deref().unwrap_or("-");
            format!(
                "{} {} {by} {} {} {} {} {} {}",
                order.number,
                order.status,
                order.attempt,
                order.announced_again,
                order.claimed_at.is_some(),
                order.completed_at.is_some(),
                order.estimated_completion.is_some(),
                order.form.total_amount()
            )
        });
        let sql =
            "select concat_ws(' ', number, status, coalesce(processed_by, '-'), attempt, announced_again,
            (claimed_at is not null)::text, (completed_at is not null)::text,
            (estimated_completion is not null)::text, total_amount) from orders order by number";
        self.compare(when, sql, orders.collect()).await;

        let log = model.log.iter().map(|row| {
            let notes = row.notes.as_deref().unwrap_or("-");
            let expected = row.estimated_completion.is_some();
            let previous = row.previous.map_or("-", Status::as_str);
            format!(
                "{} {previous} {} {} {} {notes} {expected}",
                row.id, row.status, row.attempt, row.changed_by
            )
        });
        let sql = "select concat_ws(' ', id, coalesce(previous_status, '-'), status, attempt, changed_by, coalesce(notes, '-'),
            (estimated_completion is not null)::text) from order_status_log order by id";
        self.compare(when, sql, log.collect()).await;

        let workers = model.workers.iter().map(|(name, worker)| {
            let types: Vec<&str> = worker.order_types.iter().map(|t| t.as_str()).collect();
            format!(
                "{name} {} {} {} {} {} {}",
                types.join(","),
                worker.state.as_str(),
                worker.orders_processed,
                worker.session,
                worker.heartbeat_interval_ms,
                worker.capacity
            )
        });
        let sql =
            "select concat_ws(' ', name, type, status, orders_processed, session, heartbeat_interval_ms,
            capacity) from workers order by name";
        self.compare(when, sql, workers.collect()).await;

        let outbox =
            model.outbox.iter().map(|(id, row): (_, &OutboxRow)| match (row.of_many, row.is_order) {
                (true, is_order) => {
                    let changes: Vec<String> =
                        row.changes.iter().map(|(id, order)| format!("{id}/{order}")).collect();
                    format!("{id} {} {}", if is_order { "orders" } else { "statuses" }, changes.join(","))
                }
                (false, true) => format!("{id} order"),
                (false, false) => format!("{id} status"),
            });
        let sql = "select concat_ws(' ', log_id, announces,
            (select string_agg(c.id || '/' || c.order_id, ',' order by c.place)
             from unnest(log_ids, order_ids) with ordinality as c (id, order_id, place)))
            from outbox order by log_id";
        self.compare(when, sql, outbox.collect()).await;

        let keys = model
            .keys
            .iter()
            .map(|(key, (body, id))| format!("{key} {:02x} {}", body[0], model.orders[id].number));
        let sql = "select concat_ws(' ', k.key, encode(substring(k.body_sha256 for 1), 'hex'), o.number)
            from idempotency_keys k join orders o on o.id = k.order_id";
        self.compare(when, sql, keys.collect()).await;
    }

    async fn compare(&self, when: &str, sql: &str, mut expected: Vec<String>) {
        let mut found: Vec<String> =
            self.db.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected, "{when}");
    }
}

/// All that does not depend on the clocks.
fn comparable(announcement: &Announcement) -> (i64, String, u8, String, String) {
    let Announcement { log_id, number, priority, request_id, content, .. } = announcement;
    let content = match content {
        AnnouncementContent::Order(order) => format!("{order:?}"),
        AnnouncementContent::Status(update) => {
            let StatusUpdate { old_status, new_status, changed_by, .. } = update;
            format!("{old_status:?} {new_status} {changed_by} {}", update.estimated_completion.is_some())
        }
    };
    (*log_id, number.to_string(), priority.value(), request_id.clone(), content)
}
