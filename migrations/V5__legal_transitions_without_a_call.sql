-- What a change of status may be is the trigger's own condition, which PostgreSQL evaluates by itself: the function, which
-- took a twenty-fifth of PostgreSQL's time in a busy kitchen to say yes, is called for changes that are refused.
-- src/domain/status.rs holds the same table; a test compares them.
drop trigger orders_status_transition on orders;

create or replace function orders_refuse_illegal_transition() returns trigger language plpgsql as $$
begin
    raise exception 'order % may not go from % to %', old.number, old.status, new.status
        using errcode = 'check_violation', constraint = 'orders_status_transition';
end $$;

create trigger orders_status_transition before update of status on orders
    for each row when (old.status is distinct from new.status and (old.status, new.status) not in (
        ('received', 'cooking'), ('cooking', 'ready'), ('ready', 'completed'), ('received', 'cancelled')
    ))
    execute function orders_refuse_illegal_transition();
