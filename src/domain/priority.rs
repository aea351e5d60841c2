//! How urgent an order is.

use serde::{Deserialize, Serialize};

use super::Money;

/// How urgent an order is: the message priority in RabbitMQ and the last part of its routing key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Priority(u8);

impl Priority {
    /// Above 100.00.
    pub const HIGH: Self = Self(10);
    /// From 50.00 to 100.00, both included.
    pub const MEDIUM: Self = Self(5);
    pub const LOW: Self = Self(1);
    /// The most urgent first.
    pub const ALL: [Self; 3] = [Self::HIGH, Self::MEDIUM, Self::LOW];

    /// THE priority rule (contract, section 3). To change it, change it here, and the `check` on `orders.priority`.
    pub const fn of_total(total: Money) -> Self {
        match total.cents() {
            10_001.. => Self::HIGH,
            5_000..=10_000 => Self::MEDIUM,
            _ => Self::LOW,
        }
    }

    /// From the database, whose own check (`orders_priority_known`) admits what [`Self::of_total`] gives.
    pub const fn from_stored(value: u8) -> Self {
        Self(value)
    }

    /// 1, 5 or 10.
    pub const fn value(self) -> u8 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_borders_belong_to_the_middle() {
        let of = |cents| Priority::of_total(Money::from_cents(cents));
        assert_eq!(of(1), Priority::LOW);
        assert_eq!(of(4_999), Priority::LOW);
        assert_eq!(of(5_000), Priority::MEDIUM);
        assert_eq!(of(10_000), Priority::MEDIUM);
        assert_eq!(of(10_001), Priority::HIGH);
    }
}
