//! The tracking API (contract, section 4).

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use http_kit::docs::ApiInfo;
use http_kit::etag::Conditional;
use http_kit::reply::JsonReply;
use http_kit::schemas::UtcTime;
use http_kit::sse::{EventStreams, Sse, SseReply};
use http_kit::{Fail, Problem, may};
use jiff::Timestamp;
use poem::http::HeaderMap;
use poem::web::RemoteAddr;
use poem_openapi::param::{Header, Path, Query};
use poem_openapi::{OpenApi, Tags};

use super::board::Room;
use super::cursors::{LastEventId, StreamStart};
use super::event_hub::EventHub;
use super::lists::Lists;
use super::rendered_event::RenderedEvent;
use super::statuses::Statuses;
use super::stream::{Begin, Openings, all_events, order_events, rest_of};
use super::views::{BoardView, HistoryView, OrderPage, OrderView, StatusView, WorkerView};
use crate::domain::{OrderType, Status};
use crate::http::PROBLEM_TYPES;
use crate::http::auth::StaffToken;
use crate::services::load::{Ahead, KitchenPictures};
use crate::services::lookup::{no_such_order, order_number_in_path};
use crate::services::paging::{PAGE_DEFAULT, PAGE_MAX, PageCursor};
use crate::services::servers::shared_failure;
use crate::store::{OrderFilter, OrderStatus, Store};

/// An estimate of a waiting order is rounded up to this, so that it (and its `ETag`) does not change with each look.
const ESTIMATE_STEP_SECONDS: i64 = 5;

/// What the document says about the service.
pub fn info() -> ApiInfo {
    ApiInfo {
        title: "Tracking service".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        description:
            "Where an order is, what happened to it, and how the workers are. Read only. No name and no \
                      address of a customer is served here."
                .to_owned(),
        license: "MIT".to_owned(),
        problem_types: PROBLEM_TYPES,
    }
}

#[derive(Clone)]
pub struct TrackingApi(Arc<TrackingState>);

struct TrackingState {
    store: Store,
    statuses: Statuses,
    pictures: KitchenPictures,
    live: Live,
    lists: Lists,
}

/// What the event streams come from.
pub(super) struct Live {
    pub(super) hub: EventHub,
    pub(super) openings: Openings,
    pub(super) room: Room,
    pub(super) streams: EventStreams,
}

#[derive(Tags)]
enum TrackingTag {
    /// Following orders.
    Tracking,
    /// Those who cook.
    Workers,
    /// What the room sees.
    Board,
}

type OneFail = Fail<{ may::NOT_FOUND | may::UNAVAILABLE }>;
type ListFail = Fail<{ may::BAD_REQUEST | may::STAFF | may::UNAVAILABLE }>;
type AllFail = Fail<{ may::UNAVAILABLE }>;
type StreamFail = Fail<{ may::BAD_REQUEST | may::NOT_FOUND | may::UNAVAILABLE }>;

