//! What the tests share: servers, an environment of its own for each test, role processes, a client of the broker's
//! HTTP API, and waiting for conditions.
//!
//! ```ignore
//! let env = TestEnv::new().await;                          // own database and virtual host, 0.2 s
//! let service = env.spawn(&["order-service", "--port", "0"]);
//! let answer = reqwest::get(service.url().await + "/healthz").await.unwrap();
//! ```
#![allow(dead_code, unused_imports)]

mod env;
mod files;
mod management;
pub mod markdown;
mod pgbouncer;
mod process;
mod role;
mod shared;
mod wait;

pub use env::{STAFF_TOKEN, TestEnv, staff_client, store_options};
pub use files::{code_files, files_below};
pub use management::{Management, Message};
pub use pgbouncer::PgBouncer;
pub use process::processes_naming;
pub use role::Role;
pub use shared::{free_port, new_state_dir, program, shared_servers};
pub use wait::{DEADLINE, blocking, eventually, eventually_ok};

/// Signals for [`Role::signal`].
pub use nix::sys::signal::Signal;
