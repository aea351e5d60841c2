//! A station's tickets, and what persons do to them.
//!
//! A call locks the order, then its ticket, and then decides: whoever makes a bumped order ready locks them in this order as well,
//! and looks at the bump behind the locks. A bump that was taken back never becomes a ready order then.

use std::sync::LazyLock;
use std::time::Duration;

use jiff::Timestamp;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::columns::json_list;
use super::convert::{get, millis, narrow_option, order_number, order_type, priority, status, type_names};
use super::measured::seconds_of;
use super::readable::readable;
use super::staff::StaffAct;
use super::{Store, StoreError};
use crate::domain::{CookTimes, OrderNumber, OrderType, Priority, StaffRole, Status, WorkerName};

/// So many tickets are shown at most, the most urgent of them: a screen has room for eight.
const TICKETS_MAX: i64 = 500;
/// So many orders that the station made ready are shown, the latest.
const READY_MAX: i64 = 20;
/// Beyond so many it does not matter how many orders wait, and they are not counted.
const WAITING_MAX: i64 = 999;
/// An order may become ready so long after its bump, and is found among the bumped ones all the same: a station or PostgreSQL
/// was away.
const READY_LATE_MAX: Duration = Duration::from_secs(60 * 60);

/// An order at a station.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StationTicket {
    pub number: OrderNumber,
    /// In which the station has it, or had it.
    pub attempt: i32,
    pub status: Status,
    pub order_type: OrderType,
    pub table_number: Option<u8>,
    pub priority: Priority,
    pub notes: Option<String>,
    pub placed_at: Timestamp,
    /// When a station took it first.
    pub taken_at: Timestamp,
    /// When somebody began with it, and who.
    pub started: Option<(Timestamp, String)>,
    /// When somebody said that it is done, and who.
    pub bumped: Option<(Timestamp, String)>,
    pub ready_at: Option<Timestamp>,
    /// The attempt out of which it was recalled last.
    pub recalled_attempt: Option<i32>,
    /// Somebody has seen that it was cancelled.
    pub is_acknowledged: bool,
    pub items: Vec<StationItem>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StationItem {
    pub name: String,
    pub quantity: u8,
    /// As the order has them, and as a version after this one may write them.
    pub options: Vec<String>,
    pub notes: Option<String>,
    pub allergens: Vec<String>,
    /// Who has done it.
    pub done_by: Option<String>,
}

/// What a station shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StationPicture {
    pub now: Timestamp,
    /// Orders of the station's types that wait for a worker.
    pub waiting: i64,
    /// What it holds, and what was cancelled and nobody has acknowledged.
    pub tickets: Vec<StationTicket>,
    /// What it made ready and may recall, the latest first.
    pub ready: Vec<StationTicket>,
}

/// Which station looks, and how far.
#[derive(Debug, Clone)]
pub struct StationLook {
    pub station: WorkerName,
    pub order_types: Vec<OrderType>,
    /// How long after it was ready an order may be recalled.
    pub recall_within: Duration,
    /// An order that has waited for so long goes before all that have waited for less.
    pub promote_after: Duration,
}

/// What a person does to a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TicketAct {
    /// Begins with it.
    Start,
    /// Says whether an entry of it is done.
    Item { item: u16, done: bool },
    /// Says that it is done.
    Bump,
    /// Takes that back, where it was said; or has it cooked again, for as long as the target time of its type.
    Recall { within: Duration, targets: CookTimes },
    /// Has seen that it was cancelled.
    Acknowledge,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TicketOutcome {
    /// The ticket is as it was wanted.
    Done {
        /// As it is now.
        ticket: Box<StationTicket>,
        change: TicketChange,
    },
    /// The station has no such ticket.
    NotFound,
    /// The order has fewer entries; it has so many.
    NoItem(usize),
    /// The ticket's present attempt is this one.
    OtherAttempt(i32),
    /// Its status does not allow it: it is this.
    Conflict(Status),
    /// It was ready too long ago.
    TooLate,
}

/// Whether an act has changed anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TicketChange {
    /// It was so before.
    Nothing,
    /// The ticket alone.
    Ticket,
    /// The order's status.
    Status,
}

