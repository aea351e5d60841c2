//! How a connection to one host is made: who logs in, how long that may take, and how it is encrypted.

use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use secrecy::ExposeSecret;
use tokio_postgres::config::TargetSessionAttrs;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::chain;
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
        .password(options.password.expose_secret())
        .dbname(&options.database)
        .application_name(&options.application_name)
        .connect_timeout(options.connect_timeout)
        .keepalives_idle(Duration::from_secs(15))
        .keepalives_interval(Duration::from_secs(5))
        .keepalives_retries(3)
        .tcp_user_timeout(TCP_USER_TIMEOUT)
        .target_session_attrs(TargetSessionAttrs::ReadWrite);
    if options.tls.is_some() {
        config.ssl_mode(tokio_postgres::config::SslMode::Require);
    } else {
        config.ssl_mode(tokio_postgres::config::SslMode::Disable);
    }
    config
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
