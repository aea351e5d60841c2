//! One JSON object a line: always `timestamp`, `level`, `service`, `action`, `message`, `hostname`, `request_id`, then
//! what else there is, and `error` last.

use std::fmt::Display;
use std::io::Write;

use jiff::Timestamp;

use super::fields::Value;
use super::record::Record;

/// Appends the line with its line end. No key is there twice.
pub(super) fn write(record: &Record<'_>, time: Timestamp, line: &mut Vec<u8>) {
    // The same form as `clock::rfc3339_ms`, without a text of its own.
    let _ = write!(line, "{{\"timestamp\":\"{time:.3}\"");
    text(line, "level", record.level());
    text(line, "service", record.service());
    text(line, "action", record.action());
    text(line, "message", record.message());
    text(line, "hostname", &record.process.hostname);
    text(line, "request_id", record.request_id());
    for (name, value) in record.others() {
        match value {
            Value::Text(value) => text(line, name, value),
            Value::Signed(number) => bare(line, name, number),
            Value::Unsigned(number) => bare(line, name, number),
            Value::Float(number) if number.is_finite() => bare(line, name, number),
            Value::Float(number) => text(line, name, &number.to_string()),
            Value::Bool(truth) => bare(line, name, truth),
            Value::Error(_) => {}
        }
    }
    if let Some(error) = record.error() {
        line.extend_from_slice(b",\"error\":{\"type\":");
        quoted(line, error.kind);
        text(line, "msg", error.msg);
        text(line, "stack", error.stack);
        line.push(b'}');
    }
    line.extend_from_slice(b"}\n");
}

fn text(line: &mut Vec<u8>, name: &str, value: &str) {
    key(line, name);
    quoted(line, value);
}

/// A number or a boolean.
fn bare(line: &mut Vec<u8>, name: &str, value: impl Display) {
    key(line, name);
    // Writing to memory does not fail.
    let _ = write!(line, "{value}");
}

fn key(line: &mut Vec<u8>, name: &str) {
    line.push(b',');
    quoted(line, name);
    line.push(b':');
}

/// A JSON string; the escaping is serde_json's.
fn quoted(line: &mut Vec<u8>, value: &str) {
    let _ = serde_json::to_writer(line, value);
}
