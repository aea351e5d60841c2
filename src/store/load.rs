//! What estimates are made from.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::LazyLock;
use std::time::Duration;

use jiff::Timestamp;

use super::convert::{get, millis, offline_after};
use super::measured::{seconds_of, seconds_of_type};
use super::promotion::{is_promoted, promoted_before_the_first_that_is_not};
use super::{Store, StoreError};
use crate::domain::{KitchenLoad, OrderType, Priority, estimate_waiting};

/// A queue longer than this is not read to its end: nobody waits for an estimate that far away.
const COUNTED_ORDERS: i64 = 10_000;
/// So many of the last orders of a type say how long that type cooks.
const MEASURED_ORDERS: i64 = 50;
/// Where persons cook, so many of the next orders are told a time of their own size. Those behind wait longer than they cook.
const SIZED_ORDERS: usize = 100;

/// The queue comes as arrays in one row, two of them in one order: thousands of rows would each be made and read. What was recalled
/// or given back waits in it as well.
static PICTURE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "
with cooks as (
    select name, capacity, cooking from workers
    where status <> 'offline' and last_seen > now() - make_interval(secs => heartbeat_interval_ms * $2::int / 1000.0)
      and $1 = any(string_to_array(type, ','))
), kitchen as (
    select coalesce(sum(capacity), 0)::bigint as capacity, coalesce(bool_and(cooking = 'manual'), false) as is_manual
    from cooks
), waiting as (
    select coalesce(array_agg(priority), '{{}}') as priorities, coalesce(array_agg(id), '{{}}') as ids from (
        (select priority, id from orders where status = 'received' and type = $1
        order by priority desc, id limit $3)
        union all
        (select priority, id from orders where status = 'cooking' and claimed_at is null and type = $1
        order by priority desc, id)
        order by priority desc, id limit $3) as queue
), promoted as (
    select coalesce(array_agg(id order by id), '{{}}') as promoted from (
        select o.id from {never_cooked}
        union all
        select o.id from orders o
        where o.status = 'cooking' and o.claimed_at is null and o.type = $1 and {promoted}) as waits
)
select promoted, priorities, ids, now() as taken_at,
    (select count(*) from orders
        where status = 'cooking' and claimed_at is not null and processed_by in (select name from cooks)) as cooking,
    capacity, is_manual,
    case when is_manual then ({of_type} * 1000)::bigint else
        (select (extract(epoch from avg(completed_at - claimed_at)) * 1000)::bigint from (
            select completed_at, claimed_at from orders
            where type = $1 and completed_at is not null order by completed_at desc limit $4) as measured)
    end as cook_ms,
    case when is_manual then
        array(select ({of_order} * 1000)::bigint
              from unnest((promoted || ids)[:{SIZED_ORDERS}]) with ordinality as o (id, n) order by n)
    else '{{}}' end as own_ms
from waiting, promoted, kitchen",
        of_type = seconds_of_type("$1"),
        of_order = seconds_of("o.id", "$1"),
        promoted = is_promoted("$5::bigint"),
        never_cooked = promoted_before_the_first_that_is_not("$1", "$3", "$5::bigint")
    )
});

/// The kitchen as the orders of one type see it, at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KitchenPicture {
    /// Ids of the orders that wait for it and go before all others, the oldest first.
    pub promoted: Vec<i64>,
    /// Priority and id of the others that wait for it, in the order in which they are cooked; of a long queue, its
    /// first 10,000.
    pub waiting: Vec<(Priority, i64)>,
    /// Orders that the cooks of this type have in hand.
    pub cooking: u64,
    /// How many orders all online workers that cook this type can have in hand at once.
    pub capacity: u64,
    /// Persons cook it, and nobody else does.
    pub is_manual: bool,
    /// How long the type took to cook lately; `None` if it was never cooked so.
    pub cook_time: Option<Duration>,
    /// How long persons take for an order of its size, by ids; of those that are next.
    pub own_times: HashMap<i64, Duration>,
    pub taken_at: Timestamp,
}

impl KitchenPicture {
    /// What stands between an order and a free cook. An order that is not in the picture is behind all that are in it
    /// and go ahead of it.
    pub fn load_ahead_of(&self, priority: Priority, id: i64) -> KitchenLoad {
        let place = (Reverse(priority), id);
        let goes_ahead = |(priority, id): &(Priority, i64)| (Reverse(*priority), *id) < place;
        let ahead = match self.promoted.binary_search(&id) {
            Ok(ahead) => ahead,
            Err(_) => self.promoted.len() + self.waiting.partition_point(goes_ahead),
        };
        KitchenLoad { waiting_ahead: count(ahead), cooking: self.cooking, capacity: self.capacity }
    }

