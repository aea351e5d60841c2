//! Events through the real layer into a buffer.
mod journal;

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use tracing::{debug, error, info, info_span, trace, warn};

use super::*;
use crate::outlet::Sink;

/// What was written, in memory.
type Buffer = Arc<Mutex<Vec<u8>>>;

impl Sink for Buffer {
    type Line = Vec<u8>;

    fn write(&mut self, lines: &Vec<u8>) -> io::Result<()> {
        self.lock().unwrap().extend_from_slice(lines);
        Ok(())
    }
}

fn process() -> Arc<Process> {
    Arc::new(Process {
        own_crates: &["daemon"],
        service: "order-service",
        hostname: "host \"1\"".into(),
        run_id: "run-1".into(),
        worker_name: None,
    })
}

/// What `body` logs; it gets the handle of the level.
fn captured(level: LogLevel, form: Form, body: impl FnOnce(&LevelHandle)) -> String {
    let buffer = Buffer::default();
    let outlet = Arc::new(Outlet::start("test", Arc::clone(&buffer)).unwrap());
    logged_to(&Output::Lines(form, outlet), level, body);
    let bytes = std::mem::take(&mut *buffer.lock().unwrap());
    String::from_utf8(bytes).unwrap()
}

/// Brings what `body` logs out there.
fn logged_to(output: &Output, level: LogLevel, body: impl FnOnce(&LevelHandle)) {
    let level = LevelHandle::new(level);
    let layer = LogLayer { process: process(), level: level.clone(), output: output.clone() };
    tracing::subscriber::with_default(Registry::default().with(layer), || body(&level));
    output.flush();
}

