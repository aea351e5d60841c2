//! The state of the house at one moment: what waits, what is done, what is not announced, and who is there.

use std::sync::LazyLock;
use std::time::Duration;

use deadpool_postgres::ClientWrapper;
use jiff::Timestamp;
use tokio_postgres::{Client, Row};

use super::convert::{get, offline_after, order_type, quoted_statuses, status, type_names};
use super::readable::readable;
use super::{Store, StoreError};
use crate::domain::{OrderType, Priority, Status, WorkerState};

/// The name of the lock: any number that no other lock of the database has.
const WATCH_LOCK: i64 = 0x7265_7374_6861_7573;

/// Orders of a status that the kitchen still has to do with, what waits the longest among them, the outbox, and the workers. One row
/// for each number, as `(what, of, of_type, number)`. Everything is counted by an index that holds nothing else, so that it costs what
/// is open, not what there ever was.
static OPEN: LazyLock<String> = LazyLock::new(|| {
    let oldest_of = |priority: &Priority| {
        format!(
            "(select created_at from orders where status = 'received' and type = t.type and priority = {} order by id limit 1)",
            priority.value()
        )
    };
    let oldest = Priority::ALL.each_ref().map(oldest_of).join(" union all ");
    format!(
        "
with cooks as (
    select name, status, type,
        last_seen > now() - make_interval(secs => heartbeat_interval_ms * $1::int / 1000.0) as is_heard
    from workers
)
select 'orders' as what, status as of, type as of_type, count(*) as number
from orders where status = 'received' group by status, type
union all
select 'orders', status, type, count(*) from orders where status = 'cooking' group by status, type
union all
select 'waiting', null, t.type, (
    select (extract(epoch from min(created_at)) * 1000)::bigint from (
        {oldest} union all
        (select created_at from orders o
        where status = 'cooking' and type = t.type and (claimed_at is null or not exists (
            select from cooks c where c.name = o.processed_by and is_heard and c.status <> 'offline')))
    ) as first)
from unnest($2::text[]) as t (type)
union all
select 'outbox', null, null, coalesce(sum(coalesce(cardinality(log_ids), 1)), 0)::bigint from outbox
union all
select 'outbox_oldest', null, null, (select (extract(epoch from written_at) * 1000)::bigint from outbox order by log_id limit 1)
union all
select 'workers', case when is_heard then status else 'offline' end, null, count(*) from cooks group by 2
union all
select 'cooks', null, t.type, (
    select count(*) from cooks where is_heard and status <> 'offline' and t.type = any(string_to_array(cooks.type, ',')))
from unnest($2::text[]) as t (type)"
    )
});

/// Orders that the kitchen has done, or never will.
static SETTLED: LazyLock<String> = LazyLock::new(|| {
    format!(
        "select status as of, type as of_type, count(*) as number from orders where status in ('{settled}') group by status, type",
        settled = quoted_statuses(Status::is_settled)
    )
});

/// How many orders of a status and a type there are.
pub type OrderCount = (Status, OrderType, u64);

/// What is open in the house.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct House {
    /// Of each status that is in here and each type that has any.
    pub orders: Vec<OrderCount>,
    /// When the oldest order came that waits for a cook, by type. One whose cook is lost waits as well.
    pub oldest_waiting: Vec<(OrderType, Timestamp)>,
    /// Changes that are committed and not announced.
    pub outbox_changes: u64,
    /// Since when the oldest of them has been there.
    pub outbox_oldest: Option<Timestamp>,
    pub workers: Vec<(WorkerState, u64)>,
    /// Workers online that cook a type.
    pub cooks: Vec<(OrderType, u64)>,
}

/// The one watch on the house that there is at a time, on a connection of its own: it ends with that.
pub struct HouseWatch {
    client: ClientWrapper,
    limit: Duration,
}

impl Store {
    /// What is open in the house now.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn house(&self) -> Result<House, StoreError> {
        self.run("looking at the house", async |client| open(client).await).await
    }

    /// Begins to watch the house; `None` while another process does.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn watch_house(&self) -> Result<Option<HouseWatch>, StoreError> {
        let connection = self.checked_out().await?;
        let limit = self.inner.options.server.operation_timeout;
        let is_mine = within(limit, try_lock(&connection)).await;
        if let Ok(false) = is_mine {
            return Ok(None);
        }
        // Not for the pool any more: it has the lock, or it is not known whether it has.
        let watch = HouseWatch { client: connection.detach(), limit };
        is_mine.map(|_| Some(watch))
    }
}

impl HouseWatch {
    /// What is open in the house now.
    ///
    /// # Errors
    /// See [`StoreError`]. The watch is to be given up then.
    pub async fn open(&self) -> Result<House, StoreError> {
        within(self.limit, open(&self.client)).await
    }

    /// How many orders there are that the kitchen has done, or never will. It costs the more the more there are.
    ///
    /// # Errors
    /// As for [`Self::open`].
    pub async fn settled(&self) -> Result<Vec<OrderCount>, StoreError> {
        within(self.limit, async {
            let rows = self.client.query(&**SETTLED, &[]).await?;
            readable(&rows, order_count).into_iter().map(Ok).collect()
        })
        .await
    }
}

async fn within<T>(
    limit: Duration,
    reading: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let read = tokio::time::timeout(limit, reading).await;
    read.unwrap_or_else(|_| Err(StoreError::deadline("watching the house", limit)))
}

/// A standby has locks of its own: there would be a second watch.
async fn try_lock(client: &Client) -> Result<bool, StoreError> {
    const SQL: &str = "select not pg_is_in_recovery() and pg_try_advisory_lock($1)";
    Ok(client.query_one(SQL, &[&WATCH_LOCK]).await?.get(0))
}

pub(super) async fn open(client: &Client) -> Result<House, StoreError> {
    let types = type_names(&OrderType::ALL);
    let rows = client.query(&**OPEN, &[&offline_after(), &types]).await?;
    let mut house = House::default();
    for row in &rows {
        let number: Option<i64> = get(row, "number")?;
        let count = number.and_then(|number| u64::try_from(number).ok()).unwrap_or_default();
        let time = number.and_then(|ms| Timestamp::from_millisecond(ms).ok());
        match get::<&str>(row, "what")? {
            "orders" => house.orders.push(order_count(row)?),
            "waiting" => {
                let of_type = order_type(row, "of_type")?;
                house.oldest_waiting.extend(time.map(|time| (of_type, time)));
            }
            "outbox" => house.outbox_changes = count,
            "outbox_oldest" => house.outbox_oldest = time,
            "workers" => house.workers.push((worker_state(get(row, "of")?), count)),
            _ => house.cooks.push((order_type(row, "of_type")?, count)),
        }
    }
    Ok(house)
}

fn order_count(row: &Row) -> Result<OrderCount, StoreError> {
    let number: i64 = get(row, "number")?;
    Ok((status(row, "of")?, order_type(row, "of_type")?, u64::try_from(number).unwrap_or_default()))
}

/// The schema knows three of them.
fn worker_state(name: &str) -> WorkerState {
    let is_it = |state: &WorkerState| state.as_str() == name;
    WorkerState::ALL.into_iter().find(is_it).unwrap_or(WorkerState::Offline)
}
