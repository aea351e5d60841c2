//! What an operator is told in a moment of trouble: the server, its clock, its commits and the schema. Nothing is changed.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio_postgres::Client;

use super::convert::{first_row, get, offline_after};
use super::house::{House, open};
use super::migrations::{Schema, schema_of};
use super::ping::{PING_TIMEOUT, WRITE};
use super::{Store, StoreError};

/// The setting of the database or the account, not that of this session, which only reads.
const FACTS: &str = "
select current_setting('server_version') as version, pg_is_in_recovery() as is_standby, clock_timestamp() as clock,
       exists (select from pg_settings where name = 'default_transaction_read_only' and reset_val = 'on') as is_read_only";

/// The rows that `outbox.max_rows` counts, and when they were written first; the time is the server's.
const OUTBOX: &str = "
select now() as at, count(*) as rows, (extract(epoch from now() - min(written_at)) * 1000)::bigint as oldest_ms from outbox";

const DEAD_HANDS: &str = "
select * from (
    select w.name, (select count(*) from orders o
                    where o.processed_by = w.name and o.status = 'cooking' and o.claimed_at is not null) as orders
    from workers w
    where w.status = 'offline' or w.last_seen <= now() - make_interval(secs => w.heartbeat_interval_ms * $1::int / 1000.0)
) as hands where orders > 0 order by name";

/// PostgreSQL, as it answers now.
#[derive(Debug, Clone)]
pub struct Diagnosis {
    pub version: String,
    pub is_standby: bool,
    /// For this account or database, by an operator's setting.
    pub is_read_only: bool,
    /// What it may lose of what it has answered for.
    pub warnings: Vec<&'static str>,
    /// By how much its clock is ahead of this machine's, give or take half of the time that the answer took.
    pub clock_ahead_ms: i64,
    pub commit: Commit,
    pub schema: Schema,
}

/// What became of a write that leaves nothing behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Commit {
    Took(Duration),
    /// It is not committed, or an earlier one of another process still waits.
    Stuck,
    /// The server or the account takes no writes.
    Refused,
}

/// What an operator asks of the house, beside what is watched of it.
#[derive(Debug, Clone, Default)]
pub struct HouseAsked {
    pub house: House,
    /// By the server's clock, as the times in `house` are.
    pub at: Timestamp,
    pub outbox_rows: u64,
    /// How long the oldest of them has waited.
    pub outbox_oldest: Duration,
    /// Workers that are not online and have orders in hand, with how many.
    pub dead_hands: Vec<(String, u64)>,
}

impl Store {
    /// The house, where the schema is there. Nothing has to be prepared.
    ///
    /// # Errors
    /// When PostgreSQL is away, or does not let this account read it.
    pub async fn ask_house(&self) -> Result<HouseAsked, StoreError> {
        let client = self.connection().await?;
        let house = open(&client).await?;
        let outbox = client.query_one(OUTBOX, &[]).await?;
        let dead_hands = client.query(DEAD_HANDS, &[&offline_after()]).await?;
        let count = |number: i64| u64::try_from(number).unwrap_or_default();
        let oldest_ms: Option<i64> = get(&outbox, "oldest_ms")?;
        let of_worker = |row| Ok((get(row, "name")?, count(get(row, "orders")?)));
        Ok(HouseAsked {
            house,
            at: get(&outbox, "at")?,
            outbox_rows: count(get(&outbox, "rows")?),
            outbox_oldest: Duration::from_millis(count(oldest_ms.unwrap_or_default())),
            dead_hands: dead_hands.iter().map(of_worker).collect::<Result<_, StoreError>>()?,
        })
    }

    /// Asks for all of it on a connection that was not used before: nothing has to be prepared.
    ///
    /// # Errors
    /// When PostgreSQL cannot be reached, does not let this account in, or is behind a pooler that cannot be used.
    pub async fn diagnose(&self) -> Result<Diagnosis, StoreError> {
        let client = self.connection().await?;
        self.refuse_shared_sessions(&client).await?;
        let (asked, asked_at) = (Instant::now(), Timestamp::now());
        let facts = client.query_one(FACTS, &[]).await?;
        let middle = asked_at + asked.elapsed() / 2;
        let clock: Timestamp = get(&facts, "clock")?;
        let is_standby = get(&facts, "is_standby")?;
        let schema = schema_of(&client).await?;
        let commit = if is_standby { Commit::Refused } else { try_commit(&client).await };
        if commit == Commit::Stuck {
            client.close();
        }
        Ok(Diagnosis {
            version: get(&facts, "version")?,
            is_standby,
            is_read_only: get(&facts, "is_read_only")?,
            warnings: self.setup().borrow().warnings.clone(),
            clock_ahead_ms: clock.as_millisecond() - middle.as_millisecond(),
            commit,
            schema,
        })
    }
}

/// The message that it writes is nobody's. The session is one that only reads.
async fn try_commit(client: &Client) -> Commit {
    let (began, sql) = (Instant::now(), format!("begin read write; {}; commit", *WRITE));
    match tokio::time::timeout(PING_TIMEOUT, client.simple_query(&sql)).await {
        Ok(Ok(answer)) if first_row(&answer).is_some() => Commit::Took(began.elapsed()),
        Ok(Ok(_)) | Err(_) => Commit::Stuck,
        Ok(Err(_)) => Commit::Refused,
    }
}
