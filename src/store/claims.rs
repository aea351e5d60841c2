//! The statements that claim orders: by their numbers, what has waited for too long, what is promoted.

use std::sync::LazyLock;

use super::columns::CHANGE_COLUMNS;
use super::convert::quoted_statuses;
use super::measured::seconds_of;
use super::outbox::announce_logged;
use super::promotion::{is_promoted, oldest};
use super::station_work::ticketed;
use super::writes::tick;

/// What an order must be like to be claimed: waiting, or in nobody's hand, or in the hand of another who is lost.
/// A holder is lost when its heartbeat is older than it may be, or it says itself that it is offline. Nobody could beat
/// while PostgreSQL was away or took no writes: after its start everybody has the 5 s that it takes at most to try it again
/// (`pool`), and the time that a heartbeat may take; and that time is measured by the clock of writes as well (`writes`).
/// What the claimant itself has in hand it never takes from itself; what it does not know to have, its heartbeat releases.
/// `$1` is the claimant, `$6` the number of missed heartbeats that make a worker lost.
const CLAIMABLE: &str = "
(o.status = 'received' or (o.status = 'cooking' and (o.claimed_at is null or (o.processed_by <> $1 and not exists (
    select from workers w
    where w.name = o.processed_by and w.status <> 'offline'
      and (greatest(w.last_seen, pg_postmaster_start_time() + interval '5 s')
              > now() - make_interval(secs => w.heartbeat_interval_ms * $6::int / 1000.0)
          or w.seen_writing_ms is not null and exists (
              select from database_writes d
              where d.spared_until > now()
                 or d.writing_ms - w.seen_writing_ms <= w.heartbeat_interval_ms::bigint * $6::int)))))))";

/// By their numbers. In a `case`, so that no index of statuses can be used for it: where statistics lag behind, all orders
/// that are not completed look like fewer than those that are named here.
pub(super) static CLAIM_NAMED: LazyLock<ClaimSql> = LazyLock::new(|| {
    claim(&format!(
        "picked as materialized (
    select o.id, o.status from orders o
    where o.number = any($5::text[]) and o.type = any($2::text[])
      and case when {CLAIMABLE} then true else false end
    order by o.id for update of o
)"
    ))
});

/// What has waited for too long, what is promoted before all else and the oldest of that first. A backlog sweep sets the clock of
/// writes as well; a claim by message does not, of which there may be hundreds a second.
pub(super) static CLAIM_OVERDUE: LazyLock<ClaimSql> = LazyLock::new(|| {
    claim(&format!(
        "{ticked}, picked as materialized (
    select o.id, o.status from orders o
    where o.status in ('{in_kitchen}') and o.type = any($2::text[]) and {CLAIMABLE}
      and (o.status = 'cooking' or {promoted}
           or o.updated_at < now() - make_interval(secs => ($5::bigint[])[3] / 1000.0))
    order by {promoted} desc, case when {promoted} then 0 else o.priority end desc, o.id
    limit ($5::bigint[])[1] for update of o skip locked
)",
        ticked = tick(""),
        promoted = is_promoted("($5::bigint[])[2]"),
        in_kitchen = quoted_statuses(|status| !status.is_settled())
    ))
});

/// What is promoted and still to be cooked for the first time; what was recalled, given back or lost is for the sweep. More are
/// looked at than are asked for: others may be claiming the oldest at this moment. In a `case`, as in [`CLAIM_NAMED`].
pub(super) static CLAIM_PROMOTED: LazyLock<ClaimSql> = LazyLock::new(|| {
    claim(&format!(
        "picked as materialized (
    select o.id, o.status from orders o
    where o.id = any(array(select o.id from {oldest} where {promoted}))
      and case when {CLAIMABLE} then true else false end
    order by o.id limit ($5::bigint[])[1] for update of o skip locked
)",
        oldest = oldest("$2", format!("($5::bigint[])[1] + {PASSED_OVER}")),
        promoted = is_promoted("($5::bigint[])[2]")
    ))
});

/// So many orders may be in the hands of other claims when one looks for the oldest.
const PASSED_OVER: i64 = 32;

/// In how many milliseconds the oldest order of the types `$1` is promoted that is still to be cooked for the first time.
pub(super) static PROMOTION_DUE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "select (extract(epoch from min(o.created_at) - now()) * 1000)::bigint + $2 as due_ms from {}",
        oldest("$1", 1)
    )
});

/// A claim, by what makes its orders ready.
pub(super) struct ClaimSql {
    pub(super) auto: String,
    pub(super) manual: String,
}

/// Claims what is `picked`, for the worker `$1`, which cooks the types `$2`. `$3` and `$4` are all types and how long it cooks
/// each; `$5` is for `picked` alone. Where persons make them ready, what was measured goes before `$4`.
fn claim(picked: &str) -> ClaimSql {
    let cook_seconds = "c.cook_ms / 1000.0";
    let measured = format!("coalesce({}, {cook_seconds})", seconds_of("o.id", "o.type"));
    ClaimSql {
        auto: claim_for(picked, cook_seconds, ""),
        manual: claim_for(picked, &measured, &format!("{}, ", ticketed("claimed c"))),
    }
}

fn claim_for(picked: &str, cook_seconds: &str, ticketed: &str) -> String {
    format!(
        "
with {picked}, claimed as (
    update orders o
    set status = 'cooking', processed_by = $1, attempt = o.attempt + 1, claimed_at = now(), updated_at = now(),
        estimated_completion = now() + make_interval(secs => {cook_seconds})
    from picked p, unnest($3::text[], $4::bigint[]) as c (type, cook_ms)
    where o.id = p.id and c.type = o.type
    returning o.id, o.number, o.type, o.attempt, o.priority, o.request_id, o.traceparent, o.estimated_completion,
              o.created_at, o.claimed_at, p.status as previous_status, p.status = 'cooking' as taken_over
), logged as (
    insert into order_status_log (order_id, status, previous_status, attempt, changed_by, estimated_completion)
    select id, 'cooking', previous_status, attempt, $1, estimated_completion from claimed where not taken_over
    returning *
), {ticketed}announced as ({announced}
)
select c.number, c.type, c.attempt, c.priority, c.request_id, c.traceparent, c.created_at, c.claimed_at,
       c.claimed_at as seen_at, c.estimated_completion as promised_at, l.id as log_id, {CHANGE_COLUMNS}
from claimed c left join logged l on l.order_id = c.id",
        announced = announce_logged("statuses")
    )
}
