//! The order service's API (contract, section 3).

use std::sync::Arc;
use std::time::Duration;

use daemon::ration::Budget;
use http_kit::body::{JsonRequest, OptionalJsonRequest};
use http_kit::docs::ApiInfo;
use http_kit::problem::Kind;
use http_kit::reply::JsonReply;
use http_kit::request_id::RequestContext;
use http_kit::{Fail, FieldError, Problem, may};
use poem::http::HeaderMap;
use poem::web::RemoteAddr;
use poem_openapi::param::{Header, Path};
use poem_openapi::{ApiResponse, Object, OpenApi, Tags};
use serde::Serialize;

use super::document::OrderRequest;
use super::intake::{Intake, Taken};
use super::intake_board::IntakeBoard;
use super::menu::MenuBoard;
use super::order_views::{Order, PlacedOrder, Viewer};
use super::reading::{idempotency, parse_cancellation, parse_order};
use crate::domain::{OrderNumber, Right, StaffMember, Status, TrackingToken};
use crate::http::PROBLEM_TYPES;
use crate::http::attempts::{Attempts, Guess, Verdict};
use crate::http::auth::{OptionalStaffToken, Shown, StaffToken};
use crate::http::order_token::OrderToken;
use crate::reconciler::OutboxFull;
use crate::relay::RelayWaker;
use crate::services::lookup::{no_such_order, order_number_in_path};
use crate::services::staff::{StaffAuth, lacks, random};
use crate::services::transitions::Transitions;
use crate::store::{IdempotencyKey, IntakeRequest, Placed, StaffAct, StaffChange, StaffOutcome, Store};

/// Where orders are placed, as [`OrderApi::place`] has it.
pub(super) const PLACE_ORDER_PATH: &str = "/orders";
/// What a client is told to wait while the outbox is full: it drains fast once RabbitMQ is back.
const OUTBOX_RETRY_AFTER: Duration = Duration::from_secs(30);
/// So many broken rules of one order are named in the log.
const MAX_LOGGED_POINTERS: usize = 20;

/// What the document says about the service.
pub fn info() -> ApiInfo {
    ApiInfo {
        title: "Order service".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        description:
            "Takes orders. An order that was answered with 201 is committed; it reaches the kitchen even if \
                      the message broker is away. Errors are RFC 9457 problem documents."
                .to_owned(),
        license: "MIT".to_owned(),
        problem_types: PROBLEM_TYPES,
    }
}

#[derive(Clone)]
pub struct OrderApi(Arc<OrderState>);

/// What its handlers use.
pub(super) struct OrderState {
    pub(super) store: Store,
    pub(super) intake: Intake,
    pub(super) menu: MenuBoard,
    pub(super) intake_board: IntakeBoard,
    pub(super) outbox_full: OutboxFull,
    pub(super) staff: StaffAuth,
    pub(super) relay: RelayWaker,
    pub(super) transitions: Transitions,
    pub(super) recall_within: Duration,
    /// What the customers' links begin with; nothing where it is not configured.
    pub(super) public_url: String,
    /// Wrong tokens of orders.
    pub(super) guesses: Attempts,
    /// For orders that are refused: anybody can send those.
    pub(super) refusals: Budget,
}

#[derive(Tags)]
enum OrderTag {
    /// Placing and changing orders.
    Orders,
}

/// Why an order is cancelled.
#[derive(Object)]
struct Cancellation {
    /// Shown in the order's history, to everybody. Required for an order that is being cooked.
    #[oai(validator(min_length = 1, max_length = 200))]
    reason: Option<String>,
}

/// An order that was moved on.
#[derive(Object, Serialize)]
struct MovedOrder {
    order_number: String,
    status: Status,
}

#[derive(ApiResponse)]
enum PlaceReply {
    /// The order is committed. The same answer is given again to a repetition under the same `Idempotency-Key`.
    #[oai(status = 201)]
    Created(
        JsonReply<PlacedOrder>,
        /// The order's address.
        #[oai(header = "Location")]
        String,
    ),
}

type PlaceFail = Fail<
    {
        may::BODY
            | may::FORBIDDEN
            | may::CONFLICT
            | may::UNPROCESSABLE
            | may::TOO_MANY_OPEN
            | may::UNAVAILABLE
    },
>;
type ReadFail = Fail<{ may::TOKEN | may::NOT_FOUND | may::UNAVAILABLE }>;
type MineFail = Fail<{ may::BAD_REQUEST | may::NOT_FOUND | may::TOO_MANY_REQUESTS | may::UNAVAILABLE }>;
type StaffFail = Fail<{ may::STAFF | may::NOT_FOUND | may::CONFLICT | may::UNAVAILABLE }>;
type CancelFail =
    Fail<{ may::STAFF | may::NOT_FOUND | may::CONFLICT | may::UNAVAILABLE | may::BODY | may::UNPROCESSABLE }>;

