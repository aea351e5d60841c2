//! One order in a worker's hands, from the claim to its end.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use daemon::batcher::{BatchLimits, Batcher, together_or_alone};
use daemon::clock::whole_ms;
use daemon::retry::Backoff;
use daemon::sync::locked;
use tokio::sync::{Notify, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::KitchenOptions;
use super::metrics::{ClaimResult, KitchenMetrics, Stopwatch};
use super::promotion::{Promotion, share_out};
use super::unknown::UnknownOrders;
use crate::broker::kitchen_queue;
use crate::domain::{OrderNumber, OrderType, Status, WorkerName};
use crate::relay::RelayWaker;
use crate::services::consumed::Consumed;
use crate::store::{Claim, ClaimedOrder, Finish, KitchenStore, NotHeld, PeerCount, StoreError};

/// Claims or finishes that wait for a batch; the prefetch, at most 65,535, is the bound that is met first.
const WRITE_QUEUE: usize = 70_000;
/// Claims or finishes in one batch at most: no less than the first, for a batch has a price of its own beside that of its
/// orders, and no more than the second.
const BATCH_BOUNDS: (usize, usize) = (16, 256);
/// After so many messages in a row that were no work a worker sweeps, although its queues are not quiet: somebody
/// fills them, and orders may wait behind that. The message of an order that is done or in other hands does not count: each
/// sweep leaves as many of them behind as it claims orders, and would bring the next one about.
const USELESS_IN_A_ROW: u32 = 20;
/// How often a write is tried again while PostgreSQL is away: from, to.
const WRITE_RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// What a worker's tasks share.
pub(super) struct Worker<S> {
    pub(super) options: KitchenOptions,
    pub(super) claim: Claim,
    pub(super) store: S,
    pub(super) relay: RelayWaker,
    claims: Batcher<OrderNumber, Result<Option<ClaimedOrder>, WriteFailed>>,
    finishes: Batcher<Finish, Result<bool, WriteFailed>>,
    /// What is being cooked, and how its cook is told to let it go.
    in_hand: Mutex<HashMap<Finish, Option<LetGo>>>,
    deliveries: AtomicU64,
    /// How many messages in a row were no work.
    useless: AtomicU32,
    /// Told when they are many.
    pub(super) fed_up: Notify,
    /// What goes before the orders of its messages.
    pub(super) promotion: Arc<Promotion>,
    /// How many orders it has made ready.
    done: AtomicU64,
    /// The workers that share the sweeps, as of the last heartbeat.
    pub(super) peers: watch::Sender<PeerCount>,
    /// Told at each regular heartbeat: PostgreSQL answers, over a connection that is open.
    pub(super) rounds: Notify,
    /// Told when the first order comes to hand, and when the last one leaves it.
    pub(super) state_changed: Notify,
    /// Told when the first order comes to hand.
    pub(super) began: Notify,
    /// Cancelled when the orders in hand are to be given back.
    pub(super) give_back: CancellationToken,
    /// Messages of orders that there are none of.
    pub(super) unknown: Arc<UnknownOrders>,
    metrics: KitchenMetrics,
}

/// Tells an order's cook which status the order has now.
type LetGo = oneshot::Sender<String>;

/// An order that has come to hand.
pub(super) struct InHand {
    held: Finish,
    order_type: OrderType,
    stopwatch: Stopwatch,
    /// As it was told of.
    told: Consumed,
    let_go: oneshot::Receiver<String>,
}

impl InHand {
    /// A message told of it.
    pub(super) fn told_by(mut self, message_id: Option<String>, traceparent: Option<String>) -> Self {
        self.told.message_id = message_id;
        self.told.traceparent = traceparent.or(self.told.traceparent);
        self
    }
}

/// A write did not happen, or it is unknown whether it did. The reason has been logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WriteFailed {
    /// PostgreSQL is away; it will be back.
    Away,
    Refused,
}

/// How an order left the worker's hands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cooked {
    Ready,
    /// The finish is refused: it was cancelled, or somebody else has it since this worker was thought lost.
    Lost,
    /// The same, found before its time was over; it has this status now.
    LetGo(String),
    /// It waits for a worker again.
    GivenBack,
    /// It stays this worker's, which goes: whoever finds that takes it over, unless the worker is back before.
    Left,
}

/// A batch holds a third of what a worker may have in hand at most. In a rush all of it would gather in one batch otherwise,
/// and go from station to station together: RabbitMQ would wait while PostgreSQL works, and PostgreSQL while RabbitMQ does.
fn limits(prefetch: u16) -> BatchLimits {
    let batch = usize::from(prefetch / 3).clamp(BATCH_BOUNDS.0, BATCH_BOUNDS.1);
    BatchLimits { queue: WRITE_QUEUE, batch, writers: 1, linger: None }
}

