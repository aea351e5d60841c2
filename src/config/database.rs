//! `database:` PostgreSQL.

use std::time::Duration;

use secrecy::SecretString;

use super::host::HostPort;
use super::keys::Key;
use super::reader::Reader;
use crate::runtime::tls::TlsOptions;

pub(super) const KEYS: &[Key] = &[
    Key::list("database.host"),
    Key::single("database.port"),
    Key::single("database.user"),
    Key::single("database.password"),
    Key::single("database.password_file"),
    Key::single("database.database"),
    Key::single("database.tls"),
    Key::single("database.tls.enabled"),
    Key::single("database.tls.ca_file"),
    Key::single("database.pool_size"),
    Key::single("database.connect_timeout_seconds"),
    Key::single("database.statement_timeout_seconds"),
];

const TLS_KEYS: [&str; 3] = ["database.tls", "database.tls.enabled", "database.tls.ca_file"];

/// How PostgreSQL is reached.
#[derive(Debug, Clone)]
pub struct DatabaseConfig {
    /// The servers to try, in order; never empty. Of several, the one that accepts writes is meant; a role that only reads
    /// makes do with a standby.
    pub hosts: Vec<HostPort>,
    /// The role to log in as.
    pub user: String,
    /// Its password. Without one it is empty where all hosts are Unix sockets, whose users PostgreSQL knows by themselves.
    pub password: SecretString,
    /// The database's name.
    pub database: String,
    /// TLS, where it is on.
    pub tls: Option<TlsOptions>,
    /// Connections that one process opens at most, 1 to 1000.
    pub pool_size: usize,
    /// How long one attempt to connect may take, log-in included.
    pub connect_timeout: Duration,
    /// After this the server gives up a statement.
    pub statement_timeout: Duration,
}

impl DatabaseConfig {
    pub(super) fn read(reader: &mut Reader) -> Self {
        let port = reader.number("database.port", 1..=u16::MAX).unwrap_or(5432);
        let localhost = || vec![HostPort { host: "localhost".to_owned(), port }];
        let hosts =
            reader.hosts("database.host", |text| HostPort::parse(text, port)).unwrap_or_else(localhost);
        let tls = reader.tls("database");
        let is_on_sockets = hosts.iter().all(HostPort::is_socket);
        if is_on_sockets && tls.is_some() {
            reader.warn(
                &TLS_KEYS,
                "is of no use: what goes over a Unix socket stays on this machine, without TLS",
            );
        }
        let default_password = if is_on_sockets { "" } else { "restaurant_pass" };
        Self {
            hosts,
            user: reader.text("database.user").unwrap_or_else(|| "restaurant_user".to_owned()),
            password: reader.password("database").unwrap_or_else(|| default_password.into()),
            database: reader.text("database.database").unwrap_or_else(|| "restaurant_db".to_owned()),
            tls,
            pool_size: reader.number("database.pool_size", 1..=1000).unwrap_or(8),
            connect_timeout: reader
                .seconds("database.connect_timeout_seconds", 0.1)
                .unwrap_or(Duration::from_secs(5)),
            statement_timeout: reader
                .seconds("database.statement_timeout_seconds", 0.1)
                .unwrap_or(Duration::from_secs(10)),
        }
    }
}
