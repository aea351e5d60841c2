//! The order service's API for the staff's sessions and for what the staff did (contract, section 11).

use std::sync::Arc;

use http_kit::body::JsonRequest;
use http_kit::members::Members;
use http_kit::reply::JsonReply;
use http_kit::schemas::UtcTime;
use http_kit::{Fail, FieldError, Problem, may};
use poem::web::RemoteAddr;
use poem_openapi::param::Query;
use poem_openapi::{ApiResponse, Object, OpenApi, Tags};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::domain::Right;
use crate::http::auth::{StaffToken, address_of};
use crate::services::paging::{PAGE_DEFAULT, PAGE_MAX, PageCursor};
use crate::services::staff::StaffAuth;
use crate::store::{StaffActionRecord, Store};

const LOGIN_FIELDS: [&str; 2] = ["name", "password"];

/// Its handlers.
#[derive(Clone)]
pub struct StaffApi(Arc<State>);

struct State {
    store: Store,
    staff: StaffAuth,
}

#[derive(Tags)]
enum StaffTag {
    /// Who works here, and what they did.
    Staff,
}

/// A name and a password of the accounts file.
#[derive(Object)]
struct Login {
    name: String,
    #[oai(write_only)]
    password: String,
}

/// A session that has begun.
#[derive(Object, Serialize)]
struct NewSession {
    /// To be sent as `Authorization: Bearer`. It is not shown again.
    token: String,
    name: String,
    /// `kitchen`, `counter` or `manager`.
    role: String,
    /// When it is over at the latest; after 12 hours without a call it is over before.
    expires_at: UtcTime,
}

/// Who a token is of.
#[derive(Object, Serialize)]
struct CurrentSession {
    /// The account; `api` is the holder of the one token.
    name: String,
    /// `null` for the holder of the one token.
    #[oai(nullable)]
    role: Option<String>,
    /// What this person may do.
    rights: Vec<Right>,
}

/// Something that the staff did.
#[derive(Object, Serialize)]
struct StaffAction {
    timestamp: UtcTime,
    /// The account; `api` is the holder of the token.
    name: String,
    /// What the account was for then; `null` for the holder of the token.
    #[oai(nullable)]
    role: Option<String>,
    /// What it was: `cancel`, `complete`.
    action: String,
    #[oai(nullable)]
    order_number: Option<String>,
    #[oai(nullable)]
    detail: Option<String>,
    request_id: String,
}

/// A page of what the staff did.
#[derive(Object, Serialize)]
struct ActionPage {
    actions: Vec<StaffAction>,
    /// Leads to the next page; `null` on the last.
    #[oai(nullable)]
    next_cursor: Option<String>,
}

#[derive(ApiResponse)]
enum LoginReply {
    /// The session has begun.
    #[oai(status = 201)]
    Begun(JsonReply<NewSession>),
}

#[derive(ApiResponse)]
enum LogoutReply {
    /// The session is over, for every service.
    #[oai(status = 204)]
    Over,
}

type SessionFail = Fail<{ may::STAFF | may::UNAVAILABLE }>;
type LoginFail = Fail<{ may::BODY | may::STAFF | may::UNPROCESSABLE | may::UNAVAILABLE }>;
type LogoutFail = Fail<{ may::STAFF | may::NOT_FOUND | may::UNAVAILABLE }>;
type ActionsFail = Fail<{ may::BAD_REQUEST | may::STAFF | may::UNAVAILABLE }>;

#[OpenApi(tag = "StaffTag::Staff")]
impl StaffApi {
    /// Log in
    ///
    /// The session is over after 12 hours without a call, and after 24 hours.
    #[oai(path = "/sessions", method = "post", operation_id = "beginSession")]
    async fn login(&self, client: &RemoteAddr, body: JsonRequest<Login>) -> Result<LoginReply, LoginFail> {
        let Login { name, password } = Login::read(&body.bytes)?;
        let account = self.0.staff.login(&name, password, address_of(client)).await?;
        let (token, expires_at) = self.0.staff.open_session(&account).await?;
        let role = account.role.as_str().to_owned();
        let session = NewSession { token, name, role, expires_at: UtcTime(expires_at) };
        Ok(LoginReply::Begun(JsonReply::new(&session)?))
    }

    /// Who is logged in
    #[oai(path = "/sessions/current", method = "get", operation_id = "currentSession")]
    async fn session(&self, token: StaffToken) -> Result<JsonReply<CurrentSession>, SessionFail> {
        let member = self.0.staff.require_any(&token).await?;
        let (rights, role) = (member.rights(), member.role.map(|role| role.as_str().to_owned()));
        Ok(JsonReply::new(&CurrentSession { name: member.name, role, rights })?)
    }

    /// Log out
    #[oai(path = "/sessions/current", method = "delete", operation_id = "endSession")]
    async fn logout(&self, token: StaffToken) -> Result<LogoutReply, LogoutFail> {
        self.0.staff.end_session(&token).await?;
        Ok(LogoutReply::Over)
    }

    /// What the staff did, the latest first
    ///
    /// For managers.
    #[oai(path = "/staff/actions", method = "get", operation_id = "staffActions")]
    async fn actions(
        &self,
        token: StaffToken,
        /// How many.
        #[oai(validator(minimum(value = "1"), maximum(value = "200")))]
        limit: Query<Option<u16>>,
        /// The `next_cursor` of the page before.
        cursor: Query<Option<PageCursor>>,
    ) -> Result<JsonReply<ActionPage>, ActionsFail> {
        self.0.staff.require(&token, Right::Actions).await?;
        let limit = limit.0.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX);
        let before_id = cursor.0.map(|cursor| cursor.0);
        let (actions, next) = self.0.store.staff_actions(before_id, limit).await.map_err(Problem::from)?;
        let actions = actions.into_iter().map(StaffAction::from).collect();
        Ok(JsonReply::new(&ActionPage { actions, next_cursor: next.map(|id| id.to_string()) })?)
    }
}

impl StaffApi {
    pub(super) fn new(store: Store, staff: StaffAuth) -> Self {
        Self(Arc::new(State { store, staff }))
    }
}

impl Login {
    fn read(body: &[u8]) -> Result<Self, Problem> {
        let members = Members::read(body)?;
        let unknown = members.unknown("", &LOGIN_FIELDS);
        if !unknown.is_empty() {
            return Err(Problem::unknown_fields(unknown));
        }
        let text = |value: Option<&RawValue>| serde_json::from_str::<String>(value?.get()).ok();
        match LOGIN_FIELDS.map(|field| text(members.get(field))) {
            [Some(name), Some(password)] => Ok(Self { name, password }),
            found => {
                let missing = LOGIN_FIELDS.iter().zip(found).filter(|(_, found)| found.is_none());
                let fault = |(field, _)| FieldError::new(format!("/{field}"), "is required, as a text");
                Err(Problem::unprocessable(missing.map(fault).collect()))
            }
        }
    }
}

impl From<StaffActionRecord> for StaffAction {
    fn from(record: StaffActionRecord) -> Self {
        Self {
            timestamp: UtcTime(record.acted_at),
            name: record.name,
            role: record.role.map(|role| role.as_str().to_owned()),
            action: record.action,
            order_number: record.order_number,
            detail: record.detail,
            request_id: record.request_id,
        }
    }
}
