//! Patience with a server that is away: growing pauses, and one line in the log instead of one a second.

use std::error::Error;
use std::time::{Duration, Instant};

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

/// Whether a server is away, so that the log says so once when it goes and once when it is back.
#[derive(Debug)]
pub struct Outage {
    server: &'static str,
    failed_action: &'static str,
    since: Option<Instant>,
}

impl Outage {
    /// For PostgreSQL: `db_connection_failed`, then `reconnected`.
    pub fn of_database() -> Self {
        Self::new("PostgreSQL", "db_connection_failed")
    }

    /// For any `server`, with the action that its failure is logged as.
    pub fn new(server: &'static str, failed_action: &'static str) -> Self {
        Self { server, failed_action, since: None }
    }

    /// An attempt failed; logged when it is the first of this outage. Tells whether it was.
    pub fn failed(&mut self, error: &(dyn Error + 'static)) -> bool {
        let is_first = self.since.is_none();
        self.since.get_or_insert_with(Instant::now);
        if is_first {
            let (action, server) = (self.failed_action, self.server);
            tracing::error!(action, error, "{server} is away; trying again until it is back");
        } else {
            tracing::debug!(action = "reconnect_failed", error, "{} is still away", self.server);
        }
        is_first
    }

    /// An attempt was good; logged when it ends an outage, whose length is returned.
    pub fn recovered(&mut self) -> Option<Duration> {
        let outage = self.since.take()?.elapsed();
        let duration_ms = u64::try_from(outage.as_millis()).unwrap_or(u64::MAX);
        tracing::info!(action = "reconnected", duration_ms, "{} is back", self.server);
        Some(outage)
    }

    /// How long the server has been away; `None` while it is there.
    pub fn lasting(&self) -> Option<Duration> {
        self.since.map(|since| since.elapsed())
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

    #[test]
    fn an_outage_is_told_once_when_it_begins_and_once_when_it_ends() {
        let mut outage = Outage::of_database();
        let error = std::io::Error::other("refused");
        assert_eq!(outage.recovered(), None);
        assert!(outage.failed(&error) && !outage.failed(&error));
        assert!(outage.lasting().is_some());
        assert!(outage.recovered().is_some() && outage.recovered().is_none());
        assert!(outage.failed(&error), "a new outage");
    }
}
