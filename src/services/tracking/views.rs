//! What the tracking API shows. No name and no address of a customer is among it.

use http_kit::schemas::UtcTime;
use poem_openapi::Object;
use serde::Serialize;

use crate::domain::{Money, OrderType, Status, WorkerState};
use crate::store::{BoardEntry, HistoryEntry, OrderSummary, RoomBoard, WorkerRecord};

/// Where an order is.
#[derive(Object, Serialize)]
pub(super) struct StatusView {
    pub(super) order_number: String,
    pub(super) current_status: Status,
    pub(super) updated_at: UtcTime,
    /// When it will be ready; `null` once it is, while nobody who can cook it is online, and where its cook was lost
    /// before it was done, until another takes it over.
    #[oai(nullable)]
    pub(super) estimated_completion: Option<UtcTime>,
    /// How many orders are cooked before it, as it looks now; counted up to 10,000, and `null` once it cooks.
    #[oai(nullable)]
    pub(super) orders_ahead: Option<u64>,
    /// Who cooks or cooked it.
    #[oai(nullable)]
    pub(super) processed_by: Option<String>,
}

/// A step of an order's life.
#[derive(Object, Serialize)]
pub(super) struct HistoryView {
    status: Status,
    timestamp: UtcTime,
    changed_by: String,
    /// What there is to remark.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    notes: Option<String>,
}

/// What the room may see: numbers, and nothing of people or dishes. Deliveries are not among them, nor what was placed more than
/// six hours ago.
#[derive(Object, Serialize)]
pub(super) struct BoardView {
    /// What waits for a cook and what cooks, the oldest first.
    making: Vec<BoardOrderView>,
    /// What can be fetched, what was ready last first; for 20 minutes.
    ready: Vec<BoardOrderView>,
}

#[derive(Object, Serialize)]
#[oai(rename = "BoardOrder")]
struct BoardOrderView {
    order_number: String,
    /// When it was placed, or ready.
    since: UtcTime,
}

/// A worker.
#[derive(Object, Serialize)]
pub(super) struct WorkerView {
    worker_name: String,
    /// `offline` once it was not seen for two heartbeat intervals.
    status: WorkerState,
    orders_processed: i32,
    last_seen: UtcTime,
    /// What it cooks.
    order_types: Vec<OrderType>,
}

/// An order in a list.
#[derive(Object, Serialize)]
pub(super) struct OrderView {
    order_number: String,
    order_type: OrderType,
    current_status: Status,
    /// Σ quantity × price.
    total_amount: Money,
    /// 10, 5 or 1.
    priority: u8,
    #[oai(nullable)]
    processed_by: Option<String>,
    created_at: UtcTime,
    updated_at: UtcTime,
    /// When it was ready.
    #[oai(nullable)]
    completed_at: Option<UtcTime>,
}

/// A page of orders, newest first.
#[derive(Object, Serialize)]
pub(super) struct OrderPage {
    pub(super) orders: Vec<OrderView>,
    /// Ask for the next page with it; `null` on the last.
    #[oai(nullable)]
    pub(super) next_cursor: Option<String>,
}

impl From<HistoryEntry> for HistoryView {
    fn from(entry: HistoryEntry) -> Self {
        Self {
            status: entry.status,
            timestamp: UtcTime(entry.changed_at),
            changed_by: entry.changed_by,
            notes: entry.notes,
        }
    }
}

impl From<WorkerRecord> for WorkerView {
    fn from(worker: WorkerRecord) -> Self {
        Self {
            worker_name: worker.name,
            status: worker.state,
            orders_processed: worker.orders_processed,
            last_seen: UtcTime(worker.last_seen),
            order_types: worker.order_types,
        }
    }
}

impl From<OrderSummary> for OrderView {
    fn from(order: OrderSummary) -> Self {
        Self {
            order_number: order.number.as_str().to_owned(),
            order_type: order.order_type,
            current_status: order.status,
            total_amount: order.total_amount,
            priority: order.priority.value(),
            processed_by: order.processed_by,
            created_at: UtcTime(order.created_at),
            updated_at: UtcTime(order.updated_at),
            completed_at: order.completed_at.map(UtcTime),
        }
    }
}

impl From<&RoomBoard> for BoardView {
    fn from(board: &RoomBoard) -> Self {
        let view = |(number, since): &BoardEntry| BoardOrderView {
            order_number: number.as_str().to_owned(),
            since: UtcTime(*since),
        };
        Self {
            making: board.making.iter().map(view).collect(),
            ready: board.ready.iter().map(view).collect(),
        }
    }
}
