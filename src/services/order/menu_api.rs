//! The order service's API for the menu (contract, section 12).

use std::sync::Arc;

use http_kit::body::JsonRequest;
use http_kit::etag::Conditional;
use http_kit::members::Members;
use http_kit::reply::JsonReply;
use http_kit::request_id::RequestContext;
use http_kit::schemas::UtcTime;
use http_kit::{Fail, FieldError, Problem, may};
use jiff::{SignedDuration, Timestamp, Zoned};
use poem_openapi::param::{Header, Path};
use poem_openapi::{Object, OpenApi, Tags};
use serde::Serialize;

use super::menu::MenuBoard;
use super::menu_views::MenuView;
use super::reading::{given, integer, text};
use crate::domain::{Input, Right, Shortage, business_day_end};
use crate::http::auth::StaffToken;
use crate::services::staff::StaffAuth;
use crate::store::{StaffAct, Store};

/// More portions than this need not be counted.
const PORTIONS_MAX: u32 = 10_000;
/// What is short for longer is no longer on the menu.
const YEAR: SignedDuration = SignedDuration::from_hours(366 * 24);
const AVAILABILITY_FIELDS: [&str; 3] = ["available", "remaining", "until"];

/// Its handlers.
#[derive(Clone)]
pub struct MenuApi(Arc<State>);

struct State {
    store: Store,
    board: MenuBoard,
    staff: StaffAuth,
}

#[derive(Tags)]
enum MenuTag {
    /// What can be ordered.
    Menu,
}

/// How many portions there are of an item: `available` or `remaining`.
#[derive(Object)]
struct AvailabilityRequest {
    /// False: it is sold out. True: as many as are asked for.
    available: Option<bool>,
    /// So many portions are left.
    #[oai(validator(maximum(value = "10000")))]
    remaining: Option<u32>,
    /// Until when that holds, within a year; by default until the end of the business day, 04:00 in the restaurant.
    until: Option<UtcTime>,
}

/// How many portions there are of an item.
#[derive(Object, Serialize)]
struct Availability {
    id: String,
    /// False: it is sold out.
    available: bool,
    /// So many portions are left, where they are counted.
    #[oai(nullable)]
    remaining: Option<u32>,
    /// When that is over by itself; `null` where nothing is.
    #[oai(nullable)]
    until: Option<UtcTime>,
}

type MenuFail = Fail<{ may::NOT_FOUND | may::UNAVAILABLE }>;
type AvailabilityFail =
    Fail<{ may::BODY | may::STAFF | may::NOT_FOUND | may::UNPROCESSABLE | may::UNAVAILABLE }>;

#[OpenApi(tag = "MenuTag::Menu")]
impl MenuApi {
    /// The menu
    ///
    /// What can be ordered at this time of the day, with what is sold out marked.
    #[oai(path = "/menu", method = "get", operation_id = "menu")]
    async fn menu(
        &self,
        /// Answered with 304 where it names the present answer.
        #[oai(name = "If-None-Match")]
        if_none_match: Header<Option<String>>,
    ) -> Result<Conditional<MenuView>, MenuFail> {
        let menu = MenuView::of(&*self.0.board.current().await?, &self.0.board.now());
        Ok(Conditional::new(JsonReply::new(&menu)?, if_none_match.0.as_deref()))
    }

    /// Say what is sold out
    ///
    /// For staff: that an item is sold out, how many portions of it are left, or that there is enough of it again. It ends
    /// by itself.
    #[oai(path = "/menu/items/:id/availability", method = "put", operation_id = "setAvailability")]
    async fn set_availability(
        &self,
        context: RequestContext,
        /// The item's.
        id: Path<String>,
        token: StaffToken,
        body: JsonRequest<AvailabilityRequest>,
    ) -> Result<JsonReply<Availability>, AvailabilityFail> {
        let member = self.0.staff.require(&token, Right::SoldOut).await?;
        let shortage = parse_availability(&body.bytes, &self.0.board.now())?;
        let in_force = self.0.board.current().await?;
        let Some(item) = in_force.menu.item(&id) else {
            return Err(Problem::not_found("there is no such item on the menu").into());
        };
        let detail = match shortage {
            Some(Shortage { remaining, until }) => format!("{}: {remaining} left until {until}", item.id),
            None => format!("{}: as many as are asked for", item.id),
        };
        let act = StaffAct {
            by: &member,
            action: "availability",
            detail: Some(&detail),
            request_id: context.request_id.as_str(),
        };
        self.0.store.set_shortage(&item.id, shortage, &act).await.map_err(Problem::from)?;
        tracing::info!(
            action = "availability_changed",
            actor = member.name,
            details = detail,
            "staff said what is left of a dish"
        );
        // It is done; where this fails the next look sees it.
        let _ = self.0.board.look().await;
        Ok(JsonReply::new(&Availability {
            id: item.id.to_string(),
            available: shortage.is_none_or(|shortage| shortage.remaining > 0),
            remaining: shortage.map(|shortage| shortage.remaining),
            until: shortage.map(|shortage| UtcTime(shortage.until)),
        })?)
    }
}

