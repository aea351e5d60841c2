//! The kitchen's compare-and-set: claim, finish, give back. All of them take many orders at once.

use std::sync::LazyLock;
use std::time::Duration;

use jiff::Timestamp;
use tokio_postgres::Row;

use super::claims::{CLAIM_NAMED, CLAIM_OVERDUE, CLAIM_PROMOTED, ClaimSql, PROMOTION_DUE};
use super::columns::status_update;
use super::convert::{get, millis, offline_after, order_number, order_type, priority, status, type_names};
use super::finish::{FINISH, FINISH_BUMPED};
use super::readable::readable;
use super::station_work::adopt;
use super::{Announcement, AnnouncementContent, OutboxStore, Store, StoreError, WorkerStore};
use crate::domain::{CookTimes, OrderNumber, OrderType, Status, WorkerName};

/// Who wants to cook, and what.
#[derive(Debug, Clone)]
pub struct Claim {
    pub worker: WorkerName,
    /// What it can cook; an order of another type is never claimed.
    pub order_types: Vec<OrderType>,
    /// How long it will cook each type.
    pub cook_times: CookTimes,
    /// Persons make its orders ready, at a station: each order gets a ticket.
    pub is_manual: bool,
    /// What has waited for so long goes before all that have waited for less.
    pub promote_after: Duration,
}

/// An order in a worker's hands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedOrder {
    pub number: OrderNumber,
    pub order_type: OrderType,
    /// The fencing token: only this attempt may finish it or give it back.
    pub attempt: i32,
    pub request_id: String,
    /// The trace of the request by which it came.
    pub traceparent: Option<String>,
    pub times: ClaimTimes,
}

/// The times of an order in a worker's hands, all by PostgreSQL's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClaimTimes {
    pub placed_at: Timestamp,
    pub claimed_at: Timestamp,
    /// When it was seen in the worker's hands: with its claim, unless the worker has it from before.
    pub seen_at: Timestamp,
    pub promised_at: Option<Timestamp>,
}

/// A cooked order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Finish {
    pub number: OrderNumber,
    pub attempt: i32,
}

/// An order that a person has bumped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bumped {
    pub order: Finish,
    /// By how much its claim's estimate was wrong.
    pub estimate_error: Option<Duration>,
}

/// An order that left a worker's hands without its doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotHeld {
    /// What the worker had in hand.
    pub order: Finish,
    /// The status that it has now: `cooking` where another has it, or may take it.
    pub became: String,
}

/// Why an order was not claimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    Unknown,
    /// It is of a type that this worker does not cook.
    OtherType(OrderType),
    /// It is done, cancelled, or in the hands of this worker or another.
    NotWaiting {
        status: Status,
        processed_by: Option<String>,
    },
}

static ADOPT: LazyLock<String> = LazyLock::new(adopt);

const GIVE_BACK: &str = "
update orders o set claimed_at = null, updated_at = now(), estimated_completion = null
from unnest($2::text[], $3::int[]) as f (number, attempt)
where o.number = f.number and o.attempt = f.attempt and o.status = 'cooking' and o.processed_by = $1";

/// Which of the orders are not in the worker's hands any more, with what they are.
const NOT_HELD: &str = "
select f.number, f.attempt, coalesce(o.status, 'deleted') as became
from unnest($2::text[], $3::int[]) as f (number, attempt)
left join lateral (
    select status, attempt, processed_by, claimed_at from orders where number = f.number offset 0
) o on true
where (o.status = 'cooking' and o.attempt = f.attempt and o.processed_by = $1 and o.claimed_at is not null) is not true";

pub trait KitchenStore: WorkerStore + OutboxStore {
    /// Claims those of the named orders that wait and that this worker can cook (`received → cooking`), or takes them
    /// over from a worker that is lost. Repeating it, or two workers doing it at once, gives each order to one of
    /// them. If the process dies in here, the order is either untouched or held by a worker that is soon found lost.
    ///
    /// # Errors
    /// See [`StoreError`]; when unavailable, an order may be claimed without the caller knowing: a later heartbeat,
    /// which does not name it as in hand, releases it.
    fn claim_orders(
        &self,
        claim: &Claim,
        numbers: &[OrderNumber],
    ) -> impl Future<Output = Result<Vec<ClaimedOrder>, StoreError>> + Send;

