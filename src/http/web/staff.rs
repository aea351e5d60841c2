//! The pages for staff.

use askama::Template;

use super::{Frame, version};
use crate::domain::{OrderType, Status};

/// The form that makes a session.
#[derive(Debug, Template)]
#[template(path = "staff-login.html")]
pub struct StaffLoginPage<'a> {
    /// What all pages have.
    pub frame: Frame<'a>,
    /// The name that was tried.
    pub name: &'a str,
    /// Why that was no success; empty at first.
    pub error: &'a str,
}

/// Where the orders are, and what is done about them.
#[derive(Debug, Template)]
#[template(path = "staff.html")]
pub struct StaffPage<'a> {
    /// What all pages have.
    pub frame: Frame<'a>,
    /// Who is logged in.
    pub account: &'a str,
    /// What that person is there for; empty for the holder of the token.
    pub role: &'a str,
    /// What that person may do: only that is on the page.
    pub rights: &'a [String],
    /// The open orders, for whoever may see them and has no JavaScript; `None` where they cannot be read.
    pub rows: Option<&'a [StaffRow]>,
}

/// An open order of the table that needs no JavaScript.
#[derive(Debug)]
pub struct StaffRow {
    /// The order's.
    pub number: String,
    /// As it is on the wire.
    pub status: String,
    /// As it is on the wire.
    pub order_type: String,
    /// The time of day.
    pub placed: String,
    /// Who cooks or cooked it; empty where nobody did yet.
    pub cook: String,
}

impl StaffPage<'_> {
    fn may(&self, right: &str) -> bool {
        self.rights.iter().any(|one| one == right)
    }

    fn statuses(&self) -> [&'static str; 4] {
        Status::OPEN.map(Status::as_str)
    }

    fn order_types(&self) -> [&'static str; 3] {
        OrderType::ALL.map(OrderType::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::words::Language;

    const NASTY: &str = "<img src=x onerror=alert(1)>\"'";

    fn frame(lang: Language) -> Frame<'static> {
        let languages = &Language::ALL;
        let (currency, time_zone) = ("EUR", "UTC");
        Frame { lang, languages, restaurant: NASTY, currency, time_zone, words: "staff", kept_query: "" }
    }

    fn staff(rights: &[&str]) -> String {
        let rights: Vec<String> = rights.iter().map(|right| (*right).to_owned()).collect();
        let nasty = || NASTY.to_owned();
        let row = StaffRow {
            number: nasty(),
            status: nasty(),
            order_type: nasty(),
            placed: nasty(),
            cook: nasty(),
        };
        let (frame, account, role) = (frame(Language::En), NASTY, "counter");
        StaffPage { frame, account, role, rights: &rights, rows: Some(&[row]) }.render().unwrap()
    }

    #[test]
    fn what_people_write_is_text_on_the_pages_for_staff() {
        let login =
            StaffLoginPage { frame: frame(Language::Ar), name: NASTY, error: NASTY }.render().unwrap();
        for html in [staff(&["lists"]), login] {
            assert!(html.contains("&#60;img") && !html.contains("<img"), "{html}");
        }
    }

    #[test]
    fn what_a_person_may_not_do_is_not_on_the_page() {
        let tools = |rights: &[&str]| {
            let html = staff(rights);
            ["id=\"sold-out\"", "id=\"intake\"", "id=\"log\"", "id=\"columns\"", "id=\"by-number\""]
                .map(|part| html.contains(part))
        };
        assert_eq!(tools(&["station", "recall"]), [false, false, false, false, true]);
        assert_eq!(tools(&["sold_out", "lists"]), [true, false, false, true, false]);
        assert_eq!(tools(&["sold_out", "lists", "pause", "actions"]), [true, true, true, true, false]);
    }
}
