//! What is measured of publishing.

use std::time::Duration;

use daemon::metrics::Metrics;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
};

use super::confirms::PublishOutcome;

/// Upper bounds in seconds: a confirmation is a flush of the server's disk, and takes seconds where that is overloaded.
const BUCKETS_SECONDS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

/// Messages by what became of them, and how long each batch waited for the last of its confirmations.
#[derive(Debug, Clone)]
pub(super) struct PublishMetrics {
    results: Family<ResultLabel, Counter>,
    confirmed: Histogram,
}

impl PublishMetrics {
    /// Registers `publishes_total` and `publish_confirm_duration_seconds`.
    pub(super) fn register(metrics: &Metrics) -> Self {
        let all = Self { results: Family::default(), confirmed: Histogram::new(BUCKETS_SECONDS) };
        for result in ["routed", "unroutable", "nacked", "unconfirmed", "invalid"] {
            let _ = all.results.get_or_create(&ResultLabel { result });
        }
        metrics.register(|registry| {
            registry.register(
                "publishes",
                "Messages handed to RabbitMQ, by what became of them",
                all.results.clone(),
            );
            let help = "Time until all messages of a batch were confirmed";
            registry.register("publish_confirm_duration_seconds", help, all.confirmed.clone());
        });
        all
    }

    /// Counts the messages of one batch.
    pub(super) fn record(&self, outcomes: &[PublishOutcome], duration: Duration) {
        for outcome in outcomes {
            let result = match outcome {
                PublishOutcome::Routed => "routed",
                PublishOutcome::Unroutable { .. } => "unroutable",
                PublishOutcome::Nacked => "nacked",
                PublishOutcome::Unconfirmed(_) => "unconfirmed",
                PublishOutcome::Invalid(_) => "invalid",
            };
            self.results.get_or_create(&ResultLabel { result }).inc();
        }
        let is_answered = |outcome: &PublishOutcome| !matches!(outcome, PublishOutcome::Unconfirmed(_));
        if outcomes.iter().all(is_answered) {
            self.confirmed.observe(duration.as_secs_f64());
        }
    }
}
