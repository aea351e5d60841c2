-- One row of the outbox for all that a statement announces. To write, lock and delete a row for each took a seventh of
-- PostgreSQL's time for a new order, and a fifth of it for one in the kitchen.
--
-- A row of many has the changes' ids, ascending, in log_ids, and their orders' beside them in order_ids; its log_id is the
-- first of them, which keeps the rows in the order in which they go out. A row of one is what it was.
alter table outbox
    add column log_ids    bigint[],
    add column order_ids  bigint[],
    add column written_at timestamptz not null default now(),
    drop constraint outbox_announces_known,
    -- created_at: a relay of the version before, which would not know what to do with a row of many, waits for it for ever.
    add constraint outbox_of_one_or_many check (
        case when log_ids is null then announces in ('order', 'status') and order_ids is null
             else announces in ('orders', 'statuses') and created_at = 'infinity'
                  and log_ids[1] is not distinct from log_id
                  and cardinality(order_ids) is not distinct from cardinality(log_ids) end
    );

-- Locks the oldest rows that no other relay works on, one by one until they hold so many changes; those of relays that look
-- at the same time lie in between. New orders only when they were written so long ago. Where changes of status are among
-- them, the others that are still to be announced and older than one of these follow as rows that are not taken: what was
-- committed before is seen here, because this reads later than what it took.
create function outbox_take(changes bigint, orders_after_ms bigint, from_log_id bigint)
returns table (row_log_id bigint, row_log_ids bigint[], row_order_ids bigint[], is_order boolean, is_taken boolean)
language plpgsql as $$
declare
    free cursor for
        select log_id, coalesce(log_ids, array[log_id]), coalesce(order_ids, array[order_id]),
               announces in ('order', 'orders'), true
        from outbox
        where log_id >= from_log_id
          and (announces in ('status', 'statuses')
               or written_at <= now() - make_interval(secs => orders_after_ms / 1000.0))
        order by log_id for update skip locked;
    taken       bigint[] := '{}';
    last_status bigint;
begin
    open free;
    while changes > 0 loop
        fetch free into row_log_id, row_log_ids, row_order_ids, is_order, is_taken;
        exit when not found;
        return next;
        taken := taken || row_log_id;
        changes := changes - cardinality(row_log_ids);
        if not is_order then
            last_status := greatest(last_status, row_log_ids[cardinality(row_log_ids)]);
        end if;
    end loop;
    close free;
    if last_status is not null then
        return query
            select log_id, coalesce(log_ids, array[log_id]), coalesce(order_ids, array[order_id]), false, false
            from outbox
            where log_id < last_status and announces in ('status', 'statuses') and log_id <> all (taken);
    end if;
end $$;

-- What is deleted is not announced; what a row holds beside it becomes rows of one.
create or replace function outbox_forget_deleted_changes() returns trigger language plpgsql as $$
begin
    delete from outbox where log_ids is null and log_id in (select id from deleted);
    with hit as (
        delete from outbox
        where log_ids is not null
          and log_id <= (select max(id) from deleted) and log_ids[cardinality(log_ids)] >= (select min(id) from deleted)
        returning *
    )
    insert into outbox (log_id, order_id, announces, written_at)
    select c.log_id, c.order_id, case hit.announces when 'orders' then 'order' else 'status' end, hit.written_at
    from hit, unnest(hit.log_ids, hit.order_ids) as c (log_id, order_id)
    where c.log_id not in (select id from deleted)
    on conflict do nothing;
    return null;
end $$;
