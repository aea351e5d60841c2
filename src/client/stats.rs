//! Latencies in bounded memory.

use std::time::Duration;

use serde::Serialize;

/// Buckets for each doubling of the value: a bucket is at most 1/128 (0.8 %) as wide as the values in it.
const STEPS: usize = 128;
/// Longer latencies are counted as this one: 2^36 µs, some 19 hours.
const MAX_MICROS: u64 = 1 << 36;

/// Counts latencies in logarithmic buckets: 32 KiB, however many there are.
///
/// A percentile is never understated, and overstated by less than 0.8 % (or 1 µs); the maximum is exact.
#[derive(Debug, Clone, Serialize)]
#[serde(into = "Percentiles")]
pub struct LatencyHistogram {
    buckets: Vec<u64>,
    count: u64,
    max: Duration,
}

/// The percentiles of a [`LatencyHistogram`] in milliseconds; `null` where nothing was measured.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Percentiles {
    pub count: u64,
    pub p50: Option<f64>,
    pub p95: Option<f64>,
    pub p99: Option<f64>,
    pub max: Option<f64>,
}

impl From<LatencyHistogram> for Percentiles {
    fn from(histogram: LatencyHistogram) -> Self {
        histogram.percentiles()
    }
}

impl Default for LatencyHistogram {
    fn default() -> Self {
        Self { buckets: vec![0; bucket_of(MAX_MICROS) + 1], count: 0, max: Duration::ZERO }
    }
}

impl LatencyHistogram {
    pub fn record(&mut self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(MAX_MICROS).min(MAX_MICROS);
        self.buckets[bucket_of(micros)] += 1;
        self.count += 1;
        self.max = self.max.max(latency);
    }

    /// The latency that `percent` of all did not exceed (nearest rank); `None` while there are none.
    pub fn percentile(&self, percent: f64) -> Option<Duration> {
        let rank = ((percent / 100.0 * self.count as f64).ceil() as u64).clamp(1, self.count.max(1));
        let mut seen = 0;
        let bucket = self.buckets.iter().position(|count| {
            seen += count;
            seen >= rank
        })?;
        Some(Duration::from_micros(upper_bound_micros(bucket)).min(self.max))
    }

    pub fn percentiles(&self) -> Percentiles {
        let millis = |latency: Duration| (latency.as_secs_f64() * 1_000_000.0).round() / 1000.0;
        let at = |percent| self.percentile(percent).map(millis);
        let max = (self.count > 0).then(|| millis(self.max));
        Percentiles { count: self.count, p50: at(50.0), p95: at(95.0), p99: at(99.0), max }
    }
}

/// Values below 2 × [`STEPS`] have a bucket each; above, each doubling has [`STEPS`] of them.
fn bucket_of(micros: u64) -> usize {
    let shift = micros.max(1).ilog2().saturating_sub(STEPS.ilog2());
    shift as usize * STEPS + (micros >> shift) as usize
}

/// The largest value of a bucket (and a microsecond for what was cut off below it, where it stands for more than one).
fn upper_bound_micros(bucket: usize) -> u64 {
    let shift = (bucket / STEPS).saturating_sub(1);
    let step = (bucket - shift * STEPS) as u64;
    (step + 1) << shift
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_measured_has_no_percentile() {
        assert_eq!(LatencyHistogram::default().percentile(50.0), None);
        assert_eq!(
            serde_json::to_string(&LatencyHistogram::default().percentiles()).unwrap(),
            r#"{"count":0,"p50":null,"p95":null,"p99":null,"max":null}"#
        );
    }

    #[test]
    fn beyond_the_cap_the_maximum_is_still_exact() {
        let mut histogram = LatencyHistogram::default();
        histogram.record(Duration::from_secs(500_000));
        assert_eq!(histogram.count, 1);
        assert_eq!(histogram.max, Duration::from_secs(500_000));
    }

    proptest! {
        #[test]
        fn a_percentile_is_never_understated_and_hardly_overstated(
            nanos in prop::collection::vec(prop_oneof![0..2_000_000u64, 0..100_000_000_000u64], 1..300),
            percent in 0.0..=100.0f64,
        ) {
            let mut histogram = LatencyHistogram::default();
            nanos.iter().for_each(|&nanos| histogram.record(Duration::from_nanos(nanos)));
            let mut sorted = nanos;
            sorted.sort_unstable();
            let rank = ((percent / 100.0 * sorted.len() as f64).ceil() as usize).max(1);
            let exact = sorted[rank - 1] as f64 / 1000.0;
            let told = histogram.percentile(percent).unwrap().as_secs_f64() * 1_000_000.0;
            prop_assert!(told >= exact - 1e-6, "{told} < {exact}");
            prop_assert!(told <= exact * (1.0 + 1.0 / STEPS as f64) + 1.0 + 1e-6, "{told} > {exact}");
        }

        #[test]
        fn buckets_lie_side_by_side(micros in 0..MAX_MICROS) {
            let bucket = bucket_of(micros);
            prop_assert!(micros < upper_bound_micros(bucket));
            prop_assert!(bucket == 0 || micros >= upper_bound_micros(bucket - 1));
        }
    }
}
