//! What an estimate is made from.

use std::time::Duration;

use super::convert::get;
use super::{OrderStatus, Store, StoreError};
use crate::domain::{KitchenLoad, OFFLINE_AFTER_INTERVALS};

/// A queue longer than this is not counted to its end: nobody waits for an estimate that far away.
const COUNTED_ORDERS: i64 = 10_000;
/// So many of the last orders of a type say how long that type cooks.
const MEASURED_ORDERS: i64 = 50;

const LOAD: &str = "
with cooks as (
    select name, capacity from workers
    where status <> 'offline' and last_seen > now() - make_interval(secs => heartbeat_interval_ms * $4::int / 1000.0)
      and $1 = any(string_to_array(type, ','))
)
select
    (select count(*) from (
        select from orders where status = 'received' and type = $1
            and (priority > $2 or (priority = $2 and id < $3)) limit $5) as ahead) as waiting_ahead,
    (select count(*) from orders
        where status = 'cooking' and claimed_at is not null and processed_by in (select name from cooks)) as cooking,
    (select coalesce(sum(capacity), 0)::bigint from cooks) as capacity,
    (select (extract(epoch from avg(completed_at - claimed_at)) * 1000)::bigint from (
        select completed_at, claimed_at from orders
        where type = $1 and completed_at is not null order by completed_at desc limit $6) as measured) as cook_ms";

impl Store {
    /// What stands between a waiting order and a free cook, and how long its type took to cook lately (`None` if it
    /// was never cooked).
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn kitchen_load(
        &self,
        order: &OrderStatus,
    ) -> Result<(KitchenLoad, Option<Duration>), StoreError> {
        let priority = i32::from(order.priority.value());
        let intervals = i32::try_from(OFFLINE_AFTER_INTERVALS).unwrap_or(i32::MAX);
        self.run("measuring the load", async |client| {
            let statement = client.prepare_cached(LOAD).await?;
            let order_type = order.order_type.as_str();
            let row = client
                .query_one(
                    &statement,
                    &[&order_type, &priority, &order.id, &intervals, &COUNTED_ORDERS, &MEASURED_ORDERS],
                )
                .await?;
            let count = |column| get::<i64>(&row, column).map(|n| u64::try_from(n).unwrap_or(0));
            let cook_ms: Option<i64> = get(&row, "cook_ms")?;
            let load = KitchenLoad {
                waiting_ahead: count("waiting_ahead")?,
                cooking: count("cooking")?,
                capacity: count("capacity")?,
            };
            Ok((load, cook_ms.and_then(|ms| u64::try_from(ms).ok()).map(Duration::from_millis)))
        })
        .await
    }
}
