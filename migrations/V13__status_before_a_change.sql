-- The log says what a status was before the change, since a status may have several ways in. The first one of an order has
-- none before it. No row is read or written for it: the table is locked for as long as its definition takes.
alter table order_status_log add column previous_status text;

-- Whoever reads a row asks this. Rows of the versions before, of those that still run during an upgrade as well, lack the
-- column's value: each status that they know has one way in.
create function status_before(status text, previous_status text) returns text
language sql immutable parallel safe as $$
    select coalesce(previous_status, case status
        when 'cooking' then 'received'
        when 'ready' then 'cooking'
        when 'completed' then 'ready'
        when 'cancelled' then 'received'
    end)
$$;
