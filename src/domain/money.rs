//! Exact amounts of money.

use std::fmt;
use std::iter::Sum;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// An exact amount in hundredths (cents). On the wire it is a JSON number with two decimals; it is never a binary
/// floating-point number on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Money(i64);

/// Why a number's text is no amount of money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    #[error("must be a number")]
    NotANumber,
    #[error("must have at most two decimals")]
    TooPrecise,
    #[error("is too large")]
    TooLarge,
}

/// More digits than this (zeros of an exponent among them) are no amount that anyone charges.
const MAX_DIGITS: i32 = 15;

impl Money {
    pub const fn from_cents(cents: i64) -> Self {
        Self(cents)
    }

    pub const fn cents(self) -> i64 {
        self.0
    }

    pub const fn times(self, quantity: u8) -> Self {
        Self(self.0 * quantity as i64)
    }

    /// Reads the text of a JSON number exactly: `15.99`, `8`, `1.5e1`; trailing zeros (`1.500`) do not count.
    ///
    /// # Errors
    /// When the text is no JSON number, has a third decimal, or is beyond any amount.
    pub fn parse(text: &str) -> Result<Self, MoneyError> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match digits.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, parse_exponent(exponent)?),
            None => (digits, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        if whole.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
            return Err(MoneyError::NotANumber);
        }
        let all = format!("{whole}{fraction}");
        let significant = all.trim_end_matches('0');
        if significant.trim_start_matches('0').is_empty() {
            return Ok(Self(0));
        }
        let dropped_zeros = length(all.len() - significant.len())?;
        // The value is significant × 10^scale; in cents, two powers more.
        let scale = exponent.saturating_sub(length(fraction.len())?).saturating_add(dropped_zeros);
        let cents_scale = scale.saturating_add(2);
        if cents_scale < 0 {
            return Err(MoneyError::TooPrecise);
        }
        let significant = significant.trim_start_matches('0');
        if length(significant.len())?.saturating_add(cents_scale) > MAX_DIGITS {
            return Err(MoneyError::TooLarge);
        }
        let units: i64 = significant.parse().map_err(|_| MoneyError::TooLarge)?;
        let cents = units * 10_i64.pow(cents_scale.unsigned_abs());
        Ok(Self(if negative { -cents } else { cents }))
    }
}

fn parse_exponent(text: &str) -> Result<i32, MoneyError> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(MoneyError::NotANumber);
    }
    // An exponent beyond i32 is saturated: it is refused as too large or too precise either way.
    let magnitude = digits.parse::<i32>().unwrap_or(i32::MAX / 2);
    Ok(if text.starts_with('-') { -magnitude } else { magnitude })
}

fn length(len: usize) -> Result<i32, MoneyError> {
    i32::try_from(len).map_err(|_| MoneyError::TooLarge)
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let cents = self.0.unsigned_abs();
        write!(f, "{sign}{}.{:02}", cents / 100, cents % 100)
    }
}

impl Sum for Money {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        Self(iter.map(|m| m.0).sum())
    }
}

impl From<Money> for serde_json::Number {
    fn from(money: Money) -> Self {
        Self::from_string_unchecked(money.to_string())
    }
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serde_json::Number::from(*self).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = serde_json::Number::deserialize(deserializer)?;
        Self::parse(number.as_str()).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_tenth_three_times_and_a_fifth_is_exactly_a_half() {
        let tenth = Money::parse("0.1").unwrap();
        let fifth = Money::parse("0.2").unwrap();
        assert_eq!([tenth.times(3), fifth].into_iter().sum::<Money>(), Money::parse("0.50").unwrap());
    }

    #[test]
    fn a_third_decimal_is_refused_unless_it_is_zero() {
        assert_eq!(Money::parse("9.999"), Err(MoneyError::TooPrecise));
        assert_eq!(Money::parse("9.990"), Ok(Money(999)));
        assert_eq!(Money::parse("1e-3"), Err(MoneyError::TooPrecise));
        assert_eq!(Money::parse("1e-999999999999"), Err(MoneyError::TooPrecise));
    }

    #[test]
    fn exponents_are_read_exactly() {
        assert_eq!(Money::parse("1.599e1"), Ok(Money(1599)));
        assert_eq!(Money::parse("1E2"), Ok(Money(10_000)));
        assert_eq!(Money::parse("0e999999999999"), Ok(Money(0)));
        assert_eq!(Money::parse("1e999999999999"), Err(MoneyError::TooLarge));
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in ["", "-", ".5", "1e", "1.2.3", "abc", "1e+", "--1", "0x10", "１"] {
            assert_eq!(Money::parse(text), Err(MoneyError::NotANumber), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_amount_survives_text_and_json(cents in -100_000_000_i64..100_000_000) {
            let money = Money::from_cents(cents);
            prop_assert_eq!(Money::parse(&money.to_string()), Ok(money));
            let json = serde_json::to_string(&money).unwrap();
            prop_assert_eq!(&json, &money.to_string());
            prop_assert_eq!(serde_json::from_str::<Money>(&json).unwrap(), money);
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,40}") {
            let _ = Money::parse(&text);
        }
    }
}
