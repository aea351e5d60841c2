//! Taking orders: many in one statement.

use tokio_postgres::types::ToSql;

use super::convert::get;
use super::outbox::announce_logged;
use super::{Announcement, AnnouncementContent, OrderAnnouncement, Store, StoreError};
use crate::domain::{NewOrder, OrderNumber};

/// A client's promise that equal keys mean the same order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// The `Idempotency-Key` header.
    pub key: String,
    /// SHA-256 of the body that came with it.
    pub body_sha256: [u8; 32],
}

/// One order to be taken.
#[derive(Debug, Clone)]
pub struct IntakeRequest {
    /// What is ordered.
    pub order: NewOrder,
    /// The id of the request that orders it.
    pub request_id: String,
    /// The trace that the request belongs to.
    pub traceparent: Option<String>,
    /// The request may be repeated under this key.
    pub idempotency: Option<IdempotencyKey>,
}

/// What became of one [`IntakeRequest`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placed {
    /// It was taken, now.
    New(PlacedOrder),
    /// It had been taken before under the same key, with the same body.
    Before(PlacedOrder),
    /// The key belongs to a request with another body.
    OtherBody,
}

/// A taken order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacedOrder {
    /// Its number.
    pub number: OrderNumber,
}

/// What is written of the `numbered` orders: orders, items, log and outbox.
macro_rules! write_numbered {
    () => {
        concat!(
            "
placed as (
    insert into orders (id, number, customer_name, type, table_number, delivery_address, total_amount, priority,
                        request_id, traceparent)
    select id, number, customer_name, type, table_number, delivery_address, cents * 0.01, priority,
           request_id, traceparent
    from numbered
), items as (
    insert into order_items (order_id, name, quantity, price)
    select n.id, i.name, i.quantity, i.cents * 0.01
    from unnest($9::bigint[], $10::text[], $11::int[], $12::bigint[]) with ordinality
        as i (ord, name, quantity, cents, place)
    join numbered n on n.ord = i.ord
    order by i.place
), logged as (
    insert into order_status_log (order_id, status, changed_by)
    select id, 'received', 'order-service' from numbered order by ord
    returning id, order_id, changed_at
), announced as (",
            announce_logged!("orders"),
            "
)
select n.ord, n.number, l.id as log_id, l.changed_at from numbered n join logged l on l.order_id = n.id"
        )
    };
}

/// One statement for the whole batch, so one implicit transaction and one flush: number range, orders, items, log and
/// outbox. The counter's row stays locked until the commit, which is what makes numbers free of gaps.
const PLACE: &str = concat!(
    "
with counter as (
    insert into order_counters as c (day, last_sequence)
    values ((now() at time zone 'UTC')::date, cardinality($1::text[]))
    on conflict (day) do update set last_sequence = c.last_sequence + excluded.last_sequence
    returning 'ORD_' || to_char(day, 'YYYYMMDD') || '_' as prefix, last_sequence - cardinality($1::text[]) as before
), numbered as materialized (
    select t.*, nextval((select pg_get_serial_sequence('orders', 'id')::regclass)) as id,
        c.prefix || lpad((c.before + ord)::text, greatest(3, length((c.before + ord)::text)), '0') as number
    from counter c,
        unnest($1::text[], $2::text[], $3::int[], $4::text[], $5::bigint[], $6::int[], $7::text[], $8::text[])
        with ordinality as t (customer_name, type, table_number, delivery_address, cents, priority, request_id,
                              traceparent, ord)
), ",
    write_numbered!()
);

/// The same where some come under a key: one that exists, or that another transaction is just writing (then this waits
/// for it), creates no order. To have this beside [`PLACE`] saves a lone order without a key a sixth of its price.
const PLACE_KEYED: &str = concat!(
    "
with input as materialized (
    select t.*, nextval((select pg_get_serial_sequence('orders', 'id')::regclass)) as id
    from unnest($1::text[], $2::text[], $3::int[], $4::text[], $5::bigint[], $6::int[], $7::text[], $8::text[],
                $13::text[], $14::bytea[]) with ordinality
        as t (customer_name, type, table_number, delivery_address, cents, priority, request_id, traceparent,
              key, body_sha256, ord)
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
    returning 'ORD_' || to_char(day, 'YYYYMMDD') || '_' as prefix, last_sequence
), numbered as materialized (
    select a.*, c.prefix || lpad((c.last_sequence - a.places + a.place)::text,
                                 greatest(3, length((c.last_sequence - a.places + a.place)::text)), '0') as number
    from accepted a, counter c
), ",
    write_numbered!()
);

const BY_KEY: &str = "
select k.key, k.body_sha256, o.number
from idempotency_keys k join orders o on o.id = k.order_id
where k.key = any($1::text[])";

