//! `database:` PostgreSQL.

use secrecy::SecretString;
use settings::{HostPort, Reader};

use super::tls;
use crate::store::DatabaseOptions;

const PASSWORD_KEYS: [&str; 2] = ["database.password", "database.password_file"];
const TLS_KEYS: [&str; 3] = ["database.tls", "database.tls.enabled", "database.tls.ca_file"];

pub(super) fn read(reader: &mut Reader) -> DatabaseOptions {
    let port = reader.number("database.port");
    let hosts = reader.hosts("database.host", |text| HostPort::parse(text, port));
    let tls = tls::read(reader, "database");
    let is_on_sockets = hosts.iter().all(HostPort::is_socket);
    if is_on_sockets && tls.is_some() {
        reader
            .warn(&TLS_KEYS, "is of no use: what goes over a Unix socket stays on this machine, without TLS");
    }
    DatabaseOptions {
        hosts,
        user: reader.text("database.user"),
        // PostgreSQL knows the users of Unix sockets by themselves.
        password: match is_on_sockets && !reader.is_given(&PASSWORD_KEYS) {
            true => SecretString::default(),
            false => reader.secret("database.password"),
        },
        database: reader.text("database.database"),
        tls,
        pool_size: reader.number("database.pool_size"),
        connect_timeout: reader.seconds("database.connect_timeout_seconds"),
        operation_timeout: reader.seconds("database.statement_timeout_seconds"),
    }
}