#[OpenApi]
impl TrackingApi {
    /// Where an order is
    #[oai(
        path = "/orders/:order_number/status",
        method = "get",
        operation_id = "orderStatus",
        tag = "TrackingTag::Tracking"
    )]
    async fn status(
        &self,
        order_number: Path<String>,
        /// Answered with 304 where it names the present answer.
        #[oai(name = "If-None-Match")]
        if_none_match: Header<Option<String>>,
    ) -> Result<Conditional<StatusView>, OneFail> {
        let number = order_number_in_path(&order_number)?;
        let order = self.0.statuses.of(&number).await?;
        let (estimated_completion, orders_ahead) = self.estimate(&order).await?;
        let view = StatusView {
            order_number: order.number.as_str().to_owned(),
            current_status: order.status,
            updated_at: UtcTime(order.updated_at),
            estimated_completion: estimated_completion.map(UtcTime),
            orders_ahead: orders_ahead.filter(|_| order.status == Status::Received),
            processed_by: order.processed_by,
        };
        Ok(Conditional::new(JsonReply::new(&view)?, if_none_match.0.as_deref()))
    }

    /// What happened to an order, oldest first
    #[oai(
        path = "/orders/:order_number/history",
        method = "get",
        operation_id = "orderHistory",
        tag = "TrackingTag::Tracking"
    )]
    async fn history(&self, order_number: Path<String>) -> Result<JsonReply<Vec<HistoryView>>, OneFail> {
        let number = order_number_in_path(&order_number)?;
        let history = self.0.store.order_history(&number).await.map_err(Problem::from)?;
        let history = history.ok_or_else(|| no_such_order(&number))?;
        Ok(JsonReply::new(&history.into_iter().map(HistoryView::from).collect())?)
    }

    /// All workers that were ever there, by name
    #[oai(
        path = "/workers/status",
        method = "get",
        operation_id = "workersStatus",
        tag = "TrackingTag::Workers"
    )]
    async fn workers(&self) -> Result<JsonReply<Vec<WorkerView>>, AllFail> {
        let workers = self.0.store.workers().await.map_err(Problem::from)?;
        Ok(JsonReply::new(&workers.into_iter().map(WorkerView::from).collect())?)
    }

    /// Orders, newest first
    ///
    /// For staff, or for everybody where the configuration has `tracking.public_lists: true`.
    #[oai(path = "/orders", method = "get", operation_id = "listOrders", tag = "TrackingTag::Tracking")]
    async fn orders(
        &self,
        token: StaffToken,
        /// Only in this status; repeated: in any of them.
        status: Query<Option<Vec<Status>>>,
        /// Only of this type; repeated: of any of them.
        order_type: Query<Option<Vec<OrderType>>>,
        /// How many.
        #[oai(validator(minimum(value = "1"), maximum(value = "200")))]
        limit: Query<Option<u16>>,
        /// The `next_cursor` of the page before.
        cursor: Query<Option<PageCursor>>,
    ) -> Result<JsonReply<OrderPage>, ListFail> {
        self.0.lists.admit(&token).await?;
        let limit = limit.0.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX);
        let filter = OrderFilter {
            statuses: status.0.unwrap_or_default(),
            order_types: order_type.0.unwrap_or_default(),
            before_id: cursor.0.map(|cursor| cursor.0),
        };
        let turn = self.0.lists.turn().await?;
        let page = self.0.store.orders(&filter, limit).await.map_err(Problem::from)?;
        drop(turn);
        let next_cursor = page.next_before_id.map(|id| id.to_string());
        let orders = page.orders.into_iter().map(OrderView::from).collect();
        Ok(JsonReply::new(&OrderPage { orders, next_cursor })?)
    }

    /// An order's life as Server-Sent Events
    ///
    /// The history so far, then each change as it happens; ends after a final status. `event: status`, `data:` a
    /// status update (`old_status` is `null` for the first).
    ///
    /// `event: reset` says that the database does not know the event after which the stream was to go on (a standby
    /// was promoted, or a backup restored), and why: what was told is void, and the history begins anew.
    #[oai(
        path = "/orders/:order_number/events",
        method = "get",
        operation_id = "orderEvents",
        tag = "TrackingTag::Tracking"
    )]
    async fn order_events(
        &self,
        client: &RemoteAddr,
        headers: &HeaderMap,
        order_number: Path<String>,
        /// Go on after this event.
        #[oai(name = "Last-Event-ID")]
        last_event_id: Header<Option<LastEventId>>,
        /// The same for a client that cannot send the header, which wins.
        #[oai(name = "last_event_id")]
        last_event_id_query: Query<Option<LastEventId>>,
    ) -> Result<SseReply, StreamFail> {
        let number = order_number_in_path(&order_number)?;
        let cursor = LastEventId::of(headers, last_event_id.0, last_event_id_query.0)?;
        let order = self.0.statuses.of(&number).await?;
        if order.status.is_final() && cursor.is_some() {
            let (told, _) =
                self.0.store.events_of_orders(std::slice::from_ref(&number)).await.map_err(Problem::from)?;
            let told: Vec<_> = told.iter().map(RenderedEvent::new).collect();
            if rest_of(&told, cursor).is_ok_and(<[RenderedEvent]>::is_empty) {
                return Ok(SseReply::Over);
            }
        }
        let Live { hub, streams, .. } = &self.0.live;
        Ok(SseReply::Stream(streams.open(client, order_events(hub.follow_order(number), cursor))?))
    }

    /// Which orders are being made, and which can be fetched
    #[oai(path = "/board", method = "get", operation_id = "board", tag = "TrackingTag::Board")]
    async fn board(&self) -> Result<JsonReply<BoardView>, AllFail> {
        Ok(JsonReply::new(&self.0.live.room.view().await?)?)
    }

    /// The board as Server-Sent Events
    ///
    /// `event: board`, `data:` what `GET /board` answers: first as it is, then whole with each change.
    #[oai(path = "/board/events", method = "get", operation_id = "boardEvents", tag = "TrackingTag::Board")]
    async fn board_events(&self, client: &RemoteAddr) -> Result<Sse, AllFail> {
        let Live { room, streams, .. } = &self.0.live;
        Ok(streams.open(client, room.stream())?)
    }

    /// Every order's life as Server-Sent Events
    ///
    /// For staff, or for everybody where the configuration has `tracking.public_lists: true`.
    ///
    /// The open orders as they are, one event each, then each change of any order as it happens; `from=start` begins
    /// with the first change of all. It ends only with the session in which it was opened. Where more than 100,000 orders are
    /// open, it begins with those that changed last.
    ///
    /// `event: reset` says that the database does not know the event after which the stream was to go on (a standby
    /// was promoted, or a backup restored), and why: what was told is void, and the stream begins anew.
    #[oai(path = "/events", method = "get", operation_id = "events", tag = "TrackingTag::Tracking")]
    async fn all_events(
        &self,
        token: StaffToken,
        client: &RemoteAddr,
        headers: &HeaderMap,
        /// Go on after this event.
        #[oai(name = "Last-Event-ID")]
        last_event_id: Header<Option<LastEventId>>,
        /// The same for a client that cannot send the header, which wins.
        #[oai(name = "last_event_id")]
        last_event_id_query: Query<Option<LastEventId>>,
        /// Where to begin without one: `start` for the first change of all, else with the open orders.
        from: Query<Option<StreamStart>>,
    ) -> Result<SseReply, ListFail> {
        self.0.lists.admit(&token).await?;
        let cursor = LastEventId::of(headers, last_event_id.0, last_event_id_query.0)?;
        let begin = from.0.map_or(Begin::Open, |StreamStart::Start| Begin::Start);
        let Live { hub, openings, streams, .. } = &self.0.live;
        let events = all_events(hub.clone(), openings.clone(), begin, cursor);
        let events = events.take_until(Box::pin(self.0.lists.end(&token)));
        Ok(SseReply::Stream(streams.open(client, events)?))
    }
}

