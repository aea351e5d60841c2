//! Announcing again what was announced and may be lost: the broker is not the truth.

use std::sync::LazyLock;
use std::time::Duration;

use tokio_postgres::types::ToSql;

use super::convert::{get, millis};
use super::outbox::IS_AMONG_MANY;
use super::{Store, StoreError};

/// After so many repetitions the pause doubles no more: 64 times the first one.
const MAX_REPEAT_DOUBLINGS: i32 = 6;

/// One page of waiting orders, the oldest first, that were looked at by [`Store::announce_late_orders`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LateOrders {
    /// The `orders.id` to go on after; 0 when the end was reached.
    pub next: i64,
    pub announced: i64,
}

/// The claim of a worker, a cancellation and another service doing the same are in nobody's way: a locked order is
/// passed over, and what is not `received` any more is left alone.
static ANNOUNCE_LATE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "
with page as materialized (
    select id from orders where status = 'received' and id > $1 order by id limit $2
), late as materialized (
    select o.id, l.id as log_id, {IS_AMONG_MANY} as is_open
    from orders o join order_status_log l on l.order_id = o.id and l.status = 'received'
    where o.id in (select id from page) and o.status = 'received'
      and coalesce(o.announced_again_at, o.updated_at)
          < now() - make_interval(secs => $3::bigint / 1000.0) * (1 << least(o.announced_again::int, $4::int))
    for update of o skip locked
), counted as (
    update orders o
    set announced_again = least(announced_again::int + 1, 32767), announced_again_at = now()
    from late where o.id = late.id
), announced as (
    insert into outbox (log_id, order_id, announces) select log_id, id, 'order' from late where not is_open
    on conflict do nothing returning 1
)
select coalesce(max(id), 0) as last, count(*) as seen, (select count(*) from announced) as announced from page"
    )
});

/// All orders that wait, past an `orders.id`. Nobody deletes what the outbox is just told to announce.
static ANNOUNCE_WAITING: LazyLock<String> = LazyLock::new(|| {
    format!(
        "
with page as materialized (
    select o.id, l.id as log_id, {IS_AMONG_MANY} as is_open
    from orders o join order_status_log l on l.order_id = o.id and l.status = 'received'
    where o.status = 'received' and o.id > $1 order by o.id limit $2 for key share of l
), announced as (
    insert into outbox (log_id, order_id, announces) select log_id, id, 'order' from page where not is_open
    on conflict do nothing returning 1
)
select max(id) as last, count(*) as seen, (select count(*) from announced) as announced from page"
    )
});

/// The last row of the log that is older than `$1` and a minute, or 0. Ids ascend with the times of the changes but for the
/// transactions that ran at the same time; an index of the times would have to be written to for this question alone.
const LAST_OLD_CHANGE: &str = "
with recursive search (low, high) as (
    select (select min(id) - 1 from order_status_log), (select max(id) from order_status_log)
    union all
    select case when is_old then id else low end, case when is_old then high else middle end
    from (select low, high, (low + high) / 2 as middle from search where low < high) as s
    cross join lateral (
        select id, changed_at < now() - make_interval(secs => $1::bigint / 1000.0 + 60) as is_old
        from order_status_log where id > middle order by id limit 1
    ) as next
)
select coalesce(max(low), 0) as id from search";

/// The changes that are younger than `$3`, past one of them: an order's earlier change comes on an earlier page.
static ANNOUNCE_CHANGES: LazyLock<String> = LazyLock::new(|| {
    format!(
        "
with page as materialized (
    select l.id, l.order_id, {IS_AMONG_MANY} as is_open
    from order_status_log l
    where status <> 'received' and changed_at > now() - make_interval(secs => $3::bigint / 1000.0) and id > $1
    order by id limit $2 for key share
), announced as (
    insert into outbox (log_id, order_id, announces) select id, order_id, 'status' from page where not is_open
    on conflict do nothing returning 1
)
select max(id) as last, count(*) as seen, (select count(*) from announced) as announced from page"
    )
});

