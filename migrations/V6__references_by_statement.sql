-- Items and log rows are written in the statement that writes or changes their order, many at a time. A foreign key looks
-- up, locks and logs the order again for each of them: a third of what PostgreSQL did for a new order. What the foreign
-- keys held is held by statement from here on; an order that the same transaction has just written needs no lock.
alter table order_items drop constraint order_items_order_id_fkey;
alter table order_status_log drop constraint order_status_log_order_id_fkey;

create function rows_need_their_order() returns trigger language plpgsql as $$
declare
    missing bigint;
begin
    -- A subquery for each row, not a join: this is planned once for a session, and a join planned while orders were few would
    -- read all of them when they are many.
    if not exists (
        select from written w
        where (select o.xmin from orders o where o.id = w.order_id) is distinct from pg_current_xact_id()::xid
    ) then
        return null;
    end if;
    -- Orders of other transactions: nobody may delete them before this one has ended.
    perform from orders where id in (select order_id from written) order by id for key share;
    select w.order_id into missing
    from written w where not exists (select from orders o where o.id = w.order_id) limit 1;
    if found then
        raise exception 'a row of % belongs to order %, which does not exist', tg_table_name, missing
            using errcode = 'foreign_key_violation', table = tg_table_name,
                  constraint = tg_table_name || '_order_id_fkey';
    end if;
    return null;
end $$;

create trigger order_items_order_exists after insert on order_items
    referencing new table as written for each statement execute function rows_need_their_order();
create trigger order_items_order_still_exists after update on order_items
    referencing new table as written for each statement execute function rows_need_their_order();
create trigger order_status_log_order_exists after insert on order_status_log
    referencing new table as written for each statement execute function rows_need_their_order();
create trigger order_status_log_order_still_exists after update on order_status_log
    referencing new table as written for each statement execute function rows_need_their_order();

create function orders_take_their_rows_along() returns trigger language plpgsql as $$
begin
    delete from order_items where order_id in (select id from deleted);
    delete from order_status_log where order_id in (select id from deleted);
    return null;
end $$;

create trigger orders_deleted after delete on orders
    referencing old table as deleted for each statement execute function orders_take_their_rows_along();

create function orders_keep_their_id() returns trigger language plpgsql as $$
begin
    raise exception 'order % may not change its id', old.number
        using errcode = 'foreign_key_violation', table = tg_table_name, constraint = 'orders_id_fixed';
end $$;

create trigger orders_id_fixed before update of id on orders
    for each row when (old.id is distinct from new.id) execute function orders_keep_their_id();

-- By deletion: a table that is truncated together with orders cannot be truncated again within that.
create function orders_take_all_rows_along() returns trigger language plpgsql as $$
begin
    delete from order_items;
    delete from order_status_log;
    return null;
end $$;

create trigger orders_truncated after truncate on orders
    for each statement execute function orders_take_all_rows_along();

create or replace function outbox_forget_all_changes() returns trigger language plpgsql as $$
begin
    delete from outbox;
    return null;
end $$;

-- One index where there were two: items are always reached through their order.
alter table order_items drop constraint order_items_pkey, add primary key (order_id, id);
drop index order_items_by_order;

-- The same numbers as before, at a tenth of a regular expression's price, which every change of an order paid as well.
alter table orders
    drop constraint orders_number_form,
    add constraint orders_number_form check (
        number like 'ORD\_%' and substr(number, 13, 1) = '_' and length(number) >= 16
        and translate(number, '0123456789', '') = 'ORD__'
    );
