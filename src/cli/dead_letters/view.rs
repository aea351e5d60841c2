//! Prints dead letters: for people, or as JSON with the same content.
//!
//! A stranger may have published the message, so nothing of it reaches a terminal unescaped.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write};

use amqp::DeadLetter;
use comfy_table::{CellAlignment, Table, presets};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::name::LetterName;
use crate::broker::DEAD_LETTER_QUEUE;
use crate::domain::OrderNumber;

/// How much of a reason stands in a row of the table; `show` and `--json` have all of it.
const MAX_REASON_CHARS: usize = 60;
/// The largest JSON body that is shown whole; of a larger one, and of what is no JSON, the beginning is shown.
const MAX_JSON_BYTES: usize = 1024 * 1024;
/// How much of a text body is shown.
const MAX_TEXT_BYTES: usize = 4096;
/// How much of a body that is no text is shown, in hexadecimal.
const MAX_HEX_BYTES: usize = 512;
/// Bytes in a line of it.
const HEX_LINE_BYTES: usize = 32;

#[derive(Debug, Serialize)]
pub(super) struct LetterRow {
    pub(super) id: String,
    died_at: Option<String>,
    reason: Option<String>,
    queue: Option<String>,
    order_number: Option<String>,
    size_bytes: usize,
}

impl LetterRow {
    pub(super) fn of(letter: &DeadLetter) -> Self {
        let text = |value: Option<&str>| value.map(str::to_owned);
        Self {
            id: LetterName::of(letter).short().to_owned(),
            died_at: text(letter.died_at()),
            reason: text(letter.reason()),
            queue: text(letter.queue()),
            order_number: order_number(&letter.body),
            size_bytes: letter.body.len(),
        }
    }
}

/// The number of the order that a message is about, where it has one.
fn order_number(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct About {
        order_number: String,
    }
    let About { order_number } = serde_json::from_slice(body).ok()?;
    OrderNumber::parse(&order_number).ok().map(|number| number.to_string())
}

#[derive(Debug, Serialize)]
pub(super) struct List {
    queue: &'static str,
    /// How many there are in all.
    total: u32,
    dead_letters: Vec<LetterRow>,
}

impl List {
    pub(super) fn new(total: u32, dead_letters: Vec<LetterRow>) -> Self {
        Self { queue: DEAD_LETTER_QUEUE, total, dead_letters }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Whole {
    #[serde(flatten)]
    row: LetterRow,
    exchange: Option<String>,
    routing_key: Option<String>,
    redelivered: bool,
    properties: BTreeMap<&'static str, Option<Value>>,
    headers: BTreeMap<String, String>,
    body: Body,
}

/// A body, as far as it is shown.
#[derive(Debug, PartialEq, Serialize)]
#[serde(tag = "format", rename_all = "snake_case")]
enum Body {
    Json {
        content: Value,
    },
    Text {
        content: String,
        truncated: bool,
    },
    /// Anything else, two digits a byte.
    Hex {
        content: String,
        truncated: bool,
    },
}

impl Body {
    fn of(bytes: &[u8]) -> Self {
        let json = Some(bytes).filter(|bytes| bytes.len() <= MAX_JSON_BYTES);
        if let Some(Ok(content)) = json.map(serde_json::from_slice) {
            return Self::Json { content };
        }
        if let Ok(text) = std::str::from_utf8(bytes) {
            let end = text.floor_char_boundary(MAX_TEXT_BYTES);
            return Self::Text { content: text[..end].to_owned(), truncated: end < text.len() };
        }
        let end = bytes.len().min(MAX_HEX_BYTES);
        let content = bytes[..end].iter().map(|byte| format!("{byte:02x}")).collect();
        Self::Hex { content, truncated: end < bytes.len() }
    }
}

impl Whole {
    pub(super) fn of(letter: &DeadLetter) -> Self {
        let properties = &letter.properties;
        let text = |value: &Option<String>| value.clone().map(Value::from);
        let timestamp =
            properties.timestamp_s.and_then(|s| Timestamp::from_second(i64::try_from(s).ok()?).ok());
        let (exchange, routing_key) = letter.origin().unzip();
        Self {
            row: LetterRow::of(letter),
            exchange: exchange.map(str::to_owned),
            routing_key: routing_key.map(str::to_owned),
            redelivered: letter.redelivered,
            properties: BTreeMap::from([
                ("app_id", text(&properties.app_id)),
                ("content_type", text(&properties.content_type)),
                ("correlation_id", text(&properties.correlation_id)),
                ("message_id", text(&properties.message_id)),
                ("priority", properties.priority.map(Value::from)),
                ("timestamp", timestamp.map(|timestamp| timestamp.to_string().into())),
                ("traceparent", text(&properties.traceparent)),
                ("type", text(&properties.kind)),
            ]),
            headers: properties.headers.clone(),
            body: Body::of(&letter.body),
        }
    }
}

/// The answer of `requeue` and `discard`.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    queue: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    requeued: Option<Vec<Requeued>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    discarded: Option<Vec<Discarded>>,
    pub(super) failed: Vec<Failed>,
    /// How many are left of those that were there.
    remaining: u32,
}

#[derive(Debug, Serialize)]
struct Requeued {
    id: String,
    exchange: String,
    routing_key: String,
}

#[derive(Debug, Serialize)]
struct Discarded {
    id: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Failed {
    id: String,
    error: String,
}

impl Summary {
    /// Of `requeue`, with so many letters there and none done.
    pub(super) fn requeued(total: u32) -> Self {
        Self { requeued: Some(Vec::new()), discarded: None, ..Self::discarded(total) }
    }

