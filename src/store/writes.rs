//! The clock of writes: for how long the database has taken writes, as far as it can tell from what was committed.
//!
//! A heartbeat that is missed says that its worker is lost only if it could have come: after a promotion, or while commits
//! wait for a synchronous standby, everybody's heartbeat is old. Who looks for lost workers then must not go by the time of
//! day alone. So heartbeats, backlog sweeps and the order service's pings set a clock that stands still while nothing is
//! committed. Each worker notes with its heartbeat what it shows, and is lost when it is two intervals behind on both clocks.
//!
//! A statement sees what was committed before it began. One that waits for its own commit during an outage has therefore
//! judged by a clock that stood still from the beginning of the outage on.

/// Sets the clock, as a common table expression that gives `writing_ms` where it did; not at all where the condition that is
/// given (`and …`) does not hold.
///
/// - At most twice a second, so that it costs nothing beside the statements that it is part of. Whoever finds the row locked
///   passes it by: nobody waits for anybody here.
/// - At least every 3 s while the system works: the order service's ping comes every 2 s (`cli`), a lone idle worker's sweep
///   every 2.5 s (`services/kitchen/sweep.rs`). A longer gap counts as 3 s, and as an outage: for the next 7 s nobody counts as
///   lost, since a process may take 5 s to try PostgreSQL again (`pool`), and its heartbeat 2 s beyond.
/// - A clock of the server that was set back, or is another server's, counts as an outage, too.
pub(super) fn tick(unless: &str) -> String {
    format!(
        "ticked as (
    update database_writes
    set writing_ms = writing_ms
            + coalesce(greatest(0, least(3000, extract(epoch from now() - ticked_at) * 1000))::bigint, 0),
        spared_until = case
            when ticked_at not between now() - interval '3 s' and now() + interval '0.5 s' then now() + interval '7 s'
            else least(spared_until, now() + interval '7 s') end,
        ticked_at = now()
    where only_row = (
        select only_row from database_writes
        where coalesce(ticked_at not between now() - interval '0.5 s' and now() + interval '0.5 s', true){unless}
        for update skip locked)
    returning writing_ms
)"
    )
}

/// What the clock shows, for a statement that has `ticked` ([`tick`]).
pub(super) const WRITING_MS: &str =
    "coalesce((select writing_ms from ticked), (select writing_ms from database_writes))";
