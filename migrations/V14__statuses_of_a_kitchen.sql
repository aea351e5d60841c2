-- A delivery may be on its way to the customer, an order may be cancelled while it is cooked, and one that is ready may be
-- recalled, to be cooked again. The statuses that there were keep their meaning, so that the version before
-- goes on; an order that is on its way it does not know, and leaves alone. The orders and the log are read once for the
-- rules, and once for an index.
alter table orders
    drop constraint orders_status_known,
    add constraint orders_status_known
        check (status in ('received', 'cooking', 'ready', 'out_for_delivery', 'completed', 'cancelled')),
    drop constraint orders_completed_at_when_ready,
    add constraint orders_completed_at_when_ready
        check ((status in ('ready', 'out_for_delivery', 'completed')) = (completed_at is not null)),
    add constraint orders_only_deliveries_go_out check (status <> 'out_for_delivery' or type = 'delivery');

alter table order_status_log
    drop constraint order_status_log_status_known,
    add constraint order_status_log_status_known
        check (status in ('received', 'cooking', 'ready', 'out_for_delivery', 'completed', 'cancelled'));

drop index orders_settled;
create index orders_settled on orders (status, type, (-id))
    where status in ('ready', 'out_for_delivery', 'completed', 'cancelled');

drop trigger orders_status_transition on orders;
create trigger orders_status_transition before update of status on orders
    for each row when (old.status is distinct from new.status and (old.status, new.status) not in (
        ('received', 'cooking'), ('cooking', 'ready'), ('ready', 'completed'), ('ready', 'out_for_delivery'),
        ('out_for_delivery', 'completed'), ('received', 'cancelled'), ('cooking', 'cancelled'), ('ready', 'cooking')
    ))
    execute function orders_refuse_illegal_transition();

-- In which attempt (orders.attempt) a change happened: a recall begins a new one. Changes of before have none; no order was
-- recalled then.
alter table order_status_log add column attempt integer not null default 0;
alter table order_status_log
    alter column attempt drop default,
    drop constraint order_status_log_once,
    add constraint order_status_log_once unique (order_id, status, attempt);

-- Processes of the version before log changes without it; among them the second `ready` of an order that was recalled. Once
-- none of them is left, a later migration drops this.
create function order_status_log_attempt() returns trigger language plpgsql as $$
begin
    new.attempt := coalesce((select attempt from orders where id = new.order_id), 0);
    return new;
end $$;

create trigger order_status_log_attempt before insert on order_status_log
    for each row when (new.attempt is null) execute function order_status_log_attempt();
