//! What the room may see: which orders are being made, and which can be fetched.

use std::sync::LazyLock;

use jiff::Timestamp;
use tokio_postgres::Row;

use super::convert::{get, order_number};
use super::readable::readable;
use super::{Store, StoreError};
use crate::domain::OrderNumber;

/// Orders of a status that are made, and ready ones of a type, at most: more than a room can read.
const SHOWN_ORDERS: u32 = 100;
/// So many of the newest orders of a status are looked at, deliveries among them.
const LOOKED_AT_ORDERS: u32 = 200;
/// What was placed longer ago is not being made any more, it was forgotten.
const MAKING_HOURS: u32 = 6;
/// What nobody fetches in this time is shown no longer.
const READY_MINUTES: u32 = 20;

/// An order that the room sees, with the time since when it is where it is shown.
pub type BoardEntry = (OrderNumber, Timestamp);

/// The orders of those who wait in the room, deliveries not among them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomBoard {
    /// The oldest first.
    pub making: Vec<BoardEntry>,
    /// What was ready last first.
    pub ready: Vec<BoardEntry>,
}

/// Each status is read by the index that has the newest first, by its key: with the status alone the planner would take another
/// one, and sort all that waits.
static BOARD: LazyLock<String> = LazyLock::new(|| {
    let made = |status: &str| {
        format!(
            "(select number, created_at as since, false as is_ready, id from (
                select id, number, type, created_at from orders
                where status <> 'completed' and (status, id) > ('{status}', 0) and (status, id) < ('{status}', {newest})
                order by status desc, id desc limit {LOOKED_AT_ORDERS}) as looked_at
            where type <> 'delivery' and created_at > now() - interval '{MAKING_HOURS} h'
            order by id desc limit {SHOWN_ORDERS})",
            newest = i64::MAX
        )
    };
    let ready = |order_type: &str| {
        format!(
            "(select number, completed_at, true, id from (
                select id, number, completed_at from orders where status = 'ready' and type = '{order_type}'
                order by -id limit {SHOWN_ORDERS}) as looked_at
            where completed_at > now() - interval '{READY_MINUTES} min')"
        )
    };
    let parts = [made("received"), made("cooking"), ready("dine_in"), ready("takeout")];
    format!("select * from ({}) as shown order by since, id", parts.join(" union all "))
});

impl Store {
    /// What the room sees now.
    pub async fn room_board(&self) -> Result<RoomBoard, StoreError> {
        self.run("reading what is made", async |client| {
            let statement = client.prepare_cached(&BOARD).await?;
            let rows = client.query(&statement, &[]).await?;
            let (mut making, mut ready) = (Vec::new(), Vec::new());
            for (entry, is_ready) in readable(&rows, entry) {
                if is_ready { ready.push(entry) } else { making.push(entry) }
            }
            ready.reverse();
            Ok(RoomBoard { making, ready })
        })
        .await
    }
}

fn entry(row: &Row) -> Result<(BoardEntry, bool), StoreError> {
    Ok(((order_number(row, "number")?, get(row, "since")?), get(row, "is_ready")?))
}
