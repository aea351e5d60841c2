//! How an order is shown: what of it depends on who looks.

use http_kit::schemas::UtcTime;
use poem_openapi::Object;
use serde::Serialize;

use super::intake::Taken;
use crate::domain::{Allergen, Money, OrderItem, OrderType, Status};
use crate::store::OrderDetails;

/// A taken order.
#[derive(Object, Serialize)]
pub(super) struct PlacedOrder {
    /// `ORD_YYYYMMDD_NNN`.
    order_number: String,
    /// Always `received`.
    status: Status,
    /// Σ quantity × price.
    total_amount: Money,
    /// Where its customer finds it: a URL with the order's token, or the path alone where `restaurant.public_url` is not
    /// configured. A repeated answer lacks it where an older version took the order.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    tracking_url: Option<String>,
}

impl PlacedOrder {
    /// `public_url` has no slash at its end.
    pub(super) fn of(taken: &Taken, public_url: &str) -> Self {
        Self {
            order_number: taken.number.as_str().to_owned(),
            status: Status::Received,
            total_amount: taken.total_amount,
            tracking_url: taken.token.map(|token| format!("{public_url}/t/{}", token.reveal())),
        }
    }
}

/// Who looks at an order.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Viewer {
    /// Anybody who knows or guesses its number.
    Stranger,
    /// Its customer, by its token.
    Customer,
    /// Staff who may see names.
    Staff,
}

/// An order. To those who know only its number it shows its status, its times and its type; to its customer all but the priority,
/// the name and the address.
#[derive(Object, Serialize)]
pub(super) struct Order {
    order_number: String,
    status: Status,
    order_type: OrderType,
    created_at: UtcTime,
    updated_at: UtcTime,
    /// Who cooks or cooked it.
    #[oai(nullable)]
    processed_by: Option<String>,
    /// When it was ready.
    #[oai(nullable)]
    completed_at: Option<UtcTime>,
    /// For its customer and staff.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    items: Option<Vec<Item>>,
    /// Σ quantity × price, for its customer and staff.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    total_amount: Option<Money>,
    /// For its customer and staff, for `dine_in`.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    table_number: Option<u8>,
    /// For its customer and staff, where there are any.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    notes: Option<String>,
    /// 10, 5 or 1, for staff only.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<u8>,
    /// For staff only.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    customer_name: Option<String>,
    /// For staff only, for `delivery`.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery_address: Option<String>,
}

/// An entry of an order.
#[derive(Object, Serialize)]
struct Item {
    name: String,
    quantity: u8,
    /// What one costs.
    price: Money,
    /// The names of its choices.
    options: Vec<String>,
    /// What the menu said is in it.
    allergens: Vec<Allergen>,
    /// Where there are any.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    notes: Option<String>,
}

impl Order {
    pub(super) fn of(details: OrderDetails, viewer: Viewer) -> Self {
        let OrderDetails { order, status, processed_by, created_at, updated_at, completed_at, token: _ } =
            details;
        let (is_known, is_staff) = (viewer != Viewer::Stranger, viewer == Viewer::Staff);
        Self {
            order_number: order.order_number,
            status,
            order_type: order.order_type,
            created_at: UtcTime(created_at),
            updated_at: UtcTime(updated_at),
            processed_by,
            completed_at: completed_at.map(UtcTime),
            items: is_known.then(|| order.items.into_iter().map(Item::from).collect()),
            total_amount: is_known.then_some(order.total_amount),
            table_number: order.table_number.filter(|_| is_known),
            notes: order.notes.filter(|_| is_known),
            priority: is_staff.then_some(order.priority.value()),
            customer_name: is_staff.then_some(order.customer_name),
            delivery_address: order.delivery_address.filter(|_| is_staff),
        }
    }
}

impl From<OrderItem> for Item {
    fn from(item: OrderItem) -> Self {
        let OrderItem { name, quantity, price, options, notes, allergens, menu_item_id: _ } = item;
        Self { name, quantity, price, options, allergens, notes }
    }
}
