//! The pages of one order: its customer's, which the order's token opens, and that of whoever knows the number.

mod documents;
mod life;
mod view;

use std::sync::Arc;

use askama::Template;
use http_kit::browser::cookie;
use http_kit::web::WebPage;
use http_kit::{Fail, Problem, may};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use poem::Request;
use poem::http::{HeaderMap, StatusCode};
use poem_openapi::param::{Path, Query};
use poem_openapi::{ApiResponse, OpenApi};
use serde_json::json;

use super::caller::Caller;
use super::upstream::{Service, Upstream};
use crate::domain::{OrderNumber, Status};
use crate::http::restaurant::Restaurant;
use crate::http::web::track::{AskPage, NoOrderPage};
use crate::http::web::{Frame, PageTag, page};
use crate::http::words::Language;
use documents::{Key, Known, Unknown, exists};
use view::{View, short_number};

/// The first estimate that a browser was shown, in seconds since 1970; for the path of its order alone.
const FIRST_ESTIMATE: &str = "first_estimate";
/// No order is open for longer.
const FIRST_ESTIMATE_MAX_AGE_S: i64 = 24 * 3600;
/// Of an order's token: 128 random bits in base64url.
const TOKEN_CHARS: usize = 22;
/// The longest last part of an order's number.
const SHORT_NUMBER_MAX_DIGITS: usize = 9;

/// Their handlers.
#[derive(Clone)]
pub struct TrackPages(Arc<State>);

struct State {
    upstream: Upstream,
    restaurant: Restaurant,
}

#[derive(ApiResponse)]
enum TrackReply {
    /// The order.
    #[oai(status = 200)]
    Page(
        WebPage,
        /// The choice of a language, or the first estimate that is shown.
        #[oai(header = "Set-Cookie")]
        Option<String>,
    ),
    /// The order's page.
    #[oai(status = 303)]
    Elsewhere(#[oai(header = "Location")] String),
    /// There is no such order.
    #[oai(status = 404)]
    Missing(WebPage),
    /// The order can no longer be cancelled.
    #[oai(status = 409)]
    TooLate(WebPage),
    /// A service is away.
    #[oai(status = 503)]
    Away(WebPage, #[oai(header = "Retry-After")] u64),
}

type PageFail = Fail<{ may::FORBIDDEN }>;

#[OpenApi(tag = "PageTag::Pages")]
impl TrackPages {
    /// A customer's order
    #[oai(path = "/t/:token", method = "get", operation_id = "customersPage")]
    async fn own(
        &self,
        request: &Request,
        token: Path<String>,
        /// The language.
        lang: Query<Option<String>>,
    ) -> Result<TrackReply, PageFail> {
        let visit = self.visit(request, lang.0.as_deref())?;
        let Some(path) = path_of(&token) else { return Ok(visit.missing("")?) };
        Ok(visit.order(Key::Token(&token), &path).await?)
    }

    /// Whether a customer's order is to be cancelled
    #[oai(path = "/t/:token/cancel", method = "get", operation_id = "askCancelPage")]
    async fn ask_cancel(
        &self,
        request: &Request,
        token: Path<String>,
        /// The language.
        lang: Query<Option<String>>,
    ) -> Result<TrackReply, PageFail> {
        let visit = self.visit(request, lang.0.as_deref())?;
        let Some(path) = path_of(&token) else { return Ok(visit.missing("")?) };
        let known = match visit.read(Key::Token(&token)).await {
            Ok(known) if known.status() == Status::Received => known,
            Ok(_) => return Ok(TrackReply::Elsewhere(path)),
            Err(unknown) => return Ok(visit.nothing(unknown)?),
        };
        let short_number = short_number(&known.order.order_number);
        Ok(visit.shown(unlisted(&AskPage { frame: visit.frame(), short_number, path: &path })?, None))
    }

    /// Cancel a customer's order
    ///
    /// Leads to the order's page.
    #[oai(path = "/t/:token/cancel", method = "post", operation_id = "cancelByPage")]
    async fn cancel(
        &self,
        request: &Request,
        token: Path<String>,
        /// The language.
        lang: Query<Option<String>>,
    ) -> Result<TrackReply, PageFail> {
        let visit = self.visit(request, lang.0.as_deref())?;
        let Some(path) = path_of(&token) else { return Ok(visit.missing("")?) };
        Ok(visit.cancel(&token, path).await?)
    }

    /// Find an order
    #[oai(path = "/track", method = "get", operation_id = "findOrderPage")]
    async fn find(
        &self,
        request: &Request,
        /// Of an order: the whole number, or the last part of one of today or yesterday.
        number: Query<Option<String>>,
        /// The language.
        lang: Query<Option<String>>,
    ) -> Result<TrackReply, PageFail> {
        let visit = self.visit(request, lang.0.as_deref())?;
        let tried = number.0.unwrap_or_default();
        if tried.is_empty() {
            return Ok(visit.shown(visit.no_order("track.find", "track.find_text", "", None)?, None));
        }
        for number in meant(&tried, visit.now) {
            match exists(&self.0.upstream, &visit.caller, &number).await {
                Ok(true) => return Ok(TrackReply::Elsewhere(format!("/track/{number}"))),
                Ok(false) => {}
                Err(unknown) => return Ok(visit.nothing(unknown)?),
            }
        }
        Ok(visit.missing(&tried)?)
    }

    /// An order as everybody may see it
    #[oai(path = "/track/:order_number", method = "get", operation_id = "trackPage")]
    async fn by_number(
        &self,
        request: &Request,
        order_number: Path<String>,
        /// The language.
        lang: Query<Option<String>>,
    ) -> Result<TrackReply, PageFail> {
        let visit = self.visit(request, lang.0.as_deref())?;
        let Ok(number) = OrderNumber::parse(&order_number) else { return Ok(visit.missing(&order_number)?) };
        Ok(visit.order(Key::Number(number.as_str()), &format!("/track/{number}")).await?)
    }
}

impl TrackPages {
    pub(super) fn new(upstream: Upstream, restaurant: Restaurant) -> Self {
        Self(Arc::new(State { upstream, restaurant }))
    }

    fn visit<'a>(&'a self, request: &'a Request, wish: Option<&str>) -> Result<Visit<'a>, Problem> {
        let headers = request.headers();
        let lang = Language::of(wish, headers, &self.0.restaurant.languages);
        let caller = Caller::of(request)?.without_staff();
        Ok(Visit { state: &self.0, headers, caller, lang, is_chosen: wish.is_some(), now: Timestamp::now() })
    }
}

/// One look at a page.
struct Visit<'a> {
    state: &'a State,
    headers: &'a HeaderMap,
    caller: Caller,
    lang: Language,
    /// Whether the request asks for its language.
    is_chosen: bool,
    now: Timestamp,
}

impl<'a> Visit<'a> {
    async fn read(&self, key: Key<'_>) -> Result<Known, Unknown> {
        Known::read(&self.state.upstream, &self.caller, key).await
    }

