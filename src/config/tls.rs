//! Encryption of a connection.

use std::path::PathBuf;

/// TLS is on. Without a `ca_file` the public certificate authorities are trusted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TlsConfig {
    /// A PEM file with the certificates of the authorities to trust instead; it was readable at load.
    pub ca_file: Option<PathBuf>,
}
