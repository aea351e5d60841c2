//! `restaurant:` what the pages show of it.

use jiff::tz::TimeZone;
use reqwest::Url;
use settings::Reader;

use crate::http::restaurant::Restaurant;
use crate::http::words::Language;

pub(super) fn read(reader: &mut Reader) -> Restaurant {
    let mut languages: Vec<Language> = Vec::new();
    for language in reader.list("restaurant.languages", language) {
        if !languages.contains(&language) {
            languages.push(language);
        }
    }
    if languages.is_empty() {
        languages.extend(Language::ALL);
    }
    Restaurant {
        name: reader.text("restaurant.name"),
        currency: reader.optional("restaurant.currency", currency).unwrap_or_default(),
        time_zone: reader.optional("restaurant.time_zone", time_zone).unwrap_or(TimeZone::UTC),
        languages,
        public_url: reader.optional("restaurant.public_url", public_url),
    }
}

fn currency(text: &str) -> Result<String, String> {
    let is_code = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_uppercase());
    if is_code { Ok(text.to_owned()) } else { Err("must be a code of ISO 4217, such as EUR".to_owned()) }
}

fn language(text: &str) -> Result<Language, String> {
    let known = Language::ALL.into_iter().find(|language| language.tag() == text);
    known.ok_or_else(|| format!("must be one of {}", Language::ALL.map(Language::tag).join(", ")))
}

fn public_url(text: &str) -> Result<String, String> {
    let url = Url::parse(text).ok().filter(|url| {
        let is_bare = url.query().is_none() && url.fragment().is_none() && url.path() == "/";
        matches!(url.scheme(), "http" | "https")
            && is_bare
            && url.username().is_empty()
            && url.password().is_none()
    });
    url.map(|url| url.as_str().trim_end_matches('/').to_owned())
        .ok_or_else(|| "must be an address without a path, such as https://pizza.example.org".to_owned())
}

fn time_zone(name: &str) -> Result<TimeZone, String> {
    let unknown = |_| {
        "must be of the system's time zone database, such as Europe/Berlin; is tzdata installed?".to_owned()
    };
    if name == "UTC" { Ok(TimeZone::UTC) } else { TimeZone::get(name).map_err(unknown) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_address_has_no_path_and_no_slash_at_its_end() {
        for (text, address) in [
            ("https://pizza.example.org", "https://pizza.example.org"),
            ("https://Pizza.example.org:8443/", "https://pizza.example.org:8443"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ] {
            assert_eq!(public_url(text).unwrap(), address);
        }
        for text in [
            "",
            "pizza.example.org",
            "ftp://a",
            "https://a/b",
            "https://a?b",
            "https://a#b",
            "https://a:b@c",
            "javascript:a",
        ] {
            assert!(public_url(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_currency_is_three_capitals_and_a_language_is_one_of_ours() {
        assert!(currency("EUR").is_ok() && language("ar").is_ok());
        for text in ["", "eur", "EURO", "€", "E1R"] {
            assert!(currency(text).is_err(), "{text}");
        }
        assert!(language("tlh").is_err() && language("EN").is_err());
    }
}
