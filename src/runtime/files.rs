//! Files that somebody else writes.

use std::fs::{Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use secrecy::zeroize::Zeroizing;

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
