//! The fields of an event or a span, gathered without an allocation per field.

use std::error::Error;
use std::fmt::{self, Write};
use std::ops::Range;

use tracing::field::{Field, Visit};

use super::failure;

/// No value is longer than this in a line; the rest is cut off.
pub(super) const MAX_LINE_VALUE_BYTES: usize = 16 * 1024;

/// A value; texts are ranges of the buffer's text.
#[derive(Debug, Clone)]
enum Stored {
    Text(Range<usize>),
    Signed(i64),
    Unsigned(u64),
    Float(f64),
    Bool(bool),
    Error { kind: Range<usize>, msg: Range<usize>, stack: Range<usize> },
}

/// A value as the formats see it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value<'a> {
    Text(&'a str),
    Signed(i64),
    Unsigned(u64),
    Float(f64),
    Bool(bool),
    Error(ErrorText<'a>),
}

impl Value<'_> {
    /// As `tracing` has it, where it is one value.
    pub(super) fn as_tracing(&self) -> Option<&dyn tracing::Value> {
        match self {
            Self::Text(text) => Some(text),
            Self::Signed(number) => Some(number),
            Self::Unsigned(number) => Some(number),
            Self::Float(number) => Some(number),
            Self::Bool(truth) => Some(truth),
            Self::Error(_) => None,
        }
    }
}

/// An error in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ErrorText<'a> {
    pub(super) kind: &'a str,
    pub(super) msg: &'a str,
    pub(super) stack: &'a str,
}

/// Fields in the order in which they were recorded, no name twice.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields {
    text: String,
    fields: Vec<(&'static str, Stored)>,
    max_value_bytes: usize,
}

impl Fields {
    /// Begins anew, with values of at most so many bytes: the rest of a longer one is cut off.
    pub(super) fn begin(&mut self, max_value_bytes: usize) {
        self.text.clear();
        self.fields.clear();
        self.max_value_bytes = max_value_bytes;
    }

    /// Bytes that are allocated for it, as good as all of them.
    pub(super) fn capacity(&self) -> usize {
        self.text.capacity() + self.fields.capacity() * size_of::<(&str, Stored)>()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static str, Value<'_>)> {
        self.fields.iter().map(|(name, stored)| (*name, self.value(stored)))
    }

    /// The text of this field, where it is one.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(other, _)| *other == name).and_then(|(_, stored)| match stored {
            Stored::Text(range) => Some(&self.text[range.clone()]),
            _ => None,
        })
    }

    /// Adds the fields of an enclosing span; what is there already is nearer and stays.
    pub(super) fn add_outer(&mut self, outer: &Self) {
        for (name, stored) in &outer.fields {
            if self.fields.iter().any(|(known, _)| known == name) {
                continue;
            }
            let mut copy = |range: &Range<usize>| {
                let start = self.text.len();
                self.text.push_str(&outer.text[range.clone()]);
                start..self.text.len()
            };
            let stored = match stored {
                Stored::Text(range) => Stored::Text(copy(range)),
                Stored::Error { kind, msg, stack } => {
                    Stored::Error { kind: copy(kind), msg: copy(msg), stack: copy(stack) }
                }
                number => number.clone(),
            };
            self.fields.push((name, stored));
        }
    }

    fn value(&self, stored: &Stored) -> Value<'_> {
        let text = |range: &Range<usize>| &self.text[range.clone()];
        match stored {
            Stored::Text(range) => Value::Text(text(range)),
            Stored::Signed(number) => Value::Signed(*number),
            Stored::Unsigned(number) => Value::Unsigned(*number),
            Stored::Float(number) => Value::Float(*number),
            Stored::Bool(truth) => Value::Bool(*truth),
            Stored::Error { kind, msg, stack } => {
                Value::Error(ErrorText { kind: text(kind), msg: text(msg), stack: text(stack) })
            }
        }
    }

    fn set(&mut self, field: &Field, stored: Stored) {
        let name = field.name();
        let name = name.strip_prefix("r#").unwrap_or(name);
        match self.fields.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = stored,
            None => self.fields.push((name, stored)),
        }
    }

    /// Appends what `write` writes, up to the limit.
    fn write(&mut self, write: impl FnOnce(&mut Limited<'_>) -> fmt::Result) -> Range<usize> {
        let start = self.text.len();
        // Fails only to stop the writing at the limit, or where a value's own Display fails: what came so far stays.
        let _ = write(&mut Limited { text: &mut self.text, left: self.max_value_bytes });
        start..self.text.len()
    }

    fn set_text(&mut self, field: &Field, write: impl FnOnce(&mut Limited<'_>) -> fmt::Result) {
        let range = self.write(write);
        let stored = if field.name() == "error" {
            // An error that was recorded as a text: that is all there is to know about it.
            Stored::Error { kind: 0..0, msg: range.clone(), stack: range }
        } else {
            Stored::Text(range)
        };
        self.set(field, stored);
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set_text(field, |text| write!(text, "{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set_text(field, |text| text.write_str(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, Stored::Signed(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, Stored::Unsigned(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field, Stored::Float(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, Stored::Bool(value));
    }

    fn record_error(&mut self, field: &Field, error: &(dyn Error + 'static)) {
        if field.name() != "error" {
            return self.set_text(field, |text| failure::write_message(error, text));
        }
        let kind = self.write(|text| failure::write_kind(error, text));
        let msg = self.write(|text| failure::write_message(error, text));
        let stack = self.write(|text| failure::write_stack(error, text));
        self.set(field, Stored::Error { kind, msg, stack });
    }
}

/// Appends to a text until so many bytes are used up.
struct Limited<'a> {
    text: &'a mut String,
    left: usize,
}

impl Write for Limited<'_> {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        if more.len() <= self.left {
            self.left -= more.len();
            self.text.push_str(more);
            return Ok(());
        }
        self.text.push_str(&more[..more.floor_char_boundary(self.left)]);
        self.text.push('…');
        self.left = 0;
        Err(fmt::Error)
    }
}
