//! `kitchen:` cooking times and a worker's waits.

use std::time::Duration;

use super::keys::Key;
use super::reader::Reader;
use crate::domain::CookTimes;

pub(super) const KEYS: &[Key] = &[
    Key::single("kitchen.cook_seconds.dine_in"),
    Key::single("kitchen.cook_seconds.takeout"),
    Key::single("kitchen.cook_seconds.delivery"),
    Key::single("kitchen.stop_seconds"),
    Key::single("kitchen.grace_seconds"),
];

/// The kitchen's times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KitchenConfig {
    /// How long an order is cooked.
    pub cook_times: CookTimes,
    /// How long a worker that is asked to stop may go on with the orders it is cooking before it gives them back.
    pub stop_timeout: Duration,
    /// How long an order may wait for its message before an idle worker takes it straight from the database.
    pub grace: Duration,
}

impl KitchenConfig {
    pub(super) fn read(reader: &mut Reader) -> Self {
        let mut seconds =
            |key: &str, default: u64| reader.seconds(key, 0.0).unwrap_or(Duration::from_secs(default));
        Self {
            cook_times: CookTimes {
                dine_in: seconds("kitchen.cook_seconds.dine_in", 8),
                takeout: seconds("kitchen.cook_seconds.takeout", 10),
                delivery: seconds("kitchen.cook_seconds.delivery", 12),
            },
            stop_timeout: seconds("kitchen.stop_seconds", 30),
            grace: seconds("kitchen.grace_seconds", 2),
        }
    }
}
