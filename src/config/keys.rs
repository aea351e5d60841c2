//! The table of the configuration's keys: each with its bounds, its default and what people want to know of it.
//!
//! `config.example.yaml` is written from it, by the test `example_file::has_what_the_table_has`.

use settings::{Key, Table};

/// As many ports as there are.
const PORT: (u64, u64) = (1, 65_535);
/// Each stream is an open connection, and a system gives a process some 65,000 of them at most without being told.
const EVENT_STREAMS: (u64, u64) = (1, 60_000);
const CONNECTIONS: (u64, u64) = (1, 1_000_000);
const POOL: (u64, u64) = (1, 1000);
const DEAD_LETTERS: (u64, u64) = (1, 10_000_000);
const OUTBOX_ROWS: (u64, u64) = (1, u32::MAX as u64);
/// A day at most: nobody brings an order back later.
const RECALL_MINUTES: (u64, u64) = (0, 1440);
/// In minutes. A day at most, as for a recall.
const TARGET: (u64, u64) = (1, 1440);
/// A day at most: nobody waits longer.
const INTAKE_MINUTES: (u64, u64) = (1, 1440);
const INTAKE_ORDERS: (u64, u64) = (1, 1_000_000);
/// In shares of the target time.
const LATE: (f64, f64) = (0.0, 100.0);
/// amqprs wants 2 s at least; a broker that is silent for more than an hour is away.
const HEARTBEAT: (u64, u64) = (2, 3600);

