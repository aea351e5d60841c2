-- Whether rows have their order is asked for all orders at once, by their keys. A subquery for each row took a twentieth of
-- PostgreSQL's time for a new order.
create or replace function rows_need_their_order() returns trigger language plpgsql as $$
declare
    ids     bigint[] := array(select distinct order_id from written);
    missing bigint;
begin
    -- Keys, not a join: this is planned once for a session, and a join planned while orders were few would read all of them
    -- when they are many.
    if cardinality(ids) = (select count(*) from orders where id = any (ids) and xmin = pg_current_xact_id()::xid) then
        return null;
    end if;
    -- Orders of other transactions: nobody may delete them before this one has ended.
    perform from orders where id = any (ids) order by id for key share;
    select w.order_id into missing
    from written w where not exists (select from orders o where o.id = w.order_id) limit 1;
    if found then
        raise exception 'a row of % belongs to order %, which does not exist', tg_table_name, missing
            using errcode = 'foreign_key_violation', table = tg_table_name,
                  constraint = tg_table_name || '_order_id_fkey';
    end if;
    return null;
end $$;

-- What changed lately is found by the ids, which ascend with time (store/reconcile.rs). It is asked for when a broker has
-- lost its disk; the index was written to with every change.
drop index order_status_log_recent;
