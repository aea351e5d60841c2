//! Encrypted connections to a server: whom they trust.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use settings::read_bounded;

/// The bundle of all public authorities has 220 KiB.
const MAX_CA_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// How the server's certificate is checked; its name is always that of the host.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TlsOptions {
    /// A PEM file with the certificates of the authorities to trust. Without it the public web's are trusted.
    pub ca_file: Option<PathBuf>,
}

/// Why no connection can be encrypted: what is wrong with the file of authorities.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct TlsError(String);

impl TlsOptions {
    /// What a connection needs.
    ///
    /// # Errors
    /// The file cannot be read, or holds no certificate that can be used.
    pub fn client_config(&self) -> Result<ClientConfig, TlsError> {
        let roots = match &self.ca_file {
            Some(path) => authorities(path)?,
            None => RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() },
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError(error.to_string()))?;
        Ok(config.with_root_certificates(roots).with_no_client_auth())
    }
}

/// Reads the certificates in a PEM file.
///
/// # Errors
/// It cannot be read, or holds none, or one that cannot be used.
pub fn authorities(path: &Path) -> Result<RootCertStore, TlsError> {
    let name = path.display();
    let (bytes, _) = read_bounded(path, MAX_CA_FILE_BYTES)
        .map_err(|error| TlsError(format!("{name} can't be read: {error}")))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&bytes) {
        let certificate = certificate.map_err(|error| TlsError(format!("{name} is no PEM file: {error}")))?;
        roots
            .add(certificate)
            .map_err(|error| TlsError(format!("{name} holds an unusable certificate: {error}")))?;
    }
    match roots.is_empty() {
        true => Err(TlsError(format!("{name} holds no certificate in PEM format"))),
        false => Ok(roots),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_file_the_public_authorities_are_trusted() {
        assert!(TlsOptions::default().client_config().is_ok());
    }

    #[test]
    fn a_file_without_certificates_is_refused_by_its_name() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for path in [file.path(), Path::new("/nowhere.pem"), Path::new("/dev/zero")] {
            let options = TlsOptions { ca_file: Some(path.to_owned()) };
            let error = options.client_config().unwrap_err().to_string();
            assert!(error.starts_with(&path.display().to_string()), "{error}");
        }
    }
}
