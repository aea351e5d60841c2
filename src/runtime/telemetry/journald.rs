//! The journal's native protocol: every field of an event is a field of the journal, so that
//! `journalctl ORDER_NUMBER=ORD_20261122_001` finds it.
//!
//! Written here rather than with `tracing-journald` because the fields have to be those of the JSON line: spans merged
//! into the event and no name twice, an error in three fields, a request id always; and because that crate's layer
//! sends on the thread that logs, which blocks it while the journal is not read (see [`crate::runtime::outlet`]).

use std::fmt::Display;
use std::fs::File;
use std::io::{self, Write};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, sendmsg_addr};
use tracing::Level;

use super::fields::Value;
use super::record::Record;
use crate::runtime::outlet::Sink;

/// Where journald listens.
pub(super) const SOCKET: &str = "/run/systemd/journal/socket";

/// No value goes to the journal longer than this; the rest is cut off.
pub(super) const MAX_VALUE_BYTES: usize = 256 * 1024;

/// No entry goes to the journal longer than this; what does not fit is left out, a field at a time.
const MAX_ENTRY_BYTES: usize = 2 * 1024 * 1024;

/// How long the journal may leave one event unread.
const SEND_TIMEOUT: Duration = Duration::from_secs(1);

/// Whether standard output or standard error is connected to the journal: `JOURNAL_STREAM` names its socket as
/// `device:inode`, and is inherited by children whose output goes elsewhere.
pub(super) fn is_connected(journal_stream: Option<&str>) -> bool {
    let ours = ["/proc/self/fd/1", "/proc/self/fd/2"];
    let ours =
        ours.iter().filter_map(|path| std::fs::metadata(path).ok()).map(|meta| (meta.dev(), meta.ino()));
    journal_stream.is_some_and(|named| matches(named, ours))
}

fn matches(named: &str, mut ours: impl Iterator<Item = (u64, u64)>) -> bool {
    let named = named.split_once(':').and_then(|(dev, ino)| Some((dev.parse().ok()?, ino.parse().ok()?)));
    named.is_some_and(|named: (u64, u64)| ours.any(|ours| ours == named))
}

/// The way to the journal.
#[derive(Debug)]
pub(super) struct Journal {
    datagrams: UnixDatagram,
    socket: PathBuf,
}

impl Journal {
    /// Connects to the journal at `socket`.
    ///
    /// # Errors
    /// Nobody listens there.
    pub(super) fn connect(socket: &Path) -> io::Result<Self> {
        let datagrams = UnixDatagram::unbound()?;
        datagrams.set_write_timeout(Some(SEND_TIMEOUT))?;
        // An empty datagram is ignored by the journal, and refused where there is none.
        datagrams.send_to(&[], socket)?;
        Ok(Self { datagrams, socket: socket.to_owned() })
    }
}

impl Sink for Journal {
    /// An entry is a datagram.
    const JOINS_LINES: bool = false;

    /// A journal that is away for a moment, or does not read for a second, loses this event.
    fn write_lines(&mut self, entry: &[u8]) -> io::Result<()> {
        send_entry(&self.datagrams, &self.socket, entry)
    }
}

/// Sends an entry as a datagram, or as a file where the system takes no datagram of that size (212,992 bytes and what it
/// needs for itself, where nobody changed `net.core.wmem_default`).
fn send_entry(datagrams: &UnixDatagram, socket: &Path, entry: &[u8]) -> io::Result<()> {
    let is_too_large = |error: &io::Error| {
        [Errno::MSGSIZE, Errno::NOBUFS].iter().any(|code| error.raw_os_error() == Some(code.raw_os_error()))
    };
    match datagrams.send_to(entry, socket) {
        Err(error) if is_too_large(&error) => send_as_file(datagrams, socket, entry),
        sent => sent.map(drop),
    }
}

