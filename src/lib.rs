//! `restaurant-system`: takes orders, has them cooked, lets everybody watch, and tells what changed.
//!
//! This page is the map of the crate. Each layer uses only what stands below it, and no modules of a folder use each
//! other in a circle; `tests/it/layers.rs` holds the arrows.
//! `docs/ARCHITECTURE.md` follows one order through the whole system.
//!
//! | layer | what it is for |
//! |---|---|
//! | [`cli`] | the commands and their flags; composes the rest |
//! | [`config`] | the file, the environment and the flags as one typed value |
//! | [`services`] | one folder per role: `order`, `kitchen`, `tracking`, `notification`, `gateway`; they never import each other |
//! | [`client`] | the other side of the HTTP APIs: `place`, `track`, `board`, `simulate` |
//! | [`dev`] | the command `dev`: private servers, migrations and all roles |
//! | [`relay`], [`reconciler`] | outbox → RabbitMQ, and again what RabbitMQ has lost |
//! | [`http`] | what the HTTP APIs add to [`http_kit`]: who is staff, by token or cookie, the schemas of the domain's types, the pages |
//! | [`store`] | the only SQL: PostgreSQL, the truth |
//! | [`broker`] | what is on RabbitMQ, the fast path: names, who makes what |
//! | [`domain`] | what a restaurant is: pure, no I/O, no clock |
//!
//! Below them are the crates of `crates/`, which know nothing of restaurants: [`settings`] reads layers of configuration,
//! [`daemon`] is what every process needs (its log, its end, its service manager, patience, batching, counters),
//! [`http_kit`] is everything around a handler, [`amqp`] the client of RabbitMQ, [`private_servers`] runs PostgreSQL and
//! RabbitMQ for `dev` and for the tests, and [`clean_text`] tells whether a text shows what it holds.
//!
//! # Where to change what
//!
//! A test walks the files that are named here (`tests/it/documents.rs`).
//!
//! - **The priority rule**: [`domain::Priority::of_total`], and the check on `orders.priority` in a new migration.
//! - **A status**: [`domain::Status`] (its names, and what is asked of it) and [`domain::TRANSITIONS`], `docs/STATES.md`, and a
//!   migration with `migrations/schema.sql` for the schema's rules and indexes. Where staff brings it about:
//!   `services/order/api.rs`, and `web/staff-card.js` for the button. Its words are in `web/words/`. Tests compare them.
//! - **A field of an order**: [`domain::OrderMessage`] and [`domain::NewOrder`] in `domain/order/mod.rs`, its bounds in
//!   [`domain::bounds`], a migration with `migrations/schema.sql`, `store/columns.rs`, `services/order/reading.rs`,
//!   `services/order/document.rs`, and `services/order/order_views.rs`, which says who is shown what. A client sends it from
//!   `client/orders.rs`, by `cli/place.rs` and `client/generator.rs`. People type it on a page (`web/order.html`,
//!   `services/gateway/order_page/form.rs`), and read it at a station (`store/station.rs`, `services/kitchen/station/views.rs`).
//! - **A member of a message**: its type, `domain/order/mod.rs` or `domain/status_update.rs`, and its schema in `broker/asyncapi.rs`.
//! - **A rule of the order form**: [`domain::NewOrder::parse`], its bounds in [`domain::bounds`], the same check in a migration,
//!   and the table in `docs/CONTRACT.md`. The OpenAPI document is made from the bounds; tests compare the rest.
//! - **A role**: a folder in [`services`], its command in `cli/roles.rs`, its rights in `store/rights.rs` and `broker/part.rs`,
//!   `dev/run.rs` and `dev/servers.rs`, a unit in `systemd/`, its place in `nix/module/`, and section 1 of `docs/CONTRACT.md`.
//! - **A route**: `services/order/api.rs`, `services/order/staff_api.rs`, `services/tracking/api.rs` or
//!   `services/kitchen/station/api.rs`, its section of `docs/CONTRACT.md`, and the snapshot of the OpenAPI document. What is around
//!   every handler is [`http_kit::app()`]. A row of `services/gateway/routes.rs` has the gateway pass it on.
//! - **A key that pages show**: `config/restaurant.rs` and [`http::restaurant`].
//! - **A page**: its template, styles and scripts in `web/`; `http/web/mod.rs` lists the files, and `web/words.js` has every word that
//!   a script of the station shows. `crates/http-kit/src/web.rs` has the policy and serves the files. A page of the gateway has a file in
//!   `services/gateway/`, which joins the others in `services/gateway/run.rs`; it asks through `services/gateway/upstream.rs`. Its
//!   template extends `web/people.html` (`http/web/people.rs`), with `web/people.css` and `web/say.js`.
//! - **A word of a page for people**: `web/words/`, in each language; `http/words.rs` shows it, and a test compares the languages.
//! - **The page on which customers order**: `services/gateway/order_page/`, `web/order.html`, and `web/order.js`, which begins its
//!   scripts.
//! - **The page of the staff**: `http/web/staff.rs` and `services/gateway/staff_page.rs`.
//! - **What a customer sees of an order**: `services/gateway/track_page/life.rs` decides what has happened and what is late,
//!   `services/gateway/track_page/view.rs` says it, and `web/track.js` has the page written anew.
//! - **The board in a terminal**: what is known is in `cli/board/model.rs`, what the keys do in `cli/board/keys.rs`, and the picture in
//!   `cli/board/view.rs`.
//! - **The menu**: its types and prices in `domain/menu/`, the file in `config/menu.rs`, what is in force in `store/menu.rs`, and how it
//!   is shown in `services/order/menu_views.rs`. Orders by it are read in `domain/order/offered.rs`, and `store/portions.rs` counts. `contrib/menu.example.yaml` says what each field means.
//! - **The intake**: hours in `domain/opening.rs`, `restaurant.hours` and `intake:` in `config/intake.rs`, what stops orders in
//!   `services/order/intake_board.rs`, and the staff's pauses in `store/pauses.rs`. How many are taken: `store/limits.rs`. The tokens of tables: `config/tables.rs`.
//! - **A right of the staff**: a row of [`domain::RIGHTS`], the table in `docs/OPERATIONS.md`, and the call that asks for it
//!   (`services/staff.rs` knows who calls).
//! - **What a person does at a station**: `store/station.rs` decides and writes it, `services/kitchen/station/api.rs` has the
//!   call, and `services/kitchen/station/views.rs` what is shown.
//! - **A metric**: registered where it is counted, through [`daemon::metrics::Metrics::register`]: `crates/http-kit/src/metrics.rs`,
//!   `services/order/metrics.rs`, `services/kitchen/metrics.rs`, or of the house as a whole `store/house.rs` and
//!   `services/house_metrics.rs`. Then a row of `docs/METRICS.md`, and section 15 of `docs/CONTRACT.md`.
//! - **A span of a trace**: begun where the work is, by [`daemon::traces::Span::begin`]: `crates/http-kit/src/app.rs`, `relay/mod.rs`,
//!   `services/kitchen/cook.rs` and `services/notification/mod.rs`.
//! - **An alert**: a rule of `contrib/prometheus/restaurant.rules.yml` with its cases in `contrib/prometheus/restaurant.rules.test.yml`,
//!   and its section of `docs/RUNBOOK.md`.
//! - **An action of the log**: the `action` of an event where it happens, and section 9 of `docs/CONTRACT.md`.
//! - **A configuration key**: a row of [`config::TABLE`], and a field where its section is read
//!   in [`config`].
//! - **A line of `doctor`**: what is asked is in `store/diagnosis.rs` and `cli/doctor/mod.rs`, the judging in a file of `cli/doctor/`, and
//!   its section in `docs/RUNBOOK.md`.
//! - **The retry policy**: [`daemon::retry::Backoff`] makes the pauses; `store/pool.rs` and `crates/amqp/src/options.rs`
//!   have their bounds.
//! - **A table or a column**: a new file in `migrations/`, `migrations/schema.sql`, which is today's schema, and the roles'
//!   rights in `store/rights.rs`.
//! - **A systemd unit**: `systemd/` and `nix/module/`; `scripts/check-units` and `scripts/test-systemd` hold what it promises.

#![allow(missing_docs, reason = "a name that says it all needs no sentence that repeats it")]

pub mod broker;
pub mod cli;
pub mod client;
pub mod config;
pub mod dev;
pub mod domain;
pub mod http;
pub mod reconciler;
pub mod relay;
pub mod services;
pub mod store;
