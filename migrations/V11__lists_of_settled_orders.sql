-- A list of orders reads no more of each status and type than its page has (store/orders.rs). What waits and what cooks is
-- little and found by orders_by_rare_status; what is settled grows for ever. Written to once an order is ready or
-- cancelled, not while it is taken or claimed. By the negative of the id, which no other index has: for the id itself
-- PostgreSQL would walk the primary key where it takes what is asked for as frequent, past all that is not.
create index orders_settled on orders (status, type, (-id)) where status in ('ready', 'completed', 'cancelled');
