//! The journal, through `tracing-journald`: every field of an event is a field of the journal, so that
//! `journalctl ORDER_NUMBER=ORD_20261122_001` finds it.
//!
//! That crate's layer sends on the thread that logs, and a send waits for as long as the journal is not read. Here the
//! thread of an [`Outlet`](crate::outlet::Outlet) waits instead: an event crosses over to it with its spans'
//! fields, and comes before the crate's layer there. The layer belongs to no dispatcher, so it has no say in what is logged.

use std::collections::HashSet;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use tracing::field::FieldSet;
use tracing::{Event, Metadata, Subscriber};
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::Registry;
use tracing_subscriber::layer::{Layered, SubscriberExt};

use super::fields::{Fields, Value};
use super::record::{self, Process, Record};
use crate::outlet::{Line, Sink};

/// No value goes to the journal longer than this; the rest is cut off.
pub(super) const MAX_VALUE_BYTES: usize = 256 * 1024;

/// As the roles mean their levels: what happens is information, for which the crate would have a notice.
const PRIORITIES: PriorityMappings = PriorityMappings {
    error: Priority::Error,
    warn: Priority::Warning,
    info: Priority::Informational,
    debug: Priority::Debug,
    trace: Priority::Debug,
};

/// Nothing that a client of a server says is more than that ([`Record::severity`]).
const CLIENTS_PRIORITIES: PriorityMappings = PriorityMappings {
    error: Priority::Debug,
    warn: Priority::Debug,
    info: Priority::Debug,
    debug: Priority::Debug,
    trace: Priority::Debug,
};

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

/// An event on its way to the journal, its spans' fields among its own.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) metadata: &'static Metadata<'static>,
    pub(super) fields: Fields,
    /// How many events before this one were lost.
    pub(super) dropped: u64,
}

impl Line for Entry {
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.fields.capacity()
    }

    /// Each is a datagram of its own.
    fn joins(&mut self, _next: &mut Self) -> bool {
        false
    }
}

/// The way to the journal.
pub(super) struct Journal<S = Layered<tracing_journald::Layer, Registry>> {
    process: Arc<Process>,
    /// Where our own events go, those of libraries among them.
    ours: S,
    /// Where those of the servers' clients go.
    clients: S,
    /// All lists of field names that ever came. Each is kept for good, as `tracing` wants of the names at a place in the
    /// code: there are as many as such places and the spans around them.
    names: HashSet<&'static [&'static str]>,
}

impl Journal {
    /// Connects to the journal.
    ///
    /// # Errors
    /// Nobody listens there.
    pub(super) fn connect(process: Arc<Process>) -> io::Result<Self> {
        let through = |priorities| {
            let layer = tracing_journald::layer()?
                .with_field_prefix(None)
                .with_priority_mappings(priorities)
                .with_syslog_identifier(process.service.to_owned())
                .with_custom_fields([("SERVICE", process.service)]);
            Ok::<_, io::Error>(Registry::default().with(layer))
        };
        let (ours, clients) = (through(PRIORITIES)?, through(CLIENTS_PRIORITIES)?);
        Ok(Self::through(process, ours, clients))
    }
}

impl<S: Subscriber> Journal<S> {
    pub(super) fn through(process: Arc<Process>, ours: S, clients: S) -> Self {
        Self { process, ours, clients, names: HashSet::new() }
    }

    /// This list of names, for good.
    fn kept(&mut self, names: &[&'static str]) -> &'static [&'static str] {
        if let Some(known) = self.names.get(names) {
            return known;
        }
        let kept: &'static [&'static str] = names.to_vec().leak();
        self.names.insert(kept);
        kept
    }
}

impl<S: Subscriber + Send + 'static> Sink for Journal<S> {
    type Line = Entry;

    /// The crate keeps it to itself when the journal does not take an entry.
    fn write(&mut self, entry: &Entry) -> io::Result<()> {
        let Entry { metadata, fields, dropped } = entry;
        let process = Arc::clone(&self.process);
        let record = Record { process: &process, metadata, fields, dropped: *dropped };
        let fields = journal_fields(&record);
        let names: Vec<&'static str> = fields.iter().map(|(name, _)| *name).collect();
        let values: Vec<_> = fields.iter().map(|(_, value)| value.as_tracing()).collect();
        let names = FieldSet::new(self.kept(&names), metadata.callsite());
        let values = names.value_set_all(&values);
        let through = if record::is_client(metadata) { &self.clients } else { &self.ours };
        through.event(&Event::new(metadata, &values));
        Ok(())
    }
}

/// What the crate's layer does not add by itself, under names that it only has to put in upper case.
fn journal_fields<'a>(record: &Record<'a>) -> Vec<(&'static str, Value<'a>)> {
    let mut fields = vec![
        ("message", Value::Text(record.message())),
        ("action", Value::Text(record.action())),
        ("request_id", Value::Text(record.request_id())),
    ];
    if record.service() != record.process.service {
        fields.push(("service", Value::Text(record.service())));
    }
    if let Some(error) = record.error() {
        let named = [("error_type", error.kind), ("error_msg", error.msg), ("error_stack", error.stack)];
        fields.extend(named.map(|(name, text)| (name, Value::Text(text))));
    }
    fields.extend(record.others().filter_map(|(name, value)| match name {
        // Every entry has it already.
        "target" => None,
        // A second `PRIORITY` would change the entry's level.
        "priority" => Some(("f_priority", value)),
        _ => Some((name, value)),
    }));
    fields
}

#[cfg(test)]
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
}