/// Where orders are committed.
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
        self.run("taking orders", async |client| {
            let columns = Columns::of(batch);
            let rows = if batch.iter().any(|request| request.idempotency.is_some()) {
                let statement = client.prepare_cached(PLACE_KEYED).await?;
                client.query(&statement, &columns.with_keys()).await?
            } else {
                let statement = client.prepare_cached(PLACE).await?;
                client.query(&statement, &columns.without_keys()).await?
            };
            let mut placed: Vec<Option<Placed>> = vec![None; batch.len()];
            let mut written = Vec::with_capacity(rows.len());
            for row in rows {
                let ord: i64 = get(&row, "ord")?;
                let number = super::convert::order_number(&row, "number")?;
                let index = usize::try_from(ord - 1).unwrap_or(usize::MAX);
                if let (Some(slot), Some(request)) = (placed.get_mut(index), batch.get(index)) {
                    *slot = Some(Placed::New(PlacedOrder { number: number.clone() }));
                    written.push(announcement(request, number, &row)?);
                }
            }
            self.fresh().remember(written.into_iter());
            if placed.iter().any(Option::is_none) {
                placed_before(client, batch, &mut placed).await?;
            }
            placed
                .into_iter()
                .map(|p| {
                    p.ok_or_else(|| StoreError::Unavailable {
                        reason: "an idempotency key just expired".into(),
                    })
                })
                .collect()
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
    let order = &request.order;
    Ok(Announcement {
        log_id: get(row, "log_id")?,
        changed_at: get(row, "changed_at")?,
        number,
        priority: order.priority(),
        request_id: request.request_id.clone(),
        traceparent: request.traceparent.clone(),
        content: AnnouncementContent::Order(OrderAnnouncement {
            customer_name: order.customer_name().to_owned(),
            order_type: order.order_type(),
            table_number: order.table_number(),
            delivery_address: order.delivery_address().map(str::to_owned),
            items: order.items().to_vec(),
            total_amount: order.total_amount(),
        }),
    })
}

/// Fills in what an earlier transaction placed under the keys of those that were not placed now.
async fn placed_before(
    client: &deadpool_postgres::Object,
    batch: &[IntakeRequest],
    placed: &mut [Option<Placed>],
) -> Result<(), StoreError> {
    let open = |placed: &Option<Placed>, request: &IntakeRequest| match placed {
        None => request.idempotency.as_ref().map(|i| i.key.clone()),
        Some(_) => None,
    };
    let keys: Vec<String> = placed.iter().zip(batch).filter_map(|(p, r)| open(p, r)).collect();
    let statement = client.prepare_cached(BY_KEY).await?;
    for row in client.query(&statement, &[&keys]).await? {
        let key: &str = get(&row, "key")?;
        let body_sha256: &[u8] = get(&row, "body_sha256")?;
        let number = super::convert::order_number(&row, "number")?;
        for (slot, request) in placed.iter_mut().zip(batch) {
            let Some(idempotency) = request.idempotency.as_ref().filter(|i| i.key == key) else { continue };
            if slot.is_none() {
                let same = idempotency.body_sha256.as_slice() == body_sha256;
                let before = Placed::Before(PlacedOrder { number: number.clone() });
                *slot = Some(if same { before } else { Placed::OtherBody });
            }
        }
    }
    Ok(())
}

/// The batch turned by a quarter: one array for each column.
#[derive(Default)]
struct Columns<'a> {
    customer_name: Vec<&'a str>,
    order_type: Vec<&'static str>,
    table_number: Vec<Option<i32>>,
    delivery_address: Vec<Option<&'a str>>,
    cents: Vec<i64>,
    priority: Vec<i32>,
    request_id: Vec<&'a str>,
    traceparent: Vec<Option<&'a str>>,
    key: Vec<Option<&'a str>>,
    body_sha256: Vec<Option<&'a [u8]>>,
    item_ord: Vec<i64>,
    item_name: Vec<&'a str>,
    item_quantity: Vec<i32>,
    item_cents: Vec<i64>,
}

impl<'a> Columns<'a> {
    fn of(batch: &'a [IntakeRequest]) -> Self {
        let mut columns = Self::default();
        for (ord, request) in (1_i64..).zip(batch) {
            columns.push(ord, request);
        }
        columns
    }

    fn push(&mut self, ord: i64, request: &'a IntakeRequest) {
        let order = &request.order;
        self.customer_name.push(order.customer_name());
        self.order_type.push(order.order_type().as_str());
        self.table_number.push(order.table_number().map(i32::from));
        self.delivery_address.push(order.delivery_address());
        self.cents.push(order.total_amount().cents());
        self.priority.push(i32::from(order.priority().value()));
        self.request_id.push(&request.request_id);
        self.traceparent.push(request.traceparent.as_deref());
        self.key.push(request.idempotency.as_ref().map(|i| i.key.as_str()));
        self.body_sha256.push(request.idempotency.as_ref().map(|i| i.body_sha256.as_slice()));
        for item in order.items() {
            self.item_ord.push(ord);
            self.item_name.push(&item.name);
            self.item_quantity.push(i32::from(item.quantity));
            self.item_cents.push(item.price.cents());
        }
    }

    /// What [`PLACE`] takes.
    fn without_keys(&self) -> [&(dyn ToSql + Sync); 12] {
        [
            &self.customer_name,
            &self.order_type,
            &self.table_number,
            &self.delivery_address,
            &self.cents,
            &self.priority,
            &self.request_id,
            &self.traceparent,
            &self.item_ord,
            &self.item_name,
            &self.item_quantity,
            &self.item_cents,
        ]
    }

    /// What [`PLACE_KEYED`] takes.
    fn with_keys(&self) -> Vec<&(dyn ToSql + Sync)> {
        let keys: [&(dyn ToSql + Sync); 2] = [&self.key, &self.body_sha256];
        self.without_keys().into_iter().chain(keys).collect()
    }
}
