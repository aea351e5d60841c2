//! Amounts of money as they are written in a language: what `Intl.NumberFormat` gives for a narrow symbol.

use super::Language;
use crate::domain::Money;

/// Between an amount and its currency: no line ends there.
const NO_BREAK: char = '\u{a0}';
/// Between thousands in French.
const NARROW_NO_BREAK: char = '\u{202f}';
/// So that an amount stands right in a line from right to left.
const RIGHT_TO_LEFT: char = '\u{200f}';

pub(super) fn text(language: Language, currency: &str, amount: Money) -> String {
    let sign = if amount.cents() < 0 { "-" } else { "" };
    let cents = amount.cents().unsigned_abs();
    let (group, point) = match language {
        Language::En | Language::Ar => (',', '.'),
        Language::De | Language::Es | Language::It => ('.', ','),
        Language::Fr => (NARROW_NO_BREAK, ','),
    };
    let whole = grouped(cents / 100, group, if language == Language::Es { 5 } else { 4 });
    let number = format!("{whole}{point}{:02}", cents % 100);
    let symbol = symbol(currency);
    match language {
        Language::En if symbol.ends_with(char::is_alphabetic) => format!("{sign}{symbol}{NO_BREAK}{number}"),
        Language::En => format!("{sign}{symbol}{number}"),
        Language::Ar => format!("{RIGHT_TO_LEFT}{sign}{number}{NO_BREAK}{symbol}"),
        _ => format!("{sign}{number}{NO_BREAK}{symbol}"),
    }
}

/// In groups of three, from so many digits on.
fn grouped(number: u64, group: char, from_digits: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) && digits.len() >= from_digits {
            text.push(group);
        }
        text.push(digit);
    }
    text
}

fn symbol(currency: &str) -> &str {
    match currency {
        "EUR" => "€",
        "USD" | "CAD" | "AUD" => "$",
        "GBP" => "£",
        "CZK" => "Kč",
        "DKK" | "NOK" | "SEK" => "kr",
        "INR" => "₹",
        "PLN" => "zł",
        "TRY" => "₺",
        code => code,
    }
}
