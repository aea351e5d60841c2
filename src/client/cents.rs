//! TO BE REPLACED by `domain::money`: exact amounts of the client side, until that type can be used here.

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// An exact, non-negative amount of money in cents; never a binary floating point number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Cents(pub i64);

impl Cents {
    /// Reads a plain JSON number (`24.98`, `25`, `0.5`). `None` for a sign, an exponent, more than two decimals
    /// that count, or an amount that does not fit.
    pub fn parse(text: &str) -> Option<Self> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(fraction) {
            return None;
        }
        let fraction = fraction.trim_end_matches('0');
        if fraction.len() > 2 {
            return None;
        }
        let hundredths: i64 = format!("{fraction:0<2}").parse().ok()?;
        whole.parse::<i64>().ok()?.checked_mul(100)?.checked_add(hundredths).map(Self)
    }
}

impl fmt::Display for Cents {
    /// As in JSON and on a bill, always with two decimals: `24.98`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}.{:02}", self.0 / 100, self.0 % 100))
    }
}

impl<'de> Deserialize<'de> for Cents {
    /// From the exact text of a JSON number; works with `serde_json` only, whose raw values keep that text.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Self::parse(raw.get())
            .ok_or_else(|| D::Error::custom(format!("{} is not an amount of money", raw.get())))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_exactly() {
        for (text, cents) in
            [("24.98", 2498), ("25", 2500), ("0.5", 50), ("0.30000", 30), ("199998.00", 19_999_800)]
        {
            assert_eq!(serde_json::from_str::<Cents>(text).unwrap(), Cents(cents), "{text}");
        }
    }

    #[test]
    fn what_is_no_exact_amount_is_refused() {
        for text in ["9.999", "-1", "1e3", "\"1\"", "null", "99999999999999999999"] {
            assert!(serde_json::from_str::<Cents>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn amounts_are_shown_with_two_decimals() {
        assert_eq!(Cents(2498).to_string(), "24.98");
        assert_eq!(Cents(5).to_string(), "0.05");
    }
}
