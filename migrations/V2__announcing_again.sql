-- An order that waits too long is announced again, with growing pauses: its message may have been lost with a broker's
-- disk. Both columns are written for such orders only.
alter table orders
    add column announced_again    smallint not null default 0,
    add column announced_again_at timestamptz,
    add constraint orders_announced_again_not_negative check (announced_again >= 0);

-- What changed lately, for a broker that lost its disk.
create index order_status_log_recent on order_status_log (changed_at, id) where status <> 'received';
