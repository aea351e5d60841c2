//! The low-water mark of the outbox: from where on it has rows. Its oldest rows are the next to go, so that its index begins with the entries of all that went
//! before, until PostgreSQL cleans up, which it does once a minute: at thousands of orders a second it took longer to pass
//! them by than to read a batch.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use daemon::sync::locked;

/// So far below the oldest row that was found others may appear: transactions commit in another order than they number
/// their rows.
const MARGIN_ROWS: i64 = 4_096;
/// While it is looked at all the time, the whole outbox is so often: for what appears further below, where somebody has
/// died, or entered a change again that had been announced long ago.
const WHOLE_LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// The oldest row that was found lately.
#[derive(Default)]
pub(super) struct LowWaterMark(Mutex<Mark>);

#[derive(Default)]
struct Mark {
    /// 0 before the first row was found.
    log_id: i64,
    /// When all were looked at.
    whole_look_at: Option<Instant>,
}

impl LowWaterMark {
    /// From which `outbox.log_id` on to look for rows now.
    pub(super) fn look_from(&self, now: Instant) -> i64 {
        let mut mark = locked(&self.0);
        match mark.whole_look_at {
            Some(at) if now.duration_since(at) < WHOLE_LOOK_INTERVAL => (mark.log_id - MARGIN_ROWS).max(0),
            _ => {
                mark.whole_look_at = Some(now);
                0
            }
        }
    }

    /// Notes the oldest row that a look has found.
    pub(super) fn found(&self, log_id: i64) {
        locked(&self.0).log_id = log_id;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_passes_over_what_lies_far_below_the_oldest_row() {
        let (mark, now) = (LowWaterMark::default(), Instant::now());
        assert_eq!(mark.look_from(now), 0);
        mark.found(MARGIN_ROWS + 7);
        assert_eq!(mark.look_from(now), 7);
        mark.found(5);
        assert_eq!(mark.look_from(now), 0);
    }

    #[test]
    fn now_and_then_everything_is_looked_at() {
        let (mark, began) = (LowWaterMark::default(), Instant::now());
        mark.look_from(began);
        mark.found(1_000_000);
        let later = began + WHOLE_LOOK_INTERVAL;
        assert!(mark.look_from(later - Duration::from_millis(1)) > 0);
        assert_eq!(mark.look_from(later), 0);
        assert!(mark.look_from(later) > 0, "once");
    }
}
