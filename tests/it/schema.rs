//! The schema: the original's columns, rules that refuse what they forbid, and migrations that anybody may start.

use crate::support::TestEnv;
use restaurant_system::domain::{Money, OrderNumber, OrderType, Priority, Status, TRANSITIONS, bounds};
use std::collections::{BTreeMap, BTreeSet};
use tokio_postgres::Client;

/// Table, column, type, and whether it may be null: what a program written for the original relies on.
const COLUMNS: &[(&str, &str, &str, bool)] = &[
    ("orders", "id", "bigint", false),
    ("orders", "created_at", "timestamp with time zone", false),
    ("orders", "updated_at", "timestamp with time zone", false),
    ("orders", "number", "text", false),
    ("orders", "customer_name", "text", false),
    ("orders", "type", "text", false),
    ("orders", "table_number", "integer", true),
    ("orders", "delivery_address", "text", true),
    ("orders", "total_amount", "numeric(10,2)", false),
    ("orders", "priority", "integer", false),
    ("orders", "status", "text", false),
    ("orders", "processed_by", "text", true),
    ("orders", "completed_at", "timestamp with time zone", true),
    ("order_items", "id", "bigint", false),
    ("order_items", "created_at", "timestamp with time zone", false),
    ("order_items", "order_id", "bigint", false),
    ("order_items", "name", "text", false),
    ("order_items", "quantity", "integer", false),
    ("order_items", "price", "numeric(8,2)", false),
    ("order_status_log", "id", "bigint", false),
    ("order_status_log", "created_at", "timestamp with time zone", false),
    ("order_status_log", "order_id", "bigint", false),
    ("order_status_log", "status", "text", false),
    ("order_status_log", "changed_by", "text", false),
    ("order_status_log", "changed_at", "timestamp with time zone", false),
    ("order_status_log", "notes", "text", true),
    ("workers", "id", "bigint", false),
    ("workers", "created_at", "timestamp with time zone", false),
    ("workers", "name", "text", false),
    ("workers", "type", "text", false),
    ("workers", "status", "text", false),
    ("workers", "last_seen", "timestamp with time zone", false),
    ("workers", "orders_processed", "integer", false),
];

#[tokio::test]
async fn the_originals_tables_have_its_columns() {
    let env = TestEnv::new().await;
    let db = env.connect().await;
    let sql = "select table_name, column_name, is_nullable = 'YES' as nullable,
            case data_type when 'numeric' then format('numeric(%s,%s)', numeric_precision, numeric_scale) else data_type end
        from information_schema.columns where table_schema = 'public'";
    let found: BTreeMap<(String, String), (String, bool)> = db
        .query(sql, &[])
        .await
        .unwrap()
        .iter()
        .map(|row| ((row.get(0), row.get(1)), (row.get(3), row.get(2))))
        .collect();
    for (table, column, data_type, nullable) in COLUMNS {
        let key = ((*table).to_owned(), (*column).to_owned());
        assert_eq!(found.get(&key), Some(&((*data_type).to_owned(), *nullable)), "{table}.{column}");
    }
}

/// A database with one order of each status and a worker.
async fn seeded() -> (TestEnv, Client) {
    let env = TestEnv::new().await;
    let db = env.connect().await;
    for (n, status) in Status::ALL.into_iter().enumerate() {
        insert_in_status(&db, &format!("ORD_20261122_00{n}"), status).await;
    }
    let more = "insert into workers (name, type) values ('chef_anna', 'takeout');
        insert into order_status_log (order_id, status, changed_by) select id, 'received', 'x' from orders";
    db.batch_execute(more).await.unwrap();
    (env, db)
}

async fn insert_in_status(db: &Client, number: &str, status: Status) {
    let sql =
        "insert into orders (number, customer_name, type, delivery_address, total_amount, status, processed_by, completed_at)
        values ($1, 'Ada', 'delivery', '12 Analytical Row', 1, $2, 'chef_anna', case when $3 then now() end)";
    db.execute(sql, &[&number, &status.as_str(), &status.is_cooked()]).await.unwrap();
}

