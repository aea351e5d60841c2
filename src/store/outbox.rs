//! What is committed and not yet announced.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::convert::{get, millis, narrow_option, order_number, order_type, priority, status};
use super::sharing::Connection;
use super::{Store, StoreError};
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
    /// What it is now.
    pub status: Status,
    /// Who changed it.
    pub changed_by: String,
    /// When it will be ready, where that is known.
    pub estimated_completion: Option<Timestamp>,
}

/// Outbox rows that this process has locked. Dropped without [`Store::confirm_outbox`], or with its process, it frees
/// them untouched for the next relay.
#[must_use]
pub struct OutboxBatch {
    client: Option<Connection>,
    announcements: Vec<Announcement>,
    /// How many rows were locked: those among them that must wait for an earlier one are not in `announcements`.
    locked: usize,
}

/// A batch's statements are planned once for each connection: the planner would rather plan each batch for its size,
/// which takes as long as reading it.
const BEGIN: &str = "begin; set local plan_cache_mode = force_generic_plan";

/// The oldest rows that no other relay works on; those of relays that look at the same time lie in between.
macro_rules! locked {
    () => {
        "
with locked as materialized (
    select log_id, order_id, announces from outbox
    where log_id >= $3 and (announces = 'status' or created_at <= now() - make_interval(secs => $2::bigint / 1000.0))
    order by log_id limit $1 for update skip locked
)"
    };
}

/// An order's status changes go out in their order: one waits whose `open_before` is not in its batch.
macro_rules! open_before {
    () => {
        "
       case when b.announces = 'status' then
           (select max(e.log_id) from outbox e
            where e.order_id = b.order_id and e.announces = 'status' and e.log_id < b.log_id)
       end as open_before"
    };
}

/// What rows of the outbox announce. `offset 0` has each row looked up by its key: left to itself the planner joins whole
/// tables, whose size it underestimates.
macro_rules! contents {
    () => {
        "
       b.announces, l.status, l.changed_by, l.changed_at, l.estimated_completion,
       o.number, o.priority, o.request_id, o.traceparent, o.type, o.customer_name, o.table_number,
       o.delivery_address, (o.total_amount * 100)::bigint as total_cents, i.names, i.quantities, i.cents"
    };
}

/// Where [`contents`] come from.
macro_rules! looked_up {
    () => {
        "
cross join lateral (select * from order_status_log where id = b.log_id offset 0) l
cross join lateral (select * from orders where id = b.order_id offset 0) o
left join lateral (
    select array_agg(name) as names, array_agg(quantity) as quantities, array_agg(cents) as cents
    from (
        select name, quantity, (price * 100)::bigint as cents
        from order_items where order_id = b.order_id and b.announces = 'order' order by id offset 0
    ) as in_order
) i on true
order by b.log_id"
    };
}

/// Locks rows and reads all that they announce.
const LOCK_AND_READ: &str =
    concat!(locked!(), "select b.log_id,", open_before!(), ",", contents!(), " from locked b", looked_up!());
/// Locks the same rows, for a process that knows already what most of them announce.
const LOCK: &str = concat!(locked!(), "select b.log_id,", open_before!(), " from locked b order by b.log_id");
/// Reads what rows announce that are locked.
const READ: &str = concat!(
    "select b.log_id,",
    contents!(),
    " from unnest($1::bigint[]) as r (log_id) cross join lateral (select * from outbox where log_id = r.log_id offset 0) b",
    looked_up!()
);

impl Store {
    /// Locks up to `limit` of the oldest rows and reads what they announce; new orders only when they have waited for
    /// `orders_after`. The transaction stays open until the batch is confirmed or dropped, unless there is nothing to
    /// announce; PostgreSQL ends it when this process hangs for longer than its idle limit. While this is called all the
    /// time a row that is entered far below the oldest one is found within a second (`head`).
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn lock_outbox(&self, limit: i64, orders_after: Duration) -> Result<OutboxBatch, StoreError> {
        let mut client = self.checked_out().await?;
        let look = Look { limit, orders_after, from: self.outbox_head().look_from(Instant::now()) };
        let rows = self
            .on(&mut client, "reading the outbox", async |client| {
                if self.fresh().is_empty() {
                    lock_and_read(client, &look).await
                } else {
                    self.lock_known(client, &look).await
                }
            })
            .await;
        let mut batch = OutboxBatch { client: Some(client), announcements: Vec::new(), locked: 0 };
        let rows = rows?;
        batch.locked = rows.len();
        if let Some((_, oldest)) = rows.first() {
            self.outbox_head().found(oldest.log_id);
        }
        let mut taken = HashSet::with_capacity(rows.len());
        for (open_before, announcement) in rows {
            // Rows come in the order of their ids, so what is before this one has been seen already.
            if open_before.is_none_or(|before| taken.contains(&before)) {
                taken.insert(announcement.log_id);
                batch.announcements.push(announcement);
            }
        }
        if batch.announcements.is_empty()
            && let Some(client) = &mut batch.client
        {
            // Most looks find nothing: they need not cost a connection, as a batch does that is dropped.
            self.on(client, "leaving the outbox", async |client| {
                Ok(client.batch_execute("rollback").await?)
            })
            .await?;
            batch.client = None;
        }
        Ok(batch)
    }

