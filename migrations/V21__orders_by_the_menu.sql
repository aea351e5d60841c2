-- What an item was on the menu, its choices by their names, and what the menu said is in it. Rows of orders without a menu have
-- none, nor do those that a version before writes during an upgrade.
alter table order_items
    add column menu_item_id text,
    add column options      jsonb,
    add column allergens    jsonb;