    async fn order(&self, key: Key<'_>, path: &str) -> Result<TrackReply, Problem> {
        let known = match self.read(key).await {
            Ok(known) => known,
            Err(unknown) => return self.nothing(unknown),
        };
        let view = self.view(key, path);
        let due = view.due(&known).filter(|_| view.first.is_none());
        let promise = due.map(|due| {
            let (due, max_age) = (due.as_second(), FIRST_ESTIMATE_MAX_AGE_S);
            format!("{FIRST_ESTIMATE}={due}; Path={path}; Max-Age={max_age}; HttpOnly; SameSite=Lax")
        });
        Ok(self.shown(unlisted(&view.page(&known, ""))?, promise))
    }

    async fn cancel(&self, token: &str, path: String) -> Result<TrackReply, Problem> {
        let key = Key::Token(token);
        let number = match self.read(key).await {
            Ok(known) => known.order.order_number,
            Err(unknown) => return self.nothing(unknown),
        };
        let owner = self.caller.clone().with_order_token(token);
        let target = format!("/orders/{number}/cancel");
        let failed = match self.state.upstream.post(Service::Order, &target, Some(&json!({})), &owner).await {
            Ok(_) => return Ok(TrackReply::Elsewhere(path)),
            Err(failed) => failed,
        };
        let known = match self.read(key).await {
            Ok(known) if known.status() == Status::Cancelled => return Ok(TrackReply::Elsewhere(path)),
            Ok(known) => known,
            Err(unknown) => return self.nothing(unknown),
        };
        let is_late = failed.status == StatusCode::CONFLICT;
        let notice = self.lang.say(match known.status() {
            Status::Cooking if is_late => "track.cancel_late",
            _ if is_late => "track.cancel_over",
            _ => "track.cancel_failed",
        });
        let page = unlisted(&self.view(key, &path).page(&known, notice))?;
        Ok(match failed.into() {
            Unknown::Away { retry_after_s } if !is_late => TrackReply::Away(page, retry_after_s),
            _ => TrackReply::TooLate(page),
        })
    }

