//! Reading orders, and what staff does to them.

use std::collections::HashMap;
use std::sync::LazyLock;
use std::time::Duration;

use jiff::Timestamp;
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use super::columns::{ORDER_COLUMNS, items_where, order_message, tracking_token, uuid_of};
use super::convert::{get, millis, offline_after, order_number, order_type, priority, status, type_names};
use super::pressure::Connection;
use super::readable::readable;
use super::staff::StaffAct;
use super::{Store, StoreError};
use crate::domain::{
    Money, OrderMessage, OrderNumber, OrderType, Priority, StaffRole, Status, TrackingToken,
};

#[derive(Debug, Clone, PartialEq)]
pub struct OrderDetails {
    /// As it was placed. The customer's name and address are for staff only.
    pub order: OrderMessage,
    pub status: Status,
    /// Who cooks or cooked it.
    pub processed_by: Option<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// When it was ready.
    pub completed_at: Option<Timestamp>,
    /// By which its customer is known; none where a version before has taken it.
    pub token: Option<TrackingToken>,
}

/// What a list shows of an order: nothing about the customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderSummary {
    /// Its place in the list, for keyset pagination.
    pub id: i64,
    pub number: OrderNumber,
    pub order_type: OrderType,
    pub status: Status,
    /// Σ quantity × price.
    pub total_amount: Money,
    pub priority: Priority,
    /// Who cooks or cooked it.
    pub processed_by: Option<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// When it was ready.
    pub completed_at: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderStatus {
    /// For the load ahead of it.
    pub id: i64,
    pub number: OrderNumber,
    pub order_type: OrderType,
    pub priority: Priority,
    pub status: Status,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// When its present holder will be done; `None` while nobody has it in hand.
    pub estimated_completion: Option<Timestamp>,
    /// Who cooks or cooked it.
    pub processed_by: Option<String>,
    /// Its holder is lost, and what it promised is over: nobody can say when it will be ready until it is taken over.
    pub is_abandoned: bool,
}

/// One step of an order's life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryEntry {
    pub status: Status,
    pub changed_at: Timestamp,
    pub changed_by: String,
    /// What there is to remark.
    pub notes: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderList {
    pub orders: Vec<OrderSummary>,
    /// The `before_id` of the next one; `None` for the last.
    pub next_before_id: Option<i64>,
}

#[derive(Debug, Clone, Default)]
pub struct OrderFilter {
    /// Only in one of these; in any where there are none.
    pub statuses: Vec<Status>,
    /// Only of one of these; of any where there are none.
    pub order_types: Vec<OrderType>,
    /// Only older than the order with this id.
    pub before_id: Option<i64>,
}

/// What staff does to an order.
#[derive(Debug, Clone)]
pub struct StaffChange<'a> {
    /// It must be in one of these.
    pub from: Vec<Status>,
    pub to: Status,
    /// Who does it. What there is to remark everybody may read in the order's history.
    pub act: StaffAct<'a>,
}

impl<'a> StaffChange<'a> {
    /// From any status from which it may go there.
    pub fn new(to: Status, act: StaffAct<'a>) -> Self {
        Self { from: to.ways_in().collect(), to, act }
    }
}

/// What came of staff's attempt to change an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StaffOutcome {
    /// It moved from there, now.
    Done {
        from: Status,
    },
    /// Its status does not allow it: it is this.
    Conflict(Status),
    /// Its type does not allow it: it is this.
    OtherType(OrderType),
    /// It was ready too long ago.
    TooLate,
    NotFound,
}

const SUMMARY_COLUMNS: &str =
    "o.id, o.number, o.type, o.status, (o.total_amount * 100)::bigint as total_cents,
    o.priority, o.processed_by, o.created_at, o.updated_at, o.completed_at";

static DETAILS: LazyLock<String> = LazyLock::new(|| details_where("o.number = $1"));
static DETAILS_BY_TOKEN: LazyLock<String> = LazyLock::new(|| details_where("o.tracking_token = $1"));

fn details_where(is_meant: &str) -> String {
    format!(
        "
select {ORDER_COLUMNS}, o.status, o.processed_by, o.created_at, o.updated_at, o.completed_at, o.tracking_token
from orders o left join lateral ({items}) i on true
where {is_meant}",
        items = items_where("order_id = o.id")
    )
}

