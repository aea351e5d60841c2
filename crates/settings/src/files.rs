//! Files that somebody else writes, and the secrets in them.

use std::fs::{Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;

/// A password or token is a line; more is the wrong file.
const MAX_SECRET_BYTES: u64 = 64 * 1024;
/// The permission of those who are neither the owner nor in the file's group.
const READABLE_BY_OTHERS: u32 = 0o004;

/// Room behind the end of a file, by which reading it notices the end without moving what it has read.
const READ_AHEAD_BYTES: u64 = 64;

/// Reads a whole regular file of at most so many bytes: a pipe would be waited for, and a device has no end. There may be a
/// password in it, which leaves no copy behind.
///
/// # Errors
/// It can't be read, is larger, or is no regular file.
pub fn read_bounded(path: &Path, max_bytes: u64) -> io::Result<(Zeroizing<Vec<u8>>, Metadata)> {
    let file = OpenOptions::new().read(true).custom_flags(nix::libc::O_NONBLOCK).open(path)?;
    let meta = file.metadata()?;
    if meta.is_dir() {
        return Err(io::Error::other("it is a folder"));
    }
    if !meta.is_file() {
        return Err(io::Error::other("it is not a regular file, but a pipe, a socket or a device"));
    }
    let room = meta.len().min(max_bytes) + READ_AHEAD_BYTES;
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(room).unwrap_or_default()));
    file.take(max_bytes + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max_bytes {
        return Err(io::Error::other(format!("it is larger than {max_bytes} bytes")));
    }
    Ok((bytes, meta))
}

/// The content of a secret file without its one final line end, and whether others may read it.
///
/// # Errors
/// The text says what is wrong with the file, and nothing of its content.
pub fn read_secret(path: &Path) -> Result<(SecretString, bool), String> {
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
pub(crate) fn others_may_read(meta: &Metadata) -> bool {
    meta.mode() & READABLE_BY_OTHERS != 0
}
