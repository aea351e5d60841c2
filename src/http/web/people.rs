//! What all pages for people have in common.

use crate::http::{restaurant::Restaurant, words::Language};

/// The frame of a page: templates extend `people.html`, and have one in their field `frame`.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    /// In which the page is written.
    pub lang: Language,
    /// What the footer offers.
    pub languages: &'a [Language],
    /// The restaurant's name.
    pub restaurant: &'a str,
    /// An ISO 4217 code, for scripts.
    pub currency: &'a str,
    /// An IANA name, for scripts.
    pub time_zone: &'a str,
    /// The group of words that the page's scripts show.
    pub words: &'static str,
    /// What the links to other languages keep of the query, each parameter with its `&` behind it.
    pub kept_query: &'a str,
}

impl<'a> Frame<'a> {
    /// The restaurant's, for a page whose scripts show this group of words.
    pub fn of(restaurant: &'a Restaurant, lang: Language, words: &'static str) -> Self {
        Self {
            lang,
            languages: &restaurant.languages,
            restaurant: &restaurant.name,
            currency: &restaurant.currency,
            time_zone: restaurant.time_zone.iana_name().unwrap_or("UTC"),
            words,
            kept_query: "",
        }
    }
}

#[cfg(test)]
mod tests {
    use askama::Template;

    use super::*;
    use crate::http::web::version;

    #[derive(Template)]
    #[template(
        source = r#"{% extends "people.html" %}{% block main %}<p>Here</p>{% endblock %}"#,
        ext = "html"
    )]
    struct Framed<'a> {
        frame: Frame<'a>,
    }

    #[test]
    fn the_frame_says_its_language_and_links_to_the_others() {
        let languages = [Language::En, Language::Ar];
        let frame = Frame {
            lang: Language::Ar,
            languages: &languages,
            restaurant: "<i>",
            currency: "EUR",
            time_zone: "Europe/Rome",
            words: "order",
            kept_query: "table=t&",
        };
        let html = Framed { frame }.render().unwrap();
        for part in
            ["lang=\"ar\" dir=\"rtl\"", "table=t&#38;lang=en\" lang=\"en\"", "<p>Here</p>", "&#60;i&#62;"]
        {
            assert!(html.contains(part), "{part}: {html}");
        }
        let current: Vec<_> = html.lines().filter(|line| line.contains("aria-current")).collect();
        assert!(matches!(current[..], [line] if line.contains("lang=ar\"")), "{current:?}");
    }
}
