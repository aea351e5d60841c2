-- Stations: workers at which persons cook. Two new tables and a column with a default: the versions before do not know them.

-- auto: it cooks by itself, for so long as it is told; manual: a person says what is done
alter table workers add column cooking text not null default 'auto'
    constraint workers_cooking_known check (cooking in ('auto', 'manual'));

-- What persons did to an order at a station. A row comes with the first claim by a station and outlives attempts, so that marks
-- survive a takeover and a restart.
create table station_tickets (
    order_id         bigint      primary key,
    -- the worker that shows it
    station          text        not null,
    -- the attempt in which this station has it, or had it
    attempt          integer     not null,
    taken_at         timestamptz not null default now(),
    started_at       timestamptz,
    -- an account; api for the holder of the token
    started_by       text,
    -- a person says that it is done; it is ready once that cannot be taken back any more
    bumped_at        timestamptz,
    bumped_by        text,
    -- the attempt out of which it was recalled last: a repeated recall changes nothing
    recalled_attempt integer,
    -- a person has seen that it was cancelled
    acknowledged_at  timestamptz,
    acknowledged_by  text,

    constraint station_tickets_started_by_somebody check ((started_at is null) = (started_by is null)),
    constraint station_tickets_bumped_by_somebody check ((bumped_at is null) = (bumped_by is null)),
    constraint station_tickets_acknowledged_by_somebody check ((acknowledged_at is null) = (acknowledged_by is null))
) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
-- those that somebody still has to look at: few, and among them those of orders that were cancelled
create index station_tickets_open on station_tickets (station, order_id) where bumped_at is null and acknowledged_at is null;
create index station_tickets_bumped on station_tickets (station, bumped_at) where bumped_at is not null;

-- Which entries of an order are done.
create table station_items (
    order_id bigint      not null,
    -- its place among the order's entries by their ids, from 0
    item     integer     not null,
    done_at  timestamptz not null default now(),
    done_by  text        not null,

    primary key (order_id, item),
    constraint station_items_item_not_negative check (item >= 0)
);

-- As with an order's items, no foreign key: emptying the tables that were there before does not fail on these.
create or replace function orders_take_their_rows_along() returns trigger language plpgsql as $$
begin
    delete from order_items where order_id in (select id from deleted);
    delete from order_status_log where order_id in (select id from deleted);
    delete from station_tickets where order_id in (select id from deleted);
    delete from station_items where order_id in (select id from deleted);
    return null;
end $$;

create or replace function orders_take_all_rows_along() returns trigger language plpgsql as $$
begin
    delete from order_items;
    delete from order_status_log;
    delete from station_tickets;
    delete from station_items;
    return null;
end $$;