impl<S: KitchenStore> Worker<S> {
    pub(super) fn new(
        options: KitchenOptions,
        peers: PeerCount,
        store: S,
        relay: RelayWaker,
        tasks: &TaskTracker,
    ) -> Self {
        let claim = Claim {
            worker: options.name.clone(),
            order_types: options.order_types.clone(),
            cook_times: options.station.as_ref().map_or(options.times.cook, |station| station.times.target),
            is_manual: options.station.is_some(),
            promote_after: options.times.promote_after,
        };
        let limits = limits(options.prefetch);
        let shared = options.station.as_ref();
        let shared = shared.map(|station| (station.estimate_errors.clone(), station.transitions.clone()));
        let (errors, transitions) = shared.unwrap_or_default();
        let metrics = KitchenMetrics::register(&options.metrics, errors, transitions);
        let promotion = Arc::<Promotion>::default();
        let claims = {
            let (store, claim, promotion) = (store.clone(), claim.clone(), Arc::clone(&promotion));
            let next =
                move |numbers| claim_next(store.clone(), claim.clone(), Arc::clone(&promotion), numbers);
            Batcher::start(limits, tasks, next)
        };
        let finishes = {
            let (store, worker) = (store.clone(), options.name.clone());
            Batcher::start(limits, tasks, move |batch| finish_batch(store.clone(), worker.clone(), batch))
        };
        Self {
            options,
            claim,
            store,
            relay,
            claims,
            finishes,
            in_hand: Mutex::default(),
            deliveries: AtomicU64::new(0),
            useless: AtomicU32::new(0),
            fed_up: Notify::new(),
            promotion,
            done: AtomicU64::new(0),
            peers: watch::Sender::new(peers),
            rounds: Notify::new(),
            state_changed: Notify::new(),
            began: Notify::new(),
            give_back: CancellationToken::new(),
            unknown: Arc::default(),
            metrics,
        }
    }

    /// Claims one order, or a promoted one in its place; `None` when it is not there to be claimed.
    pub(super) async fn claim(&self, number: OrderNumber) -> Result<Option<ClaimedOrder>, WriteFailed> {
        let claimed = self.claims.submit(number).await.unwrap_or(Err(WriteFailed::Refused));
        match &claimed {
            Ok(Some(_)) => {}
            Ok(None) => self.metrics.note_claim(ClaimResult::Refused),
            Err(_) => self.metrics.note_claim(ClaimResult::Failed),
        }
        claimed
    }

    pub(super) fn is_cooking(&self) -> bool {
        !self.lock().is_empty()
    }

    pub(super) fn in_hand(&self) -> Vec<OrderNumber> {
        self.lock().keys().map(|held| held.number.clone()).collect()
    }

    /// The same with their attempts.
    pub(super) fn held(&self) -> Vec<Finish> {
        self.lock().keys().cloned().collect()
    }

