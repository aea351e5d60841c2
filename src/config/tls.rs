//! Encryption of a connection.

use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::source::read_bounded;

/// The bundle of all public authorities has 220 KiB.
const MAX_CA_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// TLS is on. Without a `ca_file` the public certificate authorities are trusted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TlsConfig {
    /// A PEM file with the certificates of the authorities to trust instead; they were valid at load.
    pub ca_file: Option<PathBuf>,
}

/// Reads the certificates as a connection does later, so that a file which is none is noticed at once. The error says
/// what is wrong with the file.
pub(super) fn check_authorities(path: &Path) -> Result<(), String> {
    let name = path.display();
    let (bytes, _) =
        read_bounded(path, MAX_CA_FILE_BYTES).map_err(|error| format!("{name} can't be read: {error}"))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&bytes) {
        let certificate = certificate.map_err(|error| format!("{name} is no PEM file: {error}"))?;
        roots.add(certificate).map_err(|error| format!("{name} holds an unusable certificate: {error}"))?;
    }
    if roots.is_empty() { Err(format!("{name} holds no certificate in PEM format")) } else { Ok(()) }
}