    pub(super) fn discarded(total: u32) -> Self {
        Self {
            queue: DEAD_LETTER_QUEUE,
            requeued: None,
            discarded: Some(Vec::new()),
            failed: Vec::new(),
            remaining: total,
        }
    }

    pub(super) fn requeue(&mut self, id: String, letter: &DeadLetter) {
        let (exchange, routing_key) = letter.origin().unwrap_or_default();
        let (exchange, routing_key) = (exchange.to_owned(), routing_key.to_owned());
        self.requeued.get_or_insert_default().push(Requeued { id, exchange, routing_key });
        self.remaining = self.remaining.saturating_sub(1);
    }

    pub(super) fn discard(&mut self, id: String) {
        self.discarded.get_or_insert_default().push(Discarded { id });
        self.remaining = self.remaining.saturating_sub(1);
    }

    pub(super) fn fail(&mut self, id: String, error: &dyn std::error::Error) {
        self.failed.push(Failed { id, error: error.to_string() });
    }

    pub(super) fn succeeded(&self) -> usize {
        self.requeued.as_ref().map_or(0, Vec::len) + self.discarded.as_ref().map_or(0, Vec::len)
    }
}

pub(super) fn json(out: &mut impl Write, document: &impl Serialize) -> io::Result<()> {
    writeln!(out, "{}", pretty_json(document)?)
}

/// Control characters beyond those that JSON escapes itself can only stand in its strings.
fn pretty_json(document: &impl Serialize) -> io::Result<String> {
    let mut text = String::new();
    for c in serde_json::to_string_pretty(document)?.chars() {
        match c {
            '\n' => text.push(c),
            c if is_unsafe(c) => {
                let _ = write!(text, "\\u{:04x}", u32::from(c));
            }
            c => text.push(c),
        }
    }
    Ok(text)
}

/// Characters that may move a terminal's cursor, or make text read other than it is (bidirectional controls). All of them have
/// four hexadecimal digits.
fn is_unsafe(c: char) -> bool {
    clean_text::breaks_or_turns_line(c) || matches!(c, '\u{200e}' | '\u{200f}')
}

/// A foreign text on one line.
fn plain(text: &str) -> String {
    text.chars().map(|c| if is_unsafe(c) { c.escape_default().to_string() } else { c.to_string() }).collect()
}

fn or_dash(text: Option<&str>) -> String {
    text.map_or_else(|| "–".to_owned(), plain)
}

pub(super) fn list(out: &mut impl Write, list: &List) -> io::Result<()> {
    if list.dead_letters.is_empty() {
        return writeln!(out, "There are no dead letters.");
    }
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header(["id", "died at", "queue", "order", "bytes", "reason"]);
    for row in &list.dead_letters {
        table.add_row([
            row.id.clone(),
            or_dash(row.died_at.as_deref()),
            or_dash(row.queue.as_deref()),
            or_dash(row.order_number.as_deref()),
            row.size_bytes.to_string(),
            or_dash(row.reason.as_deref().map(shortened).as_deref()),
        ]);
    }
    if let Some(column) = table.column_mut(4) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    writeln!(out, "{table}")?;
    if list.dead_letters.len() < list.total as usize {
        writeln!(out, "The first {} of {}; --limit N shows more.", list.dead_letters.len(), list.total)?;
    }
    Ok(())
}

fn shortened(reason: &str) -> String {
    match reason.char_indices().nth(MAX_REASON_CHARS) {
        Some((end, _)) => format!("{}…", &reason[..end]),
        None => reason.to_owned(),
    }
}

pub(super) fn whole(out: &mut impl Write, letter: &Whole) -> io::Result<()> {
    let row = &letter.row;
    let size = format!("{} bytes", row.size_bytes);
    for (name, value) in [
        ("id", Some(row.id.as_str())),
        ("died at", row.died_at.as_deref()),
        ("reason", row.reason.as_deref()),
        ("queue", row.queue.as_deref()),
        ("exchange", letter.exchange.as_deref()),
        ("routing key", letter.routing_key.as_deref()),
        ("order", row.order_number.as_deref()),
        ("size", Some(size.as_str())),
        ("redelivered", Some(if letter.redelivered { "yes" } else { "no" })),
    ] {
        writeln!(out, "{:<13}{}", format!("{name}:"), or_dash(value))?;
    }
    writeln!(out, "properties:")?;
    for (name, value) in &letter.properties {
        if let Some(value) = value {
            let text = value.as_str().map_or_else(|| value.to_string(), plain);
            writeln!(out, "  {:<16}{text}", format!("{name}:"))?;
        }
    }
    writeln!(out, "headers:")?;
    for (name, value) in &letter.headers {
        writeln!(out, "  {}: {}", plain(name), plain(value))?;
    }
    body(out, &letter.body)
}

fn body(out: &mut impl Write, body: &Body) -> io::Result<()> {
    let more = |truncated: &bool| if *truncated { ", the beginning" } else { "" };
    match body {
        Body::Json { content } => writeln!(out, "body (JSON):\n{}", pretty_json(content)?),
        Body::Text { content, truncated } => {
            writeln!(out, "body (text{}):", more(truncated))?;
            content.lines().try_for_each(|line| writeln!(out, "{}", plain(line)))
        }
        Body::Hex { content, truncated } => {
            writeln!(out, "body (no text, hexadecimal{}):", more(truncated))?;
            let mut lines = content.as_bytes().chunks(2 * HEX_LINE_BYTES);
            lines.try_for_each(|line| writeln!(out, "{}", String::from_utf8_lossy(line)))
        }
    }
}

pub(super) fn summary(out: &mut impl Write, summary: &Summary) -> io::Result<()> {
    for Requeued { id, exchange, routing_key } in summary.requeued.iter().flatten() {
        let (exchange, routing_key) = (plain(exchange), plain(routing_key));
        writeln!(out, "{id}: published again to exchange '{exchange}' with routing key '{routing_key}'")?;
    }
    for Discarded { id } in summary.discarded.iter().flatten() {
        writeln!(out, "{id}: removed")?;
    }
    for Failed { id, error } in &summary.failed {
        writeln!(out, "{id}: stays: {}", plain(error))?;
    }
    writeln!(out, "Dead letters left: {}", summary.remaining)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_shown_as_what_it_is() {
        let content = serde_json::json!({"total": 24.98});
        assert_eq!(Body::of(br#"{"total": 24.98}"#), Body::Json { content });
        let content = "not JSON".to_owned();
        assert_eq!(Body::of(b"not JSON"), Body::Text { content, truncated: false });
        let content = "ff00".to_owned();
        assert_eq!(Body::of(b"\xff\x00"), Body::Hex { content, truncated: false });
        assert_eq!(Body::of(b""), Body::Text { content: String::new(), truncated: false });
    }

    #[test]
    fn a_large_body_is_shown_by_its_beginning() {
        let Body::Text { content, truncated: true } = Body::of("é".repeat(MAX_JSON_BYTES).as_bytes()) else {
            panic!("no text");
        };
        assert_eq!(content.len(), MAX_TEXT_BYTES);
        let Body::Hex { content, truncated: true } = Body::of(&[0xff; 100_000]) else { panic!("no bytes") };
        assert_eq!(content.len(), 2 * MAX_HEX_BYTES);
    }

    #[test]
    fn nothing_of_a_message_moves_the_cursor() {
        assert_eq!(plain("a\u{1b}[2J\u{9b}b\u{202e}\u{2028}c"), "a\\u{1b}[2J\\u{9b}b\\u{202e}\\u{2028}c");
        let text = pretty_json(&serde_json::json!(["\u{1b}\u{9b}\u{7f}\u{202e}é"])).unwrap();
        assert_eq!(text, "[\n  \"\\u001b\\u009b\\u007f\\u202eé\"\n]");
    }

    #[test]
    fn only_a_number_that_is_one_is_an_orders() {
        assert_eq!(order_number(br#"{"order_number": "ORD_20261122_001"}"#).unwrap(), "ORD_20261122_001");
        for body in [&b"{}"[..], b"", b"\xff", br#"{"order_number": "Ada Lovelace"}"#] {
            assert_eq!(order_number(body), None);
        }
    }
}
