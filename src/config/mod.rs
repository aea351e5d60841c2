//! The configuration: `flag > environment (RESTAURANT_…) > file > default`, checked as a whole before anything starts.
//!
//! [`TABLE`] has every key with its bounds and its default; a new key is a row there, and a field of its section's type:
//! the options of the part that uses it, or a type of its own here. Its environment variable follows from its path. The crate [`settings`] stacks the sources and notes
//! every problem with its key and place.
//!
//! Passwords are [`secrecy::SecretString`]s from here on, and appear in no message and no `Debug` output.

mod database;
mod http;
mod intake;
mod keys;
mod kitchen;
mod log;
mod menu;
mod outbox;
mod rabbitmq;
mod restaurant;
mod staff;
mod tables;
#[cfg(test)]
mod tests;
mod tls;
mod tracking;

use std::path::{Path, PathBuf};
use std::time::Duration;

use amqp::BrokerOptions;
use settings::{Diagnostic, Reader};

use crate::domain::{Menu, StaffAccess};
use crate::http::restaurant::Restaurant;
use crate::reconciler::ReconcilerOptions;
use crate::services::kitchen::{KitchenTimes, StationTimes};
use crate::services::order::TableTokens;
use crate::store::DatabaseOptions;

pub use http::HttpConfig;
pub use intake::IntakeConfig;
pub use keys::TABLE;
pub use log::LogConfig;
pub use menu::read_menu;
pub use settings::{ConfigError, ConfigSources};
pub use tracking::TrackingConfig;

#[derive(Debug, Clone)]
pub struct Config {
    pub database: DatabaseOptions,
    /// As an operator reaches it; each role has a part of its own.
    pub rabbitmq: BrokerOptions,
    pub kitchen: KitchenTimes,
    pub station: StationTimes,
    /// How long after it was ready an order may be recalled.
    pub recall_within: Duration,
    /// What is committed and not yet announced.
    pub outbox: ReconcilerOptions,
    pub tracking: TrackingConfig,
    pub http: HttpConfig,
    pub staff: StaffAccess,
    pub restaurant: Restaurant,
    /// Streams of live events that one gateway passes on at once; the next client gets 503.
    pub gateway_max_event_streams: usize,
    pub intake: IntakeConfig,
    /// See [`Config::menu`].
    menu_file: Option<PathBuf>,
    /// See [`Config::tables`].
    tables_file: Option<PathBuf>,
    pub log: LogConfig,
    /// The file that was read, if any.
    pub file: Option<PathBuf>,
    /// What can be used, and should not be as it is: secrets that others may read.
    pub warnings: Vec<Diagnostic>,
}

impl Config {
    /// Reads and checks all sources.
    ///
    /// # Errors
    /// Every problem that was found, each with its key and the file and line (or variable, or flag) where it stands.
    pub fn load(sources: &ConfigSources) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(&TABLE, sources)?;
        let config = Self {
            database: database::read(&mut reader),
            rabbitmq: rabbitmq::read(&mut reader),
            kitchen: kitchen::read(&mut reader),
            station: kitchen::read_station(&mut reader),
            recall_within: Duration::from_mins(reader.number("kitchen.recall_minutes")),
            outbox: outbox::read(&mut reader),
            tracking: TrackingConfig::read(&mut reader),
            http: HttpConfig::read(&mut reader),
            staff: staff::read(&mut reader),
            restaurant: restaurant::read(&mut reader),
            gateway_max_event_streams: reader.number("gateway.max_event_streams"),
            intake: IntakeConfig::read(&mut reader),
            // The order service alone reads it, and the others need not be able to.
            menu_file: reader.file_at("menu.file", |_| Ok(())),
            tables_file: reader.file_at("menu.table_tokens", |_| Ok(())),
            log: LogConfig::read(&mut reader),
            file: reader.file().map(Path::to_owned),
            warnings: Vec::new(),
        };
        Ok(Self { warnings: reader.finish()?, ..config })
    }

    /// The menu in the file that it names, if it names one.
    ///
    /// # Errors
    /// As for [`read_menu`].
    pub fn menu(&self) -> Result<Option<Menu>, ConfigError> {
        self.menu_file.as_deref().map(read_menu).transpose()
    }

    /// The tokens of the tables in the file that it names; none, where it names none.
    ///
    /// # Errors
    /// Every fault of that file, each with its line.
    pub fn tables(&self) -> Result<TableTokens, ConfigError> {
        self.tables_file.as_deref().map_or_else(|| Ok(TableTokens::default()), tables::read_tables)
    }
}
