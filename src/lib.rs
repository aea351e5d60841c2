//! `restaurant-system`: takes orders, has them cooked, lets everybody watch, and tells what changed.
//!
//! This page is the map of the crate. Each layer uses only what stands below it, and no modules of a folder use each
//! other in a circle; `tests/it/layers.rs` holds the arrows.
//! `docs/ARCHITECTURE.md` follows one order through the whole house.
//!
//! | layer | what it is for |
//! |---|---|
//! | [`cli`] | the commands and their flags; composes the rest |
//! | [`services`] | one folder per role: `order`, `kitchen`, `tracking`, `notification`; they never import each other |
//! | [`client`] | the other side of the HTTP APIs: `place`, `track`, `simulate` |
//! | [`dev`] | private PostgreSQL and RabbitMQ servers, for `dev` and for the tests alike |
//! | [`relay`], [`reconciler`] | outbox → RabbitMQ, and again what RabbitMQ has lost |
//! | [`config`] | the file, the environment and the flags as one typed value |
//! | [`http`] | everything around a handler: problem documents, bodies, ids, documents, live events |
//! | [`store`] | the only SQL: PostgreSQL, the truth |
//! | [`broker`] | the only AMQP: RabbitMQ, the fast path |
//! | [`runtime`] | what every process needs: its log, its end, its service manager, patience, batching, counters |
//! | [`domain`] | what a restaurant is: pure, no I/O, no clock |
//!
//! Below them are the crates of `crates/`, which know nothing of restaurants: [`settings`] reads layers of configuration.
//!
//! Where to change what:
//!
//! - the priority rule: [`domain::Priority::of_total`], and the check on `orders.priority` in a new migration;
//! - a status: [`domain::Status`] (its names, what is asked of it) and [`domain::TRANSITIONS`], `docs/STATES.md`, a migration and
//!   `migrations/schema.sql` for the schema's rules and indexes, and `services/order/api.rs` where staff brings it about; tests
//!   compare them;
//! - a field of an order: [`domain::OrderMessage`] and [`domain::NewOrder`] in `domain/order.rs`, a migration and
//!   `migrations/schema.sql`, `store/columns.rs`,
//!   `services/order/reading.rs` and `document.rs`, and `api.rs` where the order is shown;
//! - a rule of the order form: [`domain::NewOrder::parse`], its bounds in [`domain::bounds`], the same check in a migration, and
//!   the table in `docs/CONTRACT.md`; the OpenAPI document is made from the bounds, and tests compare the rest;
//! - a table or a column: a new file in `migrations/`, and `migrations/schema.sql`, which is today's schema;
//! - a configuration key: a row of [`config::TABLE`], and a field of its section's type in [`config`].

pub mod broker;
pub mod cli;
pub mod client;
pub mod config;
pub mod dev;
pub mod domain;
pub mod http;
pub mod reconciler;
pub mod relay;
pub mod runtime;
pub mod services;
pub mod store;
