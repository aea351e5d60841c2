-- What a customer asks the kitchen to heed, on the order and on each entry. Rows of the versions before have none, nor do those that
-- such a version writes during an upgrade.
alter table orders
    add column notes text,
    add constraint orders_notes_length check (char_length(notes) between 1 and 200);
alter table order_items
    add column notes text,
    add constraint order_items_notes_length check (char_length(notes) between 1 and 200);
