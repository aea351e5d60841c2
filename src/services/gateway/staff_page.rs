//! The pages for staff: the login, and where the orders are.

use std::sync::Arc;

use bytes::Bytes;
use http_kit::browser::{Provenance, SessionCookie};
use http_kit::form::FormRequest;
use http_kit::web::WebPage;
use http_kit::{Fail, Problem, may};
use jiff::Timestamp;
use poem::Request;
use poem::http::{Method, StatusCode};
use poem_openapi::param::Query;
use poem_openapi::{ApiResponse, Object, OpenApi};
use serde::{Deserialize, Serialize};

use super::caller::Caller;
use super::session::Session;
use super::upstream::{Service, Upstream, UpstreamError};
use crate::domain::{Right, SESSION_MAX, Status};
use crate::http::restaurant::Restaurant;
use crate::http::web::{Frame, PageTag, StaffLoginPage, StaffPage, StaffRow, page};
use crate::http::words::Language;

const HOME: &str = "/staff";
const LOGIN: &str = "/login";
/// The words of these pages.
const WORDS: &str = "staff";
/// The call about the session of whoever asks.
const SESSION: &str = "/sessions/current";
/// Orders of the table that needs no JavaScript: as many as one call gives.
const ROWS_MAX: u16 = 200;

/// Its handlers.
#[derive(Debug, Clone)]
pub struct StaffPages(Arc<State>);

#[derive(Debug)]
struct State {
    upstream: Upstream,
    restaurant: Restaurant,
}

/// A name and a password of the accounts file.
#[derive(Object, Serialize)]
#[oai(rename = "StaffLogin")]
struct LoginForm {
    name: String,
    password: String,
}

/// Who is logged in.
#[derive(Deserialize)]
struct CurrentSession {
    name: String,
    role: Option<String>,
    rights: Vec<String>,
}

#[derive(Deserialize)]
struct OrderList {
    orders: Vec<ListedOrder>,
}

#[derive(Deserialize)]
struct ListedOrder {
    order_number: String,
    current_status: String,
    order_type: String,
    created_at: Timestamp,
    processed_by: Option<String>,
}

