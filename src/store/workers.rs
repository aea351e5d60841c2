//! The table of workers: registration, heartbeats, and how they are shown.

use std::sync::LazyLock;
use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use super::convert::{get, millis, offline_after, type_names};
use super::readable::readable;
use super::writes::{WRITING_MS, tick};
use super::{Store, StoreAccess, StoreError};
use crate::domain::{OrderNumber, OrderType, WorkerName, WorkerState};

/// One start of a worker.
#[derive(Debug, Clone)]
pub struct WorkerRegistration {
    /// Its name; held by this process alone (`broker::HeldName`).
    pub name: WorkerName,
    /// This start of it.
    pub session: Uuid,
    pub order_types: Vec<OrderType>,
    pub heartbeat_interval: Duration,
    pub capacity: u16,
    /// Persons make its orders ready, at a station.
    pub is_manual: bool,
}

/// Who is at work: not offline, and seen within two of their heartbeat intervals. Of the types that the worker cooks, the
/// one with the fewest counts. At least 1 each: the worker itself counts, whatever it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerCount {
    /// How many cook.
    pub living: u32,
    /// How many of them have nothing in hand.
    pub waiting: u32,
    /// Whether they are so many that PostgreSQL's connections must be spared.
    pub connection_pressure: bool,
}

/// What a registration found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Registered {
    /// Orders that an earlier start of the worker had in hand, which are back in the backlog now.
    pub released: i64,
    pub peers: PeerCount,
}

/// What the table says of a name: who had it last, and since when nothing was heard of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameRecord {
    /// The start that registered last; `None`: no start of this system's workers.
    pub session: Option<Uuid>,
    pub last_seen: Timestamp,
    pub heartbeat_interval: Duration,
    /// Its last word was that it goes.
    pub is_offline: bool,
    /// It has gone, or nothing was heard of it for two of its intervals.
    pub is_free: bool,
}

/// What a heartbeat found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeartbeatOutcome {
    /// The name is still this start's.
    Alive {
        /// Orders that the worker held without knowing of it, which are back in the backlog now.
        released: i64,
        peers: PeerCount,
    },
    /// A later start of the same name has taken over.
    Replaced,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerRecord {
    pub name: String,
    /// What it does, and whether it is there at all.
    pub state: WorkerState,
    /// How many orders it has finished, over all its starts.
    pub orders_processed: i32,
    pub last_seen: Timestamp,
    pub order_types: Vec<OrderType>,
}

/// What an earlier start of the same name had in hand is back in the backlog with the registration; a station keeps it, with
/// what persons have done to it. It is refused where
/// neither $7 nor an earlier try of this start allows it, and the row is not what it was found to be ($8, $9).
static REGISTER: LazyLock<String> = LazyLock::new(|| {
    format!(
        "
with {ticked}, me as (
    insert into workers (name, type, status, last_seen, session, heartbeat_interval_ms, capacity, seen_writing_ms, cooking)
    values ($1, $2, 'online', now(), $3, $4, $5, {WRITING_MS}, $10)
    on conflict (name) do update
    set type = excluded.type, status = 'online', last_seen = now(), session = excluded.session,
        heartbeat_interval_ms = excluded.heartbeat_interval_ms, capacity = excluded.capacity,
        seen_writing_ms = excluded.seen_writing_ms, cooking = excluded.cooking
    where $7::boolean or workers.session = $3
       or (workers.session is not distinct from $8::uuid and workers.last_seen = $9::timestamptz)
    returning type, cooking
), released as (
    update orders set claimed_at = null, updated_at = now(), estimated_completion = null
    where processed_by = $1 and status = 'cooking' and claimed_at is not null
      and exists (select from me where cooking = 'auto')
    returning id
){PEERS_TAIL}",
        ticked = tick("")
    )
});

const NAME_RECORD: &str = "
select session, last_seen, heartbeat_interval_ms, status = 'offline' as is_offline,
       status = 'offline' or last_seen <= now() - make_interval(secs => heartbeat_interval_ms * $2::int / 1000.0) as is_free
from workers where name = $1";