    /// Locks rows, and reads what those announce that this process has not just written itself.
    async fn lock_known(&self, client: &Connection, look: &Look) -> Result<Vec<LockedRow>, StoreError> {
        let mut locked = Vec::new();
        let mut unknown = Vec::new();
        for row in lock(client, LOCK, look).await? {
            let log_id: i64 = get(&row, "log_id")?;
            let announcement = self.fresh().take(log_id);
            if announcement.is_none() {
                unknown.push(log_id);
            }
            locked.push((get(&row, "open_before")?, log_id, announcement));
        }
        let mut read = HashMap::new();
        if !unknown.is_empty() {
            let statement = client.prepare_cached(READ).await?;
            for row in client.query(&statement, &[&unknown]).await? {
                let announcement = announcement(&row)?;
                read.insert(announcement.log_id, announcement);
            }
        }
        let rows = locked.into_iter().filter_map(|(open_before, log_id, known)| {
            Some((open_before, known.or_else(|| read.remove(&log_id))?))
        });
        Ok(rows.collect())
    }

    /// Ends the batch: the rows named are gone, the others wait for the next relay. If the process dies before this
    /// has committed, what was published is published again: the receivers know it by its message id.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn confirm_outbox(&self, mut batch: OutboxBatch, published: &[i64]) -> Result<(), StoreError> {
        let Some(mut client) = batch.client.take() else { return Ok(()) };
        let done = self
            .on(&mut client, "clearing the outbox", async |client| {
                if published.is_empty() {
                    return Ok(client.batch_execute("rollback").await?);
                }
                let statement = client.prepare_cached("delete from outbox where log_id = any($1)").await?;
                let parameters: [&(dyn ToSql + Sync); 1] = [&published];
                // Sent together: after a refused deletion the commit is a rollback.
                let delete = client.execute(&statement, &parameters);
                tokio::try_join!(delete, client.batch_execute("commit"))?;
                Ok(())
            })
            .await;
        if done.is_err() {
            client.close();
        }
        done
    }
}

/// A row of the outbox: the earlier one that it may have to wait for, and what it announces.
type LockedRow = (Option<i64>, Announcement);

/// Which rows to take.
struct Look {
    /// At most so many.
    limit: i64,
    /// New orders only when they have waited for so long.
    orders_after: Duration,
    /// The lowest `log_id`.
    from: i64,
}

/// Begins a transaction that locks rows.
async fn lock(client: &Connection, statement: &'static str, look: &Look) -> Result<Vec<Row>, StoreError> {
    let statement = client.prepare_cached(statement).await?;
    // Sent together: one round trip.
    let orders_after_ms = millis(look.orders_after);
    let parameters: [&(dyn ToSql + Sync); 3] = [&look.limit, &orders_after_ms, &look.from];
    let begin = client.batch_execute(BEGIN);
    Ok(tokio::try_join!(begin, client.query(&statement, &parameters))?.1)
}

async fn lock_and_read(client: &Connection, look: &Look) -> Result<Vec<LockedRow>, StoreError> {
    let rows = lock(client, LOCK_AND_READ, look).await?;
    rows.iter().map(|row| Ok((get(row, "open_before")?, announcement(row)?))).collect()
}

impl OutboxBatch {
    /// What is to be published, in this order.
    pub fn announcements(&self) -> &[Announcement] {
        &self.announcements
    }

    /// How many rows there were that this relay could take, those that must wait for an earlier one included.
    pub fn locked(&self) -> usize {
        self.locked
    }
}

impl Drop for OutboxBatch {
    fn drop(&mut self) {
        // Its transaction is still open: with the connection it ends.
        if let Some(client) = self.client.take() {
            client.close();
        }
    }
}

fn announcement(row: &Row) -> Result<Announcement, StoreError> {
    let announces: &str = get(row, "announces")?;
    let content = match announces {
        "order" => AnnouncementContent::Order(order_announcement(row)?),
        "status" => AnnouncementContent::Status(StatusAnnouncement {
            status: status(row, "status")?,
            changed_by: get(row, "changed_by")?,
            estimated_completion: get(row, "estimated_completion")?,
        }),
        other => return Err(StoreError::Unknown(format!("outbox.announces is {other:?}"))),
    };
    Ok(Announcement {
        log_id: get(row, "log_id")?,
        changed_at: get(row, "changed_at")?,
        number: order_number(row, "number")?,
        priority: priority(row, "priority")?,
        request_id: get(row, "request_id")?,
        traceparent: get(row, "traceparent")?,
        content,
    })
}

fn order_announcement(row: &Row) -> Result<OrderAnnouncement, StoreError> {
    Ok(OrderAnnouncement {
        customer_name: get(row, "customer_name")?,
        order_type: order_type(row, "type")?,
        table_number: narrow_option(row, "table_number")?,
        delivery_address: get(row, "delivery_address")?,
        items: items(row)?,
        total_amount: Money::from_cents(get(row, "total_cents")?),
    })
}

/// The items of an order that a query has gathered into the arrays `names`, `quantities` and `cents`.
pub(super) fn items(row: &Row) -> Result<Vec<OrderItem>, StoreError> {
    let names: Option<Vec<String>> = get(row, "names")?;
    let quantities: Option<Vec<i32>> = get(row, "quantities")?;
    let cents: Option<Vec<i64>> = get(row, "cents")?;
    let columns = names.unwrap_or_default().into_iter().zip(quantities.unwrap_or_default());
    columns
        .zip(cents.unwrap_or_default())
        .map(|((name, quantity), cents)| {
            let quantity = u8::try_from(quantity)
                .map_err(|_| StoreError::Unknown(format!("order_items.quantity is {quantity}")))?;
            Ok(OrderItem { name, quantity, price: Money::from_cents(cents) })
        })
        .collect()
}