#[OpenApi(tag = "OrderTag::Orders")]
impl OrderApi {
    /// Place an order
    ///
    /// The answer is given once the order is committed.
    #[oai(path = "/orders", method = "post", operation_id = "placeOrder")]
    async fn place(
        &self,
        context: RequestContext,
        /// A repetition with the same key and body is answered like the first request and creates nothing; kept for
        /// 24 hours at least.
        #[oai(
            name = "Idempotency-Key",
            validator(min_length = 1, max_length = 255, pattern = "^[!-~]([ -~]*[!-~])?$")
        )]
        _documented: Header<Option<String>>,
        /// What is on the customer's table: the order is for that one, whose number may be left out then.
        #[oai(name = "X-Table-Token")]
        table_token: Header<Option<String>>,
        client: &RemoteAddr,
        headers: &HeaderMap,
        body: JsonRequest<OrderRequest>,
    ) -> Result<PlaceReply, PlaceFail> {
        let idempotency = idempotency(headers, &body.bytes)?;
        let table = table_token.0.map(|token| self.0.intake_board.table(&token)).transpose()?;
        let menu = self.0.menu.in_force().await?;
        let offer = menu.as_ref().map(|menu| menu.offer(&self.0.menu.now()));
        let order = match parse_order(&body.bytes, offer.as_ref(), table) {
            Ok(order) => order,
            Err(problem) => return self.refused(problem, idempotency.filter(|_| menu.is_some())).await,
        };
        if let Err(problem) = self.0.intake_board.admit(order.order_type()).await {
            return self.refused(problem, idempotency).await;
        }
        if self.0.outbox_full.get() {
            return Err(Problem::unavailable(
                OUTBOX_RETRY_AFTER,
                "too many orders wait to be announced, because the message broker is away",
            )
            .into());
        }
        let taken = self
            .0
            .intake
            .place(IntakeRequest {
                order,
                request_id: context.request_id.as_str().to_owned(),
                traceparent: context.trace_parent.map(|t| t.as_str().to_owned()),
                token: TrackingToken::from_bytes(random()?),
                source: self.0.intake_board.source(table, client),
                idempotency,
            })
            .await?;
        Ok(self.placed(&taken)?)
    }

    /// The order of a token
    #[oai(path = "/orders/mine", method = "get", operation_id = "getOwnOrder")]
    async fn own_order(&self, shown: OrderToken) -> Result<JsonReply<Order>, MineFail> {
        if !shown.is_shown() {
            return Err(Problem::invalid_parameter("X-Order-Token is required: an order's token").into());
        }
        let details = match shown.token() {
            Some(token) => self.0.store.order_of_token(token).await.map_err(Problem::from)?,
            None => None,
        };
        let unknown = || self.wrong_token(&shown, Problem::not_found("no order has this token"));
        let details = details.ok_or_else(unknown)?;
        Ok(JsonReply::new(&Order::of(details, Viewer::Customer))?)
    }

    /// An order
    ///
    /// Who knows only its number is shown its status, its times and its type.
    #[oai(path = "/orders/:order_number", method = "get", operation_id = "getOrder")]
    async fn order(
        &self,
        order_number: Path<String>,
        token: OptionalStaffToken,
        shown: OrderToken,
    ) -> Result<JsonReply<Order>, ReadFail> {
        let member = self.0.staff.viewer(&token).await?.filter(|member| member.may(Right::Lists));
        let number = order_number_in_path(&order_number)?;
        let details = self.0.store.order(&number).await.map_err(Problem::from)?;
        let details = details.ok_or_else(|| no_such_order(&number))?;
        if let Some(member) = &member {
            tracing::info!(
                action = "staff_read",
                order_number = %number,
                actor = member.name,
                "staff was shown who ordered and where to"
            );
        }
        let viewer = match member {
            Some(_) => Viewer::Staff,
            None if shown.is(details.token) => Viewer::Customer,
            None => Viewer::Stranger,
        };
        Ok(JsonReply::new(&Order::of(details, viewer))?)
    }

    /// Cancel an order
    ///
    /// For staff, while it is `received`; with a reason while it is `cooking` as well, and then its cook lets it go. For its customer,
    /// by its token, while it is `received`; a reason of theirs is not kept, since everybody may read it.
    #[oai(path = "/orders/:order_number/cancel", method = "post", operation_id = "cancelOrder")]
    async fn cancel(
        &self,
        context: RequestContext,
        order_number: Path<String>,
        token: StaffToken,
        shown: OrderToken,
        body: OptionalJsonRequest<Cancellation>,
    ) -> Result<JsonReply<MovedOrder>, CancelFail> {
        if shown.is_shown() && matches!(token.shown(), Shown::Nothing) {
            return Ok(self.cancelled_by_customer(&order_number, &shown).await?);
        }
        let member = self.0.staff.require_any(&token).await?;
        let reason = body.bytes()?.map_or(Ok(None), |bytes| parse_cancellation(&bytes))?;
        let act = act(&member, "cancel", &context);
        let mut change = change_by(Status::Cancelled, StaffAct { detail: reason.as_deref(), ..act })?;
        if reason.is_none() {
            change.from.retain(|from| *from != Status::Cooking);
        }
        let number = order_number_in_path(&order_number)?;
        let outcome = self.0.store.move_order(&number, &change).await.map_err(Problem::from)?;
        let needs_reason = reason.is_none() && member.may(Right::CancelCooking);
        if outcome == StaffOutcome::Conflict(Status::Cooking) && needs_reason {
            let detail = "is required to cancel an order that is being cooked";
            return Err(Problem::unprocessable(vec![FieldError::new("/reason", detail)]).into());
        }
        Ok(self.told(&number, Status::Cancelled, &outcome, &member)?)
    }

    /// Send an order out
    ///
    /// For staff, when a delivery is `ready`.
    #[oai(path = "/orders/:order_number/dispatch", method = "post", operation_id = "dispatchOrder")]
    async fn dispatch(
        &self,
        context: RequestContext,
        order_number: Path<String>,
        token: StaffToken,
    ) -> Result<JsonReply<MovedOrder>, StaffFail> {
        self.moved(&context, &order_number, ("dispatch", Status::OutForDelivery), &token).await
    }

    /// Hand an order to the customer
    ///
    /// For staff, when it is `ready` or `out_for_delivery`.
    #[oai(path = "/orders/:order_number/complete", method = "post", operation_id = "completeOrder")]
    async fn complete(
        &self,
        context: RequestContext,
        order_number: Path<String>,
        token: StaffToken,
    ) -> Result<JsonReply<MovedOrder>, StaffFail> {
        self.moved(&context, &order_number, ("complete", Status::Completed), &token).await
    }

    /// Have an order cooked again
    ///
    /// For staff, when it is `ready`, for as long after that as `kitchen.recall_minutes` says. It is `cooking` then, in a
    /// new attempt, which the next free worker begins.
    #[oai(path = "/orders/:order_number/recall", method = "post", operation_id = "recallOrder")]
    async fn recall(
        &self,
        context: RequestContext,
        order_number: Path<String>,
        token: StaffToken,
    ) -> Result<JsonReply<MovedOrder>, StaffFail> {
        let member = self.0.staff.require(&token, Right::Recall).await?;
        let number = order_number_in_path(&order_number)?;
        let act = act(&member, "recall", &context);
        let recalled = self.0.store.recall_order(&number, &act, self.0.recall_within).await;
        Ok(self.told(&number, Status::Cooking, &recalled.map_err(Problem::from)?, &member)?)
    }
}