#[tokio::test]
async fn each_rule_refuses_what_it_forbids() {
    let (_env, db) = seeded().await;
    let table = |number: u8| format!("'dine_in', {number}");
    let address = |chars: usize| format!("'delivery', repeat('x', {chars})");
    let text = |chars: usize| format!("repeat('x', {chars})");
    let cents = |cents: i64| Money::from_cents(cents).to_string();
    let (highest, most) = (cents(bounds::PRICE.end().cents() + 1), (bounds::QUANTITY.end() + 1).to_string());
    let (lowest, fewest) =
        (cents(bounds::PRICE.start().cents() - 1), (bounds::QUANTITY.start() - 1).to_string());
    let customer_names =
        [bounds::CUSTOMER_NAME_CHARS.start() - 1, bounds::CUSTOMER_NAME_CHARS.end() + 1].map(text);
    let notes = [bounds::NOTES_CHARS.start() - 1, bounds::NOTES_CHARS.end() + 1].map(text);
    let item_names = [bounds::ITEM_NAME_CHARS.start() - 1, bounds::ITEM_NAME_CHARS.end() + 1].map(text);
    let order = |columns: &str, values: &str| {
        format!(
            "insert into orders (number, customer_name, total_amount, {columns}) values ('ORD_20261122_100', 'Ada', 1, {values})"
        )
    };
    let item = |name: &str, quantity: &str, price: &str| {
        format!(
            "insert into order_items (order_id, name, quantity, price) select min(id), {name}, {quantity}, {price} from orders"
        )
    };
    let noted = |notes: &str| {
        format!(
            "insert into order_items (order_id, name, quantity, price, notes) select min(id), 'Soup', 1, 1, {notes} from orders"
        )
    };
    let worker = |columns: &str, values: &str| {
        format!("insert into workers (type, {columns}) values ('takeout', {values})")
    };
    let log = |columns: &str, values: &str| {
        format!("insert into order_status_log (changed_by, {columns}) values ('x', {values})")
    };
    let named = |number: &str, name: &str, amount: &str| {
        format!(
            "insert into orders (number, customer_name, type, total_amount) values ({number}, {name}, 'takeout', {amount})"
        )
    };
    let first = "(select min(id) from orders)";
    for (sql, rule) in [
        (order("type, status, processed_by", "'takeout', 'eaten', 'x'"), "orders_status_known"),
        (order("type", "'drive_in'"), "orders_type_known"),
        (order("type", "'dine_in'"), "orders_table_for_dine_in"),
        (order("type, table_number", "'takeout', 1"), "orders_table_for_dine_in"),
        (order("type, table_number", &table(bounds::TABLES.start() - 1)), "orders_table_number_range"),
        (order("type, table_number", &table(bounds::TABLES.end() + 1)), "orders_table_number_range"),
        (order("type", "'delivery'"), "orders_address_for_delivery"),
        (order("type, delivery_address", "'takeout', '1234567890'"), "orders_address_for_delivery"),
        (
            order("type, delivery_address", &address(bounds::ADDRESS_CHARS.start() - 1)),
            "orders_address_length",
        ),
        (order("type, delivery_address", &address(bounds::ADDRESS_CHARS.end() + 1)), "orders_address_length"),
        (order("type, notes", &format!("'takeout', {}", notes[0])), "orders_notes_length"),
        (order("type, notes", &format!("'takeout', {}", notes[1])), "orders_notes_length"),
        (order("type, priority", "'takeout', 2"), "orders_priority_known"),
        (order("type, priority", "'takeout', 0"), "orders_priority_known"),
        (order("type, status", "'takeout', 'cooking'"), "orders_cooked_by_somebody"),
        (order("type, status, processed_by", "'takeout', 'ready', 'x'"), "orders_completed_at_when_ready"),
        (order("type, completed_at", "'takeout', now()"), "orders_completed_at_when_ready"),
        (
            order("type, status, processed_by, completed_at", "'takeout', 'out_for_delivery', 'x', now()"),
            "orders_only_deliveries_go_out",
        ),
        (order("type, attempt", "'takeout', -1"), "orders_attempt_not_negative"),
        (named("'ORD_20261122_000'", "'Ada'", "1"), "orders_number_key"),
        (named("'ORD_2026_001'", "'Ada'", "1"), "orders_number_form"),
        (named("'ORD_20261122_100'", &customer_names[0], "1"), "orders_customer_name_length"),
        (named("'ORD_20261122_100'", &customer_names[1], "1"), "orders_customer_name_length"),
        (named("'ORD_20261122_100'", "'Ada'", "0"), "orders_total_amount_positive"),
        (item(&item_names[0], "1", "1"), "order_items_name_length"),
        (item(&item_names[1], "1", "1"), "order_items_name_length"),
        (item("'Soup'", &fewest, "1"), "order_items_quantity_range"),
        (item("'Soup'", &most, "1"), "order_items_quantity_range"),
        (item("'Soup'", "1", &lowest), "order_items_price_range"),
        (item("'Soup'", "1", &highest), "order_items_price_range"),
        (noted(&notes[0]), "order_items_notes_length"),
        (noted(&notes[1]), "order_items_notes_length"),
        (
            "insert into order_items (order_id, name, quantity, price) values (-1, 'x', 1, 1)".to_owned(),
            "order_items_order_id_fkey",
        ),
        (log("order_id, status", &format!("{first}, 'eaten'")), "order_status_log_status_known"),
        (log("order_id, status", &format!("{first}, 'received'")), "order_status_log_once"),
        (log("order_id, status", "-1, 'received'"), "order_status_log_order_id_fkey"),
        (worker("name", "'chef_anna'"), "workers_name_key"),
        (worker("name, status", "'b', 'asleep'"), "workers_status_known"),
        (worker("name, orders_processed", "'b', -1"), "workers_orders_processed_not_negative"),
        (worker("name, heartbeat_interval_ms", "'b', 0"), "workers_heartbeat_interval_positive"),
        (worker("name, capacity", "'b', 0"), "workers_capacity_positive"),
    ] {
        let refused = db.batch_execute(&sql).await.expect_err(&sql);
        let refused = refused.as_db_error().unwrap_or_else(|| panic!("{sql}: {refused:?}"));
        assert_eq!(refused.constraint(), Some(rule), "{sql}: {refused}");
    }
    let overflow = named("'ORD_20261122_100'", "'Ada'", "100000000");
    assert!(db.batch_execute(&overflow).await.is_err());
}