    fn view<'b>(&'b self, key: Key<'b>, path: &'b str) -> View<'b> {
        let (frame, zone) = (self.frame(), &self.state.restaurant.time_zone);
        View { frame, zone, key, path, now: self.now, first: self.first_estimate() }
    }

    /// What this browser was shown first; nothing that no estimate can have been.
    fn first_estimate(&self) -> Option<Timestamp> {
        let first =
            Timestamp::from_second(cookie(self.headers, FIRST_ESTIMATE).next()?.parse().ok()?).ok()?;
        let distance_s = (first.as_second() - self.now.as_second()).abs();
        Some(first).filter(|_| distance_s <= FIRST_ESTIMATE_MAX_AGE_S)
    }

    fn frame(&self) -> Frame<'_> {
        // The few words that the script shows are beside what shows them: the page is fetched often.
        Frame::of(&self.state.restaurant, self.lang, "")
    }

    fn shown(&self, page: WebPage, cookie: Option<String>) -> TrackReply {
        TrackReply::Page(page, if self.is_chosen { Some(self.lang.cookie()) } else { cookie })
    }

    fn missing(&self, tried: &str) -> Result<TrackReply, Problem> {
        Ok(TrackReply::Missing(self.no_order("track.missing", "track.missing_help", tried, None)?))
    }

    fn nothing(&self, unknown: Unknown) -> Result<TrackReply, Problem> {
        let Unknown::Away { retry_after_s } = unknown else { return self.missing("") };
        let page = self.no_order("track.away", "track.away_help", "", Some(retry_after_s))?;
        Ok(TrackReply::Away(page, retry_after_s))
    }

    fn no_order(
        &self,
        heading: &str,
        help: &str,
        tried: &str,
        retry_after_s: Option<u64>,
    ) -> Result<WebPage, Problem> {
        let example = number_of(self.now, "042");
        let number_help = self.lang.fill("track.find_help", &[("example", &example)]);
        let (heading, help) = (self.lang.say(heading), self.lang.say(help));
        unlisted(&NoOrderPage { frame: self.frame(), heading, help, number_help, tried, retry_after_s })
    }
}

fn unlisted(template: &impl Template) -> Result<WebPage, Problem> {
    page(template).map(WebPage::unlisted)
}

/// The path of the page that a token opens; `None` for what can be no token.
fn path_of(token: &str) -> Option<String> {
    let is_of_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    (token.len() == TOKEN_CHARS && token.bytes().all(is_of_token)).then(|| format!("/t/{token}"))
}

/// The orders that someone may mean: the whole number's, else that of today and, shortly after midnight, of yesterday.
fn meant(typed: &str, now: Timestamp) -> Vec<OrderNumber> {
    let typed = typed.trim().trim_start_matches('#').to_uppercase();
    let is_short = typed.len() <= SHORT_NUMBER_MAX_DIGITS && typed.bytes().all(|byte| byte.is_ascii_digit());
    let numbers = if is_short {
        let yesterday = now.checked_sub(Span::new().hours(24)).unwrap_or(now);
        [now, yesterday].map(|day| number_of(day, &format!("{typed:0>3}"))).to_vec()
    } else {
        vec![typed]
    };
    numbers.iter().filter_map(|number| OrderNumber::parse(number).ok()).collect()
}

fn number_of(day: Timestamp, short: &str) -> String {
    format!("ORD_{}_{short}", TimeZone::UTC.to_datetime(day).strftime("%Y%m%d"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_number_is_one_of_today_or_yesterday() {
        let now = "2026-12-01T00:10:00Z".parse().unwrap();
        let meant = |typed| meant(typed, now).iter().map(OrderNumber::to_string).collect::<Vec<_>>();
        assert_eq!(meant("42"), ["ORD_20261201_042", "ORD_20261130_042"]);
        assert_eq!(meant(" #1042 ")[0], "ORD_20261201_1042");
        assert_eq!(meant("ord_20261122_007"), ["ORD_20261122_007"]);
        for nothing in ["-1", "4 2", "0123456789", "ORD_1", "../metrics"] {
            assert_eq!(meant(nothing), [""; 0], "{nothing}");
        }
    }

    #[test]
    fn a_token_has_a_form() {
        assert_eq!(path_of("abcdefghijklmnopqrst-_").as_deref(), Some("/t/abcdefghijklmnopqrst-_"));
        for other in ["", "abc", "abcdefghijklmnopqrst/_", "abcdefghijklmnopqrst-_0"] {
            assert_eq!(path_of(other), None, "{other}");
        }
    }
}
