//! What estimates are made from.

use std::cmp::Reverse;
use std::time::Duration;

use jiff::Timestamp;

use super::convert::{get, offline_after};
use super::{Store, StoreError};
use crate::domain::{KitchenLoad, OrderType, Priority};

/// A queue longer than this is not read to its end: nobody waits for an estimate that far away.
const COUNTED_ORDERS: i64 = 10_000;
/// So many of the last orders of a type say how long that type cooks.
const MEASURED_ORDERS: i64 = 50;

/// The queue comes as two arrays of one order, in one row: thousands of rows would each be made and read. What was recalled or
/// given back waits in it as well.
const PICTURE: &str = "
with cooks as (
    select name, capacity from workers
    where status <> 'offline' and last_seen > now() - make_interval(secs => heartbeat_interval_ms * $2::int / 1000.0)
      and $1 = any(string_to_array(type, ','))
), waiting as (
    select coalesce(array_agg(priority), '{}') as priorities, coalesce(array_agg(id), '{}') as ids from (
        (select priority, id from orders where status = 'received' and type = $1
        order by priority desc, id limit $3)
        union all
        (select priority, id from orders where status = 'cooking' and claimed_at is null and type = $1
        order by priority desc, id)
        order by priority desc, id limit $3) as queue
)
select priorities, ids, now() as taken_at,
    (select count(*) from orders
        where status = 'cooking' and claimed_at is not null and processed_by in (select name from cooks)) as cooking,
    (select coalesce(sum(capacity), 0)::bigint from cooks) as capacity,
    (select (extract(epoch from avg(completed_at - claimed_at)) * 1000)::bigint from (
        select completed_at, claimed_at from orders
        where type = $1 and completed_at is not null order by completed_at desc limit $4) as measured) as cook_ms
from waiting";

/// The kitchen as the orders of one type see it, at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KitchenPicture {
    /// Priority and id of the orders that wait for it, in the order in which they are cooked; of a long queue, its
    /// first 10,000.
    pub waiting: Vec<(Priority, i64)>,
    /// Orders that the cooks of this type have in hand.
    pub cooking: u64,
    /// How many orders all online workers that cook this type can have in hand at once.
    pub capacity: u64,
    /// How long the type took to cook lately; `None` if it was never cooked.
    pub cook_time: Option<Duration>,
    pub taken_at: Timestamp,
}

impl KitchenPicture {
    /// What stands between an order and a free cook. An order that is not in the picture is behind all that are in it
    /// and go ahead of it.
    pub fn load_ahead_of(&self, priority: Priority, id: i64) -> KitchenLoad {
        let place = (Reverse(priority), id);
        let ahead = self.waiting.partition_point(|(priority, id)| (Reverse(*priority), *id) < place);
        let waiting_ahead = u64::try_from(ahead).unwrap_or(u64::MAX);
        KitchenLoad { waiting_ahead, cooking: self.cooking, capacity: self.capacity }
    }
}

impl Store {
    /// The kitchen as the orders of this type see it now. It costs the more the longer the queue is.
    pub async fn kitchen_picture(&self, order_type: OrderType) -> Result<KitchenPicture, StoreError> {
        self.run("measuring the load", async |client| {
            let statement = client.prepare_cached(PICTURE).await?;
            let row = client
                .query_one(
                    &statement,
                    &[&order_type.as_str(), &offline_after(), &COUNTED_ORDERS, &MEASURED_ORDERS],
                )
                .await?;
            let (priorities, ids): (Vec<i32>, Vec<i64>) = (get(&row, "priorities")?, get(&row, "ids")?);
            // The schema knows three of them; another would be no reason to estimate nothing.
            let of_stored = |value: i32| Priority::from_stored(u8::try_from(value).unwrap_or(u8::MAX));
            let waiting = priorities.into_iter().map(of_stored).zip(ids).collect();
            let count = |column| get::<i64>(&row, column).map(|n| u64::try_from(n).unwrap_or(0));
            let cook_ms: Option<i64> = get(&row, "cook_ms")?;
            let cook_time = cook_ms.and_then(|ms| u64::try_from(ms).ok()).map(Duration::from_millis);
            Ok(KitchenPicture {
                waiting,
                cooking: count("cooking")?,
                capacity: count("capacity")?,
                cook_time,
                taken_at: get(&row, "taken_at")?,
            })
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOW: Priority = Priority::LOW;
    const MEDIUM: Priority = Priority::MEDIUM;
    const HIGH: Priority = Priority::HIGH;

    /// A place in the picture or none, found as the database would count it.
    #[test]
    fn higher_priorities_and_older_orders_of_the_same_are_ahead() {
        let waiting = vec![(HIGH, 4), (HIGH, 9), (MEDIUM, 2), (MEDIUM, 5), (LOW, 1), (LOW, 7)];
        let picture = KitchenPicture { waiting, cooking: 3, capacity: 2, ..KitchenPicture::default() };
        for priority in [LOW, MEDIUM, HIGH] {
            for id in 0..12 {
                let goes_ahead = |&&(p, i): &&(Priority, i64)| p > priority || (p == priority && i < id);
                let counted = picture.waiting.iter().filter(goes_ahead).count();
                let load = KitchenLoad { waiting_ahead: counted as u64, cooking: 3, capacity: 2 };
                assert_eq!(picture.load_ahead_of(priority, id), load, "{priority:?} {id}");
            }
        }
    }
}
