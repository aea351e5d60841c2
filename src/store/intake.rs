//! Taking orders: many in one statement; and forgetting the keys under which they came.

use std::sync::LazyLock;
use std::time::Duration;

use deadpool_postgres::GenericClient;

use super::columns::{Columns, IdempotencyKey, IntakeRequest, names, tracking_token, unnest, values};
use super::convert::{get, millis};
use super::limits::{IntakeLimits, NoRoom, Room};
use super::outbox::announce_logged;
use super::portions::{self, Portions};
use super::pressure::Connection;
use super::{Announcement, AnnouncementContent, Store, StoreError};
use crate::domain::{Money, OrderMessage, OrderNumber, TrackingToken};

/// What became of one [`IntakeRequest`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placed {
    /// It was taken, now.
    New(OrderNumber),
    /// It had been taken before under the same key, with the same body, came to this, and has this token.
    Before(OrderNumber, Money, Option<TrackingToken>),
    /// The key belongs to a request with another body.
    OtherBody,
    /// There are not enough portions of these entries: each with its place in the order, and what is left.
    SoldOut(Vec<(usize, u32)>),
    /// No more are taken now.
    NoRoom(NoRoom),
}

/// One statement for the whole batch, so one implicit transaction and one flush: number range, orders, items, log and
/// outbox. The counter's row stays locked until the commit, which is what makes numbers free of gaps.
static PLACE: LazyLock<String> = LazyLock::new(|| {
    let batch = Columns::default();
    let orders = batch.orders();
    let count = format!("cardinality($1::{}[])", orders[0].of);
    format!(
        "
with counter as (
    insert into order_counters as c (day, last_sequence)
    values ((now() at time zone 'UTC')::date, {count})
    on conflict (day) do update set last_sequence = c.last_sequence + excluded.last_sequence
    returning {PREFIX} as prefix, last_sequence - {count} as before
), numbered as materialized (
    select t.*, {NEXT_ID} as id, {number} as number
    from counter c, {arrays} with ordinality as t ({columns}, ord)
), {write}",
        number = number("c.before + ord"),
        arrays = unnest(1, &orders),
        columns = names(&orders),
        write = write_numbered(&batch, 1 + orders.len()),
    )
});

/// The same where some come under a key: one that exists, or that another transaction is just writing (then this waits
/// for it), creates no order. To have this beside [`PLACE`] saves a lone order without a key a sixth of its price.
static PLACE_KEYED: LazyLock<String> = LazyLock::new(|| {
    let batch = Columns::default();
    let keyed = [&batch.orders()[..], &batch.keys()].concat();
    format!(
        "
with input as materialized (
    select t.*, {NEXT_ID} as id
    from {arrays} with ordinality as t ({columns}, ord)
), keys as (
    insert into idempotency_keys (key, body_sha256, order_id)
    select key, body_sha256, id from input where key is not null order by key
    on conflict (key) do nothing
    returning order_id
), accepted as materialized (
    select *, row_number() over (order by ord) as place, count(*) over () as places
    from input where key is null or id in (select order_id from keys)
), counter as (
    insert into order_counters as c (day, last_sequence)
    select (now() at time zone 'UTC')::date, count(*) from accepted having count(*) > 0
    on conflict (day) do update set last_sequence = c.last_sequence + excluded.last_sequence
    returning {PREFIX} as prefix, last_sequence
), numbered as materialized (
    select a.*, {number} as number
    from accepted a, counter c
), {write}",
        number = number("c.last_sequence - a.places + a.place"),
        arrays = unnest(1, &keyed),
        columns = names(&keyed),
        write = write_numbered(&batch, 1 + keyed.len()),
    )
});

/// The id of a new order, drawn before its row is written.
const NEXT_ID: &str = "nextval((select pg_get_serial_sequence('orders', 'id')::regclass))";
/// How the numbers of a counter's `day` begin.
const PREFIX: &str = "'ORD_' || to_char(day, 'YYYYMMDD') || '_'";

/// The number with this place in the day: at least three digits.
fn number(place: &str) -> String {
    format!("c.prefix || lpad(({place})::text, greatest(3, length(({place})::text)), '0')")
}

/// What is written of the `numbered` orders: orders, items, log and outbox. The arrays of the items are the parameters from
/// `first` on.
fn write_numbered(batch: &Columns<'_>, first: usize) -> String {
    let (orders, items) = (batch.orders(), batch.items());
    format!(
        "
placed as (
    insert into orders (id, number, {order_columns})
    select n.id, n.number, {order_values} from numbered n
), items as (
    insert into order_items (order_id, {item_columns})
    select n.id, {item_values}
    from {item_arrays} with ordinality as i (ord, {item_columns}, place)
    join numbered n on n.ord = i.ord
    order by i.place
), logged as (
    insert into order_status_log (order_id, status, attempt, changed_by)
    select id, 'received', 0, 'order-service' from numbered order by ord
    returning id, order_id, changed_at
), announced as ({announced}
)
select n.ord, n.number, l.id as log_id, l.changed_at from numbered n join logged l on l.order_id = n.id",
        order_columns = names(&orders),
        order_values = values("n", &orders),
        item_columns = names(&items[1..]),
        item_values = values("i", &items[1..]),
        item_arrays = unnest(first, &items),
        announced = announce_logged("orders"),
    )
}