/// What [`ticket`] reads, of the order `o`, its ticket `t` and its items `i` ([`ITEMS`]).
const TICKET_COLUMNS: &str =
    "o.number, o.status, o.type, o.table_number, o.priority, o.notes, o.created_at, o.completed_at, t.attempt, t.taken_at,
    t.started_at, t.started_by, t.bumped_at, t.bumped_by, t.recalled_attempt, t.acknowledged_at is not null as is_acknowledged,
    i.names, i.quantities, i.item_options, i.item_notes, i.item_allergens, i.done_by";

/// The items of the order `o` in their order, with who has done them.
const ITEMS: &str = "left join lateral (
    select array_agg(n.name order by n.place) as names, array_agg(n.quantity order by n.place) as quantities,
           array_agg(n.options::text order by n.place) as item_options, array_agg(n.notes order by n.place) as item_notes,
           array_agg(n.allergens::text order by n.place) as item_allergens, array_agg(s.done_by order by n.place) as done_by
    from (
        select order_id, name, quantity, options, notes, allergens, (row_number() over (order by id) - 1)::int as place
        from order_items where order_id = o.id offset 0
    ) as n
    left join station_items s on s.order_id = n.order_id and s.item = n.place
) i on true";

/// `$1` is the station. What it holds is found by the order; what was cancelled and what is ready by the ticket.
static PICTURE: LazyLock<String> = LazyLock::new(|| {
    const OF_THIS_STATION: &str = "t.station = $1 and o.processed_by = $1 and o.attempt = t.attempt";
    const BUMPED_LATELY: &str = "t.bumped_at > now() - make_interval(secs => $2::bigint / 1000.0)";
    format!(
        "
with held as materialized (
    select o.id from orders o join station_tickets t on t.order_id = o.id
    where o.processed_by = $1 and o.status = 'cooking' and o.claimed_at is not null and {OF_THIS_STATION}
), cancelled as materialized (
    select o.id from station_tickets t join orders o on o.id = t.order_id
    where t.bumped_at is null and t.acknowledged_at is null and o.status = 'cancelled' and {OF_THIS_STATION}
    union all
    select o.id from station_tickets t join orders o on o.id = t.order_id
    where {BUMPED_LATELY} and t.acknowledged_at is null and o.status = 'cancelled' and {OF_THIS_STATION}
), ready as materialized (
    select o.id from station_tickets t join orders o on o.id = t.order_id
    where {BUMPED_LATELY} and o.status = 'ready' and {OF_THIS_STATION}
      and o.completed_at > now() - make_interval(secs => $3::bigint / 1000.0)
    order by o.completed_at desc limit $4
), shown as (
    select id, false as is_ready from held union all select id, false from cancelled union all select id, true from ready
)
select {TICKET_COLUMNS}, s.is_ready
from shown s join orders o on o.id = s.id join station_tickets t on t.order_id = s.id {ITEMS}
order by s.is_ready desc, case when s.is_ready then o.completed_at end desc,
         t.taken_at >= o.created_at + make_interval(secs => $5::bigint / 1000.0) desc, o.priority desc, o.id
limit $6"
    )
});

const WAITING: &str = "
select now() as now, least(count(*), $2) as waiting
from unnest($1::text[]) as own (type),
     lateral (select from orders o where o.status = 'received' and o.type = own.type limit $2) as w";

const LOCK: &str = "
select o.id from orders o join station_tickets t on t.order_id = o.id
where o.number = $1 and t.station = $2 for no key update of o";

/// `$1` is the order's id, which has had a ticket at the station `$2`.
static LOCKED: LazyLock<String> = LazyLock::new(|| {
    format!(
        "
select {TICKET_COLUMNS}, o.attempt as present, o.processed_by = $2 and t.station = $2 as is_here, o.claimed_at is not null as is_claimed,
       o.completed_at > clock_timestamp() - make_interval(secs => $3::bigint / 1000.0) as is_recallable
from orders o join station_tickets t on t.order_id = o.id {ITEMS}
where o.id = $1 for no key update of t"
    )
});

