//! A database of the original system: its orders go on where they were.

use crate::kitchen::kit::{Kit, SHORT_GRACE};
use crate::support::TestEnv;

/// The tables as the original made them, in the middle of a day.
const ORIGINAL: &str = "
create table orders (
    id serial primary key, created_at timestamptz not null default now(), updated_at timestamptz not null default now(),
    number text unique not null, customer_name text not null,
    type text not null check (type in ('dine_in', 'takeout', 'delivery')),
    table_number integer, delivery_address text, total_amount decimal(10,2) not null, priority integer default 1,
    status text default 'received', processed_by text, completed_at timestamptz);
create table order_items (
    id serial primary key, created_at timestamptz not null default now(), order_id integer references orders (id),
    name text not null, quantity integer not null, price decimal(8,2) not null);
create table order_status_log (
    id serial primary key, created_at timestamptz not null default now(), order_id integer references orders (id),
    status text, changed_by text, changed_at timestamptz default current_timestamp, notes text);
create table workers (
    id serial primary key, created_at timestamptz not null default now(), name text unique not null,
    type text not null, status text default 'online', last_seen timestamptz default current_timestamp,
    orders_processed integer default 0);
insert into workers (name, type, orders_processed) values ('chef_old', 'kitchen', 41);
insert into orders (number, customer_name, type, table_number, total_amount, priority, status, processed_by)
select 'ORD_' || to_char(now() at time zone 'UTC', 'YYYYMMDD') || '_' || number, 'Ada', type, place, 60, 5, status, cook
from (values ('001', 'takeout', 7, 'delivered', 'chef_old'), ('002', 'dine_in', 3, 'cooking', 'chef_old'),
             ('003', 'takeout', null, 'received', null), ('004', 'dine_in', null, 'received', null))
    as o (number, type, place, status, cook);
insert into order_items (order_id, name, quantity, price) select id, 'Soup', 2, 30 from orders;
insert into order_status_log (order_id, status, changed_by, changed_at) values
    (1, 'received', 'order-service', '2020-01-01T12:00:00Z'), (1, 'cooking', 'chef_old', '2020-01-01T12:01:00Z'),
    (1, 'ready', 'chef_old', '2020-01-01T12:02:00Z'), (1, 'ready', 'chef_old', '2020-01-01T12:03:00Z'),
    (2, 'received', 'order-service', '2020-01-01T12:04:00Z');";

#[tokio::test]
async fn the_originals_orders_are_taken_over_and_go_on() {
    let env = TestEnv::unmigrated().await;
    env.write_config(SHORT_GRACE);
    env.connect().await.batch_execute(ORIGINAL).await.unwrap();
    env.migrate().await;
    let kit = Kit::on(env).await;

    let rows = kit.db.query("select number, status from orders order by id", &[]).await.unwrap();
    let found: Vec<(String, String)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let statuses: Vec<&str> = found.iter().map(|(_, status)| status.as_str()).collect();
    assert_eq!(statuses, ["completed", "cooking", "received"], "the fourth has no table");
    let delivered: Vec<_> = kit.history(&found[0].0).await;
    let by = |status: &str, who: &str| (status.to_owned(), who.to_owned());
    let received = by("received", "order-service");
    assert_eq!(
        delivered,
        [received, by("cooking", "chef_old"), by("ready", "chef_old"), by("completed", "chef_old")]
    );
    assert_eq!(kit.worker_row("chef_old").await, ("offline".to_owned(), 41));

    let _chef = kit.working("chef_anna", &[]).await;
    kit.wait_ready(&[found[1].0.clone(), found[2].0.clone()]).await;
    assert_eq!(kit.statuses(&found[1].0).await, ["received", "cooking", "ready"]);
    let next = kit.place("takeout").await;
    let same_day = next.get(..12) == found[0].0.get(..12);
    assert!(next.ends_with("_004") || !same_day, "{next}");
    let items: i64 = kit.db.query_one("select count(*) from order_items", &[]).await.unwrap().get(0);
    assert_eq!(items, 3 + 1);
    // What was there before is there still, the order without a table among it.
    let kept = kit.db.query_one("select count(*) from original_system.orders", &[]).await.unwrap();
    assert_eq!(kept.get::<_, i64>(0), 4);
}

#[tokio::test]
async fn a_migration_may_take_longer_than_a_statement() {
    let env = TestEnv::unmigrated().await;
    let db = env.connect().await;
    db.batch_execute(ORIGINAL).await.unwrap();
    // What is taken over is read for longer than the second that a statement has.
    let slow = "alter table workers rename to all_workers;
        create view workers as select * from all_workers where pg_sleep(2) is not null";
    db.batch_execute(slow).await.unwrap();
    let mut command = env.command(&["migrate", "--log-format", "json"]);
    command.arg("--config").arg(env.config()).env("RESTAURANT_DATABASE_STATEMENT_TIMEOUT_SECONDS", "1");
    let mut role = crate::support::Role::spawn("migrate", command);
    assert!(role.wait_exit().await.success(), "{:?}", role.output());
}
