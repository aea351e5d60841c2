//! The columns of an order and of its changes: how new orders are written, and how they are read. To add a field to an order, add
//! it here in both.

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::StoreError;
use super::convert::{get, narrow_option, order_number, order_type, priority, status, status_option};
use super::source::OrderSource;
use crate::domain::{MenuId, Money, NewOrder, OrderItem, OrderMessage, Status, StatusUpdate, TrackingToken};

/// What [`order_message`] reads, of the order `o` and its items `i` ([`items_where`]).
pub(super) const ORDER_COLUMNS: &str =
    "o.number, o.customer_name, o.type, o.table_number, o.delivery_address, o.notes, i.names, i.quantities,
       i.cents, i.item_notes, i.item_options, i.item_allergens, (o.total_amount * 100)::bigint as total_cents, o.priority";

/// One row: the items that are meant, in their order, as one array for each column. `offset 0` keeps them in it.
pub(super) fn items_where(are_meant: &str) -> String {
    format!(
        "
    select array_agg(name) as names, array_agg(quantity) as quantities, array_agg(cents) as cents,
           array_agg(notes) as item_notes, array_agg(options::text) as item_options,
           array_agg(allergens::text) as item_allergens
    from (
        select name, quantity, (price * 100)::bigint as cents, notes, options, allergens
        from order_items where {are_meant} order by id offset 0
    ) as in_order
"
    )
}

pub(super) fn order_message(row: &Row) -> Result<OrderMessage, StoreError> {
    Ok(OrderMessage {
        order_number: order_number(row, "number")?.as_str().to_owned(),
        customer_name: get(row, "customer_name")?,
        order_type: order_type(row, "type")?,
        table_number: narrow_option(row, "table_number")?,
        delivery_address: get(row, "delivery_address")?,
        items: items(row)?,
        notes: get(row, "notes")?,
        total_amount: Money::from_cents(get(row, "total_cents")?),
        priority: priority(row, "priority")?,
    })
}

fn items(row: &Row) -> Result<Vec<OrderItem>, StoreError> {
    let names: Option<Vec<String>> = get(row, "names")?;
    let quantities: Option<Vec<i32>> = get(row, "quantities")?;
    let cents: Option<Vec<i64>> = get(row, "cents")?;
    let notes: Option<Vec<Option<String>>> = get(row, "item_notes")?;
    let options: Option<Vec<Option<String>>> = get(row, "item_options")?;
    let allergens: Option<Vec<Option<String>>> = get(row, "item_allergens")?;
    let columns = names.unwrap_or_default().into_iter().zip(quantities.unwrap_or_default());
    columns
        .zip(cents.unwrap_or_default())
        .zip(notes.unwrap_or_default())
        .zip(options.unwrap_or_default().into_iter().zip(allergens.unwrap_or_default()))
        .map(|((((name, quantity), cents), notes), (options, allergens))| {
            let quantity = u8::try_from(quantity)
                .map_err(|_| StoreError::Unknown(format!("order_items.quantity is {quantity}")))?;
            Ok(OrderItem {
                name,
                quantity,
                price: Money::from_cents(cents),
                options: json_list(options)?,
                notes,
                allergens: json_list(allergens)?,
                menu_item_id: None,
            })
        })
        .collect()
}

/// A list that is `null` where it is empty.
pub(super) fn json_list<T: DeserializeOwned>(text: Option<String>) -> Result<Vec<T>, StoreError> {
    let list = text.map(|text| serde_json::from_str(&text)).transpose();
    list.map(Option::unwrap_or_default)
        .map_err(|error| StoreError::Unknown(format!("an item's list: {error}")))
}

/// The other way round.
fn json_of<T: Serialize>(list: &[T]) -> Option<String> {
    if list.is_empty() { None } else { serde_json::to_string(list).ok() }
}

/// What [`status_update`] reads beside the order's `number`, of the log row `l`. Rows of the version before do not say what
/// the order was: see `V13__status_before_a_change.sql`.
pub(super) const CHANGE_COLUMNS: &str =
    "l.status, status_before(l.status, l.previous_status) as previous_status, l.changed_by,
       l.changed_at, l.estimated_completion";

