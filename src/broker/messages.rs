//! What the messages say: their JSON (contract, section 5). To add a field to the order message, add it here, and in
//! `store::OrderAnnouncement` where it comes from.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::{Money, OrderType, Priority};

/// An order on its way to the kitchen. Unknown fields are ignored when reading.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OrderMessage {
    /// Its number.
    pub order_number: String,
    /// Who ordered.
    pub customer_name: String,
    /// How it is served.
    pub order_type: OrderType,
    /// For `dine_in`, else `null`.
    pub table_number: Option<u8>,
    /// For `delivery`, else `null`.
    pub delivery_address: Option<String>,
    /// What was ordered.
    pub items: Vec<ItemMessage>,
    /// Σ quantity × price.
    pub total_amount: Money,
    /// How urgent it is.
    pub priority: Priority,
}

/// An entry of an [`OrderMessage`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ItemMessage {
    /// What it is called on the menu.
    pub name: String,
    /// How many.
    pub quantity: u8,
    /// What one costs.
    pub price: Money,
}

/// A change of an order's status; also the `data` of the event streams. Statuses are texts when reading: a status that
/// a later version adds must not stop those who only tell of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusUpdate {
    /// The order.
    pub order_number: String,
    /// What it was; `null` in an event stream's first.
    pub old_status: Option<String>,
    /// What it is.
    pub new_status: String,
    /// Who changed it.
    pub changed_by: String,
    /// When, RFC 3339 in UTC.
    pub timestamp: Timestamp,
    /// When it will be ready, where that is known.
    pub estimated_completion: Option<Timestamp>,
}

/// AMQP's `type` of an [`OrderMessage`].
pub const ORDER_KIND: &str = "order.received";
/// AMQP's `type` of a [`StatusUpdate`].
pub const STATUS_KIND: &str = "order.status_changed";
