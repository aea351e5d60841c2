//! How a connection to one host is made: who logs in, how long that may take, and how it is encrypted; and pools of them.

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Connect, Hook, HookError, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use secrecy::ExposeSecret;
use settings::HostPort;
use tokio_postgres::config::{Host, SslMode, SslNegotiation, TargetSessionAttrs};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::chain;
use super::hosts::{EachHost, Election};
use super::session::Session;
use super::wire::Unencrypted;
use super::{DatabaseOptions, StoreError, StoreOptions};
use daemon::tls::TlsOptions;

/// A connection that the network swallowed is noticed after this time without an acknowledgement.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(15);

/// What a new connection of a pool looks at, where there are several hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Looks {
    /// The host that is used, as long as it does.
    AtTheUsual,
    /// All of them.
    AtAll,
}

/// A pool of so many connections, which go where the election leads.
///
/// # Errors
/// When the TLS certificates cannot be read.
pub(super) fn pool_of(
    options: &StoreOptions,
    session: &Arc<Session>,
    election: &Arc<Election>,
    max_size: usize,
    looks: Looks,
) -> Result<Pool, StoreError> {
    let server = &options.server;
    let hosts: Vec<_> = server.hosts.iter().map(|host| postgres_config(options, host)).collect();
    let attempts = u32::try_from(hosts.len()).unwrap_or(u32::MAX).max(1);
    let plain = Unencrypted { has_password: has_password(server) };
    let manager = match &server.tls {
        None => {
            manager(EachHost::new(hosts, (plain, plain), server.connect_timeout, session, election), looks)
        }
        Some(tls) => {
            let ways = (tls_connector(tls)?, plain);
            manager(EachHost::new(hosts, ways, server.connect_timeout, session, election), looks)
        }
    };
    let election = Arc::clone(election);
    let to_the_host_in_use = Hook::sync_fn(move |_, metrics| match election.is_outdated(metrics.created) {
        true => Err(HookError::message("another host is used now")),
        false => Ok(()),
    });
    Pool::builder(manager)
        .pre_recycle(to_the_host_in_use)
        .max_size(max_size)
        .wait_timeout(Some(server.connect_timeout))
        .create_timeout(Some(server.connect_timeout.saturating_mul(attempts)))
        .recycle_timeout(Some(server.connect_timeout))
        .runtime(Runtime::Tokio1)
        .build()
        .map_err(|e| StoreError::Refused { reason: chain(&e) })
}

fn manager<T>(hosts: EachHost<T>, looks: Looks) -> Manager
where
    EachHost<T>: Connect + 'static,
{
    let hosts = if looks == Looks::AtAll { hosts.looking_anew() } else { hosts };
    let config = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    Manager::from_connect(tokio_postgres::Config::new(), hosts, config)
}

/// The way to one host.
fn postgres_config(options: &StoreOptions, host: &HostPort) -> tokio_postgres::Config {
    let server = &options.server;
    let mut config = tokio_postgres::Config::new();
    config
        .host(&host.host)
        .port(host.port)
        .user(&server.user)
        .dbname(&server.database)
        .application_name(&options.application_name)
        .connect_timeout(server.connect_timeout)
        .keepalives_idle(Duration::from_secs(15))
        .keepalives_interval(Duration::from_secs(5))
        .keepalives_retries(3)
        .tcp_user_timeout(TCP_USER_TIMEOUT)
        .target_session_attrs(match options.writes {
            true => TargetSessionAttrs::ReadWrite,
            false => TargetSessionAttrs::Any,
        });
    if has_password(server) {
        config.password(server.password.expose_secret());
    }
    match (config.get_hosts(), &server.tls) {
        // What goes over a socket stays on this machine.
        ([Host::Unix(_)], _) => config.ssl_mode(SslMode::Disable),
        (_, Some(_)) => config.ssl_mode(SslMode::Require),
        (_, None) => config.ssl_mode(SslMode::Require).ssl_negotiation(SslNegotiation::Direct),
    };
    config
}

fn has_password(server: &DatabaseOptions) -> bool {
    !server.password.expose_secret().is_empty()
}

fn tls_connector(options: &TlsOptions) -> Result<MakeRustlsConnect, StoreError> {
    let config = options
        .client_config()
        .map_err(|error| StoreError::Refused { reason: format!("database.tls.ca_file: {error}") })?;
    Ok(MakeRustlsConnect::new(config))
}