impl OrderApi {
    pub(super) fn new(state: OrderState) -> Self {
        Self(Arc::new(state))
    }

    fn placed(&self, taken: &Taken) -> Result<PlaceReply, Problem> {
        let reply = JsonReply::new(&PlacedOrder::of(taken, &self.0.public_url))?;
        Ok(PlaceReply::Created(reply, format!("/orders/{}", taken.number)))
    }

    /// The answer to a token that is not right: this, or 429 where too many came from its address.
    fn wrong_token(&self, shown: &OrderToken, problem: Problem) -> Problem {
        match self.0.guesses.judge(Guess::OrderToken, shown.address(), false, None) {
            Verdict::Limited(wait) => Problem::too_many_requests(
                wait,
                "too many wrong tokens of orders came from this address; none from it is answered for now",
            ),
            Verdict::Right | Verdict::Wrong => problem,
        }
    }

    async fn cancelled_by_customer(
        &self,
        order_number: &str,
        shown: &OrderToken,
    ) -> Result<JsonReply<MovedOrder>, Problem> {
        let number = order_number_in_path(order_number)?;
        let details = self.0.store.order(&number).await?.ok_or_else(|| no_such_order(&number))?;
        if !shown.is(details.token) {
            return Err(self.wrong_token(shown, Problem::forbidden("the token is not this order's")));
        }
        match self.0.store.cancel_as_customer(&number).await? {
            StaffOutcome::Done { from } => self.moved_to(&number, (from, Status::Cancelled), "its customer"),
            StaffOutcome::Conflict(status) => Err(Problem::conflict(format!(
                "the order is {status}; its customer can cancel it only while it is received"
            ))),
            _ => Err(no_such_order(&number)),
        }
    }

