//! When a kitchen has so much to do that no more orders are taken.

use std::time::Duration;

/// How long an order may take before the intake says so, and before it pauses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IntakeTimes {
    /// Where an order takes so long it is busy.
    pub busy: Duration,
    /// Where an order takes so long its type is paused; never where it is none.
    pub pause: Option<Duration>,
}

impl IntakeTimes {
    /// Until the estimate is below such a share of `pause`, what is paused stays so: else it would change with each order.
    const RESUME_PERCENT: u32 = 80;

    /// Below which estimate orders are taken again, once they are paused.
    pub fn resume(&self) -> Option<Duration> {
        Some(self.pause? * Self::RESUME_PERCENT / 100)
    }

    /// Whether an estimate pauses orders, which it did before or not. What is unknown changes nothing.
    pub fn pauses(&self, was_paused: bool, estimate: Option<Duration>) -> bool {
        let bound = if was_paused { self.resume() } else { self.pause };
        match (bound, estimate) {
            (None, _) => false,
            (Some(_), None) => was_paused,
            (Some(bound), Some(estimate)) => estimate >= bound,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_paused_stays_so_until_the_estimate_is_well_below() {
        let minutes = |estimate: Option<u64>| estimate.map(Duration::from_mins);
        let times = IntakeTimes { busy: Duration::from_mins(30), pause: minutes(Some(60)) };
        let mut paused = false;
        for (estimate, expected) in [
            (None, false),
            (Some(59), false),
            (Some(60), true),
            (Some(59), true),
            (None, true),
            (Some(48), true),
            (Some(47), false),
            (Some(59), false),
        ] {
            paused = times.pauses(paused, minutes(estimate));
            assert_eq!(paused, expected, "{estimate:?}");
        }
        assert!(!IntakeTimes { pause: None, ..times }.pauses(true, minutes(Some(600))));
    }
}
