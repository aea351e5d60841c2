//! How PostgreSQL is used, and what is known of it.

use std::time::{Duration, Instant};

use secrecy::SecretString;

use daemon::tls::TlsOptions;

/// Where PostgreSQL is and how much of it is used.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// Hosts, or folders of Unix sockets, and ports of one cluster; the one that takes writes on the highest timeline is used,
    /// by whoever only reads also a standby.
    pub hosts: Vec<(String, u16)>,
    /// The role to log in as.
    pub user: String,
    /// Its password; empty where it has none.
    pub password: SecretString,
    /// The database.
    pub database: String,
    /// Encrypt the connections over the network.
    pub tls: Option<TlsOptions>,
    /// Shown in `pg_stat_activity`.
    pub application_name: String,
    /// Most connections of this process.
    pub pool_size: usize,
    /// How long one operation may take before its connection is given up.
    pub operation_timeout: Duration,
    /// How long to wait for a free connection, and for a new one to each of the hosts.
    pub connect_timeout: Duration,
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
    Down {
        /// When it was noticed.
        since: Instant,
    },
}
