//! Patience with a server that is away: growing pauses.

use std::time::Duration;

/// Doubled more often than that, any pause is beyond its limit.
const MAX_DOUBLINGS: u32 = 16;

/// Pauses between attempts: each about twice as long as the one before, up to a limit, with jitter so that many
/// processes do not come back in the same moment.
#[derive(Debug)]
pub struct Backoff {
    min: Duration,
    max: Duration,
    failures: u32,
}

impl Backoff {
    /// Pauses that begin between half of `min` and `min`, and end between half of `max` and `max`.
    pub fn new(min: Duration, max: Duration) -> Self {
        Self { min, max, failures: 0 }
    }

    /// How long to wait before the next attempt.
    pub fn next_delay(&mut self) -> Duration {
        let step = self.min.saturating_mul(1 << self.failures.min(MAX_DOUBLINGS)).min(self.max);
        self.failures = self.failures.saturating_add(1);
        step.mul_f64(0.5 + 0.5 * fastrand::f64())
    }

    /// An attempt was good: the pauses begin anew.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_limit_and_begin_anew() {
        let (min, max) = (Duration::from_millis(100), Duration::from_secs(2));
        let mut backoff = Backoff::new(min, max);
        for _ in 0..2 {
            let first = backoff.next_delay();
            assert!((min / 2..=min).contains(&first), "{first:?}");
            let later: Vec<_> = (0..50).map(|_| backoff.next_delay()).collect();
            assert!(later.iter().all(|delay| *delay <= max), "{later:?}");
            assert!(later[10..].iter().all(|delay| *delay >= max / 2), "{later:?}");
            assert!(later[10..].windows(2).any(|pair| pair[0] != pair[1]), "no jitter: {later:?}");
            backoff.reset();
        }
    }
}
