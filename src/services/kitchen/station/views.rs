//! What a station shows. No name and no address of a customer is among it.

use std::time::Duration;

use http_kit::schemas::UtcTime;
use jiff::{SignedDuration, Timestamp};
use poem_openapi::Object;
use serde::Serialize;

use crate::domain::{OrderType, Status};
use crate::services::kitchen::StationTimes;
use crate::store::{StationItem, StationTicket};

/// A station's tickets.
#[derive(Object, Serialize)]
#[oai(rename = "StationTickets")]
pub(super) struct TicketsView {
    pub(super) station: String,
    /// Another text whenever anything but `now` is different.
    pub(super) revision: String,
    pub(super) now: UtcTime,
    /// How long a bump may be taken back before the order is ready.
    pub(super) bump_undo_seconds: f64,
    /// How long after it was ready an order may be recalled.
    pub(super) recall_minutes: u64,
    pub(super) late: LateView,
    /// Orders of the station's types that nobody has taken yet; 999 stands for more as well.
    pub(super) waiting: i64,
    /// What is being cooked here, and what was cancelled and nobody has acknowledged: the promoted first, then by priority, then as
    /// they were placed.
    pub(super) tickets: Vec<TicketView>,
    /// What the station made ready and may recall, the latest first: 20 at most.
    pub(super) ready: Vec<TicketView>,
}

/// From which share of its target time on an order is called what.
#[derive(Object, Serialize)]
#[oai(rename = "StationLate")]
pub(super) struct LateView {
    /// To be hurried.
    pub(super) warn: f64,
    /// Late.
    pub(super) late: f64,
}

/// An order at a station.
#[derive(Object, Serialize)]
#[oai(rename = "StationTicket")]
pub(super) struct TicketView {
    order_number: String,
    /// To be sent with each change.
    attempt: i32,
    status: Status,
    order_type: OrderType,
    /// For `dine_in`.
    #[oai(nullable)]
    table_number: Option<u8>,
    /// 10, 5 or 1.
    priority: u8,
    /// It had waited for so long that it goes before others of any priority.
    promoted: bool,
    placed_at: UtcTime,
    /// When it is to be ready.
    target_at: UtcTime,
    /// From when on it is to be hurried.
    warn_at: UtcTime,
    /// From when on it is late.
    late_at: UtcTime,
    #[oai(nullable)]
    started_at: Option<UtcTime>,
    #[oai(nullable)]
    started_by: Option<String>,
    /// When somebody said that it is done.
    #[oai(nullable)]
    bumped_at: Option<UtcTime>,
    #[oai(nullable)]
    bumped_by: Option<String>,
    /// When it was ready, or will be unless the bump is taken back.
    #[oai(nullable)]
    ready_at: Option<UtcTime>,
    /// It was ready before, and is cooked again.
    recalled: bool,
    /// Somebody has seen that it was cancelled.
    acknowledged: bool,
    #[oai(nullable)]
    notes: Option<String>,
    items: Vec<ItemView>,
}

/// An entry of an order at a station.
#[derive(Object, Serialize)]
#[oai(rename = "StationItem")]
pub(super) struct ItemView {
    /// Its place, from 0.
    item: usize,
    name: String,
    quantity: u8,
    options: Vec<String>,
    #[oai(nullable)]
    notes: Option<String>,
    allergens: Vec<String>,
    done: bool,
    #[oai(nullable)]
    done_by: Option<String>,
}

impl TicketView {
    pub(super) fn new(ticket: StationTicket, times: &StationTimes, promote_after: Duration) -> Self {
        let StationTicket { status, order_type, placed_at, recalled_attempt, attempt, .. } = ticket;
        let target = times.target.of(order_type);
        let at = |wait: Duration| UtcTime(after(placed_at, wait));
        let bumped_until = ticket.bumped.as_ref().map(|(bumped_at, _)| after(*bumped_at, times.bump_undo));
        let ready_at = ticket.ready_at.or(bumped_until.filter(|_| status == Status::Cooking));
        let (started_at, started_by) = ticket.started.map(|(at, by)| (UtcTime(at), by)).unzip();
        let (bumped_at, bumped_by) = ticket.bumped.map(|(at, by)| (UtcTime(at), by)).unzip();
        Self {
            order_number: ticket.number.as_str().to_owned(),
            attempt,
            status,
            order_type,
            table_number: ticket.table_number,
            priority: ticket.priority.value(),
            promoted: ticket.taken_at >= after(placed_at, promote_after),
            placed_at: UtcTime(placed_at),
            target_at: at(target),
            warn_at: at(target.mul_f64(times.warn)),
            late_at: at(target.mul_f64(times.late)),
            started_at,
            started_by,
            bumped_at,
            bumped_by,
            ready_at: ready_at.map(UtcTime),
            recalled: recalled_attempt.is_some_and(|recalled| recalled < attempt),
            acknowledged: ticket.is_acknowledged,
            notes: ticket.notes,
            items: ticket.items.into_iter().enumerate().map(ItemView::from).collect(),
        }
    }
}

impl From<(usize, StationItem)> for ItemView {
    fn from((item, found): (usize, StationItem)) -> Self {
        let StationItem { name, quantity, options, notes, allergens, done_by } = found;
        let done = done_by.is_some();
        Self { item, name, quantity, options, notes, allergens, done, done_by }
    }
}

/// So long after a time; the end of time where that is later.
fn after(time: Timestamp, wait: Duration) -> Timestamp {
    SignedDuration::try_from(wait).ok().and_then(|wait| time.checked_add(wait).ok()).unwrap_or(Timestamp::MAX)
}
