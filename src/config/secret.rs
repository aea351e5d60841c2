//! Secrets that stand in files of their own.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use secrecy::SecretString;

use crate::runtime::files::read_bounded;

/// A password or token is a line; more is the wrong file.
const MAX_SECRET_BYTES: u64 = 64 * 1024;
/// The permission of those who are neither the owner nor in the file's group.
const READABLE_BY_OTHERS: u32 = 0o004;

/// The content of a secret file without its one final line end, and whether others may read it.
///
/// The error says what is wrong with the file, and nothing of its content.
pub(crate) fn read_file(path: &Path) -> Result<(SecretString, bool), String> {
    let name = path.display();
    let (bytes, meta) =
        read_bounded(path, MAX_SECRET_BYTES).map_err(|error| format!("{name} can't be read: {error}"))?;
    let text = str::from_utf8(&bytes).map_err(|_| format!("{name} is not UTF-8 text"))?;
    let secret = text.strip_suffix('\n').unwrap_or(text);
    let secret = secret.strip_suffix('\r').unwrap_or(secret);
    if secret.is_empty() {
        return Err(format!("{name} is empty"));
    }
    if secret.contains('\0') {
        return Err(format!("{name} contains a NUL character"));
    }
    Ok((secret.into(), others_may_read(&meta)))
}

/// Whether every user of the machine may read a file.
pub(super) fn others_may_read(meta: &Metadata) -> bool {
    meta.mode() & READABLE_BY_OTHERS != 0
}
