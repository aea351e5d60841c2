//! The pair of servers that the system runs on, in one state folder that one process at a time may use.

use super::account;
use super::error::DevError;
use super::postgres::{PostgresOptions, PostgresServer};
use super::process::Cancel;
use super::rabbitmq::{RabbitMqOptions, RabbitMqServer};
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

/// How the two servers are to be run.
#[derive(Debug, Clone, Default)]
pub struct ServersOptions {
    /// PostgreSQL's.
    pub postgres: PostgresOptions,
    /// RabbitMQ's.
    pub rabbitmq: RabbitMqOptions,
}

impl ServersOptions {
    /// The flag that gives up a start of either server.
    #[must_use]
    pub fn with_cancel(mut self, cancel: &Cancel) -> Self {
        self.postgres.cancel = cancel.clone();
        self.rabbitmq.cancel = cancel.clone();
        self
    }

    /// For tests: nothing is flushed to the disk, and PostgreSQL takes 400 connections.
    #[must_use]
    pub fn for_tests() -> Self {
        let mut options = Self::default();
        options.postgres.durable = false;
        options.postgres.max_connections = 400;
        options
    }
}

/// A running PostgreSQL and a running RabbitMQ; both are stopped when dropped.
#[derive(Debug)]
pub struct Servers {
    /// The PostgreSQL server.
    pub postgres: PostgresServer,
    /// The RabbitMQ server.
    pub rabbitmq: RabbitMqServer,
    home: PathBuf,
    _lock: File,
}

impl Servers {
    /// Starts both at the same time with their files below `state`, which is created where it is missing.
    ///
    /// For root, whose servers run as other users, the files are kept in the system's temporary folder instead if
    /// `state` lies below a folder that is closed to others; [`Self::home`] says where they are. Blocks until both
    /// take connections.
    ///
    /// # Errors
    /// Another process uses this state folder, a program is missing, or a server does not come up in time. The other
    /// server is stopped then.
    pub fn start(state: &Path, options: ServersOptions) -> Result<Self, DevError> {
        let home = account::servers_home(state)?;
        create_passable_dir(&home)?;
        let lock = lock(&home)?;
        let ServersOptions { postgres, rabbitmq } = options;
        // Both programs are looked for first, so that a missing one is named at once.
        postgres.programs.postgres()?;
        rabbitmq.programs.rabbitmq()?;
        let (postgres_home, rabbitmq_home) = (home.join("postgres"), home.join("rabbitmq"));
        let (postgres, rabbitmq) = std::thread::scope(|scope| {
            let postgres = scope.spawn(|| PostgresServer::start(&postgres_home, postgres));
            let rabbitmq = RabbitMqServer::start(&rabbitmq_home, rabbitmq);
            (postgres.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), rabbitmq)
        });
        Ok(Self { postgres: postgres?, rabbitmq: rabbitmq?, home, _lock: lock })
    }

    /// The folder that the servers' files are in.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Stops both at the same time, which saves some seconds over dropping them one after the other.
    pub fn stop(&self) {
        std::thread::scope(|scope| {
            scope.spawn(|| self.postgres.stop());
            self.rabbitmq.stop();
        });
    }
}

/// Creates a folder that root's servers, who are other users, can pass through; for an ordinary user it is private.
pub(crate) fn create_passable_dir(dir: &Path) -> Result<(), DevError> {
    if dir.is_dir() {
        return Ok(());
    }
    std::fs::create_dir_all(dir).map_err(DevError::io("create", dir))?;
    let mode = if nix::unistd::geteuid().is_root() { 0o711 } else { 0o700 };
    account::set_mode(dir, mode)
}

/// Takes the lock of a state folder; it is given back when the file is closed, by our death at the latest.
fn lock(home: &Path) -> Result<File, DevError> {
    let file = home.join("lock");
    let lock = File::create(&file).map_err(DevError::io("create", &file))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(DevError::StateInUse { path: home.to_path_buf() }),
        Err(TryLockError::Error(error)) => Err(DevError::io("lock", &file)(error)),
    }
}
