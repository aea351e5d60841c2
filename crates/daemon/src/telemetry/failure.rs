//! An error in words: its type, its message and the chain of its causes.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::error::Error;
use std::fmt::{self, Write};

/// What an error is called whose type does not tell its name.
pub(super) const UNNAMED: &str = "Error";

/// More causes than any chain has; ends one that bites its own tail.
const MAX_CAUSES: usize = 16;

/// The name of the error's type or variant, as its `Debug` output begins: `Unavailable` of `Unavailable(Timeout)`.
/// One of the operating system goes by what it means: `io::ConnectionRefused`.
pub(super) fn write_kind(error: &(dyn Error + 'static), text: &mut impl Write) -> fmt::Result {
    if let Some(error) = error.downcast_ref::<std::io::Error>() {
        return write!(text, "io::{:?}", error.kind());
    }
    let mut name = Name::default();
    // The writer ends the formatting after the first word, so that nothing else of the error is looked at.
    let _ = write!(name, "{error:?}");
    text.write_str(if name.is_type() { &name.word } else { UNNAMED })
}

/// The error's own message.
pub(super) fn write_message(error: &dyn Error, text: &mut impl Write) -> fmt::Result {
    let message = error.to_string();
    text.write_str(without_row_data(&message))
}

/// The message, one line for each cause, and a backtrace of the place that logs it where `RUST_BACKTRACE` asks for
/// one.
pub(super) fn write_stack(error: &(dyn Error + 'static), text: &mut impl Write) -> fmt::Result {
    write_message(error, text)?;
    let mut next = error.source();
    for _ in 0..MAX_CAUSES {
        let Some(cause) = next else { break };
        text.write_str("\ncaused by: ")?;
        write_message(cause, text)?;
        next = cause.source();
    }
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        write!(text, "\nlogged at:\n{backtrace}")?;
    }
    Ok(())
}

/// PostgreSQL appends the row that it refused, which may hold names and addresses of people: that is never logged.
fn without_row_data(message: &str) -> &str {
    message.split_once("\nDETAIL: ").map_or(message, |(before, _)| before)
}

/// Takes the first word of what is written and refuses the rest.
#[derive(Default)]
struct Name {
    word: String,
    /// What followed the word, if anything.
    end: Option<char>,
}

impl Name {
    /// Whether the word looks like a type's name in derived `Debug` output, not like the beginning of a sentence.
    fn is_type(&self) -> bool {
        self.word.starts_with(|c: char| c.is_ascii_uppercase()) && matches!(self.end, None | Some('(' | '{'))
    }
}

impl Write for Name {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        for c in more.chars() {
            match c {
                // `Name { field: … }`
                ' ' if self.end.is_none() => self.end = Some(' '),
                '{' if self.end == Some(' ') => self.end = Some('{'),
                c if self.end.is_none()
                    && (c.is_ascii_alphanumeric() || c == '_')
                    && self.word.len() < 64 =>
                {
                    self.word.push(c);
                    continue;
                }
                c if self.end.is_none() => self.end = Some(c),
                _ => {}
            }
            if self.end != Some(' ') || c != ' ' {
                return Err(fmt::Error);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Outer {
        #[error("the order could not be stored")]
        Store(#[source] Inner),
        #[error("timed out after {ms} ms")]
        Timeout { ms: u32 },
        #[error("closed")]
        Closed,
    }

    #[derive(Debug, thiserror::Error)]
    #[error("row refused\nDETAIL: Failing row contains (Ada Lovelace)")]
    struct Inner;

    fn kind(error: &(dyn Error + 'static)) -> String {
        let mut text = String::new();
        write_kind(error, &mut text).unwrap();
        text
    }

    #[test]
    fn the_kind_is_the_variants_name() {
        assert_eq!(kind(&Outer::Store(Inner)), "Store");
        assert_eq!(kind(&Outer::Timeout { ms: 3 }), "Timeout");
        assert_eq!(kind(&Outer::Closed), "Closed");
        assert_eq!(kind(&std::io::Error::from(std::io::ErrorKind::NotFound)), "io::NotFound");
        let text: Box<dyn Error> = "Password wrong".into();
        assert_eq!(kind(&*text), "Error");
        assert_eq!(kind(anyhow::anyhow!("Broken pipe somewhere").as_ref()), "Error");
    }

    #[test]
    fn the_stack_has_every_cause_and_no_rows_of_the_database() {
        let mut text = String::new();
        write_stack(&Outer::Store(Inner), &mut text).unwrap();
        let text = text.split("\nlogged at:").next().unwrap();
        assert_eq!(text, "the order could not be stored\ncaused by: row refused");
    }
}