/// The lines that `body` logs as JSON objects, each checked to be one line with no key twice.
fn logged_at(level: LogLevel, body: impl FnOnce(&LevelHandle)) -> Vec<Line> {
    let text = captured(level, Form::Json, body);
    assert!(text.is_empty() || text.ends_with('\n'));
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

fn logged(body: impl FnOnce()) -> Line {
    let mut lines = logged_at(LogLevel::Info, |_| body());
    assert_eq!(lines.len(), 1);
    lines.remove(0)
}

/// A JSON object with its keys in order; one that is there twice is refused.
struct Line {
    keys: Vec<String>,
    values: BTreeMap<String, serde_json::Value>,
}

impl Line {
    fn text(&self, key: &str) -> &str {
        self.values.get(key).and_then(serde_json::Value::as_str).unwrap_or("(none)")
    }
}

impl std::ops::Index<&str> for Line {
    type Output = serde_json::Value;
    fn index(&self, key: &str) -> &serde_json::Value {
        &self.values[key]
    }
}

impl<'de> Deserialize<'de> for Line {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Line;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Line, A::Error> {
                let mut line = Line { keys: Vec::new(), values: BTreeMap::new() };
                while let Some((key, value)) = map.next_entry::<String, serde_json::Value>()? {
                    assert!(!line.keys.contains(&key), "{key} is there twice");
                    line.keys.push(key.clone());
                    line.values.insert(key, value);
                }
                Ok(line)
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

const ALWAYS: [&str; 7] = ["timestamp", "level", "service", "action", "message", "hostname", "request_id"];

#[derive(Debug, thiserror::Error)]
#[error("the order could not be stored")]
struct StoreError(#[source] std::io::Error);

fn store_error() -> StoreError {
    StoreError(std::io::Error::other("connection reset"))
}

#[test]
fn every_line_has_the_seven_keys_in_order_then_its_own() {
    let line = logged(|| {
        info!(action = "order_received", order_number = %"ORD_20261122_001", duration_ms = 12_u64, paid = true,
            offset = -3, share = 0.5, "took {} order", 1);
    });
    let own = ["order_number", "duration_ms", "paid", "offset", "share"];
    assert_eq!(line.keys, ALWAYS.into_iter().chain(own).collect::<Vec<_>>());
    assert_eq!((line.text("level"), line.text("service")), ("INFO", "order-service"));
    assert_eq!((line.text("action"), line.text("message")), ("order_received", "took 1 order"));
    assert_eq!((line.text("hostname"), line.text("request_id")), ("host \"1\"", "run-1"));
    assert_eq!(line.text("order_number"), "ORD_20261122_001");
    assert_eq!((&line["duration_ms"], &line["paid"]), (&12.into(), &true.into()));
    assert_eq!((&line["offset"], &line["share"]), (&(-3).into(), &0.5.into()));
    let time = line.text("timestamp");
    assert_eq!((time.len(), &time[19..20], &time[23..]), (24, ".", "Z"), "{time}");
    time.parse::<jiff::Timestamp>().unwrap();
}

#[test]
fn any_text_stays_on_its_line_and_comes_back_whole() {
    let nasty = "a\nb\t\"c\"\\ \u{1b}[31m \0 \u{7f} \u{2028} é 🍕";
    let line = logged(|| info!(action = "x", details = nasty, "{nasty}"));
    assert_eq!((line.text("details"), line.text("message")), (nasty, nasty));
}

#[test]
fn the_nearest_span_wins_and_the_event_before_all() {
    let line = logged(|| {
        let outer = info_span!("outer", request_id = "outer", worker_name = "anna", service = "other-role");
        let _outer = outer.entered();
        let inner = request_span("inner");
        inner.record("order_number", "first");
        inner.record("order_number", "second");
        let _inner = inner.entered();
        info!(action = "order_completed", "done");
    });
    assert_eq!((line.text("request_id"), line.text("order_number")), ("inner", "second"));
    assert_eq!((line.text("worker_name"), line.text("service")), ("anna", "other-role"));

    let line = logged(|| {
        let _span = request_span("span").entered();
        info!(action = "x", request_id = "event", "m");
    });
    assert_eq!(line.text("request_id"), "event");
}

#[test]
fn no_field_can_double_a_key_that_every_line_has() {
    let line = logged(|| {
        info!(
            timestamp = "t",
            level = 1,
            hostname = "h",
            action = 5,
            service = 6,
            request_id = 7,
            a = 1,
            a = 2,
            "m"
        );
    });
    assert_eq!((line.text("level"), line.text("action"), line.text("request_id")), ("INFO", "log", "run-1"));
    assert_eq!((&line["level_"], &line["action_"], &line["a"]), (&1.into(), &5.into(), &2.into()));
}

#[test]
fn an_error_has_its_type_message_and_the_chain_of_causes() {
    let line = logged(|| {
        let error = store_error();
        error!(
            action = "message_processing_failed",
            error = &error as &dyn Error,
            "could not take the order"
        );
    });
    assert_eq!(line.keys.last().map(String::as_str), Some("error"));
    assert_eq!(line["error"]["type"], "StoreError");
    assert_eq!(line["error"]["msg"], "the order could not be stored");
    let stack = line["error"]["stack"].as_str().unwrap();
    assert!(stack.starts_with("the order could not be stored\ncaused by: connection reset"), "{stack}");
}

#[test]
fn every_error_line_has_an_error_however_it_was_given() {
    let line = logged(|| error!(action = "x", "it broke"));
    let expected = serde_json::json!({"type": "Error", "msg": "it broke", "stack": "it broke"});
    assert_eq!(line["error"], expected);
    let line = logged(|| error!(action = "x", error = %"it broke", "m"));
    assert_eq!(line["error"], expected);
    let line = logged(|| warn!(action = "x", error = &store_error() as &dyn Error, "m"));
    assert_eq!(line["error"]["type"], "StoreError");
    let line = logged(|| error!(action = "x", error = 5, "m"));
    assert_eq!((&line["error"]["msg"], &line["error_"]), (&"m".into(), &5.into()));
    let line = logged(|| info!(action = "x", "m"));
    assert!(!line.values.contains_key("error"));
}

#[test]
fn libraries_are_named_and_heard_from_warn_on() {
    fn chatter() {
        warn!(target: "hyper::proto", "slow");
        info!(target: "hyper::proto", "connected");
        debug!(target: "hyper::proto", "bytes");
        trace!("own");
    }
    let messages = |level| {
        let lines = logged_at(level, |_| chatter());
        lines
            .iter()
            .map(|line| format!("{} {} {}", line.text("action"), line.text("target"), line.text("message")))
            .collect::<Vec<_>>()
    };
    let library = |message| format!("library_message hyper::proto {message}");
    assert_eq!(messages(LogLevel::Error), [""; 0]);
    assert_eq!(messages(LogLevel::Info), [library("slow")]);
    assert_eq!(messages(LogLevel::Debug), [library("slow"), library("connected")]);
    let all = ["slow", "connected", "bytes"].map(library);
    assert_eq!(messages(LogLevel::Trace), [&all[..], &["log (none) own".to_owned()]].concat());
}

/// `store` and `broker` log the loss of a connection themselves, once.
#[test]
fn the_servers_clients_are_heard_when_debugging_only() {
    fn chatter() {
        error!(target: "amqprs", "failed to send frame");
        warn!(target: "deadpool.postgres", "Connection error: connection closed");
    }
    for quiet in [LogLevel::Error, LogLevel::Warn, LogLevel::Info] {
        assert!(logged_at(quiet, |_| chatter()).is_empty());
    }
    let lines = logged_at(LogLevel::Debug, |_| chatter());
    assert_eq!(lines.len(), 2);
    for line in lines {
        assert_eq!((line.text("level"), line.text("action")), ("DEBUG", "library_message"));
        assert!(!line.values.contains_key("error"));
    }
}

#[test]
fn the_next_line_that_comes_through_says_how_many_were_dropped() {
    #[derive(Clone)]
    struct Broken(Buffer, Arc<AtomicBool>);
    impl Sink for Broken {
        type Line = Vec<u8>;

        fn write(&mut self, lines: &Vec<u8>) -> io::Result<()> {
            if self.1.load(Ordering::SeqCst) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.0.write(lines)
        }
    }
    for form in [Form::Json, Form::Pretty { colour: false }] {
        let (buffer, is_broken) = (Buffer::default(), Arc::new(AtomicBool::new(true)));
        let sink = Broken(Arc::clone(&buffer), Arc::clone(&is_broken));
        let output = Output::Lines(form, Arc::new(Outlet::start("test", sink).unwrap()));
        logged_to(&output, LogLevel::Info, |_| {
            (0..3).for_each(|_| info!(action = "x", "lost"));
        });
        is_broken.store(false, Ordering::SeqCst);
        logged_to(&output, LogLevel::Info, |_| {
            info!(action = "x", log_dropped = 7, "first");
            info!(action = "x", "second");
        });
        let text = String::from_utf8(buffer.lock().unwrap().clone()).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let [first, second] = lines[..] else { panic!("{text}") };
        assert!(first.contains("log_dropped\":3") || first.contains("log_dropped=3"), "{first}");
        assert!(first.contains("log_dropped_") && !second.contains("log_dropped"), "{text}");
    }
}

#[test]
fn the_level_changes_while_running_and_spans_outlive_it() {
    let lines = logged_at(LogLevel::Error, |level| {
        let _span = request_span("r1").entered();
        for (new, name) in [(LogLevel::Error, "a"), (LogLevel::Debug, "b"), (LogLevel::Warn, "c")] {
            level.set(new);
            assert_eq!(level.get(), new);
            debug!(action = "x", "{name} debug");
            warn!(action = "x", "{name} warn");
            error!(action = "x", "{name} error");
        }
    });
    let messages: Vec<_> = lines.iter().map(|line| line.text("message")).collect();
    assert_eq!(messages, ["a error", "b debug", "b warn", "b error", "c warn", "c error"]);
    assert!(lines.iter().all(|line| line.text("request_id") == "r1"));
    assert_eq!(lines[1].text("level"), "DEBUG");
}

#[test]
fn a_value_that_logs_while_it_is_logged_does_no_harm() {
    struct Chatty;
    impl std::fmt::Display for Chatty {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            info!(action = "inner", "inside");
            f.write_str("chatty")
        }
    }
    let lines = logged_at(LogLevel::Info, |_| info!(action = "outer", details = %Chatty, "outside"));
    // tracing itself leaves the inner event out while another is on its way through a scoped subscriber.
    let last = lines.last().unwrap();
    assert_eq!((last.text("action"), last.text("details")), ("outer", "chatty"));
}

#[test]
fn a_huge_value_is_cut() {
    let line = logged(|| info!(action = "x", details = "é".repeat(100_000).as_str(), "m"));
    let details = line.text("details");
    assert!(details.ends_with("é…") && details.len() < 20_000);
}

#[test]
fn threads_never_tear_a_line() {
    let lines = logged_at(LogLevel::Info, |_| {
        let dispatch = tracing::dispatcher::get_default(Clone::clone);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    tracing::dispatcher::with_default(&dispatch, || {
                        (0..200).for_each(|n| info!(action = "x", n, details = "d".repeat(n).as_str(), "m"));
                    });
                });
            }
        });
    });
    assert_eq!(lines.len(), 800);
}

