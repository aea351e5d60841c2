//! When a restaurant takes orders, by the week and in its time zone.

use std::str::FromStr;

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};

use super::menu::TimeOfDay;

/// Some days of the week, by the names that [`WeeklyHours`] has for them.
const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];
/// Hours that begin on one of so many days from today are looked at: the same day of the next week is among them.
const DAYS_AHEAD: i32 = 8;

/// Hours of one day of the week or several, such as `mon-fri 11:00-14:30`. Those that go past midnight belong to the day on which
/// they begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WeeklyHours {
    /// May be behind `last`: `sat-mon`.
    first: Weekday,
    last: Weekday,
    from: TimeOfDay,
    /// On the next day where it is not after `from`.
    until: TimeOfDay,
}

/// The text is no [`WeeklyHours`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be hours such as \"mon-fri 11:00-14:30\", \"sat 17:00-01:00\" or, for each day, \"11:00-22:00\""
)]
pub struct InvalidWeeklyHours;

impl FromStr for WeeklyHours {
    type Err = InvalidWeeklyHours;

    fn from_str(text: &str) -> Result<Self, InvalidWeeklyHours> {
        let weekday = |name: &str| {
            let found = DAYS.iter().find(|(known, _)| name.eq_ignore_ascii_case(known));
            found.map(|(_, day)| *day).ok_or(InvalidWeeklyHours)
        };
        let time = |text: &str| text.parse().map_err(|_| InvalidWeeklyHours);
        let mut parts = text.split_whitespace();
        let (first, second) = (parts.next().ok_or(InvalidWeeklyHours)?, parts.next());
        let (days, hours) = second.map_or(("mon-sun", first), |hours| (first, hours));
        let (first, last) = days.split_once('-').unwrap_or((days, days));
        let (from, until) = hours.split_once('-').ok_or(InvalidWeeklyHours)?;
        if parts.next().is_some() {
            return Err(InvalidWeeklyHours);
        }
        Ok(Self { first: weekday(first)?, last: weekday(last)?, from: time(from)?, until: time(until)? })
    }
}

impl WeeklyHours {
    /// Those that begin on this day, where any do. Of hours that the clock leaves out, when it is put forward, there may be none.
    fn on(&self, date: Date, zone: &TimeZone) -> Option<(Timestamp, Timestamp)> {
        if self.first.until(date.weekday()) > self.first.until(self.last) {
            return None;
        }
        let end_date = if self.from.time() < self.until.time() { date } else { date.tomorrow().ok()? };
        let at = |date: Date, time: TimeOfDay| {
            date.to_datetime(time.time()).to_zoned(zone.clone()).ok().map(|at| at.timestamp())
        };
        Some((at(date, self.from)?, at(end_date, self.until)?)).filter(|(from, until)| from < until)
    }
}

/// When orders are taken; without any hours always.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OpeningHours(pub Vec<WeeklyHours>);

/// Whether it is open at some moment, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// Until it closes; `None` where it does not within a week.
    Open {
        until: Option<Timestamp>,
    },
    Closed {
        opens_at: Option<Timestamp>,
    },
}

