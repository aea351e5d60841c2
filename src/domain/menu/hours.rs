//! When something can be had each day, in the restaurant's time zone.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{Date, Time, time};
use jiff::{Timestamp, Zoned};
use serde::{Deserialize, Serialize};

/// A time of the day, to the minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TimeOfDay(Time);

/// The text is no time of the day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a time from 00:00 to 23:59")]
pub struct InvalidTimeOfDay;

const FORMAT: &str = "%H:%M";

impl TimeOfDay {
    pub const MIDNIGHT: Self = Self(Time::midnight());

    pub(in crate::domain) fn time(self) -> Time {
        self.0
    }
}

impl FromStr for TimeOfDay {
    type Err = InvalidTimeOfDay;

    fn from_str(text: &str) -> Result<Self, InvalidTimeOfDay> {
        Time::strptime(FORMAT, text).map(Self).map_err(|_| InvalidTimeOfDay)
    }
}

impl TryFrom<String> for TimeOfDay {
    type Error = InvalidTimeOfDay;

    fn try_from(text: String) -> Result<Self, InvalidTimeOfDay> {
        text.parse()
    }
}

impl From<TimeOfDay> for String {
    fn from(time: TimeOfDay) -> Self {
        time.to_string()
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0.hour(), self.0.minute())
    }
}

/// Whether `at` is in the hours that begin at `from` and end before `until`; they may go past midnight.
pub(super) fn contain(from: TimeOfDay, until: TimeOfDay, at: Time) -> bool {
    match from.0 < until.0 {
        true => from.0 <= at && at < until.0,
        false => from.0 <= at || at < until.0,
    }
}

/// A guest after midnight belongs to the evening before; by then the last of them has gone home.
const BUSINESS_DAY_ENDS: Time = time(4, 0, 0, 0);

/// When the business day ends in which this is, by the clock of the restaurant.
pub fn business_day_end(now: &Zoned) -> Timestamp {
    let end_on = |date: Date| {
        let end = date.to_datetime(BUSINESS_DAY_ENDS).to_zoned(now.time_zone().clone());
        end.ok().map(|end| end.timestamp())
    };
    let days = [Some(now.date()), now.date().tomorrow().ok()];
    let end = days.into_iter().flatten().filter_map(end_on).find(|end| *end > now.timestamp());
    // There is always one before the year 9999.
    end.unwrap_or_else(|| now.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_end_before_their_end_and_go_past_midnight() {
        let [noon, three, two] = ["12:00", "15:00", "2:00"].map(|text| text.parse::<TimeOfDay>().unwrap());
        for (from, until, at, expected) in [
            (noon, three, time(12, 0, 0, 0), true),
            (noon, three, time(14, 59, 59, 0), true),
            (noon, three, time(15, 0, 0, 0), false),
            (noon, three, time(11, 59, 59, 0), false),
            (three, two, time(23, 0, 0, 0), true),
            (three, two, time(1, 59, 0, 0), true),
            (three, two, time(2, 0, 0, 0), false),
            (noon, TimeOfDay::MIDNIGHT, time(23, 59, 59, 0), true),
            (TimeOfDay::MIDNIGHT, noon, time(0, 0, 0, 0), true),
        ] {
            assert_eq!(contain(from, until, at), expected, "{from} {until} {at}");
        }
    }

    #[test]
    fn a_business_day_ends_at_four_in_the_morning_by_the_clock_of_the_restaurant() {
        for (now, end) in [
            ("2026-11-22T20:00:00+01:00[Europe/Berlin]", "2026-11-23T03:00:00Z"),
            ("2026-11-23T03:59:59+01:00[Europe/Berlin]", "2026-11-23T03:00:00Z"),
            ("2026-11-23T04:00:00+01:00[Europe/Berlin]", "2026-11-24T03:00:00Z"),
            // The night before summer time has an hour less, and that after it an hour more.
            ("2026-03-28T22:00:00+01:00[Europe/Berlin]", "2026-03-29T02:00:00Z"),
            ("2026-10-24T22:00:00+02:00[Europe/Berlin]", "2026-10-25T03:00:00Z"),
            ("2026-11-22T20:00:00+00:00[UTC]", "2026-11-23T04:00:00Z"),
        ] {
            let now: Zoned = now.parse().unwrap();
            assert_eq!(business_day_end(&now).to_string(), end, "{now}");
        }
    }

    #[test]
    fn a_time_is_hours_and_minutes() {
        for text in ["24:00", "12:60", "12", "12:00:00", "noon", ""] {
            assert_eq!(text.parse::<TimeOfDay>(), Err(InvalidTimeOfDay), "{text}");
        }
        let time: TimeOfDay = serde_json::from_str(r#""09:05""#).unwrap();
        assert_eq!(serde_json::to_string(&time).unwrap(), r#""09:05""#);
    }
}