#[test]
fn people_get_one_clean_line_with_the_causes_below() {
    let text = captured(LogLevel::Info, Form::Pretty { colour: false }, |_| {
        info!(action = "order_received", order_number = "ORD_1", "took\u{1b}[2J\n it");
        error!(action = "x", error = &store_error() as &dyn Error, "failed");
    });
    let lines: Vec<_> = text.lines().map(|line| line.get(13..).unwrap_or(line)).collect();
    assert_eq!(lines[0], " INFO  order-service order_received took\\u{1b}[2J\\n it order_number=ORD_1");
    assert_eq!(lines[1], " ERROR order-service x failed");
    assert!(
        text.contains("\n    the order could not be stored\n    caused by: connection reset\n"),
        "{text}"
    );
}

/// Not a benchmark: a bound that only a real mistake would break.
#[test]
fn an_event_is_cheap() {
    let started = std::time::Instant::now();
    let text = captured(LogLevel::Info, Form::Json, |_| {
        let _span = request_span("0191f0c4-1111-7111-8111-111111111111").entered();
        for n in 0..2_000_u64 {
            info!(
                action = "order_received",
                order_number = "ORD_20261122_001",
                duration_ms = n,
                "took an order"
            );
        }
    });
    assert_eq!(text.lines().count(), 2_000);
    let each = started.elapsed() / 2_000;
    assert!(each < std::time::Duration::from_micros(500), "{each:?} an event");
}
