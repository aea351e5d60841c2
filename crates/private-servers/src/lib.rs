#![doc = include_str!("../README.md")]

mod account;
mod cluster;
mod database;
mod error;
pub mod files;
pub mod ports;
mod postgres;
mod process;
mod programs;
mod rabbitmq;
mod servers;
pub mod watch;

pub use cluster::RabbitMqCluster;
pub use database::{Database, DatabaseAccount};
pub use error::ServerError;
pub use postgres::{PostgresOptions, PostgresServer};
pub use process::Cancel;
pub use programs::ProgramSearch;
pub use rabbitmq::{RabbitMqOptions, RabbitMqServer};
pub use servers::{Servers, ServersOptions, StateLock};
