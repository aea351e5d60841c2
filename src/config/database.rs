//! `database:` PostgreSQL.

use std::time::Duration;

use secrecy::SecretString;
use settings::{HostPort, Reader};

use super::tls;
use daemon::tls::TlsOptions;

const PASSWORD_KEYS: [&str; 2] = ["database.password", "database.password_file"];
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
    /// Connections that one process opens at most.
    pub pool_size: usize,
    /// How long one attempt to connect may take, log-in included.
    pub connect_timeout: Duration,
    /// After this the server gives up a statement.
    pub statement_timeout: Duration,
}

impl DatabaseConfig {
    pub(super) fn read(reader: &mut Reader) -> Self {
        let port = reader.number("database.port");
        let hosts = reader.hosts("database.host", |text| HostPort::parse(text, port));
        let tls = tls::read(reader, "database");
        let is_on_sockets = hosts.iter().all(HostPort::is_socket);
        if is_on_sockets && tls.is_some() {
            reader.warn(
                &TLS_KEYS,
                "is of no use: what goes over a Unix socket stays on this machine, without TLS",
            );
        }
        Self {
            hosts,
            user: reader.text("database.user"),
            password: match is_on_sockets && !reader.is_given(&PASSWORD_KEYS) {
                true => SecretString::default(),
                false => reader.secret("database.password"),
            },
            database: reader.text("database.database"),
            tls,
            pool_size: reader.number("database.pool_size"),
            connect_timeout: reader.seconds("database.connect_timeout_seconds"),
            statement_timeout: reader.seconds("database.statement_timeout_seconds"),
        }
    }
}
