//! `kitchen:` cooking times and a worker's waits.

use std::time::Duration;

use settings::Reader;

use crate::domain::CookTimes;

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
        Self {
            cook_times: CookTimes {
                dine_in: reader.seconds("kitchen.cook_seconds.dine_in"),
                takeout: reader.seconds("kitchen.cook_seconds.takeout"),
                delivery: reader.seconds("kitchen.cook_seconds.delivery"),
            },
            stop_timeout: reader.seconds("kitchen.stop_seconds"),
            grace: reader.seconds("kitchen.grace_seconds"),
        }
    }
}