/// What the worker is said to hold and does not know of is released: it was claimed, but the answer was lost. So long
/// ($5) after the claim its answer is not on its way any more. A station finds what it holds itself.
static HEARTBEAT: LazyLock<String> = LazyLock::new(|| {
    format!(
        "
with {ticked}, me as (
    update workers set last_seen = now(), status = $3, seen_writing_ms = {WRITING_MS}
    where name = $1 and session = $2 returning name, type, cooking
), released as (
    update orders o set claimed_at = null, updated_at = now(), estimated_completion = null
    from me
    where me.cooking = 'auto' and o.processed_by = me.name and o.status = 'cooking'
      and o.claimed_at < now() - make_interval(secs => $5::bigint / 1000.0) and o.number <> all($4::text[])
    returning o.id
){PEERS_TAIL}",
        ticked = tick("")
    )
});

/// What both statements end with; no row when the worker is not this start's any more. `$1` is its name, `$6` the number of
/// missed heartbeats that make a worker lost.
///
/// They are too many for PostgreSQL when it has less than four connections for each: a worker that cooks one order at a
/// time uses one or two, and up to three at once, and there are other roles.
const PEERS_TAIL: &str = "
, others as (
    select type, count(*) as living, count(*) filter (where status = 'online') as waiting
    from workers
    where name <> $1 and status <> 'offline'
      and last_seen > now() - make_interval(secs => heartbeat_interval_ms * $6::int / 1000.0)
    group by type
)
select (select count(*) from released) as released,
       (select 1 + coalesce(sum(living), 0) from others) * 4 > current_setting('max_connections')::int as connection_pressure,
       peers.living, peers.waiting
from me, lateral (
    select 1 + min(living)::bigint as living, 1 + min(waiting)::bigint as waiting
    from (
        select coalesce(sum(others.living), 0) as living, coalesce(sum(others.waiting), 0) as waiting
        from unnest(string_to_array(me.type, ',')) as own (type)
        left join others on own.type = any(string_to_array(others.type, ','))
        group by own.type
    ) as of_type
) as peers";

const LIST: &str = "
select name, type, orders_processed, last_seen,
       case when last_seen <= now() - make_interval(secs => heartbeat_interval_ms * $1::int / 1000.0)
            then 'offline' else status end as state
from workers order by name";

pub trait WorkerStore: StoreAccess {
    /// Enters a worker that has just started and holds its name in RabbitMQ, and releases what an earlier start of it left
    /// in hand.
    fn register_worker(
        &self,
        worker: &WorkerRegistration,
    ) -> impl Future<Output = Result<Registered, StoreError>> + Send;

    /// [`Self::register_worker`] for one whose name nobody can vouch for: only where the table still says what was found
    /// before. `None`: somebody has registered or given a sign of life since.
    fn register_worker_over(
        &self,
        worker: &WorkerRegistration,
        found: Option<&NameRecord>,
    ) -> impl Future<Output = Result<Option<Registered>, StoreError>> + Send;

    /// What the table says of a worker's name; `None` where no worker ever had it.
    fn name_record(
        &self,
        name: &WorkerName,
    ) -> impl Future<Output = Result<Option<NameRecord>, StoreError>> + Send;

    /// Says that the worker lives and what it does, and which orders it knows to have in hand.
    fn heartbeat(
        &self,
        name: &WorkerName,
        session: Uuid,
        state: WorkerState,
        in_hand: &[OrderNumber],
    ) -> impl Future<Output = Result<HeartbeatOutcome, StoreError>> + Send;
}

impl WorkerStore for Store {
    async fn register_worker(&self, worker: &WorkerRegistration) -> Result<Registered, StoreError> {
        let registered = self.enter_worker(worker, true, None).await?;
        registered.ok_or_else(|| StoreError::Unknown("a registration without a row".to_owned()))
    }

    async fn register_worker_over(
        &self,
        worker: &WorkerRegistration,
        found: Option<&NameRecord>,
    ) -> Result<Option<Registered>, StoreError> {
        self.enter_worker(worker, false, found).await
    }

    async fn name_record(&self, name: &WorkerName) -> Result<Option<NameRecord>, StoreError> {
        self.run("looking at the worker's name", async |client| {
            let statement = client.prepare_cached(NAME_RECORD).await?;
            let row = client.query_opt(&statement, &[&name.as_str(), &offline_after()]).await?;
            row.as_ref().map(name_record).transpose()
        })
        .await
    }