#[rustfmt::skip] // a row a line
pub const TABLE: Table = Table { env_prefix: "RESTAURANT_", rows: &[
    Key::section("database", ""),
    Key::list("database.host", "localhost", "or a list, a primary and its standbys: [db1, \"db2:5433\"]; the one that takes writes is used, and by the tracking service a standby while there is none. Or /run/postgresql, the folder of a Unix socket"),
    Key::number("database.port", PORT, "5432", "of hosts that do not name one; of a socket, too: .s.PGSQL.5432"),
    Key::text("database.user", "restaurant_user", "the owner of the tables for migrate; a role may have an account of its own (OPERATIONS.md)"),
    Key::text("database.password", "restaurant_pass", "without TLS it is proved by scram-sha-256 alone; with sockets alone the default is none"),
    Key::text("database.password_file", "PATH", "in place of password; relative to this file; ${CREDENTIALS_DIRECTORY}/NAME under systemd").unset(),
    Key::text("database.database", "restaurant_db", ""),
    Key::text("database.tls", "false", "or true, or {ca_file: PATH}; not over Unix sockets"),
    Key::text("database.tls.enabled", "true", "").unset(),
    Key::text("database.tls.ca_file", "PATH", "").unset(),
    Key::number("database.pool_size", POOL, "8", "connections that one process opens at most"),
    Key::seconds("database.connect_timeout_seconds", 0.1, "5", ""),
    Key::seconds("database.statement_timeout_seconds", 0.1, "10", ""),

    Key::section("rabbitmq", ""),
    Key::list("rabbitmq.host", "localhost", "or a list: each process begins with one of them at random"),
    Key::number("rabbitmq.port", PORT, "5672", "5671 with tls"),
    Key::text("rabbitmq.user", "guest", ""),
    Key::text("rabbitmq.password", "guest", ""),
    Key::text("rabbitmq.password_file", "PATH", "as for database").unset(),
    Key::text("rabbitmq.vhost", "/", ""),
    Key::text("rabbitmq.queue_type", "classic", "or quorum: replicated over a cluster, without the ten priorities; for queues that exist see restaurant-system queues --help"),
    Key::text("rabbitmq.management_url", "http://localhost:15672", "the order service warns of quorum queues with fewer members than nodes").unset(),
    Key::text("rabbitmq.tls", "false", ""),
    Key::text("rabbitmq.tls.enabled", "true", "").unset(),
    Key::text("rabbitmq.tls.ca_file", "PATH", "").unset(),
    Key::seconds("rabbitmq.connect_timeout_seconds", 0.1, "5", ""),
    Key::seconds("rabbitmq.confirm_timeout_seconds", 0.1, "10", "without any confirmation for so long the connection is given up"),
    Key::number("rabbitmq.heartbeat_seconds", HEARTBEAT, "10", "a silent connection is noticed after two of them"),
    Key::number("rabbitmq.max_dead_letters", DEAD_LETTERS, "10000", "when there are so many, messages that nobody can process are dropped"),

    Key::section("kitchen", ""),
    Key::section("kitchen.cook_seconds", "decimals and 0 allowed"),
    Key::seconds("kitchen.cook_seconds.dine_in", 0.0, "8", ""),
    Key::seconds("kitchen.cook_seconds.takeout", 0.0, "10", ""),
    Key::seconds("kitchen.cook_seconds.delivery", 0.0, "12", ""),
    Key::seconds("kitchen.stop_seconds", 0.0, "30", "a stopping worker may finish what it cooks for so long; then it gives it back"),
    Key::seconds("kitchen.grace_seconds", 0.0, "2", "an order without a message waits so long before an idle worker claims it from the database"),
    Key::seconds("kitchen.promote_after_seconds", 0.1, "900", "an order that has waited so long goes before all that have waited for less, whatever their priority"),
    Key::number("kitchen.recall_minutes", RECALL_MINUTES, "15", "staff may have an order cooked again for so long after it was ready; 0: never"),
    Key::section("kitchen.target_minutes", "how long after it was placed an order is to be ready, for kitchen-worker --cooking manual"),
    Key::number("kitchen.target_minutes.dine_in", TARGET, "15", ""),
    Key::number("kitchen.target_minutes.takeout", TARGET, "15", ""),
    Key::number("kitchen.target_minutes.delivery", TARGET, "20", ""),
    Key::section("kitchen.late", "from which share of its target time on an order shows as"),
    Key::decimal("kitchen.late.warn", LATE, "0.6", "one to be hurried"),
    Key::decimal("kitchen.late.late", LATE, "1.0", "late"),
    Key::seconds("kitchen.bump_undo_seconds", 0.0, "3", "a cook may take back for so long that an order is done"),

    Key::section("outbox", "what is committed and not yet announced"),
    Key::number("outbox.max_rows", OUTBOX_ROWS, "1000000", "while so many rows wait, because RabbitMQ is away for long, orders get 503"),
    Key::seconds("outbox.announce_again_seconds", 0.1, "300", "an order that waits so long is announced again, then after twice that time, and so on"),
    Key::seconds("outbox.repeat_updates_seconds", 0.0, "3600", "a RabbitMQ that lost its disk is told the changes of this time again"),

    Key::section("tracking", ""),
    Key::number("tracking.max_event_streams", EVENT_STREAMS, "512", "streams of live events that one tracking service serves at once; the next client gets 503"),
    Key::text("tracking.public_lists", "false", "true: GET /orders and GET /events of the tracking service are for everybody, not for staff alone"),

    Key::section("http", "how the services treat connections and requests"),
    Key::number("http.connections_per_address", CONNECTIONS, "512", "of one address at once; half of all by default, and half of the streams; with more than that it has as many streams").unset(),
    Key::list("http.trusted_proxies", "[127.0.0.1, 10.0.0.0/8]", "proxies in front have no share themselves; their clients' addresses are taken from X-Forwarded-For (or Forwarded), which they must set").unset(),
    Key::list("http.allowed_hosts", "[orders.example.org]", "requests for another host get 421; any where none is named").unset(),

    Key::section("staff", "what is for staff is off without this"),
    Key::text("staff.accounts_file", "/etc/restaurant-system/staff-accounts.yaml", "who works here: OPERATIONS.md, \"Staff\"; read again on SIGHUP").unset(),
    Key::text("staff.token_file", "/etc/restaurant-system/staff-token", "for programs: a token of 32 characters or more (head -c 32 /dev/urandom | base64), with all rights").unset(),

    Key::section("gateway", ""),
    Key::number("gateway.max_event_streams", EVENT_STREAMS, "2500", "streams of live events that one web gateway passes on at once; the tracking service needs as many (tracking.max_event_streams)"),

    Key::section("restaurant", "as its pages show it"),
    Key::text("restaurant.name", "Restaurant", ""),
    Key::text("restaurant.public_url", "https://pizza.example.org", "where customers find the gateway; links to orders begin with it").unset(),
    Key::text("restaurant.currency", "EUR", "a code of ISO 4217"),
    Key::list("restaurant.languages", "[en, de, fr, es, it, ar]", "that the pages offer, all of these by default; the first is for whoever asks for none of them").unset(),
    Key::text("restaurant.time_zone", "UTC", "as the time zone database has it: Europe/Berlin; the hours of the menu are in it"),
    Key::list("restaurant.hours", "[\"mon-fri 11:00-14:30\", \"thu-sat 17:00-01:00\"]", "when orders are taken, in that zone; hours past midnight belong to the day before; \"11:00-22:00\" is of each day; without any always").unset(),

    Key::section("intake", "what an order is told to wait for, and how many are taken: OPERATIONS.md, \"The intake\""),
    Key::number("intake.busy_minutes", INTAKE_MINUTES, "30", "GET /intake says busy where an order takes so long"),
    Key::number("intake.pause_minutes", INTAKE_MINUTES, "60", "where an order of a type takes so long, no more of that type are taken until it is below 80 % of it").unset(),
    Key::number("intake.max_orders_per_15_minutes", INTAKE_ORDERS, "40", "so many orders are taken in each quarter of an hour, by all order services").unset(),
    Key::number("intake.max_open_orders_per_table", INTAKE_ORDERS, "5", "that are not ready yet, of those that come with a table's token").unset(),
    Key::number("intake.max_open_orders_per_address", INTAKE_ORDERS, "3", "that are not ready yet, of all others; see http.trusted_proxies for whose address it is").unset(),

    Key::section("menu", "what can be ordered: OPERATIONS.md, \"The menu\""),
    Key::text("menu.file", "/etc/restaurant-system/menu.yaml", "the order service puts it in force at its start; without it what `menu apply` has put there").unset(),
    Key::text("menu.table_tokens", "/etc/restaurant-system/table-tokens.yaml", "tables: a list of {table: 7, token: TOKEN}; who shows a table's token orders for that table").unset(),

    Key::section("log", ""),
    Key::text("log.level", "info", "error, warn, info, debug or trace; read again on SIGHUP under systemd"),
    Key::text("log.format", "auto", "json, journald, pretty; auto: the journal under systemd, pretty at a terminal, else json"),
] };

#[cfg(test)]
mod tests {
    use super::super::{Config, ConfigSources};
    use super::TABLE;

    #[test]
    fn every_key_is_read_and_no_two_share_a_variable() {
        let mut names: Vec<_> = TABLE.keys().map(|key| TABLE.env_name(key)).collect();
        for (key, name) in TABLE.keys().zip(&names) {
            // Nothing may have a NUL in it.
            let error = Config::load(&ConfigSources::from_env([(name, "\0")])).unwrap_err().to_string();
            assert!(error.starts_with(&format!("environment variable {name}: {}: ", key.path)), "{error}");
            assert!(!error.contains('\n'), "{error}");
        }
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