    /// An order is not this worker's any more: nobody goes on with it.
    pub(super) fn let_go(&self, lost: NotHeld) {
        if let Some(let_go) = self.lock().get_mut(&lost.order).and_then(Option::take) {
            // Its cook may just have come to the end.
            let _ = let_go.send(lost.became);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Finish, Option<LetGo>>> {
        locked(&self.in_hand)
    }

    /// Shares what is to be looked after, and PostgreSQL's connections, with these colleagues.
    pub(super) fn note_peers(&self, peers: PeerCount) {
        self.peers.send_if_modified(|known| std::mem::replace(known, peers) != peers);
        self.relay.sweep_as_one_of(peers.living);
        self.store.note_pressure(peers.connection_pressure);
    }

    pub(super) fn note_delivery(&self) {
        self.deliveries.fetch_add(1, Ordering::Relaxed);
    }

    /// A message was no work for this worker.
    pub(super) fn note_useless(&self) {
        if (self.useless.fetch_add(1, Ordering::Relaxed) + 1).is_multiple_of(USELESS_IN_A_ROW) {
            self.fed_up.notify_one();
        }
    }

    /// A message brought an order.
    pub(super) fn note_work(&self) {
        self.useless.store(0, Ordering::Relaxed);
    }

    pub(super) fn deliveries(&self) -> u64 {
        self.deliveries.load(Ordering::Relaxed)
    }

    pub(super) fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Waits for PostgreSQL, and in any case for a moment: it may be there and refuse (its disk is full, say).
    pub(super) async fn database_back(&self, backoff: &mut Backoff) {
        tokio::time::sleep(backoff.next_delay()).await;
        self.store.wait_up().await;
    }

    /// Takes an order in hand that this worker holds; `None` where it is already.
    pub(super) fn take(&self, order: &ClaimedOrder) -> Option<InHand> {
        let held = Finish { number: order.number.clone(), attempt: order.attempt };
        let (tell, let_go) = oneshot::channel();
        let first = {
            let mut in_hand = self.lock();
            if in_hand.contains_key(&held) {
                return None;
            }
            in_hand.insert(held.clone(), Some(tell));
            in_hand.len() == 1
        };
        if first {
            self.state_changed.notify_one();
            self.began.notify_one();
        }
        self.metrics.note_began(order);
        let told = Consumed {
            traceparent: order.traceparent.clone(),
            message_id: None,
            request_id: order.request_id.clone(),
        };
        Some(InHand { held, order_type: order.order_type, stopwatch: Stopwatch::of(order), told, let_go })
    }

    /// Cooks an order, and finishes it. It ends early when the order is not this worker's any more, and when the orders in
    /// hand are to be given back.
    pub(super) async fn cook(&self, in_hand: InHand) -> Cooked {
        let started = Instant::now();
        let InHand { held, order_type, stopwatch, told, let_go } = in_hand;
        let mut trace = told.span(|| kitchen_queue(order_type.as_str()));
        let cook_time = (!self.claim.is_manual).then(|| self.options.times.cook.of(order_type));
        self.relay.wake();
        let takes = cook_time.map_or("by hand".to_owned(), |time| format!("{} s", time.as_secs_f64()));
        tracing::info!(
            action = "order_processing_started",
            trace_id = trace.trace_id(),
            details = %format_args!("{order_type}, {takes}, attempt {}", held.attempt),
            "cooking"
        );
        let cooked = tokio::select! {
            biased;
            () = until_cooked(cook_time) => self.finish(&held).await,
            Ok(became) = let_go => self.ended_elsewhere(became),
            () = self.give_back.cancelled() => self.part_with(&held).await,
        };
        let last = {
            let mut in_hand = self.lock();
            in_hand.remove(&held);
            in_hand.is_empty()
        };
        if last {
            self.state_changed.notify_one();
        }
        let duration_ms = whole_ms(started.elapsed());
        if cooked != Cooked::Ready {
            trace.fail("the order did not become ready in this worker's hands");
        }
        match &cooked {
            Cooked::Ready => {
                self.done.fetch_add(1, Ordering::Relaxed);
                self.metrics.note_ready(stopwatch, self.claim.is_manual);
                self.relay.wake();
                let trace_id = trace.trace_id();
                tracing::info!(action = "order_completed", duration_ms, trace_id, "the order is ready");
            }
            Cooked::Lost => tracing::warn!(
                action = "order_lost",
                duration_ms,
                "the order was taken over by another worker, or cancelled; this finish is refused"
            ),
            Cooked::LetGo(became) => tracing::warn!(
                action = "order_let_go",
                duration_ms,
                details = became,
                "the order is not this worker's any more: staff has cancelled it, or another has taken it over"
            ),
            Cooked::GivenBack => {
                tracing::info!(
                    action = "order_given_back",
                    duration_ms,
                    "the order waits for a worker again"
                );
            }
            Cooked::Left => {
                tracing::info!(
                    action = "order_left",
                    duration_ms,
                    "the order is this worker's until it is back, or another takes it over"
                );
            }
        }
        cooked
    }

    /// Finishes until it is known how that went. While PostgreSQL is away it waits, unless everything is to be given
    /// back: then the order is left, and taken over when this worker's heartbeat is missed.
    async fn finish(&self, held: &Finish) -> Cooked {
        let mut backoff = backoff();
        let mut unsure = false;
        loop {
            match self.finishes.submit(held.clone()).await.unwrap_or(Err(WriteFailed::Refused)) {
                Ok(true) => return Cooked::Ready,
                Ok(false) if !unsure => return Cooked::Lost,
                // An earlier attempt may have succeeded without this side hearing of it.
                Ok(false) => match self.store.is_finished_by(&self.options.name, held).await {
                    Ok(true) => return Cooked::Ready,
                    Ok(false) => return Cooked::Lost,
                    Err(_) => {}
                },
                Err(WriteFailed::Away | WriteFailed::Refused) => unsure = true,
            }
            tokio::select! {
                biased;
                () = self.give_back.cancelled() => return Cooked::GivenBack,
                () = tokio::time::sleep(backoff.next_delay()) => {}
            }
        }
    }

    /// What has become of an order without its cook. Where persons say what is ready, that is the usual end.
    fn ended_elsewhere(&self, became: String) -> Cooked {
        let is_ready = self.claim.is_manual && became == Status::Ready.as_str();
        if is_ready { Cooked::Ready } else { Cooked::LetGo(became) }
    }

    /// An order at a station stays there, with what persons have done to it.
    async fn part_with(&self, held: &Finish) -> Cooked {
        if self.claim.is_manual {
            return Cooked::Left;
        }
        match self.store.give_back_orders(&self.options.name, std::slice::from_ref(held)).await {
            Ok(0) => Cooked::Lost,
            Ok(_) => Cooked::GivenBack,
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(
                    action = "give_back_failed",
                    error,
                    "the order is taken over when the heartbeat is missed"
                );
                Cooked::GivenBack
            }
        }
    }
}

/// Even a sleep of no time takes until the next tick of the runtime's clock, a millisecond. Without a time it is never over.
async fn until_cooked(cook_time: Option<Duration>) {
    match cook_time {
        None => std::future::pending().await,
        Some(Duration::ZERO) => {}
        Some(cook_time) => tokio::time::sleep(cook_time).await,
    }
}

/// The pauses between attempts while PostgreSQL is away.
pub(super) fn backoff() -> Backoff {
    Backoff::new(WRITE_RETRY.0, WRITE_RETRY.1)
}

/// Where orders are promoted, they are claimed in place of some that are asked for, which have to wait.
async fn claim_next<S: KitchenStore>(
    store: S,
    claim: Claim,
    promotion: Arc<Promotion>,
    numbers: Vec<OrderNumber>,
) -> Vec<Result<Option<ClaimedOrder>, WriteFailed>> {
    let promoted = match promotion.claim(&store, &claim, numbers.len()).await {
        Ok(promoted) => promoted,
        Err(error) => match failed("claiming promoted", &error) {
            WriteFailed::Away => return vec![Err(WriteFailed::Away); numbers.len()],
            WriteFailed::Refused => Vec::new(),
        },
    };
    if promoted.is_empty() {
        return claim_batch(store, claim, numbers).await;
    }
    let shares = share_out(promoted, &numbers);
    let others = numbers.into_iter().zip(&shares).filter(|(_, share)| share.is_none());
    let others: Vec<OrderNumber> = others.map(|(number, _)| number).collect();
    let mut claimed =
        if others.is_empty() { Vec::new() } else { claim_batch(store, claim, others).await }.into_iter();
    let own_or_promoted = |share: Option<ClaimedOrder>| match share {
        Some(order) => Ok(Some(order)),
        None => claimed.next().unwrap_or(Err(WriteFailed::Refused)),
    };
    shares.into_iter().map(own_or_promoted).collect()
}

async fn claim_batch<S: KitchenStore>(
    store: S,
    claim: Claim,
    numbers: Vec<OrderNumber>,
) -> Vec<Result<Option<ClaimedOrder>, WriteFailed>> {
    let (store, claim) = (&store, &claim);
    let claim = |numbers| async move {
        let claimed = store.claim_orders(claim, numbers).await?;
        // Two messages about one order in one batch: the first gets it.
        let mut claimed: HashMap<OrderNumber, ClaimedOrder> =
            claimed.into_iter().map(|order| (order.number.clone(), order)).collect();
        Ok(numbers.iter().map(|number| claimed.remove(number)).collect())
    };
    together_or_alone(&numbers, claim, is_one_at_fault, |error| failed("claiming", &error)).await
}

async fn finish_batch<S: KitchenStore>(
    store: S,
    worker: WorkerName,
    batch: Vec<Finish>,
) -> Vec<Result<bool, WriteFailed>> {
    let (store, worker) = (&store, &worker);
    let finish = |batch| async move {
        let finished = store.finish_orders(worker, batch).await?;
        Ok(batch.iter().map(|held| finished.contains(&held.number)).collect())
    };
    together_or_alone(&batch, finish, is_one_at_fault, |error| failed("finishing", &error)).await
}

fn is_one_at_fault(error: &StoreError) -> bool {
    !error.is_unavailable()
}

/// The store has logged its outage; everything else is logged here, once for the batch.
fn failed(what: &str, error: &StoreError) -> WriteFailed {
    if error.is_unavailable() {
        return WriteFailed::Away;
    }
    let error: &dyn std::error::Error = error;
    tracing::error!(action = "message_processing_failed", error, "{what} orders failed");
    WriteFailed::Refused
}

#[cfg(test)]
mod tests {
    use super::limits;

    #[test]
    fn a_batch_is_a_third_of_what_a_worker_has_in_hand() {
        assert_eq!([1, 48, 256, u16::MAX].map(|prefetch| limits(prefetch).batch), [16, 16, 85, 256]);
    }
}
