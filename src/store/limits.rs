//! How many orders are taken: in a quarter of an hour, and of one table or address at once. Where nothing is limited nothing of this
//! is asked.

use std::collections::HashMap;
use std::time::Duration;

use deadpool_postgres::GenericClient;
use jiff::Timestamp;

use super::columns::IntakeRequest;
use super::convert::get;
use super::source::OrderSource;
use super::{Store, StoreError};
use crate::domain::OrderNumber;

/// How many orders are taken at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IntakeLimits {
    /// In each quarter of an hour.
    pub of_a_quarter: Option<u32>,
    /// Of one table, that are not ready yet.
    pub open_of_a_table: Option<u32>,
    /// Of one address, that are not ready yet.
    pub open_of_an_address: Option<u32>,
}

impl IntakeLimits {
    pub(super) fn are_none(self) -> bool {
        self == Self::default()
    }

    fn of(self, source: OrderSource) -> Option<u32> {
        if source.is_table() { self.open_of_a_table } else { self.open_of_an_address }
    }
}

/// Why there is no room for an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoRoom {
    /// As many as may be were taken in this quarter of an hour, which is over in so long.
    QuarterFull(Duration),
    /// Its table or address has as many open as may be.
    TooManyOpen,
}

impl Store {
    /// Forgets quarters that are over, and from where orders came that are ready. Says how many.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn forget_limits(&self) -> Result<u64, StoreError> {
        const QUARTERS: &str = "delete from intake_quarters where begins_at < now() - interval '1 day'";
        const SOURCES: &str = "delete from intake_sources s where not exists (
            select from orders o where o.id = s.order_id and o.status in ('received', 'cooking'))";
        self.run("forgetting what was counted", async |client| {
            Ok(client.execute(QUARTERS, &[]).await? + client.execute(SOURCES, &[]).await?)
        })
        .await
    }
}

/// What may still be taken in this quarter. Its row is locked until the commit, so that nobody else takes any meanwhile.
struct Quarter {
    begins_at: Timestamp,
    ends_in: Duration,
    orders: u32,
}

/// What may still be taken in one transaction.
pub(super) struct Room {
    limits: IntakeLimits,
    /// `None` where nothing is limited.
    quarter: Option<Quarter>,
    open: HashMap<OrderSource, u32>,
}

impl Room {
    pub(super) async fn lock(
        client: &impl GenericClient,
        limits: IntakeLimits,
        batch: &[&IntakeRequest],
    ) -> Result<Self, StoreError> {
        const QUARTER: &str = "
            insert into intake_quarters as q (begins_at, orders)
            values (to_timestamp(floor(extract(epoch from now()) / 900) * 900), 0)
            on conflict (begins_at) do update set orders = q.orders
            returning begins_at, orders, (extract(epoch from begins_at + interval '15 min' - now()) * 1000)::bigint as left_ms";
        const OPEN: &str = "
            select s.source, count(*) as orders from intake_sources s join orders o on o.id = s.order_id
            where s.source = any($1) and o.status in ('received', 'cooking') group by s.source";
        if limits.are_none() {
            return Ok(Self { limits, quarter: None, open: HashMap::new() });
        }
        let statement = client.prepare_cached(QUARTER).await?;
        let row = client.query_one(&statement, &[]).await?;
        let left_ms: i64 = get(&row, "left_ms")?;
        let quarter = Quarter {
            begins_at: get(&row, "begins_at")?,
            ends_in: Duration::from_millis(u64::try_from(left_ms).unwrap_or_default()),
            orders: u32::try_from(get::<i32>(&row, "orders")?).unwrap_or_default(),
        };
        let sources = batch.iter().filter_map(|request| request.source);
        let sources: Vec<i32> =
            sources.filter(|source| limits.of(*source).is_some()).map(|source| source.stored()).collect();
        let mut open = HashMap::new();
        if !sources.is_empty() {
            let statement = client.prepare_cached(OPEN).await?;
            for row in client.query(&statement, &[&sources]).await? {
                let orders: i64 = get(&row, "orders")?;
                open.insert(
                    OrderSource::from_stored(get(&row, "source")?),
                    u32::try_from(orders).unwrap_or(u32::MAX),
                );
            }
        }
        Ok(Self { limits, quarter: Some(quarter), open })
    }

    /// Why there is no room for this order, if there is none.
    pub(super) fn lacks(&self, request: &IntakeRequest) -> Option<NoRoom> {
        let quarter = self.quarter.as_ref()?;
        if self.limits.of_a_quarter.is_some_and(|limit| quarter.orders >= limit) {
            return Some(NoRoom::QuarterFull(quarter.ends_in));
        }
        let source = request.source?;
        let open = self.open.get(&source).copied().unwrap_or_default();
        self.limits.of(source).filter(|limit| open >= *limit).map(|_| NoRoom::TooManyOpen)
    }

    pub(super) fn take(&mut self, request: &IntakeRequest) {
        let Some(quarter) = &mut self.quarter else { return };
        quarter.orders += 1;
        if let Some(source) = request.source {
            *self.open.entry(source).or_default() += 1;
        }
    }

    /// Writes what was taken: these orders.
    pub(super) async fn write<'a>(
        self,
        client: &impl GenericClient,
        taken: impl Iterator<Item = (&'a OrderNumber, &'a IntakeRequest)>,
    ) -> Result<(), StoreError> {
        const QUARTER: &str = "update intake_quarters set orders = $2 where begins_at = $1";
        const SOURCES: &str = "
            insert into intake_sources (order_id, source)
            select o.id, t.source from unnest($1::text[], $2::int[]) as t (number, source) join orders o on o.number = t.number";
        let Some(quarter) = self.quarter else { return Ok(()) };
        let statement = client.prepare_cached(QUARTER).await?;
        let orders = i32::try_from(quarter.orders).unwrap_or(i32::MAX);
        client.execute(&statement, &[&quarter.begins_at, &orders]).await?;
        let limited = taken.filter_map(|(number, request)| {
            let source = request.source.filter(|source| self.limits.of(*source).is_some())?;
            Some((number.as_str(), source.stored()))
        });
        let (numbers, sources): (Vec<&str>, Vec<i32>) = limited.unzip();
        if !numbers.is_empty() {
            let statement = client.prepare_cached(SOURCES).await?;
            client.execute(&statement, &[&numbers, &sources]).await?;
        }
        Ok(())
    }
}
