//! How a connection to one host is made: who logs in, how long that may take, and how it is encrypted.

use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use secrecy::ExposeSecret;
use tokio_postgres::config::{Host, SslMode, SslNegotiation, TargetSessionAttrs};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::chain;
use super::wire::Unencrypted;
use super::{StoreError, StoreOptions, TlsOptions};

/// A connection that the network swallowed is noticed after this time without an acknowledgement.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(15);

/// The way to one host.
pub(super) fn postgres_config(
    options: &StoreOptions,
    (host, port): &(String, u16),
) -> tokio_postgres::Config {
    let mut config = tokio_postgres::Config::new();
    config.host(host).port(*port);
    config
        .user(&options.user)
        .dbname(&options.database)
        .application_name(&options.application_name)
        .connect_timeout(options.connect_timeout)
        .keepalives_idle(Duration::from_secs(15))
        .keepalives_interval(Duration::from_secs(5))
        .keepalives_retries(3)
        .tcp_user_timeout(TCP_USER_TIMEOUT)
        .target_session_attrs(TargetSessionAttrs::ReadWrite);
    if has_password(options) {
        config.password(options.password.expose_secret());
    }
    match (config.get_hosts(), &options.tls) {
        // What goes over a socket stays on this machine.
        ([Host::Unix(_)], _) => config.ssl_mode(SslMode::Disable),
        (_, Some(_)) => config.ssl_mode(SslMode::Require),
        (_, None) => config.ssl_mode(SslMode::Require).ssl_negotiation(SslNegotiation::Direct),
    };
    config
}

/// What stands in for TLS where there is none.
pub(super) fn unencrypted(options: &StoreOptions) -> Unencrypted {
    Unencrypted { has_password: has_password(options) }
}

fn has_password(options: &StoreOptions) -> bool {
    !options.password.expose_secret().is_empty()
}

/// How certificates are checked.
pub(super) fn tls_connector(options: &TlsOptions) -> Result<MakeRustlsConnect, StoreError> {
    let Some(path) = &options.ca_file else { return Ok(MakeRustlsConnect::with_webpki_roots()) };
    let refused = |e: &dyn std::error::Error| StoreError::Refused {
        reason: format!("cannot read the certificates in {}: {}", path.display(), chain(e)),
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|e| refused(&e))? {
        roots.add(certificate.map_err(|e| refused(&e))?).map_err(|e| refused(&e))?;
    }
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}
