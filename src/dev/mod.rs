//! Private PostgreSQL and RabbitMQ servers from the installed programs: for the `dev` command and for the tests alike.
//!
//! - [`Servers`] is the pair in one state folder, [`PostgresServer`] and [`RabbitMqServer`] are each by itself.
//! - [`RabbitMqCluster`] is several RabbitMQ nodes, and [`PostgresServer::start_standby`] a copy that follows a primary.
//! - Both can be stopped, killed, frozen and started again on the same port with the same data.
//! - [`run`] is the `dev` command: servers, migrations and all roles.
//! - The servers listen on 127.0.0.1 only, and end with this process, however it ends ([`watch`]).

mod account;
mod banner;
mod cluster;
mod database_users;
mod error;
mod files;
pub mod ports;
mod postgres;
mod process;
mod programs;
mod rabbitmq;
mod roles;
mod run;
mod servers;
mod state;
pub mod watch;

use daemon::outlet;

pub use cluster::RabbitMqCluster;
pub use error::DevError;
pub use postgres::{PostgresOptions, PostgresServer};
pub use process::Cancel;
pub use programs::ProgramSearch;
pub use rabbitmq::{RabbitMqOptions, RabbitMqServer};
pub use run::{DevOptions, run};
pub use servers::{Servers, ServersOptions, StateLock};

/// The owner of the database on the private PostgreSQL server; no superuser.
pub const DATABASE_USER: &str = "restaurant_user";
/// The password of [`DATABASE_USER`] where a random one is not wanted, as in tests.
const DATABASE_PASSWORD: &str = "restaurant_pass";
/// The database of the private PostgreSQL server.
pub const DATABASE_NAME: &str = "restaurant_db";
/// The user of the private RabbitMQ server.
const BROKER_USER: &str = "guest";
/// The password of [`BROKER_USER`] where a random one is not wanted.
const BROKER_PASSWORD: &str = "guest";

/// Tells the user of `dev` something, on standard error: standard output has the roles' lines and nothing else.
fn say(text: std::fmt::Arguments<'_>) {
    outlet::complain(format_args!("dev: {text}\n"));
}
