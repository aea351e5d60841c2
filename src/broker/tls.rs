//! Encrypted connections: whom to trust.

use std::path::Path;
use std::sync::Arc;

use amqprs::tls::TlsAdaptor;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use super::error::BrokerError;

/// Trusts the authorities in the PEM file, or the public web's without one. Made here and not by the client library,
/// which panics at a certificate that is none.
pub(super) fn adaptor(ca_file: Option<&Path>, domain: String) -> Result<TlsAdaptor, BrokerError> {
    let Some(path) = ca_file else {
        // Without an error this can only be set once per process; whoever was first chose the same provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
        return TlsAdaptor::without_client_auth(None, domain)
            .map_err(|error| unusable("the public roots", &error));
    };
    let shown = path.display().to_string();
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(path).map_err(|error| unusable(&shown, &error))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| unusable(&shown, &error))?;
        roots.add(certificate).map_err(|error| unusable(&shown, &error))?;
    }
    if roots.is_empty() {
        return Err(unusable(&shown, &"it holds no certificate"));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&shown, &error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsAdaptor::new(Arc::new(config).into(), domain))
}

fn unusable(file: &str, reason: &dyn std::fmt::Display) -> BrokerError {
    BrokerError::Unusable { reason: format!("rabbitmq.tls.ca_file: {file}: {reason}") }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_certificates_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = adaptor(Some(file.path()), "localhost".to_owned()).err().unwrap().to_string();
        assert!(error.contains(&file.path().display().to_string()), "{error}");
        let error =
            adaptor(Some(Path::new("/nowhere.pem")), "localhost".to_owned()).err().unwrap().to_string();
        assert!(error.contains("/nowhere.pem"), "{error}");
    }
}