    /// Sweeps the backlog: claims up to `limit` orders that have waited longer than `grace` although a worker
    /// is free, or that are promoted, given back or lost. The promoted go first, the oldest of them before the others; then the
    /// most urgent. Orders that others are claiming at this moment are passed over.
    ///
    /// # Errors
    /// As for [`Self::claim_orders`].
    fn claim_overdue(
        &self,
        claim: &Claim,
        grace: Duration,
        limit: i64,
    ) -> impl Future<Output = Result<Vec<ClaimedOrder>, StoreError>> + Send;

    /// Claims up to `limit` promoted orders that were never cooked, the oldest first. Orders that others are claiming at this moment
    /// are passed over.
    ///
    /// # Errors
    /// As for [`Self::claim_orders`].
    fn claim_promoted(
        &self,
        claim: &Claim,
        limit: i64,
    ) -> impl Future<Output = Result<Vec<ClaimedOrder>, StoreError>> + Send;

    /// When [`Self::claim_promoted`] will find something: zero where it does so now, `None` where nothing waits.
    fn promotion_due(
        &self,
        claim: &Claim,
    ) -> impl Future<Output = Result<Option<Duration>, StoreError>> + Send;

    /// Why an order that was asked for was not claimed.
    fn refusal(
        &self,
        claim: &Claim,
        number: &OrderNumber,
    ) -> impl Future<Output = Result<Refusal, StoreError>> + Send;

    /// `cooking → ready` for those that this worker still holds in this attempt; gives their numbers. One that is
    /// missing in the answer was taken over, or is finished already: nothing was changed for it.
    ///
    /// # Errors
    /// See [`StoreError`]; it is safe to try again until it succeeds.
    fn finish_orders(
        &self,
        worker: &WorkerName,
        finished: &[Finish],
    ) -> impl Future<Output = Result<Vec<OrderNumber>, StoreError>> + Send;

    /// Puts orders back in the backlog, where the next free worker takes them at once. Says how many were still held.
    ///
    /// # Errors
    /// See [`StoreError`]; what was not given back is taken over when the worker is found lost.
    fn give_back_orders(
        &self,
        worker: &WorkerName,
        orders: &[Finish],
    ) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Which of the orders that the worker believes to have in hand it has not: staff has cancelled them, or another has
    /// taken them over.
    ///
    /// # Errors
    /// See [`StoreError`].
    fn not_held(
        &self,
        worker: &WorkerName,
        held: &[Finish],
    ) -> impl Future<Output = Result<Vec<NotHeld>, StoreError>> + Send;

    /// `cooking → ready` for those that this worker still holds and that a person at its station has bumped so long ago; gives
    /// them. One that was cancelled, recalled or taken over meanwhile is not among them.
    ///
    /// # Errors
    /// See [`StoreError`]; what was finished without the caller knowing is [not held](Self::not_held) any more.
    fn finish_bumped(
        &self,
        worker: &WorkerName,
        undo: Duration,
    ) -> impl Future<Output = Result<Vec<Bumped>, StoreError>> + Send;

    /// What this worker holds, in the attempts in which it does: its own claims, those of an earlier start of it, and what
    /// a person has recalled to its station. All of them have their tickets then.
    ///
    /// # Errors
    /// See [`StoreError`]; safe to repeat.
    fn adopt_orders(
        &self,
        worker: &WorkerName,
    ) -> impl Future<Output = Result<Vec<ClaimedOrder>, StoreError>> + Send;

