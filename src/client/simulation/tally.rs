//! The counts of a running simulation, and the report at its end.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::SimulationOptions;
use super::follow::Fate;
use crate::client::api::PlaceAnswer;
use crate::client::error::ClientError;
use crate::client::stats::{LatencyHistogram, Percentiles};

/// The counts so far. Every customer ends up as exactly one of placed, refused, failed, dropped, or is in flight.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Customers who came.
    pub customers: u64,
    /// Orders answered with 201.
    pub placed: u64,
    /// Orders refused, by HTTP status.
    pub refused: BTreeMap<u16, u64>,
    /// Orders without an answer, or with one that was not understood.
    pub failed: u64,
    /// The first failure, in words.
    pub first_failure: Option<String>,
    /// Customers sent away because too many orders were in flight.
    pub dropped: u64,
    /// Orders that broke a rule on purpose and were answered.
    pub bad_sent: u64,
    /// How many of those were placed all the same.
    pub bad_placed: u64,
    /// Good orders that were called bad (a status from 400 to 499).
    pub good_refused: u64,
    /// The first of those refusals, in words.
    pub first_good_refused: Option<String>,
    /// Orders that became ready.
    pub ready: u64,
    /// Orders that were cancelled.
    pub cancelled: u64,
    /// Orders waiting for their answer now.
    pub in_flight: usize,
    /// Placed orders that are not ready yet.
    pub cooking: usize,
    /// Placed orders that were not followed, because too many were already.
    pub not_followed: u64,
    /// From sending an order to the answer 201.
    pub answer: LatencyHistogram,
    /// From sending an order to its refusal.
    pub refusal: LatencyHistogram,
    /// From sending an order to hearing that it is ready.
    pub order_to_ready: LatencyHistogram,
}

impl Tally {
    pub(super) fn note_answer(
        &mut self,
        is_bad: bool,
        latency: Duration,
        result: &Result<PlaceAnswer, ClientError>,
    ) {
        match result {
            Ok(_) => {
                self.placed += 1;
                self.bad_sent += u64::from(is_bad);
                self.bad_placed += u64::from(is_bad);
                self.answer.record(latency);
            }
            Err(ClientError::Problem(problem)) => {
                *self.refused.entry(problem.status).or_default() += 1;
                self.bad_sent += u64::from(is_bad);
                self.refusal.record(latency);
                if !is_bad && (400..500).contains(&problem.status) {
                    self.good_refused += 1;
                    self.first_good_refused.get_or_insert_with(|| problem.to_string());
                }
            }
            Err(error) => {
                self.failed += 1;
                self.first_failure.get_or_insert_with(|| error.to_string());
            }
        }
    }

    pub(super) fn note_fate(&mut self, fate: &Fate) {
        match fate {
            Fate::Ready(after) => {
                self.ready += 1;
                self.order_to_ready.record(*after);
            }
            Fate::Cancelled => self.cancelled += 1,
        }
    }

    /// How many orders were refused in all.
    pub fn refused_total(&self) -> u64 {
        self.refused.values().sum()
    }

    pub(super) fn report(
        self,
        options: &SimulationOptions,
        placing: Duration,
        answering: Duration,
        followed_by: &'static str,
    ) -> Report {
        let sent = self.customers - self.dropped;
        Report {
            seed: options.seed,
            rate_asked_per_s: options.rate_per_s,
            rate_sent_per_s: per_second(sent, placing),
            rate_placed_per_s: per_second(self.placed, answering),
            duration_s: round3(placing.as_secs_f64()),
            answer_ms: self.answer.percentiles(),
            refusal_ms: self.refusal.percentiles(),
            order_to_ready_ms: self.order_to_ready.percentiles(),
            followed_by,
            customers: self.customers,
            placed: self.placed,
            refused: self.refused,
            failed: self.failed,
            first_failure: self.first_failure,
            dropped: self.dropped,
            unanswered: self.in_flight,
            bad_sent: self.bad_sent,
            bad_placed: self.bad_placed,
            good_refused: self.good_refused,
            first_good_refused: self.first_good_refused,
            ready: self.ready,
            cancelled: self.cancelled,
            still_cooking: self.cooking,
            not_followed: self.not_followed,
        }
    }
}

fn per_second(count: u64, time: Duration) -> f64 {
    round3(count as f64 / time.as_secs_f64().max(0.001))
}

fn round3(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// The result of a simulation; serialized, it is the answer of `simulate --json`. Counts are those of [`Tally`].
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs, reason = "the counts are documented at Tally")]
pub struct Report {
    /// The seed of the orders.
    pub seed: u64,
    /// Customers a second, as asked for.
    pub rate_asked_per_s: f64,
    /// Orders sent a second while customers came.
    pub rate_sent_per_s: f64,
    /// Orders placed a second, until the last answer.
    pub rate_placed_per_s: f64,
    /// How long customers came.
    pub duration_s: f64,
    pub customers: u64,
    pub placed: u64,
    pub refused: BTreeMap<u16, u64>,
    pub failed: u64,
    pub first_failure: Option<String>,
    pub dropped: u64,
    /// Orders still in flight when somebody was in a hurry to end.
    pub unanswered: usize,
    pub bad_sent: u64,
    pub bad_placed: u64,
    pub good_refused: u64,
    pub first_good_refused: Option<String>,
    pub ready: u64,
    pub cancelled: u64,
    pub still_cooking: usize,
    pub not_followed: u64,
    pub answer_ms: Percentiles,
    pub refusal_ms: Percentiles,
    pub order_to_ready_ms: Percentiles,
    /// `events` (the live stream) or `polling` (the stream was not to be had: order→ready is coarse).
    pub followed_by: &'static str,
}