pub(super) fn status_update(row: &Row) -> Result<StatusUpdate, StoreError> {
    let name = |status: Status| status.as_str().to_owned();
    Ok(StatusUpdate {
        order_number: order_number(row, "number")?.as_str().to_owned(),
        old_status: status_option(row, "previous_status")?.map(name),
        new_status: name(status(row, "status")?),
        changed_by: get(row, "changed_by")?,
        timestamp: get(row, "changed_at")?,
        estimated_completion: get(row, "estimated_completion")?,
    })
}

/// As the column has it.
pub(super) fn uuid_of(token: TrackingToken) -> Uuid {
    Uuid::from_bytes(token.bytes())
}

/// The order's; `None` of an order that a version before has written.
pub(super) fn tracking_token(row: &Row) -> Result<Option<TrackingToken>, StoreError> {
    let token: Option<Uuid> = get(row, "tracking_token")?;
    Ok(token.map(|token| TrackingToken::from_bytes(token.into_bytes())))
}

/// A client's promise that equal keys mean the same order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    pub key: String,
    /// SHA-256 of the body that came with it.
    pub body_sha256: [u8; 32],
}

#[derive(Debug, Clone)]
pub struct IntakeRequest {
    pub order: NewOrder,
    pub request_id: String,
    pub traceparent: Option<String>,
    /// What its customer will be known by, unless it is a repetition.
    pub token: TrackingToken,
    /// Where what one source has open is limited.
    pub source: Option<OrderSource>,
    /// The request may be repeated under this key.
    pub idempotency: Option<IdempotencyKey>,
}

/// One array of a batch: a parameter of the statement, and a column of what it is written to.
#[derive(Clone, Copy)]
pub(super) struct Array<'a> {
    /// What the column is called.
    name: &'static str,
    /// What the array is of.
    pub(super) of: &'static str,
    written: Written,
    values: &'a (dyn ToSql + Sync),
}

#[derive(Clone, Copy)]
pub(super) enum Written {
    Plain,
    /// Cents, which become an amount: PostgreSQL takes no integer for a `decimal` parameter.
    Amount,
    Json,
}

impl<'a> Array<'a> {
    fn new(name: &'static str, of: &'static str, values: &'a (dyn ToSql + Sync)) -> Self {
        Self { name, of, written: Written::Plain, values }
    }

    fn of_cents(name: &'static str, values: &'a (dyn ToSql + Sync)) -> Self {
        Self { name, of: "bigint", written: Written::Amount, values }
    }

    fn of_json(name: &'static str, values: &'a (dyn ToSql + Sync)) -> Self {
        Self { written: Written::Json, ..Self::new(name, "text", values) }
    }
}

