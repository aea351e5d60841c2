//! The page `/`, on which customers order, and where its form is sent to by browsers without scripts.

mod documents;
mod faults;
mod form;
mod view;

use std::sync::Arc;

use http_kit::form::FormRequest;
use http_kit::web::WebPage;
use http_kit::{Fail, Problem, may};
use jiff::Timestamp;
use poem::Request;
use poem::http::{HeaderMap, StatusCode, header};
use poem_openapi::param::Query;
use poem_openapi::{ApiResponse, Object, OpenApi};
use serde_json::Value;

use super::caller::Caller;
use super::upstream::{Service, Upstream, UpstreamError};
use crate::http::restaurant::Restaurant;
use crate::http::web::{Frame, PageTag, page};
use crate::http::words::Language;
use documents::{IntakeState, Menu, Placed, Table};
use faults::{Faults, kind};
use form::{Typed, is_key};
use view::{MessageView, Writer};

/// The cookie that says of which form the customer knows that its order was taken.
const PLACED: &str = "placed";
/// A day: so long are keys of orders kept at least.
const PLACED_MAX_AGE_S: u32 = 86_400;
/// An order whose first sending is still under way is asked for so often; the order service waits two seconds each time.
const PROGRESS_TRIES: usize = 3;
/// What a browser is told to wait while a service is away.
const RETRY_AFTER_S: u64 = 5;

/// Its handlers.
#[derive(Debug, Clone)]
pub struct OrderPage(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    upstream: Upstream,
    restaurant: Restaurant,
}

/// What the page's form has. Of each dish, by its id: `q.ID` pieces, `o.ID.OPTION` choices, `n.ID` notes, `p.ID` the prices seen.
#[derive(Object)]
struct OrderForm {
    /// Born with the form: one order has one, however often it is sent.
    key: String,
    customer_name: String,
    order_type: String,
    table_number: Option<String>,
    delivery_address: Option<String>,
    notes: Option<String>,
    /// The token of a table.
    table: Option<String>,
    /// `look` shows the sum and places nothing.
    #[oai(rename = "do")]
    step: Option<String>,
}

