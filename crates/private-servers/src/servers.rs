//! The pair of servers, in one state folder that one process at a time may use.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use super::account;
use super::database::Database;
use super::error::ServerError;
use super::files;
use super::postgres::{PostgresOptions, PostgresServer};
use super::process::Cancel;
use super::rabbitmq::{RabbitMqOptions, RabbitMqServer};

/// How the two servers are to be run.
#[derive(Debug, Clone)]
pub struct ServersOptions {
    /// Whose servers they are, for the name of a folder: see [`StateLock::take`].
    pub program: &'static str,
    /// PostgreSQL's.
    pub postgres: PostgresOptions,
    /// RabbitMQ's.
    pub rabbitmq: RabbitMqOptions,
    /// Whether what earlier starts left in the state folder is deleted first.
    pub fresh: bool,
}

impl ServersOptions {
    /// Durable ones for this program and this database, with the passwords that everybody knows, as tests want them.
    #[must_use]
    pub fn new(program: &'static str, database: Database) -> Self {
        let (postgres, rabbitmq) = (PostgresOptions::new(database), RabbitMqOptions::default());
        Self { program, postgres, rabbitmq, fresh: false }
    }

    /// The flag that gives up a start of either server; when they are stopping, it has them killed at once.
    #[must_use]
    pub fn with_cancel(mut self, cancel: &Cancel) -> Self {
        self.postgres.cancel = cancel.clone();
        self.rabbitmq.cancel = cancel.clone();
        self
    }

    /// With random passwords, which are kept from start to start.
    #[must_use]
    pub fn with_random_passwords(mut self) -> Self {
        self.postgres.random_passwords = true;
        self.rabbitmq.random_password = true;
        self
    }

    /// For tests: nothing is flushed to the disk, and PostgreSQL takes 400 connections.
    #[must_use]
    pub fn for_tests(mut self) -> Self {
        self.postgres.durable = false;
        self.postgres.max_connections = 400;
        self
    }
}

/// A running PostgreSQL and a running RabbitMQ; both are stopped when dropped.
#[derive(Debug)]
pub struct Servers {
    /// The PostgreSQL server.
    pub postgres: PostgresServer,
    /// The RabbitMQ server.
    pub rabbitmq: RabbitMqServer,
    lock: StateLock,
}

/// The right to use a state folder, which one process at a time can have; given back when dropped, by the process's
/// death at the latest.
#[derive(Debug)]
pub struct StateLock {
    home: PathBuf,
    _file: File,
}

impl StateLock {
    /// Takes the right to use `state`, which is created where it is missing.
    ///
    /// For root, whose servers run as other users, a folder of the system's temporary folder stands in for `state` if
    /// that lies below a folder which is closed to others. Its name begins with that of the `program`; [`Servers::home`] says
    /// where the files are.
    ///
    /// # Errors
    /// [`ServerError::StateInUse`]; the folder cannot be made; it is a link, another user's, or open to others.
    pub fn take(state: &Path, program: &str) -> Result<Self, ServerError> {
        files::own_dir(state)?;
        let home = account::servers_home(state, program)?;
        files::own_dir(&home)?;
        let path = home.join("lock");
        let file = files::keep(&path)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { home, _file: file }),
            Err(TryLockError::WouldBlock) => Err(ServerError::StateInUse { path: state.to_path_buf() }),
            Err(TryLockError::Error(error)) => Err(ServerError::io("lock", &path)(error)),
        }
    }
}

impl Servers {
    /// Takes the lock of a state folder and starts both servers, see [`StateLock::take`] and [`Self::start_locked`].
    ///
    /// # Errors
    /// Those of the two.
    pub fn start(state: &Path, options: ServersOptions) -> Result<Self, ServerError> {
        Self::start_locked(StateLock::take(state, options.program)?, options)
    }

    /// Starts both at the same time with their files in the locked folder. Blocks until both take connections.
    ///
    /// # Errors
    /// A program is missing, or a server does not come up in time. The other server is stopped then.
    pub fn start_locked(lock: StateLock, options: ServersOptions) -> Result<Self, ServerError> {
        let ServersOptions { postgres, rabbitmq, fresh, .. } = options;
        // Both programs are looked for first, so that a missing one is named at once.
        postgres.programs.postgres()?;
        rabbitmq.programs.rabbitmq()?;
        let (postgres_home, rabbitmq_home) = (lock.home.join("postgres"), lock.home.join("rabbitmq"));
        account::claim_home(&postgres_home, super::postgres::USERS)?;
        account::claim_home(&rabbitmq_home, super::rabbitmq::USERS)?;
        super::postgres::end_left_behind(&postgres_home)?;
        super::rabbitmq::end_left_behind(&rabbitmq_home);
        for dir in [&postgres_home, &rabbitmq_home] {
            if fresh && dir.exists() {
                std::fs::remove_dir_all(dir).map_err(ServerError::io("remove", dir))?;
            }
        }
        let (postgres, rabbitmq) = std::thread::scope(|scope| {
            let postgres = scope.spawn(|| PostgresServer::start(&postgres_home, postgres));
            let rabbitmq = RabbitMqServer::start(&rabbitmq_home, rabbitmq);
            (postgres.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), rabbitmq)
        });
        Ok(Self { postgres: postgres?, rabbitmq: rabbitmq?, lock })
    }

    /// The folder that the servers' files are in.
    pub fn home(&self) -> &Path {
        &self.lock.home
    }

    /// Starts again what is not running, on the same ports with the same data.
    ///
    /// # Errors
    /// It does not come up in time.
    pub fn restart_dead(&self) -> Result<(), ServerError> {
        if !self.postgres.is_running() {
            self.postgres.restart()?;
        }
        if !self.rabbitmq.is_running() {
            self.rabbitmq.restart()?;
        }
        Ok(())
    }

    /// Stops both at the same time, which saves some seconds over dropping them one after the other.
    pub fn stop(&self) {
        std::thread::scope(|scope| {
            scope.spawn(|| self.postgres.stop());
            self.rabbitmq.stop();
        });
    }
}
