//! The pages that follow one order.

use askama::Template;

use super::{Frame, version};

/// One order. Every text is in the page's language; one that is empty is not shown.
#[derive(Debug, Template)]
#[template(path = "track.html")]
pub struct TrackPage<'a> {
    pub frame: Frame<'a>,
    /// Of the page, without the restaurant.
    pub title: String,
    /// The whole number, and the part of it that people say.
    pub number: &'a str,
    pub short_number: &'a str,
    /// The path of this page.
    pub path: &'a str,
    /// What has gone wrong.
    pub notice: &'a str,
    pub status: &'static str,
    /// Times as RFC 3339 has them, for the script: of the last change, of this page, and at which the order is to be ready.
    pub updated_at: String,
    pub now: String,
    pub due: String,
    /// Whether something may still happen to it.
    pub is_open: bool,
    pub state: &'a str,
    /// What there is to do, or to wait for.
    pub todo: String,
    pub reason: String,
    pub about: String,
    pub late: String,
    pub ahead: String,
    pub as_of: String,
    pub stages: Vec<StageView<'a>>,
    /// For the customer alone.
    pub bill: Option<Bill<'a>>,
    pub facts: Vec<String>,
    pub may_cancel: bool,
}

#[derive(Debug)]
pub struct StageView<'a> {
    pub status: &'static str,
    pub name: &'a str,
    /// `done`, `now` or `to_come`.
    pub mark: &'static str,
    /// As RFC 3339 has it, and as people read it.
    pub time: Option<(String, String)>,
}

#[derive(Debug)]
pub struct Bill<'a> {
    pub dishes: Vec<Dish<'a>>,
    pub note: String,
    pub total: String,
}

#[derive(Debug)]
pub struct Dish<'a> {
    pub quantity: u8,
    pub name: &'a str,
    pub options: String,
    pub note: String,
    pub price: String,
}

/// Asks whether the order is to be cancelled.
#[derive(Debug, Template)]
#[template(path = "track_ask.html")]
pub struct AskPage<'a> {
    pub frame: Frame<'a>,
    pub short_number: &'a str,
    pub path: &'a str,
}

/// No order: a form to find one, unless this page tries again by itself.
#[derive(Debug, Template)]
#[template(path = "track_none.html")]
pub struct NoOrderPage<'a> {
    pub frame: Frame<'a>,
    pub heading: &'a str,
    pub help: &'a str,
    /// What the number looks like.
    pub number_help: String,
    /// The number that was tried.
    pub tried: &'a str,
    pub retry_after_s: Option<u64>,
}