/// `customer_name, type, …`
pub(super) fn names(arrays: &[Array<'_>]) -> String {
    list(arrays, |array| array.name.to_owned())
}

/// `n.customer_name, …, n.total_amount * 0.01, …`
pub(super) fn values(of: &str, arrays: &[Array<'_>]) -> String {
    list(arrays, |array| match array.written {
        Written::Plain => format!("{of}.{}", array.name),
        Written::Amount => format!("{of}.{} * 0.01", array.name),
        Written::Json => format!("{of}.{}::jsonb", array.name),
    })
}

/// `unnest($1::text[], $2::text[], …)`, with the parameters from `first` on.
pub(super) fn unnest(first: usize, arrays: &[Array<'_>]) -> String {
    let mut position = first..;
    let parameters = list(arrays, |array| format!("${}::{}[]", position.next().unwrap_or(first), array.of));
    format!("unnest({parameters})")
}

fn list(arrays: &[Array<'_>], text: impl FnMut(&Array<'_>) -> String) -> String {
    arrays.iter().map(text).collect::<Vec<_>>().join(", ")
}

/// The batch turned by a quarter: one array for each column.
#[derive(Default)]
pub(super) struct Columns<'a> {
    customer_name: Vec<&'a str>,
    order_type: Vec<&'static str>,
    table_number: Vec<Option<i32>>,
    delivery_address: Vec<Option<&'a str>>,
    notes: Vec<Option<&'a str>>,
    cents: Vec<i64>,
    priority: Vec<i32>,
    request_id: Vec<&'a str>,
    traceparent: Vec<Option<&'a str>>,
    tracking_token: Vec<Uuid>,
    key: Vec<Option<&'a str>>,
    body_sha256: Vec<Option<&'a [u8]>>,
    item_ord: Vec<i64>,
    item_name: Vec<&'a str>,
    item_quantity: Vec<i32>,
    item_cents: Vec<i64>,
    item_notes: Vec<Option<&'a str>>,
    item_menu_id: Vec<Option<&'a str>>,
    item_options: Vec<Option<String>>,
    item_allergens: Vec<Option<String>>,
}

impl<'a> Columns<'a> {
    pub(super) fn of(batch: &[&'a IntakeRequest]) -> Self {
        let mut columns = Self::default();
        for (ord, request) in (1_i64..).zip(batch) {
            columns.push(ord, request);
        }
        columns
    }

    fn push(&mut self, ord: i64, request: &'a IntakeRequest) {
        let order = &request.order;
        self.customer_name.push(order.customer_name());
        self.order_type.push(order.order_type().as_str());
        self.table_number.push(order.table_number().map(i32::from));
        self.delivery_address.push(order.delivery_address());
        self.notes.push(order.notes());
        self.cents.push(order.total_amount().cents());
        self.priority.push(i32::from(order.priority().value()));
        self.request_id.push(&request.request_id);
        self.traceparent.push(request.traceparent.as_deref());
        self.tracking_token.push(uuid_of(request.token));
        self.key.push(request.idempotency.as_ref().map(|i| i.key.as_str()));
        self.body_sha256.push(request.idempotency.as_ref().map(|i| i.body_sha256.as_slice()));
        for item in order.items() {
            self.item_ord.push(ord);
            self.item_name.push(&item.name);
            self.item_quantity.push(i32::from(item.quantity));
            self.item_cents.push(item.price.cents());
            self.item_notes.push(item.notes.as_deref());
            self.item_menu_id.push(item.menu_item_id.as_ref().map(MenuId::as_str));
            self.item_options.push(json_of(&item.options));
            self.item_allergens.push(json_of(&item.allergens));
        }
    }

    /// What there is of each order, as `orders` has it.
    pub(super) fn orders(&self) -> [Array<'_>; 10] {
        [
            Array::new("customer_name", "text", &self.customer_name),
            Array::new("type", "text", &self.order_type),
            Array::new("table_number", "int", &self.table_number),
            Array::new("delivery_address", "text", &self.delivery_address),
            Array::new("notes", "text", &self.notes),
            Array::of_cents("total_amount", &self.cents),
            Array::new("priority", "int", &self.priority),
            Array::new("request_id", "text", &self.request_id),
            Array::new("traceparent", "text", &self.traceparent),
            Array::new("tracking_token", "uuid", &self.tracking_token),
        ]
    }

    pub(super) fn keys(&self) -> [Array<'_>; 2] {
        [Array::new("key", "text", &self.key), Array::new("body_sha256", "bytea", &self.body_sha256)]
    }

    /// The items of all orders: the place of its order in the batch, and what there is of each, as `order_items` has it.
    pub(super) fn items(&self) -> [Array<'_>; 8] {
        [
            Array::new("ord", "bigint", &self.item_ord),
            Array::new("name", "text", &self.item_name),
            Array::new("quantity", "int", &self.item_quantity),
            Array::of_cents("price", &self.item_cents),
            Array::new("notes", "text", &self.item_notes),
            Array::new("menu_item_id", "text", &self.item_menu_id),
            Array::of_json("options", &self.item_options),
            Array::of_json("allergens", &self.item_allergens),
        ]
    }

    /// What [`PLACE`] takes.
    pub(super) fn without_keys(&self) -> Vec<&(dyn ToSql + Sync)> {
        self.orders().iter().chain(&self.items()).map(|array| array.values).collect()
    }

    /// What [`PLACE_KEYED`] takes.
    pub(super) fn with_keys(&self) -> Vec<&(dyn ToSql + Sync)> {
        self.orders().iter().chain(&self.keys()).chain(&self.items()).map(|array| array.values).collect()
    }
}