#[tokio::test]
async fn a_number_has_exactly_the_form_that_the_program_reads() {
    let (_env, db) = seeded().await;
    let candidates = [
        "ORD_20261122_101",
        "ORD_20261122_1000",
        "ORD_20261122_0001",
        "ORD_20261122_000000001",
        "ORD_20261122_123456789",
        "ORD_20261122_1234567890",
        "ORD_20261122_12345678901234567890",
        "ORD_20261122_01",
        "ORD_2026112_1010",
        "ORD_202611220_101",
        "ORD_20261122_",
        "ORD_20261122101",
        "ORD__20261122101",
        "ORD_2026112_2101",
        "ORD_20261122_10x",
        "ORD_20261122_-101",
        "ORD_20261122_101_",
        "ORD_20261122_101\n",
        " ORD_20261122_101",
        "ORDX20261122_101",
        "ord_20261122_101",
        "1ORD_0261122_101",
        "OR1D_0261122_101",
        "ORD_20261122_１０１",
        "",
    ];
    for number in candidates {
        // As the import of the original's orders has it (V3).
        let sql = "select $1::text ~ '^ORD_[0-9]{8}_[0-9]{3,9}$'";
        let form: bool = db.query_one(sql, &[&number]).await.unwrap().get(0);
        assert_eq!(OrderNumber::parse(number).is_ok(), form, "{number:?}");
        let sql =
            "insert into orders (number, customer_name, type, total_amount) values ($1, 'Ada', 'takeout', 1)";
        let inserted = db.execute(sql, &[&number]).await;
        assert_eq!(inserted.is_ok(), form, "{number:?}: {inserted:?}");
    }
}

#[tokio::test]
async fn each_rule_lets_its_limits_pass() {
    let (_env, db) = seeded().await;
    let (customer_name, item_name) = (bounds::CUSTOMER_NAME_CHARS, bounds::ITEM_NAME_CHARS);
    let (tables, address) = (bounds::TABLES, bounds::ADDRESS_CHARS);
    for (n, values) in [
        format!("repeat('ü', {}), 'dine_in', {}, null, 0.01", customer_name.start(), tables.start()),
        format!("repeat('ü', {}), 'dine_in', {}, null, 99999999.99", customer_name.end(), tables.end()),
        format!("'A', 'delivery', null, repeat('ü', {}), 1", address.start()),
        format!("'A', 'delivery', null, repeat('ü', {}), 1", address.end()),
    ]
    .into_iter()
    .enumerate()
    {
        let sql = format!(
            "insert into orders (number, customer_name, type, table_number, delivery_address, total_amount)
             values ('ORD_20261122_{}', {values})",
            1000 + n
        );
        db.batch_execute(&sql).await.unwrap_or_else(|error| panic!("{values}: {error:?}"));
    }
    for (chars, quantity, price, notes) in [
        (item_name.start(), bounds::QUANTITY.start(), bounds::PRICE.start(), bounds::NOTES_CHARS.start()),
        (item_name.end(), bounds::QUANTITY.end(), bounds::PRICE.end(), bounds::NOTES_CHARS.end()),
    ] {
        let item = format!(
            "insert into order_items (order_id, name, quantity, price, notes)
             select min(id), repeat('ü', {chars}), {quantity}, {price}, repeat('ü', {notes}) from orders;
             update orders set notes = repeat('ü', {notes})"
        );
        db.batch_execute(&item).await.unwrap();
    }
}

