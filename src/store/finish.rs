//! How orders become ready: because their time is over, or because a person has bumped them.

use std::sync::LazyLock;

use super::columns::CHANGE_COLUMNS;
use super::measured::measured;
use super::outbox::announce_logged;
use super::station_work::DUE;

/// What the worker says.
pub(super) static FINISH: LazyLock<String> = LazyLock::new(|| {
    finish(&Finishing {
        before: "",
        meant: "unnest($2::text[], $3::int[]) as f (number, attempt) where o.number = f.number",
        changed_by: "$1::text",
        behind: "",
        told: "",
    })
});

/// What persons have bumped.
pub(super) static FINISH_BUMPED: LazyLock<String> = LazyLock::new(|| {
    finish(&Finishing {
        before: &format!("{DUE}, "),
        meant: "due f where o.id = f.id",
        changed_by: "'staff:' || f.bumped_by",
        behind: &format!("{}, ", measured()),
        told: ", (select abs(extract(epoch from now() - d.estimated_completion))::float8 from due d where d.id = f.id)
            as estimate_error_seconds",
    })
});

/// What one way to finish has beside the others.
struct Finishing<'a> {
    /// Common table expressions, each with a comma behind it.
    before: &'a str,
    /// The orders `f` with their attempts, and which `o` they are.
    meant: &'a str,
    changed_by: &'a str,
    /// As `before`, of what is `finished`.
    behind: &'a str,
    /// More columns of the answer.
    told: &'a str,
}

/// Finishes what the worker `$1` holds of the orders that are meant.
fn finish(Finishing { before, meant, changed_by, behind, told }: &Finishing<'_>) -> String {
    format!(
        "
with {before}finished as (
    update orders o
    set status = 'ready', completed_at = now(), updated_at = now(), estimated_completion = null
    from {meant} and o.attempt = f.attempt and o.status = 'cooking' and o.claimed_at is not null
      and o.processed_by = $1
    returning o.id, o.number, o.attempt, o.priority, o.request_id, o.traceparent, {changed_by} as changed_by
), logged as (
    insert into order_status_log (order_id, status, previous_status, attempt, changed_by, notes)
    select f.id, 'ready', 'cooking', f.attempt, f.changed_by,
           case when f.attempt > 1 then
               case when exists (select from order_status_log l where l.order_id = f.id and l.status = 'ready')
                    then 'recalled' else 'taken over' end || '; attempt ' || f.attempt end
    from finished f
    returning *
), {behind}announced as ({announced}
), counted as (
    update workers set orders_processed = orders_processed + (select count(*) from finished)
    where name = $1 and exists (select from finished)
)
select f.number, f.attempt, f.priority, f.request_id, f.traceparent, l.id as log_id, {CHANGE_COLUMNS}{told}
from finished f join logged l on l.order_id = f.id",
        announced = announce_logged("statuses")
    )
}
