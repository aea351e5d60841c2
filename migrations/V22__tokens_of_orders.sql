-- By its token a customer is known at their order. Orders of before have none, nor do those that a version before writes during
-- an upgrade. The index is asked by token alone.
alter table orders add column tracking_token uuid;
create unique index orders_by_tracking_token on orders (tracking_token) where tracking_token is not null;