impl TrackingApi {
    pub(super) fn new(
        store: Store,
        statuses: Statuses,
        pictures: KitchenPictures,
        live: Live,
        lists: Lists,
    ) -> Self {
        Self(Arc::new(TrackingState { store, statuses, pictures, live, lists }))
    }

    /// When the order will be ready: what its holder said, or, while it waits, by the queue ahead and the workers online; then
    /// also how many orders go before it.
    async fn estimate(&self, order: &OrderStatus) -> Result<(Option<Timestamp>, Option<u64>), Problem> {
        if order.status.is_settled() || order.is_abandoned {
            return Ok((None, None));
        }
        // Whoever has it in hand said so; one that is late still cooks.
        if order.estimated_completion.is_some() {
            return Ok((order.estimated_completion, None));
        }
        let Ahead { orders, wait, now } = self.0.pictures.ahead_of(order).await.map_err(shared_failure)?;
        Ok((wait.and_then(|wait| rounded_up(now, wait)), Some(orders)))
    }
}

/// `now + wait`, rounded up to the step.
fn rounded_up(now: Timestamp, wait: Duration) -> Option<Timestamp> {
    let seconds = now.as_second().checked_add(i64::try_from(wait.as_secs()).ok()?)? + 1;
    let steps = seconds.div_euclid(ESTIMATE_STEP_SECONDS) + 1;
    Timestamp::from_second(steps.checked_mul(ESTIMATE_STEP_SECONDS)?).ok()
}
