//! Patience with a server that is away: growing pauses.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

/// Pauses between attempts: each about twice as long as the one before, up to a limit, with jitter so that many
/// processes do not come back in the same moment.
#[derive(Debug)]
pub struct Backoff {
    builder: ExponentialBuilder,
    delays: ExponentialBackoff,
    max: Duration,
}

impl Backoff {
    /// Pauses that begin between half of `min` and `min` and never exceed `max`.
    pub fn new(min: Duration, max: Duration) -> Self {
        // The jitter adds up to the delay once more: half of what is wanted, then.
        let builder = ExponentialBuilder::new()
            .with_jitter()
            .with_min_delay(min.min(max) / 2)
            .with_max_delay(max / 2)
            .without_max_times();
        Self { builder, delays: builder.build(), max }
    }

    /// How long to wait before the next attempt.
    pub fn next_delay(&mut self) -> Duration {
        self.delays.next().unwrap_or(self.max).min(self.max)
    }

    /// An attempt was good: the pauses begin anew.
    pub fn reset(&mut self) {
        self.delays = self.builder.build();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
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
