//! What travels between a client and the services, as the contract spells it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::domain::Money;

/// The body of `POST /orders`. Nothing is checked here: the service knows the rules and lists what breaks them.
#[derive(Debug, Clone, Serialize)]
pub struct OrderForm {
    pub customer_name: String,
    pub order_type: String,
    pub items: Vec<FormItem>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table_number: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery_address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
}

/// A line of an order: a name with a price, or what a menu has.
#[derive(Debug, Clone, Default, Serialize)]
pub struct FormItem {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub menu_item_id: Option<String>,
    /// The ids of the menu's choices.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
    pub quantity: u32,
    /// The price of one, as the exact text of a JSON number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
}

impl FormItem {
    /// With a name and a price. `price` is the text of a decimal number (`15.99`) and is sent exactly as it is written;
    /// `None` if it is no such number.
    pub fn new(name: impl Into<String>, quantity: u32, price: &str) -> Option<Self> {
        let is_decimal = price.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-'));
        let price = RawValue::from_string(price.to_owned()).ok().filter(|_| is_decimal)?;
        Some(Self { name: Some(name.into()), quantity, price: Some(price), ..Self::default() })
    }

    /// By ids of the menu, which knows the price.
    pub fn of_menu(id: impl Into<String>, options: Vec<String>, quantity: u32) -> Self {
        Self { menu_item_id: Some(id.into()), options, quantity, ..Self::default() }
    }
}

/// The answer of `POST /orders`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct OrderReceipt {
    pub order_number: String,
    pub status: String,
    pub total_amount: Money,
    /// Where its customer finds it; a path where the service knows no address of the pages.
    pub tracking_url: Option<String>,
}

/// The answer of `GET /orders/{n}/status`. Times are RFC 3339 text in UTC.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct StatusAnswer {
    pub order_number: String,
    /// `received`, `cooking`, `ready`, `completed` or `cancelled`.
    pub current_status: String,
    pub updated_at: String,
    /// When it will be ready, where that can be told.
    pub estimated_completion: Option<String>,
    /// How many orders are cooked before it; none once it cooks, or told by an older service.
    pub orders_ahead: Option<u64>,
    pub processed_by: Option<String>,
}

/// An order of `GET /orders` of the tracking service. Names of statuses and types are those of the service, which may be a later
/// one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedOrder {
    pub order_number: String,
    pub order_type: String,
    pub current_status: String,
    pub total_amount: Money,
    pub processed_by: Option<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// A page of `GET /orders` of the tracking service, newest first.
#[derive(Debug, Clone, Deserialize)]
pub struct ListedPage {
    pub orders: Vec<ListedOrder>,
    pub next_cursor: Option<String>,
}

/// A worker of `GET /workers/status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedWorker {
    pub worker_name: String,
    /// `online`, `processing` or `offline`.
    pub status: String,
    pub orders_processed: u64,
    pub last_seen: Timestamp,
    pub order_types: Vec<String>,
}

/// The answer of `GET /orders/{n}` of the order service. Others than staff are shown no more than its type, status and times.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct OrderSheet {
    pub order_number: String,
    pub status: String,
    pub order_type: String,
    #[serde(default)]
    pub items: Vec<SheetItem>,
    pub total_amount: Option<Money>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub processed_by: Option<String>,
    pub table_number: Option<u32>,
    pub customer_name: Option<String>,
    pub delivery_address: Option<String>,
    pub notes: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct SheetItem {
    pub name: String,
    pub quantity: u32,
    /// What one costs.
    pub price: Money,
    #[serde(default)]
    pub options: Vec<String>,
    #[serde(default)]
    pub allergens: Vec<String>,
    pub notes: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_is_sent_as_it_is_written() {
        let item = FormItem::new("Soup", 2, "10.10").unwrap();
        assert_eq!(serde_json::to_string(&item).unwrap(), r#"{"name":"Soup","quantity":2,"price":10.10}"#);
    }

    #[test]
    fn a_price_that_is_no_decimal_number_is_refused() {
        for price in ["", "abc", "1,50", "1e3", "\"1\"", "null", "01.5", ".5", "1.", "1 ", "[1]"] {
            assert!(FormItem::new("Soup", 1, price).is_none(), "{price}");
        }
    }
}