    /// Whether PostgreSQL has the order as finished by this worker in this attempt: what to ask when the answer to
    /// [`Self::finish_orders`] was lost.
    fn is_finished_by(
        &self,
        worker: &WorkerName,
        finish: &Finish,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;
}

impl KitchenStore for Store {
    async fn claim_orders(
        &self,
        claim: &Claim,
        numbers: &[OrderNumber],
    ) -> Result<Vec<ClaimedOrder>, StoreError> {
        let numbers: Vec<&str> = numbers.iter().map(OrderNumber::as_str).collect();
        self.claim(&CLAIM_NAMED, claim, &numbers).await
    }

    async fn claim_overdue(
        &self,
        claim: &Claim,
        grace: Duration,
        limit: i64,
    ) -> Result<Vec<ClaimedOrder>, StoreError> {
        self.claim(&CLAIM_OVERDUE, claim, &[limit, millis(claim.promote_after), millis(grace)]).await
    }

    async fn claim_promoted(&self, claim: &Claim, limit: i64) -> Result<Vec<ClaimedOrder>, StoreError> {
        self.claim(&CLAIM_PROMOTED, claim, &[limit, millis(claim.promote_after)]).await
    }

    async fn promotion_due(&self, claim: &Claim) -> Result<Option<Duration>, StoreError> {
        let (types, after_ms) = (type_names(&claim.order_types), millis(claim.promote_after));
        self.run("looking for the oldest order", async |client| {
            let statement = client.prepare_cached(&PROMOTION_DUE).await?;
            let due_ms: Option<i64> =
                get(&client.query_one(&statement, &[&types, &after_ms]).await?, "due_ms")?;
            Ok(due_ms.map(|due_ms| Duration::from_millis(u64::try_from(due_ms).unwrap_or(0))))
        })
        .await
    }

    async fn refusal(&self, claim: &Claim, number: &OrderNumber) -> Result<Refusal, StoreError> {
        self.run("looking at an order", async |client| {
            let statement = client
                .prepare_cached("select type, status, processed_by from orders where number = $1")
                .await?;
            let Some(row) = client.query_opt(&statement, &[&number.as_str()]).await? else {
                return Ok(Refusal::Unknown);
            };
            let order_type = order_type(&row, "type")?;
            if !claim.order_types.contains(&order_type) {
                return Ok(Refusal::OtherType(order_type));
            }
            Ok(Refusal::NotWaiting {
                status: status(&row, "status")?,
                processed_by: get(&row, "processed_by")?,
            })
        })
        .await
    }

    async fn finish_orders(
        &self,
        worker: &WorkerName,
        finished: &[Finish],
    ) -> Result<Vec<OrderNumber>, StoreError> {
        let (numbers, attempts) = columns(finished);
        self.run("finishing orders", async |client| {
            let statement = client.prepare_cached(&FINISH).await?;
            let rows = client.query(&statement, &[&worker.as_str(), &numbers, &attempts]).await?;
            self.remember_changes(&rows);
            Ok(readable(&rows, |row| order_number(row, "number")))
        })
        .await
    }

    async fn give_back_orders(&self, worker: &WorkerName, orders: &[Finish]) -> Result<u64, StoreError> {
        let (numbers, attempts) = columns(orders);
        self.run("giving orders back", async |client| {
            let statement = client.prepare_cached(GIVE_BACK).await?;
            Ok(client.execute(&statement, &[&worker.as_str(), &numbers, &attempts]).await?)
        })
        .await
    }

    async fn not_held(&self, worker: &WorkerName, held: &[Finish]) -> Result<Vec<NotHeld>, StoreError> {
        let (numbers, attempts) = columns(held);
        self.run("looking at the orders in hand", async |client| {
            let statement = client.prepare_cached(NOT_HELD).await?;
            let rows = client.query(&statement, &[&worker.as_str(), &numbers, &attempts]).await?;
            Ok(readable(&rows, |row| Ok(NotHeld { order: finished(row)?, became: get(row, "became")? })))
        })
        .await
    }