pub trait ReconcilerStore: Clone + Send + Sync + 'static {
    /// Looks at up to `limit` waiting orders past `after` (an `orders.id`) and enters those in the outbox again whose
    /// last announcement is `first_pause` old, doubled with each repetition. Several services may do it at once.
    ///
    /// # Errors
    /// See [`StoreError`]; nothing has happened or all of it, and it is safe to repeat.
    fn announce_late_orders(
        &self,
        after: i64,
        limit: i64,
        first_pause: Duration,
    ) -> impl Future<Output = Result<LateOrders, StoreError>> + Send;

    /// Enters in the outbox, page by page, all orders that wait and all changes of the last `window`: what a broker
    /// without memory has to be told. Says how many rows are new there. What was entered before a failure stays.
    ///
    /// # Errors
    /// See [`StoreError`]; it is safe to repeat.
    fn announce_everything(
        &self,
        window: Duration,
        page: i64,
    ) -> impl Future<Output = Result<i64, StoreError>> + Send;

    /// Notes that the sentinel is on the broker, or about to be. Says whether that had been noted before.
    fn note_sentinel(&self) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// How many announcements wait, up to `limit`.
    fn outbox_rows(&self, limit: i64) -> impl Future<Output = Result<i64, StoreError>> + Send;
}

impl ReconcilerStore for Store {
    async fn announce_late_orders(
        &self,
        after: i64,
        limit: i64,
        first_pause: Duration,
    ) -> Result<LateOrders, StoreError> {
        self.run("announcing orders again", async |client| {
            let statement = client.prepare_cached(&ANNOUNCE_LATE).await?;
            let row = client
                .query_one(&statement, &[&after, &limit, &millis(first_pause), &MAX_REPEAT_DOUBLINGS])
                .await?;
            let (last, seen): (i64, i64) = (get(&row, "last")?, get(&row, "seen")?);
            Ok(LateOrders { next: if seen < limit { 0 } else { last }, announced: get(&row, "announced")? })
        })
        .await
    }

    async fn announce_everything(&self, window: Duration, page: i64) -> Result<i64, StoreError> {
        let window_ms = millis(window);
        let orders = self.announce_pages(&ANNOUNCE_WAITING, 0, page, &[]).await?;
        let after = self
            .run("finding late changes", async |client| {
                let statement = client.prepare_cached(LAST_OLD_CHANGE).await?;
                get(&client.query_one(&statement, &[&window_ms]).await?, "id")
            })
            .await?;
        Ok(orders + self.announce_pages(&ANNOUNCE_CHANGES, after, page, &[&window_ms]).await?)
    }

    async fn note_sentinel(&self) -> Result<bool, StoreError> {
        const SQL: &str = "insert into broker_mark default values on conflict do nothing";
        self.run("noting the broker's sentinel", async |client| Ok(client.execute(SQL, &[]).await? == 0))
            .await
    }

    async fn outbox_rows(&self, limit: i64) -> Result<i64, StoreError> {
        const SQL: &str = "select least(coalesce(sum(coalesce(cardinality(log_ids), 1)), 0), $1) as rows
            from (select log_ids from outbox limit $1) as counted";
        self.run("counting the outbox", async |client| {
            let statement = client.prepare_cached(SQL).await?;
            get(&client.query_one(&statement, &[&limit]).await?, "rows")
        })
        .await
    }
}

impl Store {
    /// Enters in the outbox, page by page, all orders that wait: what a kitchen queue has to be told that was made anew.
    /// Says how many rows are new there. What was entered before a failure stays.
    ///
    /// # Errors
    /// See [`StoreError`]; it is safe to repeat.
    pub async fn announce_waiting(&self, page: i64) -> Result<i64, StoreError> {
        self.announce_pages(&ANNOUNCE_WAITING, 0, page, &[]).await
    }

    async fn announce_pages(
        &self,
        sql: &str,
        mut after: i64,
        page: i64,
        more: &[&(dyn ToSql + Sync)],
    ) -> Result<i64, StoreError> {
        let mut announced = 0_i64;
        loop {
            let (last, seen, new) = self
                .run("announcing everything again", async |client| {
                    let statement = client.prepare_cached(sql).await?;
                    let mut parameters: Vec<&(dyn ToSql + Sync)> = vec![&after, &page];
                    parameters.extend(more);
                    let row = client.query_one(&statement, &parameters).await?;
                    let (last, seen): (Option<i64>, i64) = (get(&row, "last")?, get(&row, "seen")?);
                    Ok((last, seen, get::<i64>(&row, "announced")?))
                })
                .await?;
            announced += new;
            match last {
                Some(last) if seen == page => after = last,
                _ => return Ok(announced),
            }
        }
    }
}