    async fn heartbeat(
        &self,
        name: &WorkerName,
        session: Uuid,
        state: WorkerState,
        in_hand: &[OrderNumber],
    ) -> Result<HeartbeatOutcome, StoreError> {
        let in_hand: Vec<&str> = in_hand.iter().map(OrderNumber::as_str).collect();
        let settled_ms = millis(self.inner.options.server.operation_timeout * 2);
        self.run("the heartbeat", async |client| {
            let statement = client.prepare_cached(&HEARTBEAT).await?;
            let (name, state) = (name.as_str(), state.as_str());
            let row = client
                .query_opt(&statement, &[&name, &session, &state, &in_hand, &settled_ms, &offline_after()])
                .await?;
            let Some(row) = row else { return Ok(HeartbeatOutcome::Replaced) };
            Ok(HeartbeatOutcome::Alive { released: get(&row, "released")?, peers: peers(&row)? })
        })
        .await
    }
}

impl Store {
    async fn enter_worker(
        &self,
        worker: &WorkerRegistration,
        whoever_has_it: bool,
        found: Option<&NameRecord>,
    ) -> Result<Option<Registered>, StoreError> {
        let types = type_names(&worker.order_types).join(",");
        let interval_ms = i32::try_from(millis(worker.heartbeat_interval).max(1)).unwrap_or(i32::MAX);
        let (session, last_seen) =
            (found.and_then(|found| found.session), found.map(|found| found.last_seen));
        self.run("registering the worker", async |client| {
            let statement = client.prepare_cached(&REGISTER).await?;
            let (name, capacity) = (worker.name.as_str(), i32::from(worker.capacity));
            let row = client
                .query_opt(
                    &statement,
                    &[
                        &name,
                        &types,
                        &worker.session,
                        &interval_ms,
                        &capacity,
                        &offline_after(),
                        &whoever_has_it,
                        &session,
                        &last_seen,
                        &if worker.is_manual { "manual" } else { "auto" },
                    ],
                )
                .await?;
            let Some(row) = row else { return Ok(None) };
            Ok(Some(Registered { released: get(&row, "released")?, peers: peers(&row)? }))
        })
        .await
    }

    /// All workers that ever registered, by name.
    pub async fn workers(&self) -> Result<Vec<WorkerRecord>, StoreError> {
        self.run("listing the workers", async |client| {
            let statement = client.prepare_cached(LIST).await?;
            Ok(readable(&client.query(&statement, &[&offline_after()]).await?, worker_record))
        })
        .await
    }
}

fn peers(row: &tokio_postgres::Row) -> Result<PeerCount, StoreError> {
    let count = |column| get::<i64>(row, column).map(|n| u32::try_from(n).unwrap_or(1).max(1));
    Ok(PeerCount {
        living: count("living")?,
        waiting: count("waiting")?,
        connection_pressure: get(row, "connection_pressure")?,
    })
}

fn name_record(row: &tokio_postgres::Row) -> Result<NameRecord, StoreError> {
    let interval_ms: i32 = get(row, "heartbeat_interval_ms")?;
    Ok(NameRecord {
        session: get(row, "session")?,
        last_seen: get(row, "last_seen")?,
        heartbeat_interval: Duration::from_millis(u64::try_from(interval_ms).unwrap_or(1)),
        is_offline: get(row, "is_offline")?,
        is_free: get(row, "is_free")?,
    })
}

fn worker_record(row: &tokio_postgres::Row) -> Result<WorkerRecord, StoreError> {
    let types: &str = get(row, "type")?;
    let state: &str = get(row, "state")?;
    let state = match state {
        "online" => WorkerState::Online,
        "processing" => WorkerState::Processing,
        "offline" => WorkerState::Offline,
        other => return Err(StoreError::Unknown(format!("workers.status is {other:?}"))),
    };
    Ok(WorkerRecord {
        name: get(row, "name")?,
        state,
        orders_processed: get(row, "orders_processed")?,
        last_seen: get(row, "last_seen")?,
        order_types: types.split(',').filter_map(|t| t.parse().ok()).collect(),
    })
}