static TICKET: LazyLock<String> = LazyLock::new(|| {
    format!(
        "select {TICKET_COLUMNS} from orders o join station_tickets t on t.order_id = o.id {ITEMS} where o.id = $1"
    )
});

const START: &str =
    "update station_tickets set started_at = clock_timestamp(), started_by = $2 where order_id = $1";
const ITEM_DONE: &str = "insert into station_items (order_id, item, done_by) values ($1, $3, $2)";
const ITEM_NOT_DONE: &str = "delete from station_items where order_id = $1 and item = $2";
const BUMP: &str =
    "update station_tickets set bumped_at = clock_timestamp(), bumped_by = $2 where order_id = $1";
const UNBUMP: &str = "update station_tickets set bumped_at = null, bumped_by = null where order_id = $1";
const ACKNOWLEDGE: &str = "update station_tickets set acknowledged_at = clock_timestamp(), acknowledged_by = $2 where order_id = $1";

/// The station has it in hand at once. The times are those of the change, as where staff move an order (`orders`).
static RECALL: LazyLock<String> = LazyLock::new(|| {
    format!(
        "
with recalled as (
    update orders o set status = 'cooking', attempt = o.attempt + 1, claimed_at = clock_timestamp(), completed_at = null,
        updated_at = clock_timestamp(),
        estimated_completion = clock_timestamp() + make_interval(secs => coalesce({measured}, c.target_ms / 1000.0))
    from unnest($3::text[], $4::bigint[]) as c (type, target_ms)
    where o.id = $1 and c.type = o.type
    returning o.id, o.attempt, o.updated_at, o.estimated_completion
), ticket as (
    update station_tickets t
    set attempt = r.attempt, recalled_attempt = t.attempt, bumped_at = null, bumped_by = null
    from recalled r where t.order_id = r.id
), logged as (
    insert into order_status_log (order_id, status, previous_status, attempt, changed_by, changed_at, estimated_completion)
    select id, 'cooking', 'ready', attempt, 'staff:' || $2, updated_at, estimated_completion from recalled
    returning id, order_id
)
insert into outbox (log_id, order_id, announces) select id, order_id, 'status' from logged",
        measured = seconds_of("o.id", "o.type")
    )
});

const ACTED: &str = "
insert into staff_actions (name, role, action, order_number, detail, request_id) values ($1, $2, $3, $4, $5, $6)";

