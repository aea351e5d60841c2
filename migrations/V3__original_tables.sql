-- Takes over what the original system's tables hold. `migrate` has put those tables aside, into the schema
-- original_system, where they stay as they were: rows that break a rule of this schema are there alone.
do $$
begin
    if to_regclass('original_system.orders') is null then
        return;
    end if;

    insert into orders (id, created_at, updated_at, number, customer_name, type, table_number, delivery_address,
                        total_amount, priority, status, processed_by, completed_at)
    select id, coalesce(created_at, now()), coalesce(updated_at, created_at, now()), number, customer_name, type,
           case type when 'dine_in' then table_number end, case type when 'delivery' then delivery_address end,
           total_amount,
           case when total_amount > 100 then 10 when total_amount >= 50 then 5 else 1 end,
           now_in, case when now_in in ('received', 'cancelled') then processed_by
                        else coalesce(processed_by, 'original system') end,
           case when now_in in ('ready', 'completed') then coalesce(completed_at, updated_at, now()) end
    from (
        select *, case status when 'delivered' then 'completed' else coalesce(status, 'received') end as now_in
        from original_system.orders
    ) as o
    where number ~ '^ORD_[0-9]{8}_[0-9]{3,9}$'
      and char_length(customer_name) between 1 and 100
      and type in ('dine_in', 'takeout', 'delivery')
      and (type <> 'dine_in' or coalesce(table_number, 0) between 1 and 100)
      and (type <> 'delivery' or char_length(coalesce(delivery_address, '')) between 10 and 500)
      and total_amount > 0
      and now_in in ('received', 'cooking', 'ready', 'completed', 'cancelled');
    perform setval(pg_get_serial_sequence('orders', 'id'), max(id)) from orders having max(id) is not null;

    insert into order_items (created_at, order_id, name, quantity, price)
    select coalesce(i.created_at, o.created_at), o.id, i.name, i.quantity, i.price
    from original_system.order_items i join orders o on o.id = i.order_id
    where char_length(i.name) between 1 and 50 and i.quantity between 1 and 10 and i.price between 0.01 and 999.99
    order by i.id;

    -- The way that led to each order's status, with what the original noted of it.
    insert into order_status_log (created_at, order_id, status, changed_by, changed_at, notes, transaction_id)
    select coalesce(l.changed_at, o.updated_at), o.id, step.status,
           coalesce(l.changed_by, o.processed_by, 'original system'),
           coalesce(l.changed_at, case step.status when 'received' then o.created_at else o.updated_at end), l.notes, 0
    from orders o
    join (values ('received', 'received', 1),
                 ('cooking', 'received', 1), ('cooking', 'cooking', 2),
                 ('ready', 'received', 1), ('ready', 'cooking', 2), ('ready', 'ready', 3),
                 ('completed', 'received', 1), ('completed', 'cooking', 2), ('completed', 'ready', 3),
                 ('completed', 'completed', 4),
                 ('cancelled', 'received', 1), ('cancelled', 'cancelled', 2)) as step (reached, status, place)
        on step.reached = o.status
    left join lateral (
        select l.* from original_system.order_status_log l
        where l.order_id = o.id and case l.status when 'delivered' then 'completed' else l.status end = step.status
        order by l.changed_at, l.id limit 1
    ) l on true
    order by o.id, step.place;

    insert into workers (created_at, name, type, status, last_seen, orders_processed)
    select coalesce(created_at, now()), name, coalesce(type, ''), 'offline', coalesce(last_seen, now()),
           greatest(coalesce(orders_processed, 0), 0)
    from original_system.workers;

    -- Today's numbers go on where the original stopped.
    insert into order_counters (day, last_sequence)
    select (now() at time zone 'UTC')::date, max(split_part(number, '_', 3)::bigint) from orders
    where number like 'ORD\_' || to_char(now() at time zone 'UTC', 'YYYYMMDD') || '\_%'
    having max(split_part(number, '_', 3)::bigint) > 0;
end $$;
