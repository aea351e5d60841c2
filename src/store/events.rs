//! The stream of everything that happened.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use tokio_postgres::Row;

use super::columns::{CHANGE_COLUMNS, status_update};
use super::convert::{get, order_number, status, status_names};
use super::ping::IS_STANDBY;
use super::readable::readable;
use super::{Store, StoreError};
use crate::domain::{OrderNumber, StatusUpdate};

/// A place in the stream. Ids alone are no order to resume in: they are drawn before the commit, so a row with a
/// smaller id can appear after one with a larger id was read. (transaction, id) is one, as long as only transactions
/// are read that are older than every transaction that still runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct EventCursor {
    transaction_id: i64,
    log_id: i64,
}

impl EventCursor {
    /// Before everything.
    pub const START: Self = Self { transaction_id: 0, log_id: 0 };

    /// Whether this is a later change of the same order than `other`: the rows of one order are written one after the
    /// other under its row's lock, so there ids are an order.
    pub fn is_later_of_order(self, other: Self) -> bool {
        self.log_id > other.log_id
    }
}

/// Whether a place in the stream is one of this server's. A standby that was promoted before it had received everything,
/// and a restored dump, lack changes of which clients have been told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamPlace {
    /// It is the start, or a change that is there.
    Known,
    /// The server is a standby that has not come so far, and may.
    Awaited,
    /// The server has not come so far.
    Ahead,
    /// The server has come further, on another way: the change is not there.
    Unknown,
}

/// A look at the stream behind a place.
#[derive(Debug)]
pub struct EventPage {
    /// What that place is to this server.
    pub place: StreamPlace,
    /// The events behind it that no later commit can precede, oldest first.
    pub events: Vec<Event>,
    /// The last of these, be it one that this version cannot read: where to go on.
    pub read_to: Option<EventCursor>,
    /// Further changes, which a running transaction holds back from the stream.
    pub held_back: Vec<Event>,
    /// Whether there may be more of either.
    pub is_full: bool,
}

/// The orders that are open, and where the stream goes on behind them.
#[derive(Debug)]
pub struct OpenOrders {
    /// The latest change of each open order, in the order of the stream: `order_status_log.id`.
    pub latest: Vec<i64>,
    /// The last event that no later commit can precede.
    pub horizon: EventCursor,
    /// What those who looked could see.
    pub seen: SeenBy,
}

/// Which transactions a look could see: a snapshot of PostgreSQL's (`pg_current_snapshot`). That of a standby does not say
/// which transactions were running in between: there those of the log that were seen are listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenBy {
    /// All below have ended.
    oldest: i64,
    /// From here on none had begun, or none was seen.
    next: i64,
    /// Those in between.
    between: Between,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Between {
    /// All but these, which were running.
    SeenBut(Vec<i64>),
    /// These alone.
    Seen(Vec<i64>),
}

/// How far the server had come that was read from: a standby follows, and its reader may have been told of more elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reach {
    /// Of a standby: it has all transactions below.
    standby_has_below: Option<i64>,
}

impl Reach {
    /// Whether the change at this place may come yet.
    pub fn may_come_to(self, cursor: EventCursor) -> bool {
        self.standby_has_below.is_some_and(|oldest| cursor.transaction_id >= oldest)
    }
}

#[derive(Debug)]
pub struct EventsFound {
    /// In the order of the stream.
    pub events: Vec<Event>,
    /// Whether some are not there, because the server is a standby that has not come so far.
    pub is_behind: bool,
}

impl SeenBy {
    /// Whether the change at this place was seen.
    pub fn has_seen(&self, cursor: EventCursor) -> bool {
        let id = cursor.transaction_id;
        let was_seen = || match &self.between {
            Between::SeenBut(running) => !running.contains(&id),
            Between::Seen(seen) => seen.contains(&id),
        };
        id < self.oldest || (id < self.next && was_seen())
    }

    /// The same of a standby, where these of the log were seen beside all that had ended.
    fn on_standby(self, seen: Vec<i64>) -> Self {
        Self { between: Between::Seen(seen), ..self }
    }

    /// Whether nothing can come before this place any more.
    pub fn is_settled(&self, cursor: EventCursor) -> bool {
        cursor.transaction_id < self.oldest
    }

    /// Whether something was seen that a running transaction can still precede.
    pub fn holds_back(&self) -> bool {
        self.oldest < self.next
    }

    /// Whether nothing from this place on was seen.
    pub fn is_behind(&self, cursor: EventCursor) -> bool {
        cursor.transaction_id >= self.next
    }
}

impl FromStr for SeenBy {
    type Err = std::num::ParseIntError;

    /// `xmin:xmax:xip,xip`
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.splitn(3, ':');
        let mut next = || parts.next().unwrap_or_default();
        let (oldest, end, running) = (next().parse()?, next().parse()?, next());
        let running = running.split(',').filter(|id| !id.is_empty()).map(str::parse);
        let between = Between::SeenBut(running.collect::<Result<_, _>>()?);
        Ok(Self { oldest, next: end, between })
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its place in the stream.
    pub cursor: EventCursor,
    pub number: OrderNumber,
    /// Whether nothing happens to it after this.
    pub is_final: bool,
    pub update: StatusUpdate,
}