/// The time is that of the update, not of the statement's beginning, which may lie before the change that it follows.
const MOVE: &str = "
with found as (
    select id, status from orders where number = $1 and status = any($2) and type = any($6) for no key update
), moved as (
    update orders o set status = $3, updated_at = clock_timestamp(), estimated_completion = null
    from found where o.id = found.id returning o.id, o.attempt, o.updated_at, found.status as previous_status
), logged as (
    insert into order_status_log (order_id, status, previous_status, attempt, changed_by, changed_at, notes)
    select id, $3, previous_status, attempt, $4, updated_at, $9 from moved returning id, order_id
), acted as (
    insert into staff_actions (acted_at, name, role, action, order_number, detail, request_id)
    select updated_at, $5, $7, $8, $1, $9, $10 from moved
), announced as (
    insert into outbox (log_id, order_id, announces) select id, order_id, 'status' from logged
)
select previous_status as status from moved";

/// Nobody has the order in hand then: the next free worker finds it, as it finds what another has given back. Who had it in
/// an attempt before can neither finish it nor give it back.
const RECALL: &str = "
with recalled as (
    update orders set status = 'cooking', attempt = attempt + 1, claimed_at = null, completed_at = null,
        estimated_completion = null, updated_at = clock_timestamp()
    where number = $1 and status = 'ready' and completed_at > now() - make_interval(secs => $3::bigint / 1000.0)
    returning id, attempt, updated_at
), logged as (
    insert into order_status_log (order_id, status, previous_status, attempt, changed_by, changed_at)
    select id, 'cooking', 'ready', attempt, $2, updated_at from recalled returning id, order_id
), acted as (
    insert into staff_actions (acted_at, name, role, action, order_number, detail, request_id)
    select updated_at, $4, $5, $6, $1, $7, $8 from recalled
)
insert into outbox (log_id, order_id, announces) select id, order_id, 'status' from logged";

const CANCEL_AS_CUSTOMER: &str = "
with cancelled as (
    update orders set status = 'cancelled', updated_at = clock_timestamp(), estimated_completion = null
    where number = $1 and status = 'received' returning id, attempt, updated_at
), logged as (
    insert into order_status_log (order_id, status, previous_status, attempt, changed_by, changed_at)
    select id, 'cancelled', 'received', attempt, 'customer', updated_at from cancelled returning id, order_id
)
insert into outbox (log_id, order_id, announces) select id, order_id, 'status' from logged";

impl Store {
    /// Has staff move an order on, and notes who did it. Nothing changes where its status or its type does not allow it.
    ///
    /// # Errors
    /// See [`StoreError`]; safe to repeat, then with [`StaffOutcome::Conflict`] if the first attempt had succeeded.
    pub async fn move_order(
        &self,
        number: &OrderNumber,
        change: &StaffChange<'_>,
    ) -> Result<StaffOutcome, StoreError> {
        let StaffChange { from, to, act } = change;
        let from: Vec<&str> = from.iter().map(|status| status.as_str()).collect();
        let types = type_names(to.order_types());
        let StaffAct { by, action, detail, request_id } = act;
        let (changed_by, role) = (by.changed_by(), by.role.map(StaffRole::as_str));
        let parameters: [&(dyn ToSql + Sync); 10] = [
            &number.as_str(),
            &from,
            &to.as_str(),
            &changed_by,
            &by.name,
            &types,
            &role,
            action,
            detail,
            request_id,
        ];
        self.run("changing an order", async |client| {
            let statement = client.prepare_cached(MOVE).await?;
            match client.query_opt(&statement, &parameters).await? {
                Some(row) => Ok(StaffOutcome::Done { from: status(&row, "status")? }),
                None => unchanged(client, number, *to).await,
            }
        })
        .await
    }

