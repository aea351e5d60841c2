//! Events on their way to the layer of `tracing-journald`; `tests/it/journal.rs` has what it makes of them.

use std::fmt::Debug;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record as SpanRecord};
use tracing::{Event, Level, Metadata, Subscriber};

use super::*;

/// Until a test that hangs fails.
const DEADLINE: Duration = Duration::from_secs(20);

/// What came before a layer: the level that the event has for it, and the fields.
type Entry = (Level, Vec<(&'static str, String)>);

/// Takes events in a layer's place.
struct Taking(Mutex<Sender<Entry>>);

impl Subscriber for Taking {
    fn enabled(&self, _metadata: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _span: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _span: &Id, _values: &SpanRecord<'_>) {}

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

    fn event(&self, event: &Event<'_>) {
        struct Gathered(Vec<(&'static str, String)>);
        impl Visit for Gathered {
            fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
                self.0.push((field.name(), format!("{value:?}")));
            }

            fn record_str(&mut self, field: &Field, value: &str) {
                self.0.push((field.name(), value.to_owned()));
            }
        }
        let mut fields = Gathered(Vec::new());
        event.record(&mut fields);
        self.0.lock().unwrap().send((*event.metadata().level(), fields.0)).unwrap();
    }

    fn enter(&self, _span: &Id) {}

    fn exit(&self, _span: &Id) {}
}

/// What the two layers get of what `body` logs: that for our own events, and that for those of the servers' clients.
fn journaled(level: LogLevel, body: impl FnOnce()) -> [Receiver<Entry>; 2] {
    let (ours, got_ours) = channel();
    let (clients, got_clients) = channel();
    let journal = Journal::through(process(), Taking(Mutex::new(ours)), Taking(Mutex::new(clients)));
    let output = Output::Journal(Arc::new(Outlet::start("journal", journal).unwrap()));
    logged_to(&output, level, |_| body());
    [got_ours, got_clients]
}

#[test]
fn an_entry_has_every_field_once_and_those_of_the_spans_around_it() {
    let [got, clients] = journaled(LogLevel::Info, || {
        let _outer = info_span!("outer", request_id = "outer", worker_name = "chef_anna").entered();
        let _span = request_span("r1").entered();
        error!(
            action = "x",
            priority = 10,
            order_number = "ORD_1",
            share = 0.5,
            level = 7,
            error = &store_error() as &dyn Error,
            "a\nb"
        );
        info!("m");
    });
    let (level, fields) = got.recv().unwrap();
    assert_eq!(level, Level::ERROR);
    let stack = fields.iter().find(|(name, _)| *name == "error_stack").unwrap().1.clone();
    assert!(stack.starts_with("the order could not be stored\ncaused by: connection reset"), "{stack}");
    let expected = [
        ("message", "a\nb"),
        ("action", "x"),
        ("request_id", "r1"),
        ("error_type", "StoreError"),
        ("error_msg", "the order could not be stored"),
        ("error_stack", &stack),
        ("f_priority", "10"),
        ("order_number", "ORD_1"),
        ("share", "0.5"),
        ("level_", "7"),
        ("worker_name", "chef_anna"),
    ];
    assert_eq!(fields, expected.map(|(name, value)| (name, value.to_owned())));
    let (level, fields) = got.recv().unwrap();
    assert_eq!((level, &fields[1]), (Level::INFO, &("action", "log".to_owned())));
    assert!(clients.try_recv().is_err());
}

#[test]
fn what_a_servers_client_says_goes_a_way_of_its_own() {
    let [ours, clients] = journaled(LogLevel::Debug, || {
        error!(target: "amqprs", "failed to send frame");
        warn!(target: "hyper::proto", "slow");
    });
    let message = |got: Receiver<Entry>| {
        let entries: Vec<Entry> = got.try_iter().collect();
        entries.into_iter().map(|(_, fields)| fields[0].1.clone()).collect::<Vec<_>>()
    };
    assert_eq!((message(ours), message(clients)), (vec!["slow".into()], vec!["failed to send frame".into()]));
}

#[test]
fn a_value_is_cut_where_the_journals_limit_is() {
    let long = "é".repeat(500_000);
    let [got, _] = journaled(LogLevel::Info, || info!(action = "x", details = %long, "m"));
    let (_, fields) = got.recv().unwrap();
    let (name, details) = fields.last().unwrap();
    assert_eq!((*name, details.len()), ("details", 256 * 1024 + "…".len()));
}

#[test]
fn a_journal_that_is_read_again_says_how_many_entries_were_dropped() {
    /// More than may wait.
    const LOGGED: usize = 5_000;
    let (entries, got) = channel();
    let (gate, is_read) = channel();
    /// Takes no event before the gate has gone.
    struct Unread(Receiver<()>, Journal<Taking>);
    impl Sink for Unread {
        type Line = journald::Entry;
        fn write(&mut self, entry: &journald::Entry) -> io::Result<()> {
            let _ = self.0.recv();
            self.1.write(entry)
        }
    }
    let nobody = Taking(Mutex::new(channel().0));
    let journal = Unread(is_read, Journal::through(process(), Taking(Mutex::new(entries)), nobody));
    let output = Output::Journal(Arc::new(Outlet::start("journal", journal).unwrap()));
    let logging = output.clone();
    logged_to(&logging, LogLevel::Info, |_| {
        (0..LOGGED).for_each(|_| info!(action = "x", "m"));
        drop(gate);
        output.flush();
        info!(action = "x", "it is read again");
    });
    let mut all: Vec<Entry> = Vec::new();
    while all.last().is_none_or(|(_, fields)| fields[0].1 != "it is read again") {
        all.push(got.recv_timeout(DEADLINE).unwrap());
    }
    let told = all.iter().flat_map(|(_, fields)| fields).filter(|(name, _)| *name == "log_dropped");
    let dropped: usize = told.map(|(_, count)| count.parse::<usize>().unwrap()).sum();
    assert_eq!(all.len() + dropped, LOGGED + 1);
}
