//! The languages of the pages for people: their texts are in `web/words/{tag}/{group}.json`, and `web/say.js` shows the same in
//! scripts.

use std::{
    collections::{BTreeMap, HashMap},
    str::FromStr,
    sync::LazyLock,
};

use http_kit::browser::cookie;
use jiff::{Timestamp, tz::TimeZone};
use poem::http::{HeaderMap, header};
use thiserror::Error;

use crate::domain::Money;

mod amount;
#[cfg(test)]
mod tests;

/// The group that the scripts of all pages read.
const COMMON: &str = "common";
/// The cookie that keeps a person's choice.
const COOKIE: &str = "lang";
/// A year: so long is a choice kept.
const COOKIE_MAX_AGE_S: u32 = 31_536_000;

/// One that the pages are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Language {
    En,
    De,
    Fr,
    Es,
    It,
    Ar,
}

/// A tag of none of them.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
#[error("{0:?} is no language of the pages: they know en, de, fr, es, it and ar")]
pub struct UnknownLanguage(String);

/// What is written in one language.
struct Texts {
    by_key: HashMap<String, String>,
    /// Each group, with `common`, for the scripts of its pages.
    json: HashMap<&'static str, String>,
}

macro_rules! texts {
    ($tag:literal) => {
        [
            ("common", include_str!(concat!("../../web/words/", $tag, "/common.json"))),
            ("order", include_str!(concat!("../../web/words/", $tag, "/order.json"))),
            ("ready", include_str!(concat!("../../web/words/", $tag, "/ready.json"))),
            ("staff", include_str!(concat!("../../web/words/", $tag, "/staff.json"))),
            ("track", include_str!(concat!("../../web/words/", $tag, "/track.json"))),
        ]
    };
}

/// In the order of [`Language::ALL`].
static FILES: [[(&str, &str); 5]; 6] =
    [texts!("en"), texts!("de"), texts!("fr"), texts!("es"), texts!("it"), texts!("ar")];

static TEXTS: LazyLock<[Texts; 6]> = LazyLock::new(|| FILES.map(|files| Texts::of(&files)));

impl Language {
    /// All, in the order of this type.
    pub const ALL: [Self; 6] = [Self::En, Self::De, Self::Fr, Self::Es, Self::It, Self::Ar];

    /// The one that a person has asked for by `?lang=`, has chosen before, or that the browser prefers; else the first that is
    /// offered.
    pub fn of(query: Option<&str>, headers: &HeaderMap, offered: &[Self]) -> Self {
        let offer = |tag: &str| tag.parse().ok().filter(|language| offered.contains(language));
        let chosen = query.and_then(offer).or_else(|| cookie(headers, COOKIE).next().and_then(offer));
        let preferred = || preferences(headers).into_iter().find_map(|tag| offer(&tag));
        chosen.or_else(preferred).or(offered.first().copied()).unwrap_or(Self::En)
    }

    /// The `Set-Cookie` that keeps a choice.
    pub fn cookie(self) -> String {
        let tag = self.tag();
        format!("{COOKIE}={tag}; Path=/; Max-Age={COOKIE_MAX_AGE_S}; HttpOnly; SameSite=Lax")
    }

