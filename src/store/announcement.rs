//! What there is to announce of an order.

use jiff::Timestamp;

use crate::domain::{OrderMessage, OrderNumber, Priority, StatusUpdate};

#[derive(Debug, Clone, PartialEq)]
pub struct Announcement {
    /// The log row that it announces: its key in the outbox, and a stable id for the message.
    pub log_id: i64,
    pub changed_at: Timestamp,
    pub number: OrderNumber,
    pub priority: Priority,
    pub request_id: String,
    pub traceparent: Option<String>,
    pub content: AnnouncementContent,
}

#[derive(Debug, Clone, PartialEq)]
pub enum AnnouncementContent {
    /// A new order, for the kitchen.
    Order(OrderMessage),
    /// A change of status, for everybody.
    Status(StatusUpdate),
}

#[cfg(test)]
impl Announcement {
    /// A change of status of some order.
    pub(crate) fn sample(log_id: i64) -> Self {
        let number = OrderNumber::parse("ORD_20261122_001").unwrap();
        Self {
            log_id,
            changed_at: Timestamp::UNIX_EPOCH,
            priority: Priority::LOW,
            request_id: String::new(),
            traceparent: None,
            content: AnnouncementContent::Status(StatusUpdate {
                order_number: number.to_string(),
                old_status: Some("received".to_owned()),
                new_status: "cooking".to_owned(),
                changed_by: "chef".to_owned(),
                timestamp: Timestamp::UNIX_EPOCH,
                estimated_completion: None,
            }),
            number,
        }
    }
}
