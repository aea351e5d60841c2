//! The restaurant as the pages show it.

use jiff::tz::TimeZone;
use poem::http::HeaderMap;

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

impl Restaurant {
    /// The language of an answer, and the `Set-Cookie` that keeps it where the request has chosen it.
    pub fn language(&self, chosen: Option<&str>, headers: &HeaderMap) -> (Language, Option<String>) {
        let language = Language::of(chosen, headers, &self.languages);
        (language, chosen.filter(|tag| *tag == language.tag()).map(|_| language.cookie()))
    }
}
