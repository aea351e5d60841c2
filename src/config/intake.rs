//! `restaurant.hours` and `intake:` when orders are taken, and how many.

use std::time::Duration;

use settings::Reader;

use crate::domain::{IntakeTimes, OpeningHours, WeeklyHours};
use crate::store::IntakeLimits;

/// When orders are taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntakeConfig {
    pub hours: OpeningHours,
    pub times: IntakeTimes,
    pub limits: IntakeLimits,
}

impl IntakeConfig {
    pub(super) fn read(reader: &mut Reader) -> Self {
        let hours = |text: &str| text.parse::<WeeklyHours>().map_err(|error| error.to_string());
        Self {
            hours: OpeningHours(reader.list("restaurant.hours", hours)),
            times: IntakeTimes {
                busy: Duration::from_mins(reader.number("intake.busy_minutes")),
                pause: reader.optional_number("intake.pause_minutes").map(Duration::from_mins),
            },
            limits: IntakeLimits {
                of_a_quarter: reader.optional_number("intake.max_orders_per_15_minutes"),
                open_of_a_table: reader.optional_number("intake.max_open_orders_per_table"),
                open_of_an_address: reader.optional_number("intake.max_open_orders_per_address"),
            },
        }
    }
}