    /// The answer to a change that was made.
    fn moved_to(
        &self,
        number: &OrderNumber,
        (from, to): (Status, Status),
        actor: &str,
    ) -> Result<JsonReply<MovedOrder>, Problem> {
        self.0.transitions.note(from, to);
        self.0.relay.wake();
        tracing::info!(
            action = "order_status_changed",
            order_number = %number,
            actor,
            details = %to,
            "an order was changed"
        );
        JsonReply::new(&MovedOrder { order_number: number.as_str().to_owned(), status: to })
    }

    /// Refuses an order, unless it is the repetition of one that is taken.
    async fn refused(&self, problem: Problem, key: Option<IdempotencyKey>) -> Result<PlaceReply, PlaceFail> {
        if let Some(key) = key {
            if let Some(taken) = self.0.intake.in_progress(&key).await? {
                return Ok(self.placed(&taken)?);
            }
            if let Some(Placed::Before(number, total_amount, token)) =
                self.0.store.placed_under(&key).await.map_err(Problem::from)?
            {
                return Ok(self.placed(&Taken { number, total_amount, token })?);
            }
        }
        if self.0.refusals.allows() {
            tracing::info!(
                action = "validation_failed",
                details = faults_of(&problem),
                "an order was refused"
            );
        }
        Err(problem.into())
    }

    /// Has staff move an order on.
    async fn moved(
        &self,
        context: &RequestContext,
        order_number: &str,
        (action, to): (&str, Status),
        token: &StaffToken,
    ) -> Result<JsonReply<MovedOrder>, StaffFail> {
        let member = self.0.staff.require_any(token).await?;
        let change = change_by(to, act(&member, action, context))?;
        let number = order_number_in_path(order_number)?;
        let outcome = self.0.store.move_order(&number, &change).await.map_err(Problem::from)?;
        Ok(self.told(&number, to, &outcome, &member)?)
    }

    /// What staff is told of a change.
    fn told(
        &self,
        number: &OrderNumber,
        to: Status,
        outcome: &StaffOutcome,
        member: &StaffMember,
    ) -> Result<JsonReply<MovedOrder>, Problem> {
        let conflict = match outcome {
            StaffOutcome::Done { from } => return self.moved_to(number, (*from, to), &member.name),
            StaffOutcome::NotFound => return Err(no_such_order(number)),
            StaffOutcome::Conflict(status)
                if to.ways_in().any(|from| from == *status) && !member.may(Right::to_move(*status, to)) =>
            {
                return Err(lacks(member, Right::to_move(*status, to)));
            }
            StaffOutcome::Conflict(status) if to == Status::Cooking => {
                format!("the order is {status}; only one that is ready can be recalled")
            }
            StaffOutcome::Conflict(status) => {
                let needed: Vec<&str> = to.ways_in().map(Status::as_str).collect();
                let needed = needed.join(" or ");
                format!("the order is {status}; only one that is {needed} can become {to}")
            }
            StaffOutcome::OtherType(order_type) => {
                format!("an order that is {order_type} cannot become {to}")
            }
            StaffOutcome::TooLate => {
                let minutes = self.0.recall_within.as_secs() / 60;
                format!(
                    "an order can be recalled for {minutes} minutes after it was ready, and they are over"
                )
            }
        };
        Err(Problem::conflict(conflict))
    }
}

fn act<'a>(by: &'a StaffMember, action: &'a str, context: &'a RequestContext) -> StaffAct<'a> {
    StaffAct { by, action, detail: None, request_id: context.request_id.as_str() }
}

/// A change, from the statuses from which this person may make it.
fn change_by(to: Status, act: StaffAct<'_>) -> Result<StaffChange<'_>, Problem> {
    let mut change = StaffChange::new(to, act);
    let needed = change.from.first().map(|from| Right::to_move(*from, to));
    change.from.retain(|from| act.by.may(Right::to_move(*from, to)));
    match needed {
        Some(right) if change.from.is_empty() => Err(lacks(act.by, right)),
        _ => Ok(change),
    }
}

/// Where it was wrong, not what was written there: that may be a name or an address. Only known fields are named: the
/// name of an unknown one is the client's own text as well.
fn faults_of(problem: &Problem) -> String {
    let status = problem.status().as_u16();
    match problem.kind() {
        Kind::ValidationFailed => {
            let pointers: Vec<&str> = problem.field_errors().iter().map(|e| e.pointer.as_str()).collect();
            let (named, more) = pointers.split_at(pointers.len().min(MAX_LOGGED_POINTERS));
            let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
            format!("{status} {}{more}", named.join(" "))
        }
        kind => format!("{status} {}", kind.slug()),
    }
}
