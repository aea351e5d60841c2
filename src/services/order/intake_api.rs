//! The order service's API for the intake (contract, section 12).

use std::sync::Arc;
use std::time::Duration;

use daemon::metrics::Metrics;
use http_kit::body::{JsonRequest, OptionalJsonRequest};
use http_kit::etag::Conditional;
use http_kit::members::{Members, elements};
use http_kit::reply::JsonReply;
use http_kit::request_id::RequestContext;
use http_kit::schemas::UtcTime;
use http_kit::{Fail, FieldError, Problem, may};
use poem_openapi::param::Header;
use poem_openapi::{Enum, Object, OpenApi, Tags};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::intake_board::{IntakeBoard, Stop, whole_minutes};
use super::metrics::IntakeGauge;
use super::reading::{given, integer};
use crate::domain::{Input, Opening, OrderType, Right};
use crate::http::auth::StaffToken;
use crate::services::staff::StaffAuth;
use crate::store::{StaffAct, Store};

/// A day at most: a pause ends by itself before the next one.
const PAUSE_MINUTES_MAX: i64 = 1440;
/// Scrapers come every few seconds at most.
const MEASURED_EVERY: Duration = Duration::from_secs(5);
const PAUSE_FIELDS: [&str; 2] = ["minutes", "order_types"];

/// Its handlers.
#[derive(Clone)]
pub struct IntakeApi(Arc<State>);

struct State {
    store: Store,
    board: IntakeBoard,
    staff: StaffAuth,
}

#[derive(Tags)]
enum IntakeTag {
    /// Whether orders are taken.
    Intake,
}

/// Whether orders are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum, Serialize)]
#[oai(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
enum IntakeState {
    Open,
    /// An order takes long.
    Busy,
    /// No order of any type is taken.
    Paused,
    Closed,
}

impl IntakeState {
    const NAMES: &[&str] = &["open", "busy", "paused", "closed"];

    /// One of [`Self::NAMES`], as on the wire.
    fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Busy => "busy",
            Self::Paused => "paused",
            Self::Closed => "closed",
        }
    }
}

/// Whether orders are taken, and how long one takes.
#[derive(Object, Serialize)]
struct Intake {
    state: IntakeState,
    /// When that is over by itself, where it is known: when it closes, opens, or a pause of the staff ends.
    #[oai(nullable)]
    until: Option<UtcTime>,
    /// When it opens, where it is closed.
    #[oai(nullable)]
    opens_at: Option<UtcTime>,
    /// No orders of these types are taken; all of them where it is paused.
    order_types_paused: Vec<OrderType>,
    estimate_minutes: Estimates,
}

/// How long an order takes that comes now, in minutes; `null` while nobody cooks that type.
#[derive(Object, Serialize)]
#[oai(rename = "IntakeEstimates")]
struct Estimates {
    #[oai(nullable)]
    dine_in: Option<u64>,
    #[oai(nullable)]
    takeout: Option<u64>,
    #[oai(nullable)]
    delivery: Option<u64>,
}

/// A table of the restaurant.
#[derive(Object, Serialize)]
struct Table {
    #[oai(validator(minimum(value = "1"), maximum(value = "100")))]
    table_number: u8,
}

/// For how long no orders are taken.
#[derive(Object)]
struct Pause {
    #[oai(validator(minimum(value = "1"), maximum(value = "1440")))]
    minutes: u16,
    /// Of these types alone.
    #[oai(validator(min_items = 1, max_items = 3))]
    order_types: Option<Vec<OrderType>>,
}

/// Nothing has to be said.
#[derive(Object)]
struct Resumption {}

type IntakeFail = Fail<{ may::UNAVAILABLE }>;
type TableFail = Fail<{ may::BAD_REQUEST | may::NOT_FOUND }>;
type PauseFail = Fail<{ may::BODY | may::STAFF | may::UNPROCESSABLE | may::UNAVAILABLE }>;
type ResumeFail = Fail<{ may::BODY | may::STAFF | may::UNAVAILABLE }>;

