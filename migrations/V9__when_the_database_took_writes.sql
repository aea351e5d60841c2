-- For how long the database has taken writes, in one row: a worker that could not beat, because nobody could write, is not
-- lost (store/writes.rs). Workers of the version before neither read it nor count in it.
create table database_writes (
    only_row     boolean     primary key default true check (only_row),
    -- when the clock was last set; null before that
    ticked_at    timestamptz,
    -- the clock: milliseconds in which writes were committed
    writing_ms   bigint      not null default 0,
    -- nobody counts as lost before, since everybody has to find the way back after an outage
    spared_until timestamptz not null default '-infinity'
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
insert into database_writes default values;

-- What the clock showed at the last heartbeat; null where a version before has registered the worker.
alter table workers add column seen_writing_ms bigint;