impl fmt::Display for EventCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.transaction_id, self.log_id)
    }
}

impl FromStr for EventCursor {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (transaction_id, log_id) = text.split_once('-').unwrap_or((text, ""));
        Ok(Self { transaction_id: transaction_id.parse()?, log_id: log_id.parse()? })
    }
}

/// One row at least: what `$1`, `$2` is to this server, with the changes behind it in the order of the stream. Those from
/// `oldest` on are held back. `offset 0` has each order looked up by its key, however few the planner believes there are.
static BEHIND: LazyLock<String> = LazyLock::new(|| {
    format!(
        "
select here.oldest, here.next, here.is_standby, here.is_known, later.*
from (
    select pg_is_in_recovery() as is_standby,
           pg_snapshot_xmin(s)::text::bigint as oldest, pg_snapshot_xmax(s)::text::bigint as next,
           ($1::bigint = 0 and $2::bigint = 0)
           or exists (select from order_status_log where transaction_id = $1 and id = $2) as is_known
    from pg_current_snapshot() as s
) as here
left join lateral (
    select l.transaction_id, l.id, {CHANGE_COLUMNS}, o.number
    from order_status_log l cross join lateral (select number from orders where id = l.order_id offset 0) o
    where (l.transaction_id, l.id) > ($1, $2)
    order by l.transaction_id, l.id limit $3
) as later on true"
    )
});

/// The last change that no later commit can precede.
const NEWEST_SETTLED: &str = "
select transaction_id, id from order_status_log
where transaction_id < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
order by transaction_id desc, id desc limit 1";

/// All in one snapshot: what is open, and where the stream has come to. `offset 0` has each order's few changes read by
/// the order, and not all changes from the last one back until one of that order comes.
const OPEN: &str = "
select pg_current_snapshot()::text as seen,
       case when pg_is_in_recovery() then (
           select coalesce(array_agg(distinct transaction_id), '{}') from order_status_log
           where transaction_id >= pg_snapshot_xmin(pg_current_snapshot())::text::bigint
       ) end as seen_on_standby, horizon.transaction_id, horizon.id,
       (select coalesce(array_agg(newest.id order by newest.transaction_id, newest.id), '{}')
        from (
            select last.transaction_id, last.id
            from orders o cross join lateral (
                select transaction_id, id from (
                    select transaction_id, id from order_status_log where order_id = o.id offset 0
                ) as own order by id desc limit 1
            ) as last
            where o.status = any($1) and o.status <> 'completed'
            order by last.transaction_id desc, last.id desc limit $2
        ) as newest) as latest
from (values (1)) as one left join lateral (
    select transaction_id, id from order_status_log
    where transaction_id < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
    order by transaction_id desc, id desc limit 1
) as horizon on true";

static BY_ID: LazyLock<String> = LazyLock::new(|| {
    format!(
        "
select l.transaction_id, l.id, {CHANGE_COLUMNS}, o.number
from unnest($1::bigint[]) as wanted (id)
cross join lateral (select * from order_status_log where id = wanted.id offset 0) l
cross join lateral (select number from orders where id = l.order_id offset 0) o
order by l.transaction_id, l.id"
    )
});

/// One row at least. The rows of one order are written one after the other under its row's lock: here ids are an order.
static OF_ORDERS: LazyLock<String> = LazyLock::new(|| {
    format!(
        "
select here.standby_has_below, theirs.*
from (
    select case when pg_is_in_recovery() then pg_snapshot_xmin(pg_current_snapshot())::text::bigint end
        as standby_has_below
) as here
left join lateral (
    select l.transaction_id, l.id, {CHANGE_COLUMNS}, o.number
    from unnest($1::text[]) as wanted (number)
    cross join lateral (select id, number from orders where number = wanted.number offset 0) o
    cross join lateral (select * from order_status_log where order_id = o.id offset 0) l
) as theirs on true
order by theirs.id"
    )
});

impl Store {
    /// Up to `limit` events of all orders behind `cursor`, oldest first. A running transaction holds back what comes
    /// after it, so nothing is ever skipped.
    pub async fn events_after(&self, cursor: EventCursor, limit: i64) -> Result<EventPage, StoreError> {
        self.run("reading events", async |client| {
            let statement = client.prepare_cached(&BEHIND).await?;
            let rows = client.query(&statement, &[&cursor.transaction_id, &cursor.log_id, &limit]).await?;
            page(&rows, cursor, limit)
        })
        .await
    }

    /// Where the stream has come to: its last event that no later commit can precede.
    pub async fn newest_event(&self) -> Result<EventCursor, StoreError> {
        self.run("reading events", async |client| {
            let statement = client.prepare_cached(NEWEST_SETTLED).await?;
            let row = client.query_opt(&statement, &[]).await?;
            row.as_ref().map_or(Ok(EventCursor::START), cursor)
        })
        .await
    }