#[OpenApi(tag = "IntakeTag::Intake")]
impl IntakeApi {
    /// Whether orders are taken, and how long one takes
    #[oai(path = "/intake", method = "get", operation_id = "intake")]
    async fn intake(
        &self,
        /// Answered with 304 where it names the present answer.
        #[oai(name = "If-None-Match")]
        if_none_match: Header<Option<String>>,
    ) -> Result<Conditional<Intake>, IntakeFail> {
        Ok(Conditional::new(JsonReply::new(&self.seen().await?)?, if_none_match.0.as_deref()))
    }

    /// The table of a token
    #[oai(path = "/tables/mine", method = "get", operation_id = "getOwnTable")]
    async fn own_table(
        &self,
        /// What is on the table.
        #[oai(name = "X-Table-Token")]
        token: Header<String>,
    ) -> Result<JsonReply<Table>, TableFail> {
        let unknown = |_| Problem::not_found("no table has this token");
        let table_number = self.0.board.table(&token).map_err(unknown)?;
        Ok(JsonReply::new(&Table { table_number })?)
    }

    /// Take no orders for a while
    ///
    /// For managers. It ends by itself; orders that were taken go on.
    #[oai(path = "/intake/pause", method = "post", operation_id = "pauseIntake")]
    async fn pause(
        &self,
        context: RequestContext,
        token: StaffToken,
        body: JsonRequest<Pause>,
    ) -> Result<JsonReply<Intake>, PauseFail> {
        let member = self.0.staff.require(&token, Right::Pause).await?;
        let (minutes, order_types) = parse_pause(&body.bytes)?;
        let named: Vec<&str> = order_types.iter().map(|order_type| order_type.as_str()).collect();
        let detail = format!("{} for {minutes} min", named.join(", "));
        let act = StaffAct {
            by: &member,
            action: "pause",
            detail: Some(&detail),
            request_id: context.request_id.as_str(),
        };
        let time = Duration::from_mins(minutes);
        self.0.store.pause_intake(&order_types, time, &act).await.map_err(Problem::from)?;
        tracing::info!(
            action = "intake_paused",
            actor = member.name,
            details = detail,
            "staff paused the intake"
        );
        self.told().await
    }

    /// Take orders again
    ///
    /// For managers: ends every pause of the staff.
    #[oai(path = "/intake/resume", method = "post", operation_id = "resumeIntake")]
    async fn resume(
        &self,
        context: RequestContext,
        token: StaffToken,
        body: OptionalJsonRequest<Resumption>,
    ) -> Result<JsonReply<Intake>, ResumeFail> {
        let member = self.0.staff.require(&token, Right::Pause).await?;
        if let Some(bytes) = body.bytes()? {
            let unknown = Members::read(&bytes)?.unknown("", &[]);
            if !unknown.is_empty() {
                return Err(Problem::unknown_fields(unknown).into());
            }
        }
        let request_id = context.request_id.as_str();
        let act = StaffAct { by: &member, action: "resume", detail: None, request_id };
        self.0.store.resume_intake(&act).await.map_err(Problem::from)?;
        tracing::info!(action = "intake_resumed", actor = member.name, "staff resumed the intake");
        self.told().await
    }
}

impl IntakeApi {
    pub(super) fn new(store: Store, board: IntakeBoard, staff: StaffAuth) -> Self {
        Self(Arc::new(State { store, board, staff }))
    }

