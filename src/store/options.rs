//! How PostgreSQL is used, and what is known of it.

use std::time::{Duration, Instant};

use daemon::tls::TlsOptions;
use secrecy::SecretString;
use settings::HostPort;

/// Where PostgreSQL is, and how much of it a process uses.
#[derive(Debug, Clone)]
pub struct DatabaseOptions {
    /// The servers of one cluster; never empty. The one that takes writes on the highest timeline is used, by a role that only
    /// reads also a standby.
    pub hosts: Vec<HostPort>,
    pub user: String,
    /// Empty where it has none.
    pub password: SecretString,
    pub database: String,
    /// Encrypts the connections over the network.
    pub tls: Option<TlsOptions>,
    /// Connections that one process opens at most.
    pub pool_size: usize,
    /// How long one operation may take before its connection is given up; the server gives up a little earlier.
    pub operation_timeout: Duration,
    /// How long to wait for a free connection, and for a new one to each of the hosts, log-in included.
    pub connect_timeout: Duration,
}

#[derive(Debug, Clone)]
pub struct StoreOptions {
    pub server: DatabaseOptions,
    /// Shown in `pg_stat_activity`.
    pub application_name: String,
    /// Unused connections are closed after this time, so that an idle process holds none.
    pub idle_timeout: Duration,
    /// How often PostgreSQL is asked whether it is there, for those who must know it before somebody asks them.
    pub probe_interval: Option<Duration>,
    /// Whether PostgreSQL is there for this process only when it commits what is written. Without, nothing is written but the
    /// schema, where there is none yet, and a standby does as well.
    pub writes: bool,
}

/// Whether PostgreSQL answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreState {
    /// It has not been reached yet, or its schema is being prepared.
    Starting {
        /// When the process began to try.
        since: Instant,
    },
    /// The last that was tried succeeded.
    Up,
    /// It does not answer since then.
    Down { since: Instant },
}
