use std::time::Duration;

use daemon::metrics::Metrics;
use prometheus_client::metrics::histogram::Histogram;

/// Upper bounds in seconds: an estimate is told in steps of 5 s, and whoever waits for half an hour longer has left.
const BUCKETS_SECONDS: [f64; 9] = [5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0];

/// By how much estimates were wrong, to either side: a histogram has no negative bounds.
#[derive(Debug, Clone)]
pub struct EstimateErrors(Histogram);

impl EstimateErrors {
    /// Registers `restaurant_estimate_error_seconds`.
    pub fn register(&self, metrics: &Metrics) {
        let help = "Time between the estimate of an order's claim and when it was ready, whichever was first";
        metrics.register(|registry| {
            registry.register("estimate_error_seconds", help, self.0.clone());
        });
    }

    pub(super) fn note(&self, error: Duration) {
        self.0.observe(error.as_secs_f64());
    }
}

impl Default for EstimateErrors {
    fn default() -> Self {
        Self(Histogram::new(BUCKETS_SECONDS))
    }
}
