//! The restaurant as the pages show it.

use jiff::tz::TimeZone;

use super::words::Language;

#[derive(Debug, Clone)]
pub struct Restaurant {
    pub name: String,
    /// Of all prices, by ISO 4217: `EUR`.
    pub currency: String,
    /// Of all times that people read.
    pub time_zone: TimeZone,
    /// One at least; the first is for whoever asks for none of them.
    pub languages: Vec<Language>,
    /// Where people find the pages, without a slash at its end.
    pub public_url: Option<String>,
}
