-- A delivery may be on its way to the customer. The statuses that there were keep their meaning, so that the version before
-- goes on; an order that is on its way it does not know, and leaves alone. The orders and the log are read once for the
-- rules, and the orders once for the index.
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
        ('received', 'cooking'), ('cooking', 'ready'), ('ready', 'completed'), ('received', 'cancelled'),
        ('ready', 'out_for_delivery'), ('out_for_delivery', 'completed')
    ))
    execute function orders_refuse_illegal_transition();
