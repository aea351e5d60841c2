//! `restaurant.hours` and `intake:` when orders are taken, and how many.

use std::time::Duration;

use settings::Reader;

use crate::domain::{IntakeTimes, OpeningHours, WeeklyHours};

/// When orders are taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntakeConfig {
    pub hours: OpeningHours,
    pub times: IntakeTimes,
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
        }
    }
}
