//! For people at a terminal: `10:11:12.345Z INFO  order-service order_received took an order order_number=…`.

use std::fmt::{Display, Write as _};
use std::io::Write;

use jiff::Timestamp;

use super::fields::Value;
use super::record::Record;
use clean_text::breaks_or_turns_line;

const DIM: &str = "2";
const RED: &str = "1;31";
const YELLOW: &str = "33";
const GREEN: &str = "32";
const BLUE: &str = "34";
const BOLD: &str = "1";

/// Appends the event, in colours when asked for. An error's causes follow on lines of their own.
pub(super) fn write(record: &Record<'_>, time: Timestamp, colour: bool, line: &mut Vec<u8>) {
    let time = format!("{time:.3}");
    let level = record.level();
    let level_colour = match level {
        "ERROR" => RED,
        "WARN" => YELLOW,
        "INFO" => GREEN,
        _ => BLUE,
    };
    // The reader knows which day it is; the time is UTC as everywhere.
    paint(line, colour, DIM, time.get(11..).unwrap_or(&time));
    paint(line, colour, level_colour, &format!(" {level:<5} "));
    paint(line, colour, DIM, &format!("{} ", visible(record.service())));
    paint(line, colour, BOLD, &visible(record.action()));
    put(line, format_args!(" {}", visible(record.message())));
    for (name, value) in record.others() {
        let value = match value {
            Value::Text(text) => visible(text),
            Value::Signed(number) => number.to_string(),
            Value::Unsigned(number) => number.to_string(),
            Value::Float(number) => number.to_string(),
            Value::Bool(truth) => truth.to_string(),
            Value::Error(_) => continue,
        };
        paint(line, colour, DIM, &format!(" {name}="));
        put(line, value);
    }
    if let Some(error) = record.error()
        && error.stack != record.message()
    {
        for cause in error.stack.lines() {
            paint(line, colour, RED, &format!("\n    {}", visible(cause)));
        }
    }
    line.push(b'\n');
}

fn put(line: &mut Vec<u8>, text: impl Display) {
    // Writing to memory does not fail.
    let _ = write!(line, "{text}");
}

fn paint(line: &mut Vec<u8>, colour: bool, code: &str, text: &str) {
    if colour {
        put(line, format_args!("\u{1b}[{code}m{text}\u{1b}[0m"));
    } else {
        put(line, text);
    }
}

/// The text without anything that would move the cursor or forge a line.
fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if breaks_or_turns_line(c) {
            let _ = write!(out, "{}", c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}
