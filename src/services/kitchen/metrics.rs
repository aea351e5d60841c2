//! What a worker measures of the orders that go through its hands.

use std::time::Duration;

use daemon::metrics::Metrics;
use jiff::Timestamp;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use tokio::time::Instant;

use super::EstimateErrors;
use crate::domain::{OrderType, Status};
use crate::services::transitions::Transitions;
use crate::store::{ClaimTimes, ClaimedOrder};

/// Upper bounds in seconds: simulated cooks take none, a kitchen minutes, and nobody waits for two hours.
const BUCKETS_SECONDS: [f64; 12] =
    [1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TypeLabel {
    order_type: &'static str,
}

type ByType = Family<TypeLabel, Histogram, fn() -> Histogram>;

#[derive(Debug, Clone)]
pub(super) struct KitchenMetrics {
    claims: Family<ResultLabel, Counter>,
    waited: Histogram,
    cooked: ByType,
    ready: ByType,
    transitions: Transitions,
    /// Of orders that are ready when their time is over; a station has its own source.
    errors: EstimateErrors,
}

/// How a claim ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClaimResult {
    Claimed,
    /// The order was not there to be claimed: it is done, cancelled, or in other hands.
    Refused,
    /// PostgreSQL was away, or refused it.
    Failed,
}

impl ClaimResult {
    const ALL: [Self; 3] = [Self::Claimed, Self::Refused, Self::Failed];

    fn as_str(self) -> &'static str {
        match self {
            Self::Claimed => "claimed",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// An order's times, as its cook goes on with it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stopwatch {
    order_type: OrderType,
    times: ClaimTimes,
    seen: Instant,
}

impl Stopwatch {
    pub(super) fn of(order: &ClaimedOrder) -> Self {
        Self { order_type: order.order_type, times: order.times, seen: Instant::now() }
    }
}

impl KitchenMetrics {
    pub(super) fn register(metrics: &Metrics, errors: EstimateErrors, transitions: Transitions) -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(BUCKETS_SECONDS);
        let by_type = || Family::new_with_constructor(histogram);
        let all = Self {
            claims: Family::default(),
            waited: histogram(),
            cooked: by_type(),
            ready: by_type(),
            transitions,
            errors,
        };
        for result in ClaimResult::ALL {
            let _ = all.claims.get_or_create(&ResultLabel { result: result.as_str() });
        }
        for order_type in OrderType::ALL {
            let label = TypeLabel { order_type: order_type.as_str() };
            let _ = (all.cooked.get_or_create(&label), all.ready.get_or_create(&label));
        }
        all.errors.register(metrics);
        all.transitions.register(metrics);
        metrics.register(|registry| all.enter(registry));
        all
    }

    fn enter(&self, registry: &mut Registry) {
        registry.register("claims", "Orders asked for, by what came of it", self.claims.clone());
        let help = "Time from an order's receipt to its first claim";
        registry.register("order_wait_seconds", help, self.waited.clone());
        let help = "Time from the claim to ready";
        registry.register("cooking_duration_seconds", help, self.cooked.clone());
        let help = "Time from an order's receipt to ready";
        registry.register("order_ready_seconds", help, self.ready.clone());
    }

    pub(super) fn note_claim(&self, result: ClaimResult) {
        self.claims.get_or_create(&ResultLabel { result: result.as_str() }).inc();
    }

    /// An order has come to hand. Only the first attempt begins with a change of status, and ends the wait.
    pub(super) fn note_began(&self, order: &ClaimedOrder) {
        let ClaimTimes { placed_at, claimed_at, seen_at, .. } = order.times;
        if seen_at != claimed_at {
            return;
        }
        self.note_claim(ClaimResult::Claimed);
        if order.attempt == 1 {
            self.transitions.note(Status::Received, Status::Cooking);
            self.waited.observe(between(placed_at, claimed_at).as_secs_f64());
        }
    }

    pub(super) fn note_ready(&self, order: Stopwatch, is_manual: bool) {
        let ClaimTimes { placed_at, claimed_at, seen_at, promised_at } = order.times;
        let cooked = between(claimed_at, seen_at) + order.seen.elapsed();
        let label = TypeLabel { order_type: order.order_type.as_str() };
        self.cooked.get_or_create(&label).observe(cooked.as_secs_f64());
        let ready = between(placed_at, claimed_at) + cooked;
        self.ready.get_or_create(&label).observe(ready.as_secs_f64());
        self.transitions.note(Status::Cooking, Status::Ready);
        if let Some(promised_at) = promised_at.filter(|_| !is_manual) {
            self.errors.note(between(claimed_at, promised_at).abs_diff(cooked));
        }
    }
}

/// PostgreSQL's clock may have been put back.
fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}
