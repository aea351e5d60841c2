use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use super::*;
use crate::domain::{OrderType, Status};

const GROUPS: [&str; 5] = ["common", "order", "ready", "staff", "track"];
const PLURALS: [&str; 6] = ["_zero", "_one", "_two", "_few", "_many", "_other"];

fn table(language: Language) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for (group, text) in FILES[language as usize] {
        let texts: BTreeMap<String, String> = serde_json::from_str(text).unwrap();
        all.extend(texts.into_iter().map(|(key, text)| (format!("{group}.{key}"), text)));
    }
    all
}

/// A key without its plural, where it has one.
fn stem<'a>(key: &'a str, table: &BTreeMap<String, String>) -> &'a str {
    let stems = PLURALS.iter().filter_map(|plural| key.strip_suffix(plural));
    stems.into_iter().find(|stem| table.contains_key(&format!("{stem}_other"))).unwrap_or(key)
}

fn placeholders(text: &str) -> BTreeSet<&str> {
    text.split('{').skip(1).map(|rest| rest.split_once('}').expect("a closed brace").0).collect()
}

/// The code that shows texts, without that of the tests here.
fn code() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.join("src"), root.join("web")];
    let mut code = String::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            let is_code =
                ["rs", "html", "js"].iter().any(|kind| entry.extension().is_some_and(|e| e == *kind));
            if entry.is_dir() {
                folders.push(entry);
            } else if is_code && !entry.ends_with("http/words/tests.rs") {
                code += &fs::read_to_string(entry).unwrap();
            }
        }
    }
    code
}

/// Every `group.key` that stands behind a quotation mark in the code, with what comes before the mark.
fn quoted(code: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    for group in GROUPS {
        for (at, _) in code.match_indices(&format!("{group}.")) {
            let Some(before) = code[..at].strip_suffix(['"', '\'', '`']) else { continue };
            let is_key = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
            let end = code[at..].find(|c| !is_key(c)).unwrap_or(code.len() - at);
            found.push((before, &code[at..at + end]));
        }
    }
    found
}

fn is_shown_by_a_call(before: &str) -> bool {
    let before = before.trim_end();
    ["say(", "say_of(", "fill(", "count(", " t(", "(t(", "{t(", "\nt("]
        .iter()
        .any(|call| before.ends_with(call))
}

#[test]
fn every_language_has_the_same_texts_with_the_same_values() {
    let english = table(Language::En);
    let stems: BTreeSet<&str> = english.keys().map(|key| stem(key, &english)).collect();
    for language in Language::ALL {
        let table = table(language);
        let tag = language.tag();
        assert_eq!(table.keys().map(|key| stem(key, &table)).collect::<BTreeSet<_>>(), stems, "{tag}");
        for (key, text) in &table {
            assert!(!text.trim().is_empty() && text.trim() == text, "{tag} {key}: {text:?}");
            let stem = stem(key, &table);
            let wanted = english.get(key).or_else(|| english.get(&format!("{stem}_other"))).unwrap();
            let (has, wanted) = (placeholders(text), placeholders(wanted));
            // "One order" need not say the number.
            let is_plural = stem != key && !key.ends_with("_other");
            assert!(has == wanted || is_plural && has.is_subset(&wanted), "{tag} {key}: {text:?}");
        }
    }
}

#[test]
fn every_text_that_is_shown_exists_and_none_is_left_over() {
    let (code, english) = (code(), table(Language::En));
    let quoted = quoted(&code);
    let is_used = |key: &str| {
        quoted.iter().any(|(_, used)| key == *used || used.ends_with('.') && key.starts_with(used))
    };
    let unused: Vec<_> = english.keys().map(|key| stem(key, &english)).filter(|key| !is_used(key)).collect();
    assert!(unused.is_empty(), "no code shows {unused:?}");
    let exists = |used: &str| {
        english.keys().any(|key| {
            key == used || stem(key, &english) == used || used.ends_with('.') && key.starts_with(used)
        })
    };
    let shown = quoted.iter().filter(|(before, _)| is_shown_by_a_call(before));
    let missing: BTreeSet<_> = shown.map(|(_, used)| *used).filter(|used| !exists(used)).collect();
    assert!(missing.is_empty(), "no text is there for {missing:?}");
}

