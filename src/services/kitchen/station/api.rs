//! The station's API (contract, section 14).

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use http_kit::body::JsonRequest;
use http_kit::docs::ApiInfo;
use http_kit::members::Members;
use http_kit::problem::Kind;
use http_kit::reply::JsonReply;
use http_kit::request_id::RequestContext;
use http_kit::sse::{EventStreams, Sse};
use http_kit::{Fail, FieldError, Problem, may};
use poem::web::RemoteAddr;
use poem_openapi::param::Path;
use poem_openapi::{Object, OpenApi, Tags};
use tokio::sync::Notify;

use super::events::Board;
use super::views::{TicketView, TicketsView};
use crate::domain::{CookTimes, OrderNumber, Right, StaffMember, Status};
use crate::http::PROBLEM_TYPES;
use crate::http::caller::StaffCaller;
use crate::services::staff::StaffAuth;
use crate::services::transitions::Transitions;
use crate::store::{StaffAct, TicketAct, TicketChange, TicketOutcome};

/// What the document says about the service.
pub fn info() -> ApiInfo {
    ApiInfo {
        title: "Kitchen station".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        description: "What persons see and do at a kitchen worker that cooks by hand. Everything is for staff. A change names the \
                      attempt of the ticket that it is meant for; a repetition changes nothing."
            .to_owned(),
        license: "MIT".to_owned(),
        problem_types: PROBLEM_TYPES,
    }
}

#[derive(Clone)]
pub struct StationApi(Arc<StationState>);

pub(super) struct StationState {
    pub(super) board: Arc<Board>,
    pub(super) staff: StaffAuth,
    pub(super) streams: EventStreams,
    /// Tells the worker that a person has done something.
    pub(super) look: Arc<Notify>,
    pub(super) transitions: Transitions,
    pub(super) targets: CookTimes,
    pub(super) recall_within: Duration,
}

#[derive(Tags)]
enum StationTag {
    /// Working at the station.
    Station,
}

/// Which ticket is meant.
#[derive(Object)]
struct TicketAttempt {
    /// Of the ticket, as it was shown.
    #[oai(validator(minimum(value = "1")))]
    attempt: i32,
}

/// Whether an entry of a ticket is done.
#[derive(Object)]
struct ItemDone {
    /// Of the ticket, as it was shown.
    #[oai(validator(minimum(value = "1")))]
    attempt: i32,
    #[oai(default = "is_done_by_default")]
    done: bool,
}

fn is_done_by_default() -> bool {
    true
}

type ReadFail = Fail<{ may::STAFF | may::UNAVAILABLE }>;
type ChangeFail =
    Fail<{ may::STAFF | may::BODY | may::UNPROCESSABLE | may::NOT_FOUND | may::CONFLICT | may::UNAVAILABLE }>;

#[OpenApi(tag = "StationTag::Station")]
impl StationApi {
    /// The tickets as they are
    #[oai(path = "/station/tickets", method = "get", operation_id = "stationTickets")]
    async fn tickets(&self, caller: StaffCaller) -> Result<JsonReply<TicketsView>, ReadFail> {
        self.0.staff.require(&caller.0, Right::Station).await?;
        Ok(JsonReply::new(&self.0.board.document().await.map_err(Problem::from)?)?)
    }

    /// The tickets as Server-Sent Events
    ///
    /// `event: tickets`, `data:` what `GET /station/tickets` answers, `id:` its `revision`. The first comes at once, then one with
    /// each change, until the session ends.
    #[oai(path = "/station/events", method = "get", operation_id = "stationEvents")]
    async fn events(&self, caller: StaffCaller, client: &RemoteAddr) -> Result<Sse, ReadFail> {
        self.0.staff.require(&caller.0, Right::Station).await?;
        let end = Box::pin(self.0.staff.clone().end(caller.0.shown()));
        Ok(self.0.streams.open(client, self.0.board.stream().take_until(end))?)
    }

    /// Begin with an order
    #[oai(path = "/station/tickets/:order_number/start", method = "post", operation_id = "startTicket")]
    async fn start(
        &self,
        context: RequestContext,
        caller: StaffCaller,
        order_number: Path<String>,
        body: JsonRequest<TicketAttempt>,
    ) -> Result<JsonReply<TicketView>, ChangeFail> {
        let member = self.0.staff.require(&caller.0, Right::Station).await?;
        let (attempt, _) = read_change(&body.bytes, &[ATTEMPT])?;
        self.act(&context, &member, "start", &order_number, attempt, TicketAct::Start).await
    }