    /// Has the present state measured, from now on.
    pub(super) async fn measure(self, metrics: Metrics, stop: CancellationToken) {
        let gauge = IntakeGauge::register(&metrics, IntakeState::NAMES);
        loop {
            gauge.show(self.seen().await.ok().map(|intake| intake.state.as_str()));
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(MEASURED_EVERY) => {}
            }
        }
    }

    /// What there is after a change.
    async fn told<const MAY: u32>(&self) -> Result<JsonReply<Intake>, Fail<MAY>> {
        // It is done; where this fails the next look sees it.
        let _ = self.0.board.look().await;
        Ok(JsonReply::new(&self.seen().await?)?)
    }

    async fn seen(&self) -> Result<Intake, Problem> {
        let board = &self.0.board;
        let (mut stops, mut estimates) = (Vec::new(), Vec::new());
        for order_type in OrderType::ALL {
            stops.extend(board.stop_of(order_type).await?.map(|stop| (order_type, stop)));
            estimates.push(board.estimate(order_type).await?);
        }
        let is_busy = estimates.iter().flatten().any(|estimate| board.is_busy(*estimate));
        let resumes_at = stops.iter().filter_map(|(_, stop)| match stop {
            Stop::Staff(until) => Some(*until),
            Stop::Overload(_) => None,
        });
        let (state, until) = match board.opening() {
            Opening::Closed { opens_at } => (IntakeState::Closed, opens_at),
            Opening::Open { .. } if stops.len() == OrderType::ALL.len() => {
                (IntakeState::Paused, resumes_at.min())
            }
            Opening::Open { until } if is_busy => (IntakeState::Busy, until),
            Opening::Open { until } => (IntakeState::Open, until),
        };
        let until = until.map(UtcTime);
        let minutes = |n: usize| estimates.get(n).copied().flatten().map(whole_minutes);
        Ok(Intake {
            state,
            until,
            opens_at: until.filter(|_| matches!(state, IntakeState::Closed)),
            order_types_paused: stops.into_iter().map(|(order_type, _)| order_type).collect(),
            estimate_minutes: Estimates { dine_in: minutes(0), takeout: minutes(1), delivery: minutes(2) },
        })
    }
}

/// Reads for how long which types are paused.
fn parse_pause(body: &[u8]) -> Result<(u64, Vec<OrderType>), Problem> {
    let members = Members::read(body)?;
    let unknown = members.unknown("", &PAUSE_FIELDS);
    if !unknown.is_empty() {
        return Err(Problem::unknown_fields(unknown));
    }
    let mut errors = Vec::new();
    let minutes = match integer(members.get("minutes")) {
        Input::Given(minutes) if (1..=PAUSE_MINUTES_MAX).contains(&minutes) => minutes.unsigned_abs(),
        Input::Missing => {
            errors.push(FieldError::new("/minutes", "is required"));
            0
        }
        Input::Given(_) | Input::Invalid(_) => {
            let detail = format!("must be a whole number from 1 to {PAUSE_MINUTES_MAX}");
            errors.push(FieldError::new("/minutes", detail));
            0
        }
    };
    let order_types = match given(members.get("order_types")) {
        None => OrderType::ALL.to_vec(),
        Some(value) => {
            let named = elements(value).unwrap_or_default();
            let known = named.iter().map(|name| serde_json::from_str(name.get()).ok());
            known.collect::<Option<Vec<OrderType>>>().filter(|types| !types.is_empty()).unwrap_or_else(|| {
                let names = OrderType::ALL.map(OrderType::as_str).join(", ");
                errors.push(FieldError::new("/order_types", format!("must be a list of {names}")));
                Vec::new()
            })
        }
    };
    if !errors.is_empty() {
        return Err(Problem::unprocessable(errors));
    }
    let order_types = OrderType::ALL.into_iter().filter(|of| order_types.contains(of)).collect();
    Ok((minutes, order_types))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> Result<(u64, Vec<OrderType>), Vec<String>> {
        parse_pause(body.as_bytes()).map_err(|problem| {
            problem.field_errors().iter().map(|error| error.pointer.clone()).collect::<Vec<_>>()
        })
    }

    #[test]
    fn a_pause_is_of_all_types_or_of_those_that_it_names() {
        assert_eq!(parse(r#"{"minutes": 20}"#), Ok((20, OrderType::ALL.to_vec())));
        let named = r#"{"minutes": 1440, "order_types": ["delivery", "dine_in", "delivery"]}"#;
        assert_eq!(parse(named), Ok((1440, vec![OrderType::DineIn, OrderType::Delivery])));
    }

    #[test]
    fn every_fault_of_a_pause_is_told() {
        for (body, pointers) in [
            ("{}", vec!["/minutes"]),
            (r#"{"minutes": 0, "order_types": []}"#, vec!["/minutes", "/order_types"]),
            (r#"{"minutes": 1441, "order_types": "delivery"}"#, vec!["/minutes", "/order_types"]),
            (r#"{"minutes": "5", "order_types": ["drone"]}"#, vec!["/minutes", "/order_types"]),
            (r#"{"minutes": 5, "why": "no dough"}"#, vec!["/why"]),
        ] {
            assert_eq!(parse(body), Err(pointers.into_iter().map(str::to_owned).collect()), "{body}");
        }
    }
}