#[derive(ApiResponse)]
enum MenuReply {
    /// The page.
    #[oai(status = 200)]
    Page(WebPage, #[oai(header = "Set-Cookie")] Option<String>),
    /// A page that says that the menu cannot be shown at the moment.
    #[oai(status = 503)]
    Away(WebPage, #[oai(header = "Retry-After")] u64),
}

#[derive(ApiResponse)]
enum PlaceReply {
    /// The page again, with the sum.
    #[oai(status = 200)]
    Looked(WebPage),
    /// The order is committed; it has a page of its own.
    #[oai(status = 303)]
    Taken(#[oai(header = "Location")] String, #[oai(header = "Set-Cookie")] String),
    /// The page again: something is sold out, the restaurant is closed, or the form has placed another order.
    #[oai(status = 409)]
    Conflict(WebPage),
    /// The page again, each fault beside its field.
    #[oai(status = 422)]
    Faulty(WebPage),
    /// The page again: too many orders are open.
    #[oai(status = 429)]
    TooMany(WebPage, #[oai(header = "Retry-After")] u64),
    /// The page again, or what was typed alone: the order was not taken, or nobody knows.
    #[oai(status = 503)]
    Unavailable(WebPage, #[oai(header = "Retry-After")] u64),
}

type MenuFail = Fail<{ may::FORBIDDEN }>;
type PlaceFail = Fail<{ may::BODY | may::FORBIDDEN }>;

/// What the page is made of.
struct Shown {
    menu: Menu,
    intake: IntakeState,
    table: TableShown,
}

enum TableShown {
    /// No token is shown.
    None,
    Known(u8),
    Unknown,
}

/// Why there is nothing to show.
enum NotShown {
    NoMenu,
    Away,
}

#[OpenApi(tag = "PageTag::Pages")]
impl OrderPage {
    /// The menu, and the form to order
    #[oai(path = "/", method = "get", operation_id = "orderPage")]
    async fn menu(
        &self,
        request: &Request,
        /// The language to show it in, from now on.
        lang: Query<Option<String>>,
        /// The token of a table.
        table: Query<Option<String>>,
    ) -> Result<MenuReply, MenuFail> {
        let visit = self.visit(request, lang.0.as_deref(), table.0.as_deref().unwrap_or_default())?;
        let cookie = lang.0.is_some().then(|| visit.lang.cookie());
        let typed = Typed::new(&visit.table);
        match self.shown(&visit).await? {
            Ok(shown) => Ok(MenuReply::Page(visit.page(&shown, &typed, Faults::default())?, cookie)),
            Err(NotShown::NoMenu) => Ok(MenuReply::Page(visit.no_menu()?, cookie)),
            Err(NotShown::Away) => Ok(MenuReply::Away(visit.away(&[])?, RETRY_AFTER_S)),
        }
    }

    /// Order by the form
    ///
    /// The answer leads to the order's page. Sent again, the same form leads to the same order.
    #[oai(path = "/order", method = "post", operation_id = "orderByForm")]
    async fn place(&self, request: &Request, form: FormRequest<OrderForm>) -> Result<PlaceReply, PlaceFail> {
        let fields = form.into_fields();
        let mut typed = Typed::of(fields.clone());
        let visit = self.visit(request, None, &typed.table)?;
        let shown = match self.shown(&visit).await? {
            Ok(shown) => shown,
            Err(NotShown::NoMenu) => return Ok(PlaceReply::Conflict(visit.no_menu()?)),
            Err(NotShown::Away) => return Ok(PlaceReply::Unavailable(visit.away(&fields)?, RETRY_AFTER_S)),
        };
        let prices = Faults::of_prices(visit.lang, &typed, &shown.menu);
        if typed.is_look {
            return Ok(PlaceReply::Looked(visit.page(&shown, &typed, prices)?));
        }
        if !prices.heading.is_empty() {
            return Ok(PlaceReply::Faulty(visit.page(&shown, &typed, prices)?));
        }
        let order = typed.order(matches!(shown.table, TableShown::Known(_)));
        let error = match self.send(&order, &typed, &visit.caller, request.headers()).await {
            Ok(placed) => return Ok(PlaceReply::Taken(placed.path(), placed_cookie(&typed.key))),
            Err(error) => error,
        };
        let faults = visit.faults(&error, &typed, &shown.menu);
        if kind(&error.problem) == "idempotency-key-reused" {
            // Whoever sends it once more wants a second order.
            typed.renew_key();
        }
        let page = visit.page(&shown, &typed, faults)?;
        let retry_after_s = error.retry_after_s.unwrap_or(RETRY_AFTER_S);
        Ok(match error.status {
            StatusCode::CONFLICT => PlaceReply::Conflict(page),
            StatusCode::TOO_MANY_REQUESTS => PlaceReply::TooMany(page, retry_after_s),
            status if status.is_client_error() => PlaceReply::Faulty(page),
            _ => PlaceReply::Unavailable(page, retry_after_s),
        })
    }
}

/// One request of a browser.
struct Visit<'a> {
    caller: Caller,
    lang: Language,
    restaurant: &'a Restaurant,
    /// The token of a table; empty where none is shown.
    table: String,
    /// What links to other languages keep.
    kept_query: String,
}

impl OrderPage {
    pub(super) fn new(upstream: Upstream, restaurant: Restaurant) -> Self {
        Self(Arc::new(Inner { upstream, restaurant }))
    }

    fn visit(&self, request: &Request, lang: Option<&str>, table: &str) -> Result<Visit<'_>, Problem> {
        let restaurant = &self.0.restaurant;
        let lang = Language::of(lang, request.headers(), &restaurant.languages);
        // Any other is nobody's, and has no place in a header or a link.
        let is_plain = table.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        let table = if is_plain { table } else { "-" }.to_owned();
        let caller = Caller::of(request)?;
        let caller = if table.is_empty() { caller } else { caller.with_table_token(&table) };
        let kept_query = if table.is_empty() { String::new() } else { format!("table={table}&") };
        Ok(Visit { caller, lang, restaurant, table, kept_query })
    }

    /// Asks for everything that the page shows at once.
    async fn shown(&self, visit: &Visit<'_>) -> Result<Result<Shown, NotShown>, Problem> {
        let get = |path| self.0.upstream.get(Service::Order, path, &visit.caller);
        let table = async { if visit.table.is_empty() { None } else { Some(get("/tables/mine").await) } };
        let (menu, intake, table) = tokio::join!(get("/menu"), get("/intake"), table);
        let menu = match menu {
            Ok(menu) => serde_json::from_slice(&menu).map_err(Problem::internal)?,
            Err(error) if error.status == StatusCode::NOT_FOUND => return Ok(Err(NotShown::NoMenu)),
            Err(_) => return Ok(Err(NotShown::Away)),
        };
        // Without it the page says nothing about times, and the order service decides.
        let intake = intake.ok().and_then(|intake| serde_json::from_slice(&intake).ok()).unwrap_or_default();
        let table = match table {
            None => TableShown::None,
            Some(Ok(table)) => TableShown::Known(
                serde_json::from_slice::<Table>(&table).map_err(Problem::internal)?.table_number,
            ),
            Some(Err(error)) if error.status.is_client_error() => TableShown::Unknown,
            Some(Err(_)) => return Ok(Err(NotShown::Away)),
        };
        Ok(Ok(Shown { menu, intake, table }))
    }

    /// Places an order under its form's key. A form whose order the customer has seen taken can place another one: somebody who
    /// comes back to it and changes it gets what is in it then.
    async fn send(
        &self,
        order: &Value,
        typed: &Typed,
        caller: &Caller,
        headers: &HeaderMap,
    ) -> Result<Placed, UpstreamError> {
        match self.send_under(&typed.key, order, caller).await {
            Err(error)
                if kind(&error.problem) == "idempotency-key-reused" && has_seen(headers, &typed.key) =>
            {
                self.send_under(&typed.next_key(order), order, caller).await
            }
            outcome => outcome,
        }
    }

    async fn send_under(&self, key: &str, order: &Value, caller: &Caller) -> Result<Placed, UpstreamError> {
        let caller = caller.clone().with_idempotency_key(key);
        let post = || self.0.upstream.post(Service::Order, "/orders", Some(order), &caller);
        let mut outcome = post().await;
        for _ in 1..PROGRESS_TRIES {
            if outcome.as_ref().is_err_and(|error| kind(&error.problem) == "conflict") {
                outcome = post().await;
            }
        }
        serde_json::from_slice(&outcome?)
            .map_err(|error| UpstreamError::away(format!("the answer is no order: {error}")))
    }
}

impl Visit<'_> {
    fn page(&self, shown: &Shown, typed: &Typed, mut faults: Faults) -> Result<WebPage, Problem> {
        let table = match shown.table {
            TableShown::Known(table) => Some(table),
            TableShown::Unknown if faults.heading.is_empty() => {
                faults = Faults::headed(self.lang.say("order.table_unknown"));
                None
            }
            TableShown::None | TableShown::Unknown => None,
        };
        page(&self.writer().order(&shown.menu, &shown.intake, typed, table, &faults))
    }

    fn faults(&self, error: &UpstreamError, typed: &Typed, menu: &Menu) -> Faults {
        let clock = (&self.restaurant.time_zone, Timestamp::now());
        Faults::of_problem(self.lang, (error.status, &error.problem), typed, menu, clock)
    }

    fn no_menu(&self) -> Result<WebPage, Problem> {
        let lang = self.lang;
        let hint = lang.say("order.no_menu_hint");
        self.message(lang.say("order.no_menu"), lang.say("order.no_menu_text"), hint, None)
    }

    fn away(&self, fields: &[(String, String)]) -> Result<WebPage, Problem> {
        self.message(self.lang.say("order.away"), self.lang.say("order.away_text"), "", Some(fields))
    }

    fn message(
        &self,
        heading: &str,
        text: &str,
        hint: &str,
        again: Option<&[(String, String)]>,
    ) -> Result<WebPage, Problem> {
        let frame = self.writer().frame;
        page(&MessageView {
            frame,
            heading,
            text,
            hint,
            fields: again.unwrap_or_default(),
            can_try_again: again.is_some(),
        })
    }

    fn writer(&self) -> Writer<'_> {
        let frame = Frame { kept_query: &self.kept_query, ..Frame::of(self.restaurant, self.lang, "order") };
        Writer { frame, zone: &self.restaurant.time_zone, now: Timestamp::now() }
    }
}

fn placed_cookie(key: &str) -> String {
    format!("{PLACED}={key}; Path=/order; Max-Age={PLACED_MAX_AGE_S}; HttpOnly; SameSite=Strict")
}

/// Whether the customer knows that this form's order was taken.
fn has_seen(headers: &HeaderMap, key: &str) -> bool {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.split_once('='));
    is_key(key) && pairs.any(|(name, value)| name.trim() == PLACED && value.trim() == key)
}