    /// How long such an order, which is promoted so soon, waits until it is ready: for its turn by priority, or to be promoted and
    /// then for the older ones that are left. `None` while nobody who can cook it is online.
    pub fn wait_of(
        &self,
        (priority, id): (Priority, i64),
        promoted_in: Duration,
        cook_time: Duration,
    ) -> Option<Duration> {
        let load = self.load_ahead_of(priority, id);
        let by_priority = estimate_waiting(load, cook_time)?;
        if by_priority <= promoted_in + cook_time {
            return Some(by_priority);
        }
        let waiting_ahead = self.older_left(id, load.cooked_within(promoted_in, cook_time));
        let busy = KitchenLoad { waiting_ahead, cooking: load.capacity, ..load };
        Some(by_priority.min(promoted_in + estimate_waiting(busy, cook_time)?))
    }

    /// How many older orders wait once so many were cooked.
    fn older_left(&self, id: i64, cooked: usize) -> u64 {
        let others = self.waiting.iter().skip(cooked.saturating_sub(self.promoted.len()));
        let older = others.filter(|(_, other)| *other < id).count();
        count(self.promoted.len().saturating_sub(cooked) + older)
    }
}

impl Store {
    /// The kitchen as the orders of this type see it now. It costs the more the longer the queue is.
    pub async fn kitchen_picture(
        &self,
        order_type: OrderType,
        promote_after: Duration,
    ) -> Result<KitchenPicture, StoreError> {
        let (of_type, promote_after_ms) = (order_type.as_str(), millis(promote_after));
        self.run("measuring the load", async |client| {
            let statement = client.prepare_cached(&PICTURE).await?;
            let row = client
                .query_one(
                    &statement,
                    &[&of_type, &offline_after(), &COUNTED_ORDERS, &MEASURED_ORDERS, &promote_after_ms],
                )
                .await?;
            let (priorities, ids): (Vec<i32>, Vec<i64>) = (get(&row, "priorities")?, get(&row, "ids")?);
            // The schema knows three of them; another would be no reason to estimate nothing.
            let of_stored = |value: i32| Priority::from_stored(u8::try_from(value).unwrap_or(u8::MAX));
            let promoted: Vec<i64> = get(&row, "promoted")?;
            let sized = promoted.iter().chain(&ids).copied().zip(get::<Vec<Option<i64>>>(&row, "own_ms")?);
            let own_times = sized.filter_map(|(id, own_ms)| Some((id, from_millis(own_ms)?))).collect();
            let waiting = priorities.into_iter().map(of_stored).zip(ids);
            let waiting = waiting.filter(|(_, id)| promoted.binary_search(id).is_err()).collect();
            let number = |column| get::<i64>(&row, column).map(|n| u64::try_from(n).unwrap_or(0));
            Ok(KitchenPicture {
                promoted,
                waiting,
                cooking: number("cooking")?,
                capacity: number("capacity")?,
                is_manual: get(&row, "is_manual")?,
                cook_time: from_millis(get(&row, "cook_ms")?),
                own_times,
                taken_at: get(&row, "taken_at")?,
            })
        })
        .await
    }
}

fn count(orders: usize) -> u64 {
    u64::try_from(orders).unwrap_or(u64::MAX)
}

fn from_millis(ms: Option<i64>) -> Option<Duration> {
    ms.and_then(|ms| u64::try_from(ms).ok()).map(Duration::from_millis)
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

    /// A kitchen of one cook, who takes 10 s for each.
    fn of_one_cook(
        promoted: &[i64],
        waiting: &[(Priority, i64)],
        place: (Priority, i64),
        promoted_in_s: u64,
    ) -> u64 {
        let (promoted, waiting) = (promoted.to_vec(), waiting.to_vec());
        let picture = KitchenPicture { promoted, waiting, capacity: 1, ..KitchenPicture::default() };
        let seconds = Duration::from_secs;
        picture.wait_of(place, seconds(promoted_in_s), seconds(10)).unwrap().as_secs()
    }

    #[test]
    fn the_promoted_are_ahead_of_all_and_among_themselves_by_age() {
        let waiting = [(HIGH, 4), (HIGH, 9), (LOW, 7)];
        let wait_s = |place| of_one_cook(&[1, 3], &waiting, place, 900);
        assert_eq!([(LOW, 1), (LOW, 3), (HIGH, 4), (LOW, 7)].map(wait_s), [10, 20, 30, 50]);
    }

    #[test]
    fn an_order_that_is_promoted_before_its_turn_waits_for_the_older_ones_that_are_left() {
        let urgent: Vec<_> = (10..30).map(|id| (HIGH, id)).collect();
        let waiting = [&urgent[..], &[(LOW, 1), (LOW, 2)]].concat();
        let wait_s = |promoted_in_s| of_one_cook(&[], &waiting, (LOW, 2), promoted_in_s);
        // 21 are ahead: 220 s. After 50 s only the older one is, and half of what the cook has in hand.
        assert_eq!([wait_s(900), wait_s(50), wait_s(0)], [220, 50 + 5 + 20, 5 + 20]);
        // By then the older one was cooked.
        let waiting = [&[(HIGH, 1)], &urgent[..]].concat();
        assert_eq!(of_one_cook(&[], &waiting, (LOW, 2), 50), 50 + 5 + 10);
    }
}
