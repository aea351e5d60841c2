//! When an order will be ready.

use std::time::Duration;

use super::OrderType;

/// How long one order of each type cooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CookTimes {
    pub dine_in: Duration,
    pub takeout: Duration,
    pub delivery: Duration,
}

impl CookTimes {
    pub const fn uniform(time: Duration) -> Self {
        Self { dine_in: time, takeout: time, delivery: time }
    }

    pub const fn of(&self, order_type: OrderType) -> Duration {
        match order_type {
            OrderType::DineIn => self.dine_in,
            OrderType::Takeout => self.takeout,
            OrderType::Delivery => self.delivery,
        }
    }
}

/// The work that stands between a waiting order and an idle worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KitchenLoad {
    /// Orders that wait ahead of this one for the same cooks.
    pub waiting_ahead: u64,
    /// Orders that the cooks of this type have in hand.
    pub cooking: u64,
    /// How many orders all online workers that cook this type can have in hand at once.
    pub capacity: u64,
}

impl KitchenLoad {
    /// How many orders the cooks begin in this time, where enough of them wait.
    pub fn cooked_within(&self, time: Duration, cook_time: Duration) -> usize {
        let orders = time.as_millis().saturating_mul(self.capacity.into()) / cook_time.as_millis().max(1);
        usize::try_from(orders).unwrap_or(usize::MAX)
    }
}

/// How long a waiting order takes from now until it is ready: the rounds of cooking that go ahead of it, and its own.
/// An order in hand counts half a round, since on average half of it is done. `None` while nobody who can cook it is
/// online: then nothing can honestly be said.
pub fn estimate_waiting(load: KitchenLoad, cook_time: Duration) -> Option<Duration> {
    if load.capacity == 0 {
        return None;
    }
    let half_rounds = (2 * load.waiting_ahead + load.cooking) / load.capacity;
    let rounds = u32::try_from(half_rounds).unwrap_or(u32::MAX);
    Some((cook_time / 2).saturating_mul(rounds).saturating_add(cook_time))
}

#[cfg(test)]
mod tests {
    use super::*;

    const COOK: Duration = Duration::from_secs(10);

    fn seconds(waiting_ahead: u64, cooking: u64, capacity: u64) -> Option<u64> {
        estimate_waiting(KitchenLoad { waiting_ahead, cooking, capacity }, COOK).map(|d| d.as_secs())
    }

    #[test]
    fn an_idle_kitchen_begins_at_once() {
        assert_eq!(seconds(0, 0, 1), Some(10));
    }

    #[test]
    fn the_queue_ahead_is_shared_by_the_workers() {
        assert_eq!(seconds(4, 0, 1), Some(50));
        assert_eq!(seconds(4, 0, 2), Some(30));
        assert_eq!(seconds(4, 2, 2), Some(35));
    }

    #[test]
    fn nobody_online_means_no_estimate() {
        assert_eq!(seconds(0, 0, 0), None);
    }
}