impl Store {
    /// What a station shows now.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn station_picture(&self, look: &StationLook) -> Result<StationPicture, StoreError> {
        let types = type_names(&look.order_types);
        let recall_ms = millis(look.recall_within);
        let bumped_ms = recall_ms.saturating_add(millis(READY_LATE_MAX));
        self.run("reading a station's tickets", async |client| {
            let (picture, waiting) =
                tokio::try_join!(client.prepare_cached(&PICTURE), client.prepare_cached(WAITING))?;
            let station = look.station.as_str();
            let promote_ms = millis(look.promote_after);
            let parameters: [&(dyn ToSql + Sync); 6] =
                [&station, &bumped_ms, &recall_ms, &READY_MAX, &promote_ms, &(TICKETS_MAX + READY_MAX)];
            let waiting_for: [&(dyn ToSql + Sync); 2] = [&types, &WAITING_MAX];
            let (rows, waits) = tokio::try_join!(
                client.query(&picture, &parameters),
                client.query_one(&waiting, &waiting_for)
            )?;
            let shown = readable(&rows, |row| Ok((get::<bool>(row, "is_ready")?, ticket(row)?)));
            let (ready, tickets): (Vec<_>, Vec<_>) = shown.into_iter().partition(|(is_ready, _)| *is_ready);
            let of =
                |shown: Vec<(bool, StationTicket)>| shown.into_iter().map(|(_, ticket)| ticket).collect();
            Ok(StationPicture {
                now: get(&waits, "now")?,
                waiting: get(&waits, "waiting")?,
                tickets: of(tickets),
                ready: of(ready),
            })
        })
        .await
    }

    /// Has a person do something to a ticket of a station, in this attempt, and notes who did it. A repetition changes nothing.
    ///
    /// # Errors
    /// See [`StoreError`]; safe to repeat.
    pub async fn act_on_ticket(
        &self,
        station: &WorkerName,
        number: &OrderNumber,
        attempt: i32,
        act: TicketAct,
        by: &StaffAct<'_>,
    ) -> Result<TicketOutcome, StoreError> {
        let (number, station) = (number.as_str(), station.as_str());
        self.run("changing a ticket", async |client| {
            let transaction = client.transaction().await?;
            let lock = transaction.prepare_cached(LOCK).await?;
            let Some(row) = transaction.query_opt(&lock, &[&number, &station]).await? else {
                return Ok(TicketOutcome::NotFound);
            };
            let order_id: i64 = get(&row, "id")?;
            let within = if let TicketAct::Recall { within, .. } = act { millis(within) } else { 0 };
            let locked = transaction.prepare_cached(&LOCKED).await?;
            let row = transaction.query_one(&locked, &[&order_id, &station, &within]).await?;
            let found = Found::of(&row)?;
            let sql = match found.decide(attempt, act) {
                Ok(None) => {
                    let ticket = Box::new(found.ticket);
                    return Ok(TicketOutcome::Done { ticket, change: TicketChange::Nothing });
                }
                Ok(Some(sql)) => sql,
                Err(refusal) => return Ok(refusal),
            };
            let all_types = type_names(&OrderType::ALL);
            let (item, target_ms) = match act {
                TicketAct::Item { item, .. } => (i32::from(item), Vec::new()),
                TicketAct::Recall { targets, .. } => {
                    (0, OrderType::ALL.iter().map(|t| millis(targets.of(*t))).collect())
                }
                TicketAct::Start | TicketAct::Bump | TicketAct::Acknowledge => (0, Vec::new()),
            };
            let name = &by.by.name;
            let parameters: &[&(dyn ToSql + Sync)] = match sql {
                UNBUMP => &[&order_id],
                ITEM_NOT_DONE => &[&order_id, &item],
                ITEM_DONE => &[&order_id, name, &item],
                _ if sql == *RECALL => &[&order_id, name, &all_types, &target_ms],
                _ => &[&order_id, name],
            };
            let statement = transaction.prepare_cached(sql).await?;
            transaction.execute(&statement, parameters).await?;
            let acted = transaction.prepare_cached(ACTED).await?;
            let (role, StaffAct { action, detail, request_id, .. }) = (by.by.role.map(StaffRole::as_str), by);
            transaction.execute(&acted, &[&by.by.name, &role, action, &number, detail, request_id]).await?;
            let now = transaction.prepare_cached(&TICKET).await?;
            let ticket = Box::new(ticket(&transaction.query_one(&now, &[&order_id]).await?)?);
            transaction.commit().await?;
            let change = if sql == *RECALL { TicketChange::Status } else { TicketChange::Ticket };
            Ok(TicketOutcome::Done { ticket, change })
        })
        .await
    }
}

/// A ticket that nobody else can change for now, nor its order.
struct Found {
    ticket: StationTicket,
    /// The order's attempt.
    present: i32,
    /// It is in this worker's name.
    is_here: bool,
    is_claimed: bool,
    is_recallable: bool,
}