#[tokio::test]
async fn the_database_allows_exactly_the_domains_transitions() {
    let env = TestEnv::new().await;
    let db = env.connect().await;
    for (n, from) in Status::ALL.into_iter().enumerate() {
        for (m, to) in Status::ALL.into_iter().enumerate() {
            let number = format!("ORD_20261122_1{n}{m}");
            insert_in_status(&db, &number, from).await;
            let sql = "update orders set status = $2,
                completed_at = case when $3 then coalesce(completed_at, now()) end where number = $1";
            let moved = db.execute(sql, &[&number, &to.as_str(), &to.is_cooked()]).await;
            // Writing the same again is no transition.
            let expected = TRANSITIONS.contains(&(from, to)) || from == to;
            assert_eq!(moved.is_ok(), expected, "{from} to {to}: {moved:?}");
            if let Err(refused) = moved {
                assert_eq!(refused.as_db_error().unwrap().constraint(), Some("orders_status_transition"));
            }
        }
    }
}

#[tokio::test]
async fn rules_and_indexes_name_what_the_domain_means() {
    let env = TestEnv::new().await;
    let db = env.connect().await;
    let definition =
        "select coalesce((select pg_get_constraintdef(oid) from pg_constraint where conname = $1),
        pg_get_indexdef(to_regclass($1)))";
    let without_cook =
        |status: Status| status == Status::Received || status.is_settled() && !status.is_cooked();
    let rules: [(&str, &dyn Fn(Status) -> bool); 5] = [
        ("orders_status_known", &|_| true),
        ("order_status_log_status_known", &|_| true),
        ("orders_completed_at_when_ready", &Status::is_cooked),
        ("orders_cooked_by_somebody", &without_cook),
        ("orders_settled", &Status::is_settled),
    ];
    for (rule, is_meant) in rules {
        let text: String = db.query_one(definition, &[&rule]).await.unwrap().get(0);
        let named: BTreeSet<&str> = text.split('\'').skip(1).step_by(2).collect();
        let meant: BTreeSet<&str> =
            Status::ALL.into_iter().filter(|status| is_meant(*status)).map(Status::as_str).collect();
        assert_eq!(named, meant, "{rule}: {text}");
    }
    let text: String = db.query_one(definition, &[&"orders_type_known"]).await.unwrap().get(0);
    let named: BTreeSet<&str> = text.split('\'').skip(1).step_by(2).collect();
    assert_eq!(named, OrderType::ALL.map(OrderType::as_str).into(), "{text}");
    let text: String = db.query_one(definition, &[&"orders_priority_known"]).await.unwrap().get(0);
    let numbers = text.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok());
    let known = [Priority::LOW, Priority::MEDIUM, Priority::HIGH].map(Priority::value);
    assert_eq!(numbers.collect::<BTreeSet<u8>>(), known.into(), "{text}");
}

#[tokio::test]
async fn a_change_that_does_not_say_what_it_led_away_from_is_of_a_version_that_knew_one_way_in() {
    let env = TestEnv::new().await;
    let db = env.connect().await;
    let sql = "select status_before($1, null), status_before($1, 'ready')";
    for (status, before) in [
        ("received", None),
        ("cooking", Some("received")),
        ("ready", Some("cooking")),
        ("completed", Some("ready")),
        ("cancelled", Some("received")),
    ] {
        let row = db.query_one(sql, &[&status]).await.unwrap();
        assert_eq!((row.get::<_, Option<&str>>(0), row.get::<_, &str>(1)), (before, "ready"), "{status}");
    }
}

