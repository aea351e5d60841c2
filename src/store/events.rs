//! The stream of everything that happened.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use tokio_postgres::Row;

use super::convert::{get, order_number, status};
use super::{Store, StoreError};
use crate::domain::{OrderNumber, Status};

/// A place in the stream. Ids alone are no order to resume in: they are drawn before the commit, so a row with a
/// smaller id can appear after one with a larger id was read. (transaction, id) is one, as long as only transactions
/// are read that are older than every transaction that still runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct EventCursor {
    transaction_id: i64,
    log_id: i64,
}

/// One change of one order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its place in the stream.
    pub cursor: EventCursor,
    /// The order.
    pub number: OrderNumber,
    /// What it became.
    pub status: Status,
    /// By whom.
    pub changed_by: String,
    /// When.
    pub changed_at: Timestamp,
    /// When it was then expected to be ready.
    pub estimated_completion: Option<Timestamp>,
}

impl fmt::Display for EventCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.transaction_id, self.log_id)
    }
}

impl FromStr for EventCursor {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (transaction_id, log_id) = text.split_once('-').unwrap_or((text, ""));
        Ok(Self { transaction_id: transaction_id.parse()?, log_id: log_id.parse()? })
    }
}

/// `offset 0` has each order looked up by its key, however few the planner believes there are.
const ALL_AFTER: &str = "
select l.transaction_id, l.id, l.status, l.changed_by, l.changed_at, l.estimated_completion, o.number
from order_status_log l cross join lateral (select number from orders where id = l.order_id offset 0) o
where (l.transaction_id, l.id) > ($1, $2)
  and l.transaction_id < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
order by l.transaction_id, l.id limit $3";

/// The rows of one order are written one after the other under its row's lock: here ids are an order.
const ORDER_AFTER: &str = "
select l.transaction_id, l.id, l.status, l.changed_by, l.changed_at, l.estimated_completion, o.number
from order_status_log l join orders o on o.id = l.order_id
where o.number = $1 and l.id > $2
order by l.id";

impl Store {
    /// Up to `limit` events of all orders after `cursor`, oldest first. A running transaction holds back what comes
    /// after it, so nothing is ever skipped.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn events_after(&self, cursor: EventCursor, limit: i64) -> Result<Vec<Event>, StoreError> {
        self.run("reading events", async |client| {
            let statement = client.prepare_cached(ALL_AFTER).await?;
            let rows = client.query(&statement, &[&cursor.transaction_id, &cursor.log_id, &limit]).await?;
            rows.iter().map(event).collect()
        })
        .await
    }

    /// The events of one order after `cursor`, oldest first: five at most.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn order_events_after(
        &self,
        number: &OrderNumber,
        cursor: EventCursor,
    ) -> Result<Vec<Event>, StoreError> {
        self.run("reading events", async |client| {
            let statement = client.prepare_cached(ORDER_AFTER).await?;
            let rows = client.query(&statement, &[&number.as_str(), &cursor.log_id]).await?;
            rows.iter().map(event).collect()
        })
        .await
    }
}

fn event(row: &Row) -> Result<Event, StoreError> {
    Ok(Event {
        cursor: EventCursor { transaction_id: get(row, "transaction_id")?, log_id: get(row, "id")? },
        number: order_number(row, "number")?,
        status: status(row, "status")?,
        changed_by: get(row, "changed_by")?,
        changed_at: get(row, "changed_at")?,
        estimated_completion: get(row, "estimated_completion")?,
    })
}
