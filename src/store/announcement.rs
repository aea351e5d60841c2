//! What there is to announce of an order.

use jiff::Timestamp;

use crate::domain::{OrderMessage, OrderNumber, Priority, StatusUpdate};

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
    Order(OrderMessage),
    /// A change of status, for everybody.
    Status(StatusUpdate),
}
