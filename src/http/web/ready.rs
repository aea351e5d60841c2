//! The template of the room's board.

use askama::Template;

use super::{Frame, version};

/// Which orders are being made, and which can be fetched.
#[derive(Debug, Template)]
#[template(path = "ready.html")]
pub struct ReadyPage<'a> {
    pub frame: Frame<'a>,
    /// By the gateway's clock, for the script: RFC 3339.
    pub now: String,
    /// The same for people.
    pub time: String,
    /// How things stand: since when the page is so, or that nothing is known.
    pub state: String,
    pub is_known: bool,
    pub parts: [RoomPart; 2],
}

/// A column of the board.
#[derive(Debug)]
pub struct RoomPart {
    /// `making` or `ready`.
    pub name: &'static str,
    /// The last parts of the orders' numbers.
    pub numbers: Vec<String>,
    /// How many there are beyond them; empty for none.
    pub more: String,
}

impl RoomPart {
    /// Whether a number has more digits than most.
    fn is_long(&self) -> bool {
        self.numbers.iter().any(|number| number.len() > 3)
    }

    /// How large the numbers can be, as the script has it.
    fn size(&self) -> &'static str {
        match self.numbers.len() {
            0..=6 => "few",
            7..=12 => "some",
            _ => "many",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::words::Language;

    #[test]
    fn a_name_is_text_and_a_column_says_how_much_room_it_needs() {
        let frame = Frame {
            lang: Language::Ar,
            languages: &Language::ALL,
            restaurant: "<img src=x onerror=alert(1)>",
            currency: "EUR",
            time_zone: "Europe/Rome",
            words: "ready",
            kept_query: "",
        };
        let part =
            |name, count| RoomPart { name, numbers: vec!["001".to_owned(); count], more: String::new() };
        let (making, ready) = (part("making", 13), part("ready", 0));
        let page = ReadyPage {
            frame,
            now: "2026-12-01T12:40:00Z".to_owned(),
            time: "13:40".to_owned(),
            state: String::new(),
            is_known: true,
            parts: [making, ready],
        };
        let html = page.render().unwrap();
        assert!(!html.contains("<img") && !html.contains(" style="), "{html}");
        for part in ["dir=\"rtl\"", "data-size=\"many\"", "data-size=\"few\"", "قيد التحضير"] {
            assert!(html.contains(part), "{part}: {html}");
        }
    }
}
