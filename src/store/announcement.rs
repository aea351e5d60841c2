//! What there is to announce of an order.

use jiff::Timestamp;

use crate::domain::{Money, OrderItem, OrderNumber, OrderType, Priority, Status};

/// Something to be published.
#[derive(Debug, Clone, PartialEq)]
pub struct Announcement {
    /// The log row that it announces: its key in the outbox, and a stable id for the message.
    pub log_id: i64,
    /// When the change happened.
    pub changed_at: Timestamp,
    /// The order.
    pub number: OrderNumber,
    /// Its priority.
    pub priority: Priority,
    /// The request that placed the order.
    pub request_id: String,
    /// The trace that the request belongs to.
    pub traceparent: Option<String>,
    /// What there is to say.
    pub content: AnnouncementContent,
}

/// What an [`Announcement`] says.
#[derive(Debug, Clone, PartialEq)]
pub enum AnnouncementContent {
    /// A new order, for the kitchen.
    Order(OrderAnnouncement),
    /// A change of status, for everybody.
    Status(StatusAnnouncement),
}

/// The order as the kitchen gets it.
#[derive(Debug, Clone, PartialEq)]
pub struct OrderAnnouncement {
    /// Who ordered.
    pub customer_name: String,
    /// How it is served.
    pub order_type: OrderType,
    /// For `dine_in`.
    pub table_number: Option<u8>,
    /// For `delivery`.
    pub delivery_address: Option<String>,
    /// What was ordered.
    pub items: Vec<OrderItem>,
    /// Σ quantity × price.
    pub total_amount: Money,
}

/// A change of status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusAnnouncement {
    /// What it was.
    pub previous: Option<Status>,
    /// What it is now.
    pub status: Status,
    /// Who changed it.
    pub changed_by: String,
    /// When it will be ready, where that is known.
    pub estimated_completion: Option<Timestamp>,
}