#[derive(ApiResponse)]
enum StaffReply {
    /// The page.
    #[oai(status = 200)]
    Page(WebPage, #[oai(header = "Set-Cookie")] Option<String>),
    /// Nobody is logged in.
    #[oai(status = 303)]
    Elsewhere(#[oai(header = "Location")] String),
    /// The login, saying that calls for staff are off.
    #[oai(status = 403)]
    Off(WebPage),
    /// The login, saying that nobody answers just now.
    #[oai(status = 503)]
    Away(WebPage),
}

#[derive(ApiResponse)]
enum LoginFormReply {
    /// The form.
    #[oai(status = 200)]
    Page(WebPage, #[oai(header = "Set-Cookie")] Option<String>),
}

#[derive(ApiResponse)]
enum LoginReply {
    /// The session has begun.
    #[oai(status = 303)]
    Begun(#[oai(header = "Location")] String, #[oai(header = "Set-Cookie")] String),
    /// The login again: the name or the password is wrong.
    #[oai(status = 401)]
    Wrong(WebPage),
    /// The login again: it came from elsewhere, its session would be lost, or calls for staff are off.
    #[oai(status = 403)]
    Refused(WebPage),
    /// The login again: too many have failed.
    #[oai(status = 429)]
    TooMany(WebPage, #[oai(header = "Retry-After")] u64),
    /// The login again: nobody answers just now.
    #[oai(status = 503)]
    Away(WebPage),
}

#[derive(ApiResponse)]
enum LogoutReply {
    /// The session is over.
    #[oai(status = 303)]
    Over(#[oai(header = "Location")] String, #[oai(header = "Set-Cookie")] String),
    /// It is not: nobody answers just now.
    #[oai(status = 503)]
    Away(WebPage),
}

type PageFail = Fail<{ may::BAD_REQUEST | may::FORBIDDEN }>;
type LoginFail = Fail<{ may::BODY }>;

#[OpenApi(tag = "PageTag::Pages")]
impl StaffPages {
    /// The staff's page
    #[oai(path = "/staff", method = "get", operation_id = "staffPage")]
    async fn staff(
        &self,
        request: &Request,
        /// The page's language.
        lang: Query<Option<String>>,
    ) -> Result<StaffReply, PageFail> {
        let caller = Caller::of(request)?;
        let (lang, cookie) = self.0.restaurant.language(lang.0.as_deref(), request.headers());
        let session = match self.0.upstream.get(Service::Order, SESSION, &caller).await {
            Ok(answer) => read::<CurrentSession>(&answer)?,
            Err(error) => {
                return Ok(match error.status {
                    StatusCode::UNAUTHORIZED => StaffReply::Elsewhere(LOGIN.to_owned()),
                    StatusCode::FORBIDDEN => {
                        StaffReply::Off(self.login_page(lang, "", lang.say("staff.login_off"))?)
                    }
                    _ => StaffReply::Away(self.login_page(lang, "", lang.say("staff.login_away"))?),
                });
            }
        };
        let has_lists = session.rights.iter().any(|right| right == Right::Lists.as_str());
        let rows = if has_lists { self.rows(lang, &caller).await } else { Some(Vec::new()) };
        let page = page(&StaffPage {
            frame: Frame::of(&self.0.restaurant, lang, WORDS),
            account: &session.name,
            role: session.role.as_deref().unwrap_or_default(),
            rights: &session.rights,
            rows: rows.as_deref(),
        })?;
        Ok(StaffReply::Page(page, cookie))
    }

    /// The staff's login
    #[oai(path = "/login", method = "get", operation_id = "staffLoginPage")]
    async fn form(
        &self,
        request: &Request,
        /// The page's language.
        lang: Query<Option<String>>,
    ) -> Result<LoginFormReply, PageFail> {
        let (headers, client) = (request.headers(), request.remote_addr());
        let (lang, cookie) = self.0.restaurant.language(lang.0.as_deref(), headers);
        let is_kept = SessionCookie::of(headers, client).is_kept(headers);
        let warning = if is_kept { "" } else { lang.say("staff.login_not_kept") };
        Ok(LoginFormReply::Page(self.login_page(lang, "", warning)?, cookie))
    }

    /// Log in
    ///
    /// The answer sets the cookie of a session, and leads to the staff's page.
    #[oai(path = "/login", method = "post", operation_id = "staffLogin")]
    async fn login(&self, request: &Request, form: FormRequest<LoginForm>) -> Result<LoginReply, LoginFail> {
        let mut form = form;
        let login = LoginForm { name: form.take("name"), password: form.take("password") };
        let headers = request.headers();
        let (lang, _) = self.0.restaurant.language(None, headers);
        let cookie = SessionCookie::of(headers, request.remote_addr());
        let again = |text: &str| self.login_page(lang, &login.name, text);
        if !cookie.is_kept(headers) && Provenance::of(headers) != Provenance::Unsaid {
            return Ok(LoginReply::Refused(again(lang.say("staff.login_not_kept"))?));
        }
        let Ok(caller) = Caller::of(request) else {
            return Ok(LoginReply::Refused(again(lang.say("staff.login_foreign"))?));
        };
        let error = match self.0.upstream.post(Service::Order, "/sessions", Some(&login), &caller).await {
            Ok(answer) => {
                let Session { token, .. } = Session::read(&answer).map_err(Problem::from)?;
                return Ok(LoginReply::Begun(HOME.to_owned(), cookie.set(&token, SESSION_MAX)));
            }
            Err(error) => error,
        };
        Ok(match error.status {
            StatusCode::UNAUTHORIZED => LoginReply::Wrong(again(lang.say("staff.login_wrong"))?),
            StatusCode::FORBIDDEN => LoginReply::Refused(again(lang.say("staff.login_off"))?),
            StatusCode::TOO_MANY_REQUESTS => {
                let seconds = error.retry_after_s.unwrap_or_default();
                let text = lang.fill("staff.login_too_many", &[("seconds", &seconds.to_string())]);
                LoginReply::TooMany(again(&text)?, seconds)
            }
            _ => LoginReply::Away(again(lang.say("staff.login_away"))?),
        })
    }

    /// Log out
    #[oai(path = "/logout", method = "post", operation_id = "staffLogout")]
    async fn logout(&self, request: &Request) -> Result<LogoutReply, PageFail> {
        let caller = Caller::of(request)?;
        let (headers, client) = (request.headers(), request.remote_addr());
        let status = match self.0.upstream.call(Service::Order, Method::DELETE, SESSION, None, &caller).await
        {
            Ok(answer) => answer.status,
            Err(UpstreamError { status, .. }) => status,
        };
        // Whoever is not logged in is where this leads to; a cookie that is forgotten while its session goes on hides that.
        if status.is_server_error() {
            let (lang, _) = self.0.restaurant.language(None, headers);
            return Ok(LogoutReply::Away(self.login_page(lang, "", lang.say("staff.logout_failed"))?));
        }
        Ok(LogoutReply::Over(LOGIN.to_owned(), SessionCookie::of(headers, client).forget()))
    }
}

impl StaffPages {
    pub(super) fn new(upstream: Upstream, restaurant: Restaurant) -> Self {
        Self(Arc::new(State { upstream, restaurant }))
    }

    fn login_page(&self, lang: Language, name: &str, error: &str) -> Result<WebPage, Problem> {
        page(&StaffLoginPage { frame: Frame::of(&self.0.restaurant, lang, WORDS), name, error })
    }

    /// The open orders, oldest first; `None` where they cannot be read.
    async fn rows(&self, lang: Language, caller: &Caller) -> Option<Vec<StaffRow>> {
        let statuses = Status::OPEN.map(|status| format!("status={status}&")).concat();
        let path = format!("/orders?{statuses}limit={ROWS_MAX}");
        let answer = self.0.upstream.get(Service::Tracking, &path, caller).await.ok()?;
        let list: OrderList = read(&answer).ok()?;
        let row = |order: ListedOrder| StaffRow {
            placed: lang.time(order.created_at, &self.0.restaurant.time_zone),
            number: order.order_number,
            status: order.current_status,
            order_type: order.order_type,
            cook: order.processed_by.unwrap_or_default(),
        };
        Some(list.orders.into_iter().rev().map(row).collect())
    }
}

fn read<T: for<'a> Deserialize<'a>>(answer: &Bytes) -> Result<T, Problem> {
    serde_json::from_slice(answer).map_err(Problem::internal)
}