const BY_KEY: &str = "
select k.key, k.body_sha256, o.number, o.tracking_token, (o.total_amount * 100)::bigint as total_cents
from idempotency_keys k join orders o on o.id = k.order_id
where k.key = any($1::text[])";

/// So many rows go in one statement: a long delete would hold locks and delay others.
const FORGOTTEN_AT_ONCE: i64 = 5_000;

pub trait IntakeStore: Clone + Send + Sync + 'static {
    /// Takes the orders of one batch, all or none, and answers in their order. If the process dies in here, either all
    /// of them are taken and will be announced, or none.
    ///
    /// # Errors
    /// Unavailable: whether they were taken is unknown to the caller; a client that repeats its request under its
    /// key learns it. Refused: nothing was taken.
    fn place_orders(
        &self,
        batch: &[IntakeRequest],
    ) -> impl Future<Output = Result<Vec<Placed>, StoreError>> + Send;
}

impl IntakeStore for Store {
    async fn place_orders(&self, batch: &[IntakeRequest]) -> Result<Vec<Placed>, StoreError> {
        self.place_within(IntakeLimits::default(), batch).await
    }
}

/// A store that takes so many orders and no more.
#[derive(Clone)]
pub struct LimitedStore {
    store: Store,
    limits: IntakeLimits,
}

impl IntakeStore for LimitedStore {
    async fn place_orders(&self, batch: &[IntakeRequest]) -> Result<Vec<Placed>, StoreError> {
        self.store.place_within(self.limits, batch).await
    }
}

/// What became of a batch; `None` of a request whose key was there, and is there no more.
struct Written {
    placed: Vec<Option<Placed>>,
    announcements: Vec<Announcement>,
}

async fn write(client: &impl GenericClient, batch: &[&IntakeRequest]) -> Result<Written, StoreError> {
    let columns = Columns::of(batch);
    let rows = if batch.iter().any(|request| request.idempotency.is_some()) {
        let statement = client.prepare_cached(&PLACE_KEYED).await?;
        client.query(&statement, &columns.with_keys()).await?
    } else {
        let statement = client.prepare_cached(&PLACE).await?;
        client.query(&statement, &columns.without_keys()).await?
    };
    let mut placed: Vec<Option<Placed>> = vec![None; batch.len()];
    let mut announcements = Vec::with_capacity(rows.len());
    for row in rows {
        let ord: i64 = get(&row, "ord")?;
        let number = super::convert::order_number(&row, "number")?;
        let index = usize::try_from(ord - 1).unwrap_or(usize::MAX);
        if let (Some(slot), Some(request)) = (placed.get_mut(index), batch.get(index)) {
            *slot = Some(Placed::New(number.clone()));
            announcements.push(announcement(request, number, &row)?);
        }
    }
    if placed.iter().any(Option::is_none) {
        placed_before(client, batch, &mut placed).await?;
    }
    Ok(Written { placed, announcements })
}

/// The same where orders are counted, or portions of some of these items. Their rows are locked until the commit, so each portion is
/// taken once, with the order that it is for or not at all. One request's order is taken whole or not.
async fn write_counted(
    client: &mut Connection,
    batch: &[&IntakeRequest],
    items: &[&str],
    limits: IntakeLimits,
) -> Result<Written, StoreError> {
    let transaction = client.transaction().await?;
    let mut room = Room::lock(&transaction, limits, batch).await?;
    let mut portions = Portions::lock(&transaction, items).await?;
    let mut placed: Vec<Option<Placed>> = vec![None; batch.len()];
    // A repetition takes nothing: its portions are taken.
    placed_before(&transaction, batch, &mut placed).await?;
    let mut accepted = Vec::with_capacity(batch.len());
    for (index, request) in batch.iter().enumerate() {
        if placed[index].is_some() {
            continue;
        }
        placed[index] = room.lacks(request).map(Placed::NoRoom);
        if placed[index].is_some() {
            continue;
        }
        match portions.take(&request.order) {
            Ok(()) => {
                room.take(request);
                accepted.push(index);
            }
            Err(short) => placed[index] = Some(Placed::SoldOut(short)),
        }
    }
    if accepted.is_empty() {
        // Not even a day begins with them.
        return Ok(Written { placed, announcements: Vec::new() });
    }
    let orders: Vec<&IntakeRequest> = accepted.iter().map(|index| batch[*index]).collect();
    let written = write(&transaction, &orders).await?;
    let numbers = written.placed.iter().filter_map(|placed| match placed {
        Some(Placed::New(number)) => Some(number),
        _ => None,
    });
    if numbers.clone().count() != orders.len() {
        // Another service has taken it meanwhile, and its portions. Nothing of this batch is kept.
        let reason = "a request came to two services at once".to_owned();
        return Err(StoreError::Unavailable { reason });
    }
    portions.write(&transaction).await?;
    room.write(&transaction, numbers.zip(orders)).await?;
    for (index, outcome) in accepted.into_iter().zip(written.placed) {
        placed[index] = outcome;
    }
    transaction.commit().await?;
    Ok(Written { placed, announcements: written.announcements })
}