impl Found {
    fn of(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            ticket: ticket(row)?,
            present: get(row, "present")?,
            is_here: get::<Option<bool>>(row, "is_here")?.unwrap_or_default(),
            is_claimed: get(row, "is_claimed")?,
            is_recallable: get::<Option<bool>>(row, "is_recallable")?.unwrap_or_default(),
        })
    }

    /// The statement that brings it about; `None` where it is so already.
    fn decide(&self, attempt: i32, act: TicketAct) -> Result<Option<&'static str>, TicketOutcome> {
        let StationTicket { status, bumped, .. } = &self.ticket;
        let is_cooking = *status == Status::Cooking;
        if !self.is_here || (is_cooking && !self.is_claimed && self.present == self.ticket.attempt) {
            return Err(TicketOutcome::NotFound);
        }
        if self.present != self.ticket.attempt {
            return Err(TicketOutcome::OtherAttempt(self.present));
        }
        if attempt != self.present {
            let is_recall = matches!(act, TicketAct::Recall { .. });
            let is_repeated = is_recall && self.ticket.recalled_attempt == Some(attempt);
            return if is_repeated { Ok(None) } else { Err(TicketOutcome::OtherAttempt(self.present)) };
        }
        let (is_done, sql) = match act {
            TicketAct::Start => (self.ticket.started.is_some(), START),
            TicketAct::Item { item, done } => {
                let items = &self.ticket.items;
                let item = items.get(usize::from(item)).ok_or(TicketOutcome::NoItem(items.len()))?;
                (item.done_by.is_some() == done, if done { ITEM_DONE } else { ITEM_NOT_DONE })
            }
            TicketAct::Bump => (bumped.is_some() && *status != Status::Cancelled, BUMP),
            TicketAct::Recall { .. } => {
                return match status {
                    Status::Cooking if bumped.is_some() => Ok(Some(UNBUMP)),
                    Status::Cooking => Ok(None),
                    Status::Ready if self.is_recallable => Ok(Some(RECALL.as_str())),
                    Status::Ready => Err(TicketOutcome::TooLate),
                    other => Err(TicketOutcome::Conflict(*other)),
                };
            }
            TicketAct::Acknowledge => {
                return match status {
                    Status::Cancelled if self.ticket.is_acknowledged => Ok(None),
                    Status::Cancelled => Ok(Some(ACKNOWLEDGE)),
                    other => Err(TicketOutcome::Conflict(*other)),
                };
            }
        };
        match (is_done, is_cooking) {
            (true, _) => Ok(None),
            (false, true) => Ok(Some(sql)),
            (false, false) => Err(TicketOutcome::Conflict(*status)),
        }
    }
}

fn ticket(row: &Row) -> Result<StationTicket, StoreError> {
    let done = |at, by| -> Result<Option<(Timestamp, String)>, StoreError> {
        Ok(get::<Option<Timestamp>>(row, at)?.zip(get::<Option<String>>(row, by)?))
    };
    Ok(StationTicket {
        number: order_number(row, "number")?,
        attempt: get(row, "attempt")?,
        status: status(row, "status")?,
        order_type: order_type(row, "type")?,
        table_number: narrow_option(row, "table_number")?,
        priority: priority(row, "priority")?,
        notes: get(row, "notes")?,
        placed_at: get(row, "created_at")?,
        taken_at: get(row, "taken_at")?,
        started: done("started_at", "started_by")?,
        bumped: done("bumped_at", "bumped_by")?,
        ready_at: get(row, "completed_at")?,
        recalled_attempt: get(row, "recalled_attempt")?,
        is_acknowledged: get(row, "is_acknowledged")?,
        items: items(row)?,
    })
}

fn items(row: &Row) -> Result<Vec<StationItem>, StoreError> {
    let names: Option<Vec<String>> = get(row, "names")?;
    let quantities: Option<Vec<i32>> = get(row, "quantities")?;
    let options: Option<Vec<Option<String>>> = get(row, "item_options")?;
    let notes: Option<Vec<Option<String>>> = get(row, "item_notes")?;
    let allergens: Option<Vec<Option<String>>> = get(row, "item_allergens")?;
    let done_by: Option<Vec<Option<String>>> = get(row, "done_by")?;
    let columns = names.unwrap_or_default().into_iter().zip(quantities.unwrap_or_default());
    columns
        .zip(notes.unwrap_or_default().into_iter().zip(done_by.unwrap_or_default()))
        .zip(options.unwrap_or_default().into_iter().zip(allergens.unwrap_or_default()))
        .map(|(((name, quantity), (notes, done_by)), (options, allergens))| {
            let quantity = u8::try_from(quantity)
                .map_err(|_| StoreError::Unknown(format!("order_items.quantity is {quantity}")))?;
            let (options, allergens) = (json_list(options)?, json_list(allergens)?);
            Ok(StationItem { name, quantity, options, notes, allergens, done_by })
        })
        .collect()
}
