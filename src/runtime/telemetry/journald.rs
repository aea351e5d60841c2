//! The journal's native protocol: every field of an event is a field of the journal, so that
//! `journalctl ORDER_NUMBER=ORD_20261122_001` finds it.
//!
//! Written here rather than with `tracing-journald` because the fields have to be those of the JSON line: spans merged
//! into the event and no name twice, an error in three fields, a request id always; and because that crate's layer
//! sends on the thread that logs, which blocks it while the journal is not read.

use std::fmt::Display;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use tracing::Level;

use super::fields::Value;
use super::record::Record;

/// Where journald listens.
pub(super) const SOCKET: &str = "/run/systemd/journal/socket";

/// Events that may wait for the journal; beyond that they are dropped and counted.
const MAX_WAITING: usize = 4096;

/// How long the journal may leave one event unread.
const SEND_TIMEOUT: Duration = Duration::from_secs(1);

/// How long the end of the process waits for what is still to be sent.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// One datagram stays below the default socket buffer (212,992 bytes) with room to spare. `fields` cuts each value long
/// before, so none has to be passed as a file.
const MAX_DATAGRAM_BYTES: usize = 128 * 1024;

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

enum Message {
    Event(Vec<u8>),
    /// Answer when everything before this has been sent.
    Flush(SyncSender<()>),
}

/// The way to the journal: a thread with a bounded queue, so that nobody who logs ever waits.
#[derive(Debug)]
pub(super) struct Journal {
    queue: SyncSender<Message>,
    dropped: AtomicU64,
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
        let (queue, waiting) = sync_channel(MAX_WAITING);
        let socket = socket.to_owned();
        std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || send_all(&datagrams, &socket, &waiting))?;
        Ok(Self { queue, dropped: AtomicU64::new(0) })
    }

    /// Queues an event; when the queue is full it is dropped, and the next that finds room says how many were.
    pub(super) fn send(&self, record: &Record<'_>) {
        let mut datagram = Vec::with_capacity(512);
        write(record, &mut datagram);
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            field(&mut datagram, "LOG_DROPPED", dropped);
        }
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) =
            self.queue.try_send(Message::Event(datagram))
        {
            self.dropped.fetch_add(dropped + 1, Ordering::Relaxed);
        }
    }

    /// Waits, for some seconds at most, until everything so far is sent.
    pub(super) fn flush(&self) {
        let (done, answer) = sync_channel(1);
        // Waits for room in a full queue, which the sending thread makes within `SEND_TIMEOUT`.
        if self.queue.send(Message::Flush(done)).is_ok() {
            let _ = answer.recv_timeout(CLOSE_TIMEOUT);
        }
    }
}

fn send_all(datagrams: &UnixDatagram, socket: &Path, waiting: &Receiver<Message>) {
    for message in waiting {
        match message {
            // A journal that is away for a moment, or does not read for a second, loses this event: there is
            // nowhere left to say so.
            Message::Event(datagram) => drop(datagrams.send_to(&datagram, socket)),
            Message::Flush(done) => drop(done.try_send(())),
        }
    }
}

/// Appends the event in the native protocol.
fn write(record: &Record<'_>, out: &mut Vec<u8>) {
    let priority = match *record.metadata.level() {
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
    for (name, value) in record.others() {
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
/// A field for which the datagram has no room left is left out.
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
    if out.len() > MAX_DATAGRAM_BYTES {
        out.truncate(start);
    }
}

/// A name as the journal takes it: upper case letters, digits and underscores, a letter first, at most 64. A name that
/// would become one of the fixed fields gets an `F_` in front: a second `PRIORITY` would change the event's level.
fn field_name(name: &str) -> String {
    let upper = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    let name: String = name.chars().map(upper).take(62).collect();
    let name = name.trim_start_matches(|c: char| !c.is_ascii_alphabetic());
    let is_taken = ["PRIORITY", "TARGET", "MESSAGE_ID", "LOG_DROPPED"].contains(&name)
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
