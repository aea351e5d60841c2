//! How much is said of what happens again and again: some lines at once, then as many as time allows, and how many there
//! would have been.
//!
//! What a stranger can cause at will must not fill a disk, nor push out of the log what else is in it. [`Ration`] counts;
//! [`Budget`] is for lines of one kind that each stand for one request, and tells in a line of its own how many it withheld.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use prometheus_client::metrics::counter::Counter;

use super::metrics::Metrics;
use super::sync::locked;

/// Lines that a [`Budget`] has at once: who tries something by hand, or tests a client, sees each of its failures.
const BURST: u32 = 100;
/// The time in which it earns one more: a rush without an end writes some 40 MB a day.
const EARNS_ONE_IN: Duration = Duration::from_secs(1);
/// So long after the first withheld line it is told how many there were.
const TOLD_AFTER: Duration = Duration::from_secs(2);

/// So many lines at once, and one more each time that this much time has passed.
#[derive(Debug)]
pub struct Ration {
    burst: u32,
    earns_one_in: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// When all that was spent is earned again.
    whole_at: Option<Instant>,
    withheld: u64,
}

impl Ration {
    /// A whole one.
    pub const fn new(burst: u32, earns_one_in: Duration) -> Self {
        let state = Mutex::new(State { whole_at: None, withheld: 0 });
        Self { burst, earns_one_in, state }
    }

    /// Whether there is a line for what happens now; where there is none, it is counted.
    pub fn spend(&self, now: Instant) -> bool {
        // Whole at every panic.
        let mut state = locked(&self.state);
        let whole_at = state.whole_at.map_or(now, |at| at.max(now));
        let spent = whole_at.saturating_duration_since(now);
        let may_be_spent = self.earns_one_in.saturating_mul(self.burst.saturating_sub(1));
        if spent > may_be_spent {
            state.withheld += 1;
            return false;
        }
        state.whole_at = Some(whole_at + self.earns_one_in);
        true
    }

    /// How many were counted and not told since this was asked last.
    pub fn withheld(&self) -> u64 {
        std::mem::take(&mut locked(&self.state).withheld)
    }

    /// For lines that say themselves how many there were: how many this one is about, the present one included; `None` where
    /// there is no line now.
    pub fn next(&self, now: Instant) -> Option<u64> {
        self.spend(now).then(|| self.withheld() + 1)
    }
}

/// What may be logged of one kind of thing that anybody can cause. A clone is the same budget.
#[derive(Debug, Clone)]
pub struct Budget(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    action: &'static str,
    ration: Ration,
    /// Somebody is about to tell how many were withheld.
    is_being_told: AtomicBool,
    withheld: Counter,
}

impl Budget {
    /// A whole one for the lines with this action; how many it withholds is counted as `log_lines_withheld_total`.
    pub fn new(action: &'static str, metrics: &Metrics) -> Self {
        Self(Arc::new(Inner {
            action,
            ration: Ration::new(BURST, EARNS_ONE_IN),
            is_being_told: AtomicBool::new(false),
            withheld: metrics.withheld(action),
        }))
    }

    /// Whether a line may be written now. Where it may not, one line follows soon with how many were not.
    pub fn allows(&self) -> bool {
        let is_allowed = self.0.ration.spend(Instant::now());
        if !is_allowed {
            self.0.withheld.inc();
            if !self.0.is_being_told.swap(true, Ordering::Relaxed) {
                self.tell_later();
            }
        }
        is_allowed
    }

    fn tell_later(&self) {
        let inner = Arc::clone(&self.0);
        tokio::spawn(async move {
            tokio::time::sleep(TOLD_AFTER).await;
            // What is withheld from here on is for the next line.
            inner.is_being_told.store(false, Ordering::Relaxed);
            tracing::warn!(
                action = "log_lines_withheld",
                details = inner.action,
                count = inner.ration.withheld(),
                "more happened of this kind than is logged one by one"
            );
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_rush_gets_its_lines_at_once_and_then_as_many_as_time_earns() {
        let (ration, begun) = (Ration::new(3, SECOND), Instant::now());
        let said = |now| (0..10).filter(|_| ration.spend(now)).count();
        assert_eq!(said(begun), 3);
        assert_eq!(said(begun + SECOND / 2), 0);
        assert_eq!(said(begun + SECOND), 1);
        assert_eq!(said(begun + 3 * SECOND), 2);
        assert_eq!(said(begun + 100 * SECOND), 3, "no more is saved up than there was at first");
        assert_eq!(ration.withheld(), 50 - 9);
        assert_eq!(ration.withheld(), 0);
    }

    #[test]
    fn the_next_line_says_how_many_there_were() {
        let (ration, begun) = (Ration::new(1, SECOND), Instant::now());
        assert_eq!(ration.next(begun), Some(1));
        assert_eq!((ration.next(begun), ration.next(begun)), (None, None));
        assert_eq!(ration.next(begun + SECOND), Some(3));
        assert_eq!(ration.next(begun + 2 * SECOND), Some(1));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_withheld_is_counted() {
        let metrics = Metrics::new();
        let (budget, other) = (Budget::new("a", &metrics), Budget::new("b", &metrics));
        assert_eq!((0..1_000).filter(|_| budget.allows()).count(), BURST as usize);
        assert!(other.allows());
        let text = metrics.encode().unwrap_or_default();
        assert!(text.contains("log_lines_withheld_total{action=\"a\"} 900\n"), "{text}");
        assert!(text.contains("log_lines_withheld_total{action=\"b\"} 0\n"), "{text}");
    }
}
