//! The counts of a running simulation, and the report at its end.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::SimulationOptions;
use super::follow::Fate;
use crate::client::api::PlaceAnswer;
use crate::client::error::ClientError;
use crate::client::stats::LatencyHistogram;

/// The counts so far. Every customer ends up as exactly one of placed, refused, failed, dropped, or is in flight.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Tally {
    pub customers: u64,
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
    pub ready: u64,
    pub cancelled: u64,
    /// Orders waiting for their answer now; at the end, those that nobody waited for any more.
    #[serde(rename = "unanswered")]
    pub in_flight: usize,
    /// Placed orders that are not ready yet.
    #[serde(rename = "still_cooking")]
    pub cooking: usize,
    /// Placed orders that were not followed, because too many were already.
    pub not_followed: u64,
    /// From sending an order to the answer 201.
    #[serde(rename = "answer_ms")]
    pub answer: LatencyHistogram,
    /// From sending an order to its refusal.
    #[serde(rename = "refusal_ms")]
    pub refusal: LatencyHistogram,
    /// From sending an order to hearing that it is ready.
    #[serde(rename = "order_to_ready_ms")]
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
            followed_by,
            tally: self,
        }
    }
}

fn per_second(count: u64, time: Duration) -> f64 {
    round3(count as f64 / time.as_secs_f64().max(0.001))
}

fn round3(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// The result of a simulation; serialized, it is the answer of `simulate --json`.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub seed: u64,
    /// Customers a second, as asked for.
    pub rate_asked_per_s: f64,
    /// Orders sent a second while customers came.
    pub rate_sent_per_s: f64,
    /// Orders placed a second, until the last answer.
    pub rate_placed_per_s: f64,
    pub duration_s: f64,
    /// `events` (the live stream) or `polling` (the stream was not to be had: order→ready is coarse).
    pub followed_by: &'static str,
    #[serde(flatten)]
    pub tally: Tally,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_is_one_flat_json_object() {
        let options = SimulationOptions {
            rate_per_s: 1.0,
            duration: None,
            seed: 1,
            max_in_flight: 1,
            bad_percent: 0.0,
            wait_ready: Duration::ZERO,
        };
        let report = Tally::default().report(&options, Duration::ZERO, Duration::ZERO, "events");
        let report = serde_json::to_value(report).unwrap();
        let keys: Vec<&str> = report.as_object().unwrap().keys().map(String::as_str).collect();
        let expected = "answer_ms bad_placed bad_sent cancelled customers dropped duration_s failed first_failure \
                        first_good_refused followed_by good_refused not_followed order_to_ready_ms placed \
                        rate_asked_per_s rate_placed_per_s rate_sent_per_s ready refusal_ms refused seed \
                        still_cooking unanswered";
        assert_eq!(keys.join(" "), expected);
    }
}
