//! What the statements of a worker say of the tickets of its station: those orders that persons make ready.

/// Enters the orders that a station has taken, in the attempts in which it holds them, as a common table expression; `$1` is
/// the station. They come from `taken` (`id`, `attempt`), with its condition.
///
/// What was done before is kept, whoever holds the order now: marks survive a takeover and a restart. Only a bump whose `ready`
/// is committed, in whichever hands, has had its effect: the order was recalled since. A worker that is lost may look at what it
/// holds while another takes it over: the later attempt stays.
pub(super) fn ticketed(taken: &str) -> String {
    format!(
        "ticketed as (
    insert into station_tickets as t (order_id, station, attempt, recalled_attempt)
    select c.id, $1, c.attempt,
           (select max(l.attempt) from order_status_log l where l.order_id = c.id and l.status = 'ready')
    from {taken}
    on conflict (order_id) do update
    set station = excluded.station, attempt = excluded.attempt,
        recalled_attempt = greatest(excluded.recalled_attempt, t.recalled_attempt),
        bumped_at = case when excluded.recalled_attempt >= t.attempt then null else t.bumped_at end,
        bumped_by = case when excluded.recalled_attempt >= t.attempt then null else t.bumped_by end
    where t.attempt < excluded.attempt
)"
    )
}

/// What the station `$1` holds. An order that has come to it by another way than its claim gets its ticket: it was claimed
/// when the worker of this name cooked by time.
pub(super) fn adopt() -> String {
    format!(
        "
with held as (
    select id, number, type, attempt, request_id, traceparent, created_at, claimed_at, estimated_completion from orders
    where processed_by = $1 and status = 'cooking' and claimed_at is not null
), {ticketed}
select number, type, attempt, request_id, traceparent, created_at, claimed_at, now() as seen_at,
       estimated_completion as promised_at from held",
        ticketed = ticketed(
            "held c where not exists (
        select from station_tickets t where t.order_id = c.id and t.attempt >= c.attempt)"
        )
    )
}

/// The orders of the station `$1` that a person has bumped `$2` milliseconds ago, with who it was, how long they took and what
/// their estimates were. A person may take a bump back at the same time: order and ticket are locked in the order in which that
/// is done, as a claim locks them, and looked at again behind the locks.
pub(super) const DUE: &str = "due as materialized (
    select o.id, o.type, o.attempt, t.bumped_by, o.estimated_completion,
           extract(epoch from o.estimated_completion - o.claimed_at)::float8 as promised_seconds,
           greatest(0, extract(epoch from t.bumped_at - o.claimed_at)::float8 + $2::bigint / 1000.0) as seconds
    from orders o join station_tickets t on t.order_id = o.id and t.attempt = o.attempt
    where o.processed_by = $1 and o.status = 'cooking' and o.claimed_at is not null
      and t.bumped_at <= now() - make_interval(secs => $2::bigint / 1000.0)
    order by o.id for update of o, t
)";
