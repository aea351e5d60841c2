//! The station's pages: the login, and the tickets.

use std::sync::Arc;

use http_kit::browser::{Provenance, SessionCookie};
use http_kit::form::FormRequest;
use http_kit::web::WebPage;
use http_kit::{Fail, Problem, may};
use poem::Request;
use poem::http::StatusCode;
use poem_openapi::{ApiResponse, Object, OpenApi};

use crate::domain::{Right, SESSION_MAX, WorkerName};
use crate::http::auth::address_of;
use crate::http::caller::StaffCaller;
use crate::http::web::{LoginPage, PageTag, StationPage, page};
use crate::services::staff::{StaffAuth, lacks};

/// The station's page, and that of the login.
const HOME: &str = "/";
const LOGIN: &str = "/login";

/// Its handlers.
#[derive(Clone)]
pub struct WebApi(Arc<WebState>);

struct WebState {
    station: WorkerName,
    staff: StaffAuth,
}

/// A name and a password of the accounts file.
#[derive(Object)]
struct LoginForm {
    name: String,
    password: String,
}

#[derive(ApiResponse)]
enum HomeReply {
    /// The page.
    #[oai(status = 200)]
    Page(WebPage),
    /// Nobody is logged in.
    #[oai(status = 303)]
    Elsewhere(#[oai(header = "Location")] String),
    /// Whoever is logged in may not work here: the login, and why.
    #[oai(status = 403)]
    Refused(WebPage),
}

#[derive(ApiResponse)]
enum LoginReply {
    /// The session has begun.
    #[oai(status = 303)]
    Begun(#[oai(header = "Location")] String, #[oai(header = "Set-Cookie")] String),
    /// The login again: the name or the password is wrong.
    #[oai(status = 401)]
    Wrong(WebPage),
    /// The login again: this is not for that person, or for nobody.
    #[oai(status = 403)]
    Refused(WebPage),
    /// The login again: too many have failed.
    #[oai(status = 429)]
    TooMany(WebPage, #[oai(header = "Retry-After")] u64),
}

#[derive(ApiResponse)]
enum LogoutReply {
    /// The session is over.
    #[oai(status = 303)]
    Over(#[oai(header = "Location")] String, #[oai(header = "Set-Cookie")] String),
}

type PageFail = Fail<{ may::TOO_MANY_REQUESTS | may::UNAVAILABLE }>;
type FormFail = Fail<{ may::BODY | may::UNAVAILABLE }>;
type LogoutFail = Fail<{ may::FORBIDDEN | may::TOO_MANY_REQUESTS | may::UNAVAILABLE }>;

#[OpenApi(tag = "PageTag::Pages")]
impl WebApi {
    /// The station's page
    #[oai(path = "/", method = "get", operation_id = "stationPage")]
    async fn home(&self, request: &Request) -> Result<HomeReply, PageFail> {
        let caller = StaffCaller::of(request)?;
        match self.0.staff.require(&caller.0, Right::Station).await {
            Ok(member) => Ok(HomeReply::Page(self.station_page(&member.name)?)),
            Err(problem) => match problem.status() {
                StatusCode::UNAUTHORIZED => Ok(HomeReply::Elsewhere(LOGIN.to_owned())),
                StatusCode::FORBIDDEN => Ok(HomeReply::Refused(self.login_page("", problem.detail())?)),
                _ => Err(problem.into()),
            },
        }
    }

    /// The login
    #[oai(path = "/login", method = "get", operation_id = "loginPage")]
    async fn form(&self) -> Result<WebPage, Fail<{ may::NOTHING }>> {
        Ok(self.login_page("", "")?)
    }

    /// Log in
    ///
    /// The answer sets the cookie of a session, and leads to the station's page.
    #[oai(path = "/login", method = "post", operation_id = "login")]
    async fn login(&self, request: &Request, form: FormRequest<LoginForm>) -> Result<LoginReply, FormFail> {
        let mut form = form;
        let (name, password) = (form.take("name"), form.take("password"));
        let problem = match self.begin(request, &name, password).await {
            Ok(cookie) => return Ok(LoginReply::Begun(HOME.to_owned(), cookie)),
            Err(problem) => problem,
        };
        let page = self.login_page(&name, problem.detail())?;
        Ok(match problem.status() {
            StatusCode::UNAUTHORIZED => LoginReply::Wrong(page),
            StatusCode::FORBIDDEN => LoginReply::Refused(page),
            StatusCode::TOO_MANY_REQUESTS => {
                LoginReply::TooMany(page, problem.retry_after_s().unwrap_or_default())
            }
            _ => return Err(problem.into()),
        })
    }

    /// Log out
    #[oai(path = "/logout", method = "post", operation_id = "logout")]
    async fn logout(&self, request: &Request) -> Result<LogoutReply, LogoutFail> {
        let caller = StaffCaller::of(request)?;
        match self.0.staff.end_session(&caller.0).await {
            // Whoever is not logged in is where this leads to.
            Err(problem) if !matches!(problem.status(), StatusCode::UNAUTHORIZED | StatusCode::NOT_FOUND) => {
                return Err(problem.into());
            }
            Ok(()) | Err(_) => {}
        }
        let cookie = SessionCookie::of(request.headers(), request.remote_addr()).forget();
        Ok(LogoutReply::Over(LOGIN.to_owned(), cookie))
    }
}

impl WebApi {
    pub(super) fn new(station: WorkerName, staff: StaffAuth) -> Self {
        Self(Arc::new(WebState { station, staff }))
    }

    /// Gives the cookie of a new session.
    async fn begin(&self, request: &Request, name: &str, password: String) -> Result<String, Problem> {
        let (headers, client) = (request.headers(), request.remote_addr());
        let cookie = SessionCookie::of(headers, client);
        if !cookie.is_kept(headers) && Provenance::of(headers) != Provenance::Unsaid {
            return Err(Problem::forbidden(
                "the browser would not keep you logged in, because this page came without TLS: open it over https, or on the \
                 computer of the station itself",
            ));
        }
        if Provenance::of(headers) == Provenance::Foreign {
            return Err(Problem::forbidden("log in from this page: the request came from another site"));
        }
        let account = self.0.staff.login(name, password, address_of(client)).await?;
        if !account.role.may(Right::Station) {
            return Err(lacks(&account.member(), Right::Station));
        }
        let (token, _) = self.0.staff.open_session(&account).await?;
        Ok(cookie.set(&token, SESSION_MAX))
    }

    fn login_page(&self, name: &str, error: &str) -> Result<WebPage, Problem> {
        page(&LoginPage { place: self.0.station.as_str(), name, error })
    }

    fn station_page(&self, account: &str) -> Result<WebPage, Problem> {
        page(&StationPage { station: self.0.station.as_str(), account })
    }
}