    async fn finish_bumped(&self, worker: &WorkerName, undo: Duration) -> Result<Vec<Bumped>, StoreError> {
        self.run("finishing what was bumped", async |client| {
            let statement = client.prepare_cached(&FINISH_BUMPED).await?;
            let rows = client.query(&statement, &[&worker.as_str(), &millis(undo)]).await?;
            self.remember_changes(&rows);
            Ok(readable(&rows, |row| {
                let seconds: Option<f64> = get(row, "estimate_error_seconds")?;
                let estimate_error = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
                Ok(Bumped { order: finished(row)?, estimate_error })
            }))
        })
        .await
    }

    async fn adopt_orders(&self, worker: &WorkerName) -> Result<Vec<ClaimedOrder>, StoreError> {
        self.run("looking at what the station holds", async |client| {
            let statement = client.prepare_cached(&ADOPT).await?;
            Ok(readable(&client.query(&statement, &[&worker.as_str()]).await?, claimed_order))
        })
        .await
    }

    async fn is_finished_by(&self, worker: &WorkerName, finish: &Finish) -> Result<bool, StoreError> {
        const SQL: &str = "select exists (
            select from orders o join order_status_log l on l.order_id = o.id
            where o.number = $1 and l.status = 'ready' and l.attempt = $2 and l.changed_by = $3) as finished";
        self.run("looking at an order", async |client| {
            let statement = client.prepare_cached(SQL).await?;
            let number = finish.number.as_str();
            let row = client.query_one(&statement, &[&number, &finish.attempt, &worker.as_str()]).await?;
            get(&row, "finished")
        })
        .await
    }
}

impl Store {
    async fn claim<P>(
        &self,
        sql: &ClaimSql,
        claim: &Claim,
        parameter: &[P],
    ) -> Result<Vec<ClaimedOrder>, StoreError>
    where
        P: tokio_postgres::types::ToSql + Sync,
    {
        let types = type_names(&claim.order_types);
        let all_types = type_names(&OrderType::ALL);
        let cook_ms: Vec<i64> = OrderType::ALL.iter().map(|t| millis(claim.cook_times.of(*t))).collect();
        self.run("claiming orders", async |client| {
            let statement =
                client.prepare_cached(if claim.is_manual { &sql.manual } else { &sql.auto }).await?;
            let worker = claim.worker.as_str();
            let rows = client
                .query(&statement, &[&worker, &types, &all_types, &cook_ms, &parameter, &offline_after()])
                .await?;
            self.remember_changes(&rows);
            // Committed for all: what is left out the heartbeat releases.
            Ok(readable(&rows, claimed_order))
        })
        .await
    }

    /// Remembers the changes that were just committed, so that the relay need not read them back.
    fn remember_changes(&self, rows: &[Row]) {
        let changes = readable(rows, |row| {
            // Without one: a take-over, which changes no status.
            let Some(log_id) = get(row, "log_id")? else { return Ok(None) };
            Ok(Some(Announcement {
                log_id,
                changed_at: get(row, "changed_at")?,
                number: order_number(row, "number")?,
                priority: priority(row, "priority")?,
                request_id: get(row, "request_id")?,
                traceparent: get(row, "traceparent")?,
                content: AnnouncementContent::Status(status_update(row)?),
            }))
        });
        self.inner.announcement_cache.remember(changes.into_iter().flatten());
    }
}

fn claimed_order(row: &Row) -> Result<ClaimedOrder, StoreError> {
    Ok(ClaimedOrder {
        number: order_number(row, "number")?,
        order_type: order_type(row, "type")?,
        attempt: get(row, "attempt")?,
        request_id: get(row, "request_id")?,
        traceparent: get(row, "traceparent")?,
        times: ClaimTimes {
            placed_at: get(row, "created_at")?,
            claimed_at: get(row, "claimed_at")?,
            seen_at: get(row, "seen_at")?,
            promised_at: get(row, "promised_at")?,
        },
    })
}

fn finished(row: &Row) -> Result<Finish, StoreError> {
    Ok(Finish { number: order_number(row, "number")?, attempt: get(row, "attempt")? })
}

fn columns(orders: &[Finish]) -> (Vec<&str>, Vec<i32>) {
    orders.iter().map(|f| (f.number.as_str(), f.attempt)).unzip()
}