    /// As in `<html lang>`.
    pub const fn tag(self) -> &'static str {
        ["en", "de", "fr", "es", "it", "ar"][self as usize]
    }

    /// What it calls itself.
    pub const fn name(self) -> &'static str {
        ["English", "Deutsch", "Français", "Español", "Italiano", "العربية"][self as usize]
    }

    /// As in `<html dir>`.
    pub const fn dir(self) -> &'static str {
        if matches!(self, Self::Ar) { "rtl" } else { "ltr" }
    }

    /// The text of a key, for instance `order.heading`. There is one for each key that code uses: a test holds that.
    pub fn say(self, key: &str) -> &'static str {
        self.texts().by_key.get(key).map_or("", String::as_str)
    }

    /// The text for one of several values: `say_of("common.weekday.", "1")`; the value itself where there is none.
    pub fn say_of<'a>(self, prefix: &str, value: &'a str) -> &'a str {
        self.texts().by_key.get(&format!("{prefix}{value}")).map_or(value, String::as_str)
    }

    /// The key of the text for a value: that for a special case, where it has a text of its own, else the usual one.
    pub fn key_of(self, prefix: &str, special: &str, usual: &str) -> String {
        let key = format!("{prefix}{special}");
        if self.texts().by_key.contains_key(&key) { key } else { format!("{prefix}{usual}") }
    }

    /// The text with its `{values}`. What is in a value is not filled again.
    pub fn fill(self, key: &str, values: &[(&str, &str)]) -> String {
        let mut filled = String::new();
        let mut rest = self.say(key);
        while let Some((before, behind)) = rest.split_once('{') {
            let Some((name, after)) = behind.split_once('}') else { break };
            filled.push_str(before);
            filled.push_str(values.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value));
            rest = after;
        }
        filled + rest
    }

    /// The text for a number: that of `{key}_one`, `{key}_other` and so on by the language's plurals, with its `{count}`.
    pub fn count(self, key: &str, number: u64) -> String {
        let form = format!("{key}_{}", self.plural(number));
        let form = if self.texts().by_key.contains_key(&form) { form } else { format!("{key}_other") };
        self.fill(&form, &[("count", &number.to_string())])
    }

    /// The words of a group, with the common ones, as JSON for scripts.
    pub fn json(self, group: &str) -> &'static str {
        self.texts().json.get(group).map_or("{}", String::as_str)
    }

    /// An amount as it is written in this language; the currency is its ISO 4217 code.
    pub fn money(self, currency: &str, amount: Money) -> String {
        amount::text(self, currency, amount)
    }

    /// A time of day.
    pub fn time(self, time: Timestamp, zone: &TimeZone) -> String {
        zone.to_datetime(time).strftime("%H:%M").to_string()
    }

    /// The same with the day of the week, where it is another day than that of `now`.
    pub fn moment(self, time: Timestamp, zone: &TimeZone, now: Timestamp) -> String {
        let (day, today) = (zone.to_datetime(time).date(), zone.to_datetime(now).date());
        let clock = self.time(time, zone);
        if day == today {
            return clock;
        }
        let weekday = day.weekday().to_monday_one_offset().to_string();
        self.fill("common.day_time", &[("day", self.say_of("common.weekday.", &weekday)), ("time", &clock)])
    }

    /// The category of a number by CLDR.
    const fn plural(self, number: u64) -> &'static str {
        match (self, number, number % 100) {
            (Self::Ar, 0, _) => "zero",
            (Self::Ar, 2, _) => "two",
            (Self::Ar, _, 3..=10) => "few",
            (Self::Ar, _, 11..) => "many",
            (Self::Fr, 0, _) | (_, 1, _) => "one",
            _ => "other",
        }
    }

    fn texts(self) -> &'static Texts {
        &TEXTS[self as usize]
    }
}

impl FromStr for Language {
    type Err = UnknownLanguage;

    fn from_str(tag: &str) -> Result<Self, Self::Err> {
        let primary = tag.split('-').next().unwrap_or_default();
        let known = Self::ALL.into_iter().find(|language| language.tag().eq_ignore_ascii_case(primary));
        known.ok_or_else(|| UnknownLanguage(tag.to_owned()))
    }
}

impl Texts {
    fn of(files: &[(&'static str, &'static str)]) -> Self {
        let groups: Vec<_> = files.iter().map(|(group, text)| (*group, qualified(group, text))).collect();
        let of_all = |wanted: &str| -> BTreeMap<&String, &String> {
            let read_there = |group: &str| group == wanted || group == COMMON;
            groups.iter().filter(|(group, _)| read_there(group)).flat_map(|(_, texts)| texts).collect()
        };
        let json = |group| serde_json::to_string(&of_all(group)).unwrap_or_default();
        let json = groups.iter().map(|(group, _)| (*group, json(group))).collect();
        Self { json, by_key: groups.into_iter().flat_map(|(_, texts)| texts).collect() }
    }
}

/// The texts of a file under their whole keys. A test reads every file: none is there that cannot be read.
fn qualified(group: &str, text: &str) -> BTreeMap<String, String> {
    let texts: BTreeMap<String, String> = serde_json::from_str(text).unwrap_or_default();
    texts.into_iter().map(|(key, text)| (format!("{group}.{key}"), text)).collect()
}

/// The tags that a browser accepts, the one that it likes best first.
fn preferences(headers: &HeaderMap) -> Vec<String> {
    let accepted = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let weighed = accepted.split(',').map(|entry| {
        let (tag, parameter) = entry.split_once(';').unwrap_or((entry, "q=1"));
        let weight = parameter.trim().strip_prefix("q=").and_then(|weight| weight.parse::<f32>().ok());
        (tag.trim().to_owned(), weight.unwrap_or_default())
    });
    let mut weighed: Vec<_> = weighed.filter(|(_, weight)| *weight > 0.0).collect();
    weighed.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    weighed.into_iter().map(|(tag, _)| tag).collect()
}
