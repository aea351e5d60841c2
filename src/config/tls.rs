//! `tls:` of a server: encryption of its connections.

use std::path::Path;

use settings::Reader;

use daemon::tls::{TlsOptions, authorities};

/// `section.tls: true` or `section.tls: {enabled, ca_file}`; a `ca_file` alone turns it on.
pub(super) fn read(reader: &mut Reader, section: &str) -> Option<TlsOptions> {
    let key = |name: &str| format!("{section}.{name}");
    let (long, short) = (key("tls.enabled"), key("tls"));
    let is_said = reader.is_given(&[&long, &short]);
    let enabled = is_said.then(|| reader.switch_of(&[&long, &short])).flatten();
    let check = |path: &Path| match enabled {
        Some(false) => Ok(()),
        // Read as a connection does later, so that a file which is none is noticed at once.
        _ => authorities(path).map(drop).map_err(|error| error.to_string()),
    };
    let ca_file = reader.file_at(&key("tls.ca_file"), check);
    enabled.unwrap_or(ca_file.is_some()).then_some(TlsOptions { ca_file })
}