#[test]
fn every_status_has_its_words_and_so_has_every_type() {
    for (status, order_type) in Status::ALL.into_iter().flat_map(|s| OrderType::ALL.map(|t| (s, t))) {
        let of_type = format!("{status}_{order_type}");
        for prefix in ["staff.status.", "track.state.", "track.now."] {
            let key = Language::En.key_of(prefix, &of_type, status.as_str());
            assert_ne!(Language::En.say(&key), "", "{key}");
        }
        let has_since = status.is_settled() && !status.is_final();
        assert!(!has_since || !Language::En.say(&format!("staff.since.{status}")).is_empty(), "{status}");
        for prefix in ["order.type.", "staff.type.", "track.type."] {
            let key = format!("{prefix}{order_type}");
            assert_ne!(Language::En.say(&key), "", "{key}");
        }
    }
}

#[test]
fn a_choice_goes_before_an_older_one_and_that_before_the_browsers() {
    let offered = [Language::De, Language::En, Language::Ar];
    let of = |query: Option<&str>, cookie: &str, accepted: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, cookie.parse().unwrap());
        headers.insert(header::ACCEPT_LANGUAGE, accepted.parse().unwrap());
        Language::of(query, &headers, &offered).tag()
    };
    assert_eq!(of(Some("ar"), "a=b; lang=en", "de"), "ar");
    assert_eq!(of(Some("fr"), "a=b; lang=en", "de"), "en", "French is not offered");
    assert_eq!(of(None, "lang=xx", "fr, en;q=0.5, ar-EG;q=0.8"), "ar");
    assert_eq!(of(None, "", "en-GB,en;q=0.9"), "en");
    assert_eq!(of(None, "", "en;q=0, fr;q=what"), "de");
    assert_eq!(of(None, "", "*"), "de");
    assert_eq!(Language::of(None, &HeaderMap::new(), &[]), Language::En);
    assert!("klingon".parse::<Language>().is_err());
}

#[test]
fn values_are_filled_in_once() {
    let filled = Language::En.fill("common.day_time", &[("day", "{time}"), ("time", "12:40")]);
    assert_eq!(filled, "{time} 12:40");
    let scripts: HashMap<String, String> = serde_json::from_str(Language::De.json("order")).unwrap();
    assert_eq!(scripts["common.skip"], Language::De.say("common.skip"));
    assert!(scripts.keys().all(|key| key.starts_with("common.") || key.starts_with("order.")));
}

#[test]
fn plurals_are_those_of_the_language() {
    let of =
        |language: Language| [0, 1, 2, 3, 10, 11, 99, 100, 102, 103].map(|number| language.plural(number));
    assert_eq!(of(Language::En)[..3], ["other", "one", "other"]);
    assert_eq!(of(Language::Fr)[..3], ["one", "one", "other"]);
    assert_eq!(
        of(Language::Ar),
        ["zero", "one", "two", "few", "few", "many", "many", "other", "other", "few"]
    );
}

/// What `Intl.NumberFormat` of Chromium gives with `currencyDisplay: 'narrowSymbol'`.
#[test]
fn amounts_and_times_are_written_as_in_the_scripts() {
    let price = Money::from_cents(123_450);
    let of = |language: Language| language.money("EUR", price).replace(['\u{a0}', '\u{202f}'], "_");
    let all = ["€1,234.50", "1.234,50_€", "1_234,50_€", "1234,50_€", "1.234,50_€", "\u{200f}1,234.50_€"];
    assert_eq!(Language::ALL.map(of), all);
    assert_eq!(Language::En.money("CHF", Money::from_cents(-1205)), "-CHF\u{a0}12.05");
    assert_eq!(Language::It.money("USD", Money::from_cents(5)), "0,05\u{a0}$");
    let (zone, now) = (TimeZone::get("Europe/Berlin").unwrap(), "2026-12-01T09:00:00Z".parse().unwrap());
    let at = |time: &str| Language::De.moment(time.parse().unwrap(), &zone, now);
    assert_eq!([at("2026-12-01T22:59:00Z"), at("2026-12-01T23:00:00Z")], ["23:59", "Mittwoch 00:00"]);
}