/// Sends an entry in a file that is in memory only; the datagram, empty, carries its descriptor. The journal reads no file
/// that somebody could still change, so it is sealed.
fn send_as_file(datagrams: &UnixDatagram, socket: &Path, entry: &[u8]) -> io::Result<()> {
    let mut file =
        File::from(memfd_create("journal-entry", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?);
    file.write_all(entry)?;
    fcntl_add_seals(&file, SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE)?;
    let descriptors = [file.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&descriptors));
    sendmsg_addr(datagrams, &SocketAddrUnix::new(socket)?, &[], &mut control, SendFlags::empty())?;
    Ok(())
}

/// Appends the event in the native protocol.
pub(super) fn write(record: &Record<'_>, out: &mut Vec<u8>) {
    let priority = match record.severity() {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    };
    field(out, "PRIORITY", priority);
    field(out, "SYSLOG_IDENTIFIER", record.service());
    field(out, "MESSAGE", record.message());
    field(out, "SERVICE", record.service());
    field(out, "ACTION", record.action());
    field(out, "REQUEST_ID", record.request_id());
    field(out, "TARGET", record.metadata.target());
    if let (Some(file), Some(line)) = (record.metadata.file(), record.metadata.line()) {
        field(out, "CODE_FILE", file);
        field(out, "CODE_LINE", line);
    }
    if let Some(error) = record.error() {
        field(out, "ERROR_TYPE", error.kind);
        field(out, "ERROR_MSG", error.msg);
        field(out, "ERROR_STACK", error.stack);
    }
    // What every entry has already.
    for (name, value) in record.others().filter(|(name, _)| name != "target") {
        let name = field_name(&name);
        match value {
            Value::Text(text) => field(out, &name, text),
            Value::Signed(number) => field(out, &name, number),
            Value::Unsigned(number) => field(out, &name, number),
            Value::Float(number) => field(out, &name, number),
            Value::Bool(truth) => field(out, &name, truth),
            Value::Error(_) => {}
        }
    }
}

/// `NAME`, line feed, the length as 64 bits little endian, the value, line feed: any value is safe in this form.
/// A field for which the entry has no room left is left out.
fn field(out: &mut Vec<u8>, name: &str, value: impl Display) {
    let start = out.len();
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\n\0\0\0\0\0\0\0\0");
    let value_start = out.len();
    // Writing to memory does not fail.
    let _ = write!(out, "{value}");
    let length = (out.len() - value_start) as u64;
    out[value_start - 8..value_start].copy_from_slice(&length.to_le_bytes());
    out.push(b'\n');
    if out.len() > MAX_ENTRY_BYTES {
        out.truncate(start);
    }
}

/// A name as the journal takes it: upper case letters, digits and underscores, a letter first, at most 64. A name that
/// would become one of the fixed fields gets an `F_` in front: a second `PRIORITY` would change the event's level.
fn field_name(name: &str) -> String {
    let upper = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    let name: String = name.chars().map(upper).take(62).collect();
    let name = name.trim_start_matches(|c: char| !c.is_ascii_alphabetic());
    let is_taken = ["PRIORITY", "TARGET", "MESSAGE_ID"].contains(&name)
        || ["SYSLOG_", "CODE_", "ERROR_"].iter().any(|taken| name.starts_with(taken));
    if is_taken || name.is_empty() { format!("F_{name}") } else { name.to_owned() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn the_journals_stream_is_recognised() {
        let ours = || [(9, 1234), (10, 5678)].into_iter();
        assert!(matches("10:5678", ours()));
        for other in ["10:1234", "", "x", "10:", "10:5678:1", "-1:2"] {
            assert!(!matches(other, ours()), "{other}");
        }
        let this = std::fs::metadata("/proc/self/fd/1").unwrap();
        assert!(is_connected(Some(&format!("{}:{}", this.dev(), this.ino()))));
        assert!(!is_connected(None));
    }

    #[test]
    fn names_fit_the_journal_and_never_take_a_fixed_one() {
        for (name, expected) in [
            ("order_number", "ORDER_NUMBER"),
            ("http.status", "HTTP_STATUS"),
            ("priority", "F_PRIORITY"),
            ("code_file", "F_CODE_FILE"),
            ("_1st", "ST"),
            ("é", "F_"),
        ] {
            assert_eq!(field_name(name), expected);
        }
    }
}