#[tokio::test]
async fn nothing_is_left_to_announce_of_deleted_orders() {
    let (_env, db) = seeded().await;
    let announce =
        "insert into outbox (log_id, order_id, announces) select id, order_id, 'order' from order_status_log
        on conflict do nothing";
    let together = "
        insert into outbox (log_id, order_id, announces, created_at, log_ids, order_ids)
        select min(id), min(order_id), 'orders', 'infinity', array_agg(id order by id), array_agg(order_id order by id)
        from order_status_log";
    let left = async || -> i64 {
        let sql = "select count(distinct coalesce(changes, log_id)) from outbox left join lateral unnest(log_ids) as changes on true";
        db.query_one(sql, &[]).await.unwrap().get(0)
    };
    for announce in [announce, together] {
        db.batch_execute("delete from outbox").await.unwrap();
        db.execute(announce, &[]).await.unwrap();
        let orders = left().await;
        db.execute("delete from orders where id = (select min(id) from orders)", &[]).await.unwrap();
        assert_eq!(left().await, orders - 1, "after a deletion of one of {orders}");
    }
    db.batch_execute("truncate orders cascade").await.unwrap();
    assert_eq!(left().await, 0, "after all were deleted");
}

#[tokio::test]
async fn all_roles_may_start_at_once_on_an_empty_database() {
    let env = TestEnv::unmigrated().await;
    let mut roles = vec![
        env.spawn(&["order-service", "--port", "0"]),
        env.spawn(&["tracking-service", "--port", "0"]),
        env.spawn(&["kitchen-worker", "--worker-name", "chef_anna"]),
        env.spawn(&["notification-subscriber"]),
        env.spawn(&["order-service", "--port", "0"]),
        env.spawn(&["kitchen-worker", "--worker-name", "chef_mario"]),
    ];
    for worker in [2, 5] {
        roles[worker].wait_for_action("worker_registered").await;
    }
    roles[3].wait_for_action("rabbitmq_connected").await;
    for role in [0, 1, 4] {
        roles[role].wait_for_action("db_connected").await;
    }
    let db = env.connect().await;
    let applied = db
        .query_one("select count(*), count(distinct version) from refinery_schema_history", &[])
        .await
        .unwrap();
    assert!(applied.get::<_, i64>(0) > 0 && applied.get::<_, i64>(0) == applied.get::<_, i64>(1));
    for role in &mut roles {
        assert!(role.is_running());
        assert!(role.logs().iter().all(|log| log["level"] != "ERROR"), "{:?}", role.output());
    }
}

#[tokio::test]
async fn migrate_can_be_repeated_and_says_what_it_did() {
    let env = TestEnv::unmigrated().await;
    let mut applied = Vec::new();
    for _ in 0..2 {
        let output = env.run(&["migrate", "--log-format", "json"]).await;
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(0), "{text}");
        let said = text.split_once(" migrations applied").unwrap().0;
        applied.push(said.rsplit('"').next().unwrap().parse::<u32>().unwrap());
    }
    assert!(applied[0] > 0 && applied[1] == 0, "{applied:?}");
}

#[tokio::test]
async fn a_database_that_was_changed_by_hand_is_refused_and_not_repaired() {
    let env = TestEnv::unmigrated().await;
    let db = env.connect().await;
    db.batch_execute("create table orders (id int)").await.unwrap();
    let output = env.run(&["migrate", "--log-format", "json", "--timeout", "5"]).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("already exists"), "{text}");
    let left = db.query_one("select to_regclass('order_items') is null", &[]).await.unwrap();
    assert!(left.get::<_, bool>(0), "a migration is applied whole or not at all");
}

#[tokio::test]
async fn a_schema_that_a_later_version_has_brought_further_is_left_as_it_is() {
    let env = TestEnv::new().await;
    let later = "insert into refinery_schema_history (version, name, applied_on, checksum)
        values (9999, 'later', '2036-01-01T00:00:00Z', '1')";
    env.connect().await.batch_execute(later).await.unwrap();
    let output = env.run(&["migrate", "--log-format", "json"]).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let role = env.spawn(&["order-service", "--port", "0"]);
    role.wait_for_action("db_connected").await;
}

#[tokio::test]
async fn a_migration_that_was_changed_after_it_was_applied_is_refused() {
    let mut env = TestEnv::new().await;
    env.use_own_accounts(false);
    let changed = "update refinery_schema_history set checksum = '1' where version = 1";
    env.connect().await.batch_execute(changed).await.unwrap();
    let mut role = env.spawn(&["tracking-service", "--port", "0"]);
    assert_eq!(role.wait_exit().await.code(), Some(1));
    let failed = role.wait_for_action("service_failed").await;
    assert!(failed["error"]["msg"].as_str().unwrap().contains("V1"), "{failed}");
}
