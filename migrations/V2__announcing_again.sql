-- An order that waits too long is announced again, with growing pauses: its message may have been lost with a broker's
-- disk. Both columns are written for such orders only.
alter table orders
    add column announced_again    smallint not null default 0,
    add column announced_again_at timestamptz,
    add constraint orders_announced_again_not_negative check (announced_again >= 0);

-- Written once, before the mark is left on the broker for the first time: a broker without the mark has lost it then, and
-- is not just new like everything else.
create table broker_mark (
    only_row  boolean     primary key default true check (only_row),
    first_at  timestamptz not null default now()
);

-- What changed lately, for a broker that lost its disk.
create index order_status_log_recent on order_status_log (changed_at, id) where status <> 'received';
