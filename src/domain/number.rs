//! Order numbers.

use std::fmt;

/// An order's public number, `ORD_YYYYMMDD_NNN`: the UTC day and the day's sequence from 001, which grows a digit
/// past 999. One that was taken over may have more zeros at its front. It can be guessed, so it is a name and never a key to private data.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderNumber(String);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an order number looks like ORD_20261122_001")]
pub struct InvalidOrderNumber;

/// `ORD_`, eight digits, `_`, and so many digits: the form that the schema's `orders_number_form` allows, and that
/// numbers of the original system must have to be taken over. A test compares them.
const SEQUENCE_DIGITS: std::ops::RangeInclusive<usize> = 3..=9;

impl OrderNumber {
    /// Reads `ORD_YYYYMMDD_NNN`.
    pub fn parse(text: &str) -> Result<Self, InvalidOrderNumber> {
        let rest = text.strip_prefix("ORD_").ok_or(InvalidOrderNumber)?;
        let (day, sequence) = rest.split_once('_').ok_or(InvalidOrderNumber)?;
        let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        let sequence_fits = SEQUENCE_DIGITS.contains(&sequence.len());
        if day.len() == 8 && digits(day) && sequence_fits && digits(sequence) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidOrderNumber)
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for OrderNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_and_more_are_read() {
        for text in [
            "ORD_20261122_001",
            "ORD_20261122_999",
            "ORD_20261122_1000",
            "ORD_20261122_123456789",
            "ORD_20250101_0001",
        ] {
            assert_eq!(OrderNumber::parse(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn other_forms_are_refused() {
        for text in [
            "",
            "ORD_",
            "ord_20261122_001",
            "ORD_20261122_01",
            "ORD_2026112_001",
            "ORD_20261122_001 ",
            "ORD_20261122_001_",
            "ORD_20261122_0a1",
            "ORD_20261122_1234567890",
        ] {
            assert_eq!(OrderNumber::parse(text), Err(InvalidOrderNumber), "{text}");
        }
    }
}