    /// Has staff recall an order that was ready for no longer than `within`: `ready → cooking`, in a new attempt, which the
    /// next free worker begins.
    ///
    /// # Errors
    /// As for [`Self::move_order`].
    pub async fn recall_order(
        &self,
        number: &OrderNumber,
        act: &StaffAct<'_>,
        within: Duration,
    ) -> Result<StaffOutcome, StoreError> {
        let StaffAct { by, action, detail, request_id } = act;
        let (changed_by, role) = (by.changed_by(), by.role.map(StaffRole::as_str));
        let (number_text, within_ms) = (number.as_str(), millis(within));
        let parameters: [&(dyn ToSql + Sync); 8] =
            [&number_text, &changed_by, &within_ms, &by.name, &role, action, detail, request_id];
        self.run("recalling an order", async |client| {
            let statement = client.prepare_cached(RECALL).await?;
            if client.execute(&statement, &parameters).await? > 0 {
                return Ok(StaffOutcome::Done { from: Status::Ready });
            }
            match unchanged(client, number, Status::Cooking).await? {
                StaffOutcome::Conflict(Status::Ready) => Ok(StaffOutcome::TooLate),
                outcome => Ok(outcome),
            }
        })
        .await
    }

    /// Has its customer cancel an order, while it is `received`.
    ///
    /// # Errors
    /// As for [`Self::move_order`].
    pub async fn cancel_as_customer(&self, number: &OrderNumber) -> Result<StaffOutcome, StoreError> {
        self.run("cancelling an order", async |client| {
            let statement = client.prepare_cached(CANCEL_AS_CUSTOMER).await?;
            if client.execute(&statement, &[&number.as_str()]).await? > 0 {
                return Ok(StaffOutcome::Done { from: Status::Received });
            }
            unchanged(client, number, Status::Cancelled).await
        })
        .await
    }

    /// Everything about one order.
    pub async fn order(&self, number: &OrderNumber) -> Result<Option<OrderDetails>, StoreError> {
        self.details(&DETAILS, &number.as_str()).await
    }

    /// The same of the order that has this token.
    pub async fn order_of_token(&self, token: TrackingToken) -> Result<Option<OrderDetails>, StoreError> {
        self.details(&DETAILS_BY_TOKEN, &uuid_of(token)).await
    }

    async fn details(
        &self,
        sql: &str,
        meant: &(dyn ToSql + Sync),
    ) -> Result<Option<OrderDetails>, StoreError> {
        self.run("reading an order", async |client| {
            let statement = client.prepare_cached(sql).await?;
            let row = client.query_opt(&statement, &[meant]).await?;
            row.as_ref().map(details).transpose()
        })
        .await
    }

    /// Where each of these orders is, in their order; `None` for a number that no order has. A number may be there
    /// more than once.
    pub async fn order_statuses(
        &self,
        numbers: &[OrderNumber],
    ) -> Result<Vec<Option<OrderStatus>>, StoreError> {
        const SQL: &str =
            "select id, number, type, priority, status, created_at, updated_at, processed_by, estimated_completion,
            status = 'cooking' and coalesce(estimated_completion < now(), false) and not exists (
                select from workers w
                where w.name = processed_by and w.status <> 'offline'
                  and w.last_seen > now() - make_interval(secs => w.heartbeat_interval_ms * $2::int / 1000.0)
            ) as is_abandoned
            from orders where number = any($1)";
        let texts: Vec<&str> = numbers.iter().map(OrderNumber::as_str).collect();
        self.run("reading orders", async |client| {
            let statement = client.prepare_cached(SQL).await?;
            let rows = client.query(&statement, &[&texts, &offline_after()]).await?;
            let mut found = HashMap::with_capacity(rows.len());
            for row in &rows {
                let order = OrderStatus {
                    id: get(row, "id")?,
                    number: order_number(row, "number")?,
                    order_type: order_type(row, "type")?,
                    priority: priority(row, "priority")?,
                    status: status(row, "status")?,
                    created_at: get(row, "created_at")?,
                    updated_at: get(row, "updated_at")?,
                    estimated_completion: get(row, "estimated_completion")?,
                    processed_by: get(row, "processed_by")?,
                    is_abandoned: get(row, "is_abandoned")?,
                };
                found.insert(order.number.clone(), order);
            }
            Ok(numbers.iter().map(|number| found.get(number).cloned()).collect())
        })
        .await
    }

    /// What happened to one order, oldest first; `None` where there is no such order.
    pub async fn order_history(&self, number: &OrderNumber) -> Result<Option<Vec<HistoryEntry>>, StoreError> {
        const SQL: &str = "select l.status, l.changed_at, l.changed_by, l.notes
            from orders o join order_status_log l on l.order_id = o.id where o.number = $1 order by l.id";
        self.run("reading a history", async |client| {
            let statement = client.prepare_cached(SQL).await?;
            let rows = client.query(&statement, &[&number.as_str()]).await?;
            // An order is written together with its first log row.
            if rows.is_empty() {
                return Ok(None);
            }
            Ok(Some(readable(&rows, |row| {
                Ok(HistoryEntry {
                    status: status(row, "status")?,
                    changed_at: get(row, "changed_at")?,
                    changed_by: get(row, "changed_by")?,
                    notes: get(row, "notes")?,
                })
            })))
        })
        .await
    }