    /// The orders that are open now: the `limit` that changed last, where they are more.
    pub async fn open_orders(&self, limit: i64) -> Result<OpenOrders, StoreError> {
        let open = status_names(|status| !status.is_final());
        self.run("reading open orders", async |client| {
            let statement = client.prepare_cached(OPEN).await?;
            let row = client.query_one(&statement, &[&open, &limit]).await?;
            let seen: &str = get(&row, "seen")?;
            let seen: SeenBy =
                seen.parse().map_err(|_| StoreError::Unknown(format!("the snapshot is {seen:?}")))?;
            let seen = match get(&row, "seen_on_standby")? {
                Some(on_standby) => seen.on_standby(on_standby),
                None => seen,
            };
            let is_empty = get::<Option<i64>>(&row, "id")?.is_none();
            let horizon = if is_empty { EventCursor::START } else { cursor(&row)? };
            Ok(OpenOrders { latest: get(&row, "latest")?, horizon, seen })
        })
        .await
    }

    /// The events with these `order_status_log.id`, in the order of the stream.
    pub async fn events_by_id(&self, ids: &[i64]) -> Result<EventsFound, StoreError> {
        self.run("reading events", async |client| {
            let statement = client.prepare_cached(&BY_ID).await?;
            let rows = client.query(&statement, &[&ids]).await?;
            // Another server may have said that they are there.
            let is_behind = rows.len() < ids.len() && client.query_one(IS_STANDBY, &[]).await?.try_get(0)?;
            Ok(EventsFound { events: readable(&rows, event), is_behind })
        })
        .await
    }

    /// All that happened to these orders, each one's changes from its first to its last, as far as the server has come.
    pub async fn events_of_orders(&self, numbers: &[OrderNumber]) -> Result<(Vec<Event>, Reach), StoreError> {
        let numbers: Vec<&str> = numbers.iter().map(OrderNumber::as_str).collect();
        self.run("reading events", async |client| {
            let statement = client.prepare_cached(&OF_ORDERS).await?;
            let rows = client.query(&statement, &[&numbers]).await?;
            let first = rows.first().map(|row| get(row, "standby_has_below")).transpose()?;
            let reach = Reach { standby_has_below: first.flatten() };
            Ok((readable(there(&rows)?, event), reach))
        })
        .await
    }
}

fn page(rows: &[Row], place: EventCursor, limit: i64) -> Result<EventPage, StoreError> {
    let Some(first) = rows.first() else {
        return Err(StoreError::Unknown("a look without a row".to_owned()));
    };
    let (oldest, next): (i64, i64) = (get(first, "oldest")?, get(first, "next")?);
    let place = match get(first, "is_known")? {
        _ if get(first, "is_standby")? && place.transaction_id >= oldest => StreamPlace::Awaited,
        true => StreamPlace::Known,
        false if place.transaction_id >= next => StreamPlace::Ahead,
        false => StreamPlace::Unknown,
    };
    let rows = there(rows)?;
    let is_full = i64::try_from(rows.len()).is_ok_and(|count| count >= limit);
    let places = rows.iter().map(cursor).collect::<Result<Vec<_>, _>>()?;
    let settled = places.partition_point(|place| place.transaction_id < oldest);
    let (behind, held_back) = rows.split_at(settled);
    Ok(EventPage {
        place,
        events: readable(behind, event),
        read_to: places[..settled].last().copied(),
        held_back: readable(held_back, event),
        is_full,
    })
}

/// Nothing is a row as well.
fn there(rows: &[Row]) -> Result<&[Row], StoreError> {
    match rows.first() {
        Some(first) if get::<Option<i64>>(first, "id")?.is_some() => Ok(rows),
        _ => Ok(&[]),
    }
}

fn cursor(row: &Row) -> Result<EventCursor, StoreError> {
    Ok(EventCursor { transaction_id: get(row, "transaction_id")?, log_id: get(row, "id")? })
}

fn event(row: &Row) -> Result<Event, StoreError> {
    Ok(Event {
        cursor: cursor(row)?,
        number: order_number(row, "number")?,
        is_final: status(row, "status")?.is_final(),
        update: status_update(row)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_tells_what_was_seen() {
        let seen: SeenBy = "10:15:10,12".parse().unwrap();
        let at = |transaction_id| EventCursor { transaction_id, log_id: 1 };
        let visible: Vec<i64> = (8..17).filter(|id| seen.has_seen(at(*id))).collect();
        assert_eq!(visible, [8, 9, 11, 13, 14]);
        assert!(seen.is_settled(at(9)) && !seen.is_settled(at(10)));
        assert!(seen.is_behind(at(15)) && !seen.is_behind(at(14)));
        let nobody = Between::SeenBut(Vec::new());
        assert_eq!("7:7:".parse(), Ok(SeenBy { oldest: 7, next: 7, between: nobody }));
        let on_standby = "10:15:".parse::<SeenBy>().unwrap().on_standby(vec![11, 13]);
        let visible: Vec<i64> = (8..17).filter(|id| on_standby.has_seen(at(*id))).collect();
        assert_eq!(visible, [8, 9, 11, 13]);
        assert!("7:7:x".parse::<SeenBy>().is_err() && "7".parse::<SeenBy>().is_err());
    }
}