    /// Say that an entry is done, or not
    #[oai(
        path = "/station/tickets/:order_number/items/:item/done",
        method = "put",
        operation_id = "setItemDone"
    )]
    async fn item(
        &self,
        context: RequestContext,
        caller: StaffCaller,
        order_number: Path<String>,
        /// Its place, from 0.
        item: Path<u16>,
        body: JsonRequest<ItemDone>,
    ) -> Result<JsonReply<TicketView>, ChangeFail> {
        let member = self.0.staff.require(&caller.0, Right::Station).await?;
        let (attempt, done) = read_change(&body.bytes, &[ATTEMPT, DONE])?;
        let act = TicketAct::Item { item: item.0, done };
        self.act(&context, &member, "item", &order_number, attempt, act).await
    }

    /// Say that an order is done
    ///
    /// It is ready once the bump cannot be taken back any more.
    #[oai(path = "/station/tickets/:order_number/bump", method = "post", operation_id = "bumpTicket")]
    async fn bump(
        &self,
        context: RequestContext,
        caller: StaffCaller,
        order_number: Path<String>,
        body: JsonRequest<TicketAttempt>,
    ) -> Result<JsonReply<TicketView>, ChangeFail> {
        let member = self.0.staff.require(&caller.0, Right::Station).await?;
        let (attempt, _) = read_change(&body.bytes, &[ATTEMPT])?;
        self.act(&context, &member, "bump", &order_number, attempt, TicketAct::Bump).await
    }

    /// Take a bump back, or have a ready order cooked again
    ///
    /// Before the order is ready the bump is void, and the attempt goes on. After that a new attempt begins, here, for as long after
    /// it was ready as `kitchen.recall_minutes` says.
    #[oai(path = "/station/tickets/:order_number/recall", method = "post", operation_id = "recallTicket")]
    async fn recall(
        &self,
        context: RequestContext,
        caller: StaffCaller,
        order_number: Path<String>,
        body: JsonRequest<TicketAttempt>,
    ) -> Result<JsonReply<TicketView>, ChangeFail> {
        let member = self.0.staff.require(&caller.0, Right::Recall).await?;
        let (attempt, _) = read_change(&body.bytes, &[ATTEMPT])?;
        let act = TicketAct::Recall { within: self.0.recall_within, targets: self.0.targets };
        self.act(&context, &member, "recall", &order_number, attempt, act).await
    }

    /// Say that a cancelled order was seen
    #[oai(
        path = "/station/tickets/:order_number/acknowledge",
        method = "post",
        operation_id = "acknowledgeTicket"
    )]
    async fn acknowledge(
        &self,
        context: RequestContext,
        caller: StaffCaller,
        order_number: Path<String>,
        body: JsonRequest<TicketAttempt>,
    ) -> Result<JsonReply<TicketView>, ChangeFail> {
        let member = self.0.staff.require(&caller.0, Right::Station).await?;
        let (attempt, _) = read_change(&body.bytes, &[ATTEMPT])?;
        self.act(&context, &member, "acknowledge", &order_number, attempt, TicketAct::Acknowledge).await
    }
}

impl StationApi {
    pub(super) fn new(state: StationState) -> Self {
        Self(Arc::new(state))
    }

    async fn act(
        &self,
        context: &RequestContext,
        member: &StaffMember,
        action: &'static str,
        order_number: &str,
        attempt: i32,
        act: TicketAct,
    ) -> Result<JsonReply<TicketView>, ChangeFail> {
        let nothing = || Problem::not_found("the station has no such ticket");
        let number = OrderNumber::parse(order_number).map_err(|_| nothing())?;
        let detail = match act {
            TicketAct::Item { item, done } => {
                Some(format!("item {item}: {}", if done { "done" } else { "not done" }))
            }
            _ => None,
        };
        let request_id = context.request_id.as_str();
        let by = StaffAct { by: member, action, detail: detail.as_deref(), request_id };
        let outcome = self.0.board.act(&number, attempt, act, &by).await.map_err(Problem::from)?;
        let (ticket, change) = match outcome {
            TicketOutcome::Done { ticket, change } => (ticket, change),
            TicketOutcome::NotFound => return Err(nothing().into()),
            TicketOutcome::NoItem(items) => {
                return Err(Problem::not_found(format!("the order has only {items} entries, from 0")).into());
            }
            TicketOutcome::OtherAttempt(present) => {
                let detail =
                    format!("the order is in attempt {present}; the change is for attempt {attempt}");
                return Err(Problem::new(Kind::OtherAttempt, detail).into());
            }
            TicketOutcome::Conflict(status) => return Err(Problem::conflict(refusal(act, status)).into()),
            TicketOutcome::TooLate => {
                let minutes = self.0.recall_within.as_secs() / 60;
                let detail = format!(
                    "the order is ready; one can be recalled for {minutes} minutes after that, and they are over"
                );
                return Err(Problem::conflict(detail).into());
            }
        };
        if change == TicketChange::Status {
            self.0.transitions.note(Status::Ready, Status::Cooking);
        }
        if change != TicketChange::Nothing {
            self.0.look.notify_one();
            tracing::info!(
                action = if change == TicketChange::Status { "order_status_changed" } else { "ticket_changed" },
                order_number = %number,
                actor = member.name,
                details = detail.as_deref().unwrap_or(action),
                "a person has changed a ticket"
            );
        }
        Ok(JsonReply::new(&self.0.board.ticket(*ticket))?)
    }
}

/// Why a status does not allow it.
fn refusal(act: TicketAct, status: Status) -> String {
    let (needed, what) = match act {
        TicketAct::Start => ("cooking", "begun"),
        TicketAct::Item { .. } => ("cooking", "marked"),
        TicketAct::Bump => ("cooking", "bumped"),
        TicketAct::Recall { .. } => ("ready", "recalled"),
        TicketAct::Acknowledge => ("cancelled", "acknowledged"),
    };
    format!("the order is {status}; only one that is {needed} can be {what}")
}

const ATTEMPT: &str = "attempt";
const DONE: &str = "done";

/// The attempt that is meant, and whether it is done.
fn read_change(body: &[u8], known: &[&str]) -> Result<(i32, bool), Problem> {
    let members = Members::read(body)?;
    let unknown = members.unknown("", known);
    if !unknown.is_empty() {
        return Err(Problem::unknown_fields(unknown));
    }
    let attempt = members.get(ATTEMPT).and_then(|attempt| attempt.get().parse().ok());
    let done = members.get(DONE).map_or(Some(true), |done| done.get().parse().ok());
    match (attempt.filter(|attempt| *attempt > 0), done) {
        (Some(attempt), Some(done)) => Ok((attempt, done)),
        (attempt, done) => {
            let attempt = attempt
                .is_none()
                .then(|| FieldError::new("/attempt", "is required, as a whole number from 1"));
            let done = done.is_none().then(|| FieldError::new("/done", "must be true or false"));
            Err(Problem::unprocessable(attempt.into_iter().chain(done).collect()))
        }
    }
}