    /// A page of orders, newest first, of up to `limit`.
    pub async fn orders(&self, filter: &OrderFilter, limit: u16) -> Result<OrderList, StoreError> {
        let sql = listing(filter);
        let page = usize::from(limit);
        // One more tells whether there is a next page.
        let limit = i64::from(limit) + 1;
        let before_id = filter.before_id.unwrap_or(i64::MAX);
        self.run("listing orders", async |client| {
            // Not prepared: there are hundreds of texts, and each plan is to know its page.
            let rows = client.query_typed(&sql, &[(&before_id, Type::INT8), (&limit, Type::INT8)]).await?;
            let last = rows.get(page).and_then(|_| rows[..page].last());
            let next_before_id = last.map(|row| get(row, "id")).transpose()?;
            Ok(OrderList { orders: readable(rows.iter().take(page), summary), next_before_id })
        })
        .await
    }
}

fn details(row: &Row) -> Result<OrderDetails, StoreError> {
    Ok(OrderDetails {
        order: order_message(row)?,
        status: status(row, "status")?,
        processed_by: get(row, "processed_by")?,
        created_at: get(row, "created_at")?,
        updated_at: get(row, "updated_at")?,
        completed_at: get(row, "completed_at")?,
        token: tracking_token(row)?,
    })
}

/// Why an order did not come `to` this status.
async fn unchanged(
    client: &Connection,
    number: &OrderNumber,
    to: Status,
) -> Result<StaffOutcome, StoreError> {
    let statement = client.prepare_cached("select status, type from orders where number = $1").await?;
    let Some(row) = client.query_opt(&statement, &[&number.as_str()]).await? else {
        return Ok(StaffOutcome::NotFound);
    };
    let order_type = order_type(&row, "type")?;
    if to.order_types().contains(&order_type) {
        Ok(StaffOutcome::Conflict(status(&row, "status")?))
    } else {
        Ok(StaffOutcome::OtherType(order_type))
    }
}

/// The statement that lists the orders that pass a filter. Each status of each type is read by itself, newest first, and no
/// further than the page goes: asked for several at once, PostgreSQL would read all of them, or all others on the way.
fn listing(filter: &OrderFilter) -> String {
    const NEWEST_FIRST: &str = "o.id < $1 order by o.id desc limit $2";
    /// The same, as the index of what is settled has it.
    const NEWEST_SETTLED_FIRST: &str = "-o.id > -$1 order by -o.id limit $2";
    let OrderFilter { statuses, order_types, before_id: _ } = filter;
    if statuses.is_empty() && order_types.is_empty() {
        return format!("select {SUMMARY_COLUMNS} from orders o where {NEWEST_FIRST}");
    }
    let mut each = Vec::new();
    for status in Status::ALL.iter().filter(|each| statuses.is_empty() || statuses.contains(each)) {
        let newest = if status.is_settled() { NEWEST_SETTLED_FIRST } else { NEWEST_FIRST };
        for of_type in
            OrderType::ALL.iter().filter(|each| order_types.is_empty() || order_types.contains(each))
        {
            each.push(format!(
                "(select {SUMMARY_COLUMNS} from orders o where o.status = '{status}' and o.type = '{of_type}' and {newest})"
            ));
        }
    }
    format!("select * from ({}) as o order by o.id desc limit $2", each.join(" union all "))
}

fn summary(row: &Row) -> Result<OrderSummary, StoreError> {
    Ok(OrderSummary {
        id: get(row, "id")?,
        number: order_number(row, "number")?,
        order_type: order_type(row, "type")?,
        status: status(row, "status")?,
        total_amount: Money::from_cents(get(row, "total_cents")?),
        priority: priority(row, "priority")?,
        processed_by: get(row, "processed_by")?,
        created_at: get(row, "created_at")?,
        updated_at: get(row, "updated_at")?,
        completed_at: get(row, "completed_at")?,
    })
}
