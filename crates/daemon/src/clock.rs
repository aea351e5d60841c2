//! Times as logs and messages have them.

use std::time::Duration;

use jiff::Timestamp;

/// RFC 3339 in UTC with milliseconds: `2026-11-22T10:11:12.345Z`. What is finer is cut off.
pub fn rfc3339_ms(time: Timestamp) -> String {
    format!("{time:.3}")
}

/// What is finer is cut off.
pub fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_always_three_decimals_and_a_z() {
        for (given, expected) in [
            ("2026-11-22T10:11:12Z", "2026-11-22T10:11:12.000Z"),
            ("2026-11-22T10:11:12.3459999Z", "2026-11-22T10:11:12.345Z"),
            ("2026-11-22T10:11:12.5+02:00", "2026-11-22T08:11:12.500Z"),
        ] {
            let time: Timestamp = given.parse().unwrap();
            assert_eq!(rfc3339_ms(time), expected);
        }
    }
}
