//! What the tests share: servers, an environment of its own for each test, role processes, a client of the services and
//! one of the broker's HTTP API, orders, and waiting for conditions.
//!
//! ```ignore
//! let env = TestEnv::new().await;                          // own database and virtual host, 0.2 s
//! let service = env.spawn(&["order-service", "--port", "0"]);
//! let http = Http::of(&service).await;                     // the one client: places orders, asks, is staff
//! let number = http.place(&takeout()).await;
//! http.change(&number, "cancel").await;
//! ```
#![allow(dead_code, unused_imports)]

mod db;
mod env;
mod files;
mod gateway;
mod http;
mod management;
pub mod markdown;
mod orders;
mod pgbouncer;
mod process;
mod proxy;
mod role;
mod shared;
mod sse;
mod wait;

pub use db::{OWNER, connect, superuser};
pub use env::{STAFF_TOKEN, TestEnv, store_options};
pub use files::{code_files, files_below};
pub use gateway::{Counter, gateway};
pub use http::{Answer, Http, answer, try_answer};
pub use management::{Management, Message};
pub use orders::{delivery, dine_in, item, order_of, priced, takeout, token_act, with, without};
pub use pgbouncer::PgBouncer;
pub use process::processes_naming;
pub use proxy::Proxy;
pub use role::Role;
pub use shared::{free_port, new_state_dir, program, servers_options, shared_servers};
pub use sse::{Event, Events};
pub use wait::{DEADLINE, blocking, eventually, eventually_ok};

/// Signals for [`Role::signal`].
pub use nix::sys::signal::Signal;
