//! Which waiting orders go before all others: those that have waited for long, whatever their priority. Each has waited since it
//! was placed, also one that was recalled or given back.

use std::fmt::Display;

use crate::domain::Priority;

/// Whether the order `o` has waited for so many milliseconds.
pub(super) fn is_promoted(after_ms: impl Display) -> String {
    format!("o.created_at < now() - make_interval(secs => {after_ms} / 1000.0)")
}

/// The oldest `limit` orders of each priority that are of these types and still to be cooked for the first time, as rows `o`. Each
/// is looked up by itself in the index of what waits. The range of one priority keeps the order by which alone that index is taken.
pub(super) fn oldest(types: &str, limit: impl Display) -> String {
    format!(
        "unnest({types}::text[]) as t (type) cross join {priorities}
    cross join lateral (
        select w.id, w.priority, w.created_at from orders w
        where w.status = 'received' and w.type = t.type and w.priority between p.priority and p.priority
        order by w.priority desc, w.id limit {limit}
    ) as o",
        priorities = priorities()
    )
}

/// Those of one type that are promoted and still to be cooked for the first time, up to `limit` of each priority, as rows `o`: all
/// before the first that is not. Nothing else is read.
pub(super) fn promoted_before_the_first_that_is_not(of_type: &str, limit: &str, after_ms: &str) -> String {
    format!(
        "{priorities} cross join lateral (
        select w.id from orders w
        where w.status = 'received' and w.type = {of_type} and w.priority between p.priority and p.priority
          and w.id < coalesce((
              select o.id from orders o
              where o.status = 'received' and o.type = {of_type} and o.priority between p.priority and p.priority
                and not ({promoted})
              order by o.priority desc, o.id limit 1), 9223372036854775807)
        order by w.priority desc, w.id limit {limit}
    ) as o",
        priorities = priorities(),
        promoted = is_promoted(after_ms)
    )
}

/// All of them, as rows `p`.
fn priorities() -> String {
    let all = Priority::ALL.map(|priority| priority.value().to_string()).join(", ");
    format!("unnest('{{{all}}}'::int[]) as p (priority)")
}