impl Store {
    pub fn with_limits(self, limits: IntakeLimits) -> LimitedStore {
        LimitedStore { store: self, limits }
    }

    /// See [`IntakeStore::place_orders`].
    async fn place_within(
        &self,
        limits: IntakeLimits,
        batch: &[IntakeRequest],
    ) -> Result<Vec<Placed>, StoreError> {
        let batch: Vec<&IntakeRequest> = batch.iter().collect();
        let items = portions::items_of(&batch);
        self.run("taking orders", async |client| {
            let is_counted = !limits.are_none()
                || (!items.is_empty() && portions::are_any_short(&**client, &items).await?);
            let written = if is_counted {
                write_counted(client, &batch, &items, limits).await?
            } else {
                write(&**client, &batch).await?
            };
            self.inner.announcement_cache.remember(written.announcements.into_iter());
            let missing = || StoreError::Unavailable { reason: "an idempotency key just expired".to_owned() };
            written.placed.into_iter().map(|placed| placed.ok_or_else(missing)).collect()
        })
        .await
    }

    /// What was placed before under the key of this request; `None` where nothing was.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn placed_under(&self, key: &IdempotencyKey) -> Result<Option<Placed>, StoreError> {
        self.run("looking for a key", async |client| {
            let statement = client.prepare_cached(BY_KEY).await?;
            let rows = client.query(&statement, &[&[key.key.as_str()].as_slice()]).await?;
            rows.first().map(|row| before(row, key)).transpose()
        })
        .await
    }

    /// Forgets idempotency keys that are older than `age`, a bounded number of them. Says how many.
    pub async fn forget_idempotency_keys(&self, age: Duration) -> Result<u64, StoreError> {
        const SQL: &str = "delete from idempotency_keys where key in (
            select key from idempotency_keys where created_at < now() - make_interval(secs => $1::bigint / 1000.0)
            order by created_at limit $2 for update skip locked)";
        self.run("forgetting idempotency keys", async |client| {
            Ok(client.execute(SQL, &[&millis(age), &FORGOTTEN_AT_ONCE]).await?)
        })
        .await
    }
}

/// What there is to announce of an order that was just written in this row of the answer.
fn announcement(
    request: &IntakeRequest,
    number: OrderNumber,
    row: &tokio_postgres::Row,
) -> Result<Announcement, StoreError> {
    let message = OrderMessage::of(&number, &request.order);
    Ok(Announcement {
        log_id: get(row, "log_id")?,
        changed_at: get(row, "changed_at")?,
        number,
        priority: message.priority,
        request_id: request.request_id.clone(),
        traceparent: request.traceparent.clone(),
        content: AnnouncementContent::Order(message),
    })
}

/// Fills in what an earlier transaction placed under the keys of those that were not placed now.
async fn placed_before(
    client: &impl GenericClient,
    batch: &[&IntakeRequest],
    placed: &mut [Option<Placed>],
) -> Result<(), StoreError> {
    let open = |placed: &Option<Placed>, request: &&IntakeRequest| match placed {
        None => request.idempotency.as_ref().map(|i| i.key.clone()),
        Some(_) => None,
    };
    let keys: Vec<String> = placed.iter().zip(batch).filter_map(|(p, r)| open(p, r)).collect();
    if keys.is_empty() {
        return Ok(());
    }
    let statement = client.prepare_cached(BY_KEY).await?;
    for row in client.query(&statement, &[&keys]).await? {
        let key: &str = get(&row, "key")?;
        for (slot, request) in placed.iter_mut().zip(batch) {
            let Some(idempotency) = request.idempotency.as_ref().filter(|i| i.key == key) else { continue };
            if slot.is_none() {
                *slot = Some(before(&row, idempotency)?);
            }
        }
    }
    Ok(())
}

/// What a row of [`BY_KEY`] says to a request under its key.
fn before(row: &tokio_postgres::Row, key: &IdempotencyKey) -> Result<Placed, StoreError> {
    let body_sha256: &[u8] = get(row, "body_sha256")?;
    if key.body_sha256.as_slice() != body_sha256 {
        return Ok(Placed::OtherBody);
    }
    let total_amount = Money::from_cents(get(row, "total_cents")?);
    Ok(Placed::Before(super::convert::order_number(row, "number")?, total_amount, tracking_token(row)?))
}