impl MenuApi {
    pub(super) fn new(store: Store, board: MenuBoard, staff: StaffAuth) -> Self {
        Self(Arc::new(State { store, board, staff }))
    }
}

/// Reads what there is of an item; `None`: as many as are asked for.
fn parse_availability(body: &[u8], now: &Zoned) -> Result<Option<Shortage>, Problem> {
    let members = Members::read(body)?;
    let unknown = members.unknown("", &AVAILABILITY_FIELDS);
    if !unknown.is_empty() {
        return Err(Problem::unknown_fields(unknown));
    }
    let mut errors = Vec::new();
    let mut fault = |pointer, detail: &str| errors.push(FieldError::new(pointer, detail));
    let available = given(members.get("available")).map(|value| value.get());
    let remaining = match integer(members.get("remaining")) {
        Input::Missing => None,
        Input::Given(count) => {
            u32::try_from(count).ok().filter(|count| *count <= PORTIONS_MAX).or_else(|| {
                fault("/remaining", &format!("must be from 0 to {PORTIONS_MAX}"));
                Some(0)
            })
        }
        Input::Invalid(detail) => {
            fault("/remaining", &detail);
            Some(0)
        }
    };
    let until = match text(members.get("until")) {
        Input::Missing => None,
        Input::Given(text) => until_of(&text, now).map_err(|detail| fault("/until", detail)).ok(),
        Input::Invalid(detail) => {
            fault("/until", &detail);
            None
        }
    };
    let remaining = match (available, remaining) {
        (Some("true"), None) if members.get("until").is_some_and(|until| until.get() != "null") => {
            fault("/until", "is for what is sold out or counted");
            None
        }
        (Some("true"), None) => None,
        (Some("false"), None) => Some(0),
        (Some("true" | "false"), Some(_)) | (None, None) => {
            fault("", "must have one of available and remaining");
            None
        }
        (Some(_), _) => {
            fault("/available", "must be true or false");
            None
        }
        (None, Some(remaining)) => Some(remaining),
    };
    if !errors.is_empty() {
        return Err(Problem::unprocessable(errors));
    }
    let until = until.unwrap_or_else(|| business_day_end(now));
    Ok(remaining.map(|remaining| Shortage { remaining, until }))
}

/// A moment within a year from now.
fn until_of(text: &str, now: &Zoned) -> Result<Timestamp, &'static str> {
    let until: Timestamp = text.parse().map_err(|_| "must be a time such as 2026-11-22T21:30:00Z")?;
    let now = now.timestamp();
    match until.duration_since(now) {
        ahead if ahead.is_positive() && ahead <= YEAR => Ok(until),
        _ => Err("must be within a year from now"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> Result<Option<(u32, String)>, Vec<String>> {
        let now: Zoned = "2026-11-22T21:30:00+01:00[Europe/Berlin]".parse().unwrap();
        match parse_availability(body.as_bytes(), &now) {
            Ok(shortage) => Ok(shortage.map(|s| (s.remaining, s.until.to_string()))),
            Err(problem) => Err(problem.field_errors().iter().map(|error| error.pointer.clone()).collect()),
        }
    }

    #[test]
    fn what_is_short_is_short_until_the_business_day_ends() {
        let night = "2026-11-23T03:00:00Z".to_owned();
        assert_eq!(parse(r#"{"available": false}"#), Ok(Some((0, night.clone()))));
        assert_eq!(parse(r#"{"remaining": 5, "until": null}"#), Ok(Some((5, night))));
        assert_eq!(parse(r#"{"available": true, "remaining": null}"#), Ok(None));
        let until = r#"{"remaining": 0, "until": "2026-11-22T23:00:00+01:00"}"#;
        assert_eq!(parse(until), Ok(Some((0, "2026-11-22T22:00:00Z".to_owned()))));
    }

    #[test]
    fn every_fault_is_told() {
        for (body, pointers) in [
            ("{}", vec![""]),
            (r#"{"available": false, "remaining": 5}"#, vec![""]),
            (r#"{"available": "no"}"#, vec!["/available"]),
            (r#"{"remaining": -1, "until": "tomorrow"}"#, vec!["/remaining", "/until"]),
            (r#"{"remaining": 1.5, "until": 7}"#, vec!["/remaining", "/until"]),
            (r#"{"remaining": 10001}"#, vec!["/remaining"]),
            (r#"{"available": false, "until": "2026-11-22T20:30:00Z"}"#, vec!["/until"]),
            (r#"{"available": false, "until": "2028-01-01T00:00:00Z"}"#, vec!["/until"]),
            (r#"{"available": true, "until": "2026-11-23T00:00:00Z"}"#, vec!["/until"]),
            (r#"{"available": false, "until": "2026-11-23T00:00:00Z", "why": "no dough"}"#, vec!["/why"]),
        ] {
            assert_eq!(parse(body), Err(pointers.into_iter().map(str::to_owned).collect()), "{body}");
        }
    }
}