impl OpeningHours {
    /// How it is at this moment, by the clock of the restaurant.
    pub fn at(&self, now: &Zoned) -> Opening {
        if self.0.is_empty() {
            return Opening::Open { until: None };
        }
        let moment = now.timestamp();
        let dates = (-1..DAYS_AHEAD).filter_map(|days| now.date().checked_add(days.days()).ok());
        let mut hours: Vec<_> = dates
            .flat_map(|date| self.0.iter().filter_map(move |hours| hours.on(date, now.time_zone())))
            .collect();
        hours.sort_unstable();
        // Hours that touch or overlap are one.
        let closes_at =
            hours.iter().fold(moment, |end, (from, until)| if *from <= end { end.max(*until) } else { end });
        if closes_at == moment {
            let opens_at = hours.iter().map(|(from, _)| *from).find(|from| *from > moment);
            return Opening::Closed { opens_at };
        }
        let in_a_week = now.checked_add(7.days()).map_or(Timestamp::MAX, |at| at.timestamp());
        Opening::Open { until: Some(closes_at).filter(|closes_at| *closes_at < in_a_week) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hours(texts: &[&str]) -> OpeningHours {
        OpeningHours(texts.iter().map(|text| text.parse().unwrap()).collect())
    }

    /// `open until …`, `closed until …`, in UTC.
    fn at(hours: &OpeningHours, now: &str) -> String {
        let shown = |at: Option<Timestamp>| at.map_or_else(|| "ever".to_owned(), |at| at.to_string());
        match hours.at(&now.parse().unwrap()) {
            Opening::Open { until } => format!("open until {}", shown(until)),
            Opening::Closed { opens_at } => format!("closed until {}", shown(opens_at)),
        }
    }

    #[test]
    fn lunch_and_dinner_and_a_night_that_goes_past_midnight() {
        let hours = hours(&["mon-fri 11:00-14:30", "thu-sat 17:00-01:00"]);
        for (now, expected) in [
            // A Friday.
            ("2026-11-27T10:59:59+01:00[Europe/Berlin]", "closed until 2026-11-27T10:00:00Z"),
            ("2026-11-27T11:00:00+01:00[Europe/Berlin]", "open until 2026-11-27T13:30:00Z"),
            ("2026-11-27T14:30:00+01:00[Europe/Berlin]", "closed until 2026-11-27T16:00:00Z"),
            ("2026-11-27T23:00:00+01:00[Europe/Berlin]", "open until 2026-11-28T00:00:00Z"),
            ("2026-11-28T00:59:59+01:00[Europe/Berlin]", "open until 2026-11-28T00:00:00Z"),
            // The night of Saturday is over, and Sunday has no hours.
            ("2026-11-29T01:00:00+01:00[Europe/Berlin]", "closed until 2026-11-30T10:00:00Z"),
        ] {
            assert_eq!(at(&hours, now), expected, "{now}");
        }
    }

    #[test]
    fn the_clock_may_be_put_forward_and_back() {
        let night = hours(&["sat 20:00-02:30"]);
        // 02:30 is not there on 29 March: the clock shows 03:30 then. On 25 October the first 02:30 counts.
        for (now, expected) in [
            ("2026-03-28T21:00:00+01:00[Europe/Berlin]", "open until 2026-03-29T01:30:00Z"),
            ("2026-10-24T21:00:00+02:00[Europe/Berlin]", "open until 2026-10-25T00:30:00Z"),
            ("2026-10-25T02:15:00+01:00[Europe/Berlin]", "closed until 2026-10-31T19:00:00Z"),
        ] {
            assert_eq!(at(&night, now), expected, "{now}");
        }
        let noon = hours(&["12:00-13:00"]);
        // Noon is noon, before and after.
        assert_eq!(
            at(&noon, "2026-03-28T13:00:00+01:00[Europe/Berlin]"),
            "closed until 2026-03-29T10:00:00Z"
        );
        // The hour from 02:00 to 03:00 is not there at all.
        let hour = hours(&["sun 02:00-03:00"]);
        assert_eq!(
            at(&hour, "2026-03-29T01:59:59+01:00[Europe/Berlin]"),
            "closed until 2026-04-05T00:00:00Z"
        );
    }

    #[test]
    fn hours_that_touch_are_one_and_a_whole_week_has_no_end() {
        let now = "2026-11-27T12:00:00+00:00[UTC]";
        assert_eq!(
            at(&hours(&["fri 11:00-00:00", "sat 00:00-03:00"]), now),
            "open until 2026-11-28T03:00:00Z"
        );
        assert_eq!(at(&hours(&["00:00-00:00"]), now), "open until ever");
        assert_eq!(at(&hours(&[]), now), "open until ever");
        assert_eq!(at(&hours(&["fri 10:00-11:00"]), now), "closed until 2026-12-04T10:00:00Z");
        assert_eq!(at(&hours(&["sat-mon 10:00-11:00"]), now), "closed until 2026-11-28T10:00:00Z");
    }

    #[test]
    fn what_is_no_hours_is_refused() {
        for text in [
            "",
            "mon",
            "mon-fri",
            "mon 11-14",
            "mon 11:00",
            "mon 11:00-24:00",
            "noon 11:00-12:00",
            "mon 1:00-2:00 x",
        ] {
            assert_eq!(text.parse::<WeeklyHours>(), Err(InvalidWeeklyHours), "{text:?}");
        }
        assert!("Mon-Fri  9:05-10:00".parse::<WeeklyHours>().is_ok());
    }

    proptest! {
        /// Where no clock is put forward or back, hours are minutes of the week.
        #[test]
        fn it_is_open_in_its_hours_and_opens_and_closes_when_it_says(
            of in proptest::collection::vec((0_usize..7, 0_usize..7, 0_i64..1440, 0_i64..1440), 1..4),
            minute in 0_i64..10_080,
        ) {
            const WEEK: i64 = 10_080;
            let time = |minute: i64| format!("{:02}:{:02}", minute / 60, minute % 60);
            let text = |(first, last, from, until): &(usize, usize, i64, i64)| {
                format!("{}-{} {}-{}", DAYS[*first].0, DAYS[*last].0, time(*from), time(*until))
            };
            let hours = OpeningHours(of.iter().map(|of| text(of).parse().unwrap()).collect());
            let is_in = |minute: i64| of.iter().any(|(first, last, from, until)| {
                let length = (until - from - 1).rem_euclid(1440) + 1;
                (0..=(7 + last - first) % 7).any(|day| {
                    let begin = i64::try_from((first + day) % 7).unwrap() * 1440 + from;
                    (minute - begin).rem_euclid(WEEK) < length
                })
            });
            // A Monday, 00:00.
            let monday: Zoned = "2026-11-23T00:00:00+00:00[UTC]".parse().unwrap();
            let now = monday.checked_add(minute.minutes()).unwrap();
            let minute_of = |at: Timestamp| at.duration_since(monday.timestamp()).as_mins().rem_euclid(WEEK);
            match hours.at(&now) {
                Opening::Open { until } => {
                    prop_assert!(is_in(minute));
                    match until {
                        Some(until) => prop_assert!(!is_in(minute_of(until)) && is_in((minute_of(until) - 1).rem_euclid(WEEK))),
                        None => prop_assert!((0..WEEK).all(is_in)),
                    }
                }
                Opening::Closed { opens_at } => {
                    prop_assert!(!is_in(minute));
                    let opens_at = minute_of(opens_at.unwrap());
                    let wait = (opens_at - minute).rem_euclid(WEEK);
                    let wait = if wait == 0 { WEEK } else { wait };
                    prop_assert!(is_in(opens_at) && !(0..wait).any(|passed| is_in((minute + passed) % WEEK)));
                }
            }
        }
    }
}
