//! The kitchen's workers.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// A worker that was not seen for this many of its own heartbeat intervals is offline: it is shown so, and what it
/// was cooking is taken over.
pub const OFFLINE_AFTER_INTERVALS: u32 = 2;

/// The name of a worker: 1 to 64 characters, none of them a control of characters, lines or direction or hidden, no blank
/// at either end. It becomes part of an AMQP name (at most 255 bytes).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct WorkerName(String);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a worker name has 1 to 64 characters, no control character, none that breaks or turns a line or is invisible, and no blank at its ends"
)]
pub struct InvalidWorkerName;

const MAX_NAME_CHARS: usize = 64;
/// With the prefix of the queue that holds the name, 255 bytes at most.
const MAX_NAME_BYTES: usize = 200;

impl WorkerName {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for WorkerName {
    type Err = InvalidWorkerName;

    fn from_str(text: &str) -> Result<Self, InvalidWorkerName> {
        if is_name(text) { Ok(Self(text.to_owned())) } else { Err(InvalidWorkerName) }
    }
}

/// Whether a text can be the name of a worker, or of somebody else who works here.
pub(super) fn is_name(text: &str) -> bool {
    let fits = (1..=MAX_NAME_CHARS).contains(&text.chars().count()) && text.len() <= MAX_NAME_BYTES;
    fits && text.trim() == text && clean_text::is_clean_line(text)
}

impl fmt::Display for WorkerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The state of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkerState {
    Online,
    Processing,
    /// Stopped, or not seen for [`OFFLINE_AFTER_INTERVALS`] heartbeat intervals.
    Offline,
}

impl WorkerState {
    pub const ALL: [Self; 3] = [Self::Online, Self::Processing, Self::Offline];

    /// The name on the wire and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Processing => "processing",
            Self::Offline => "offline",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        for name in ["chef_anna", "chef mario", "Küchenchef-2", "a"] {
            assert!(name.parse::<WorkerName>().is_ok(), "{name}");
        }
        for name in [
            "",
            " ",
            " chef",
            "chef\n",
            &"x".repeat(65),
            "a\0b",
            "chef\u{2028}2",
            "\u{202e}fehc",
            "chef\u{200b}",
            "che\u{200d}",
        ] {
            assert!(name.parse::<WorkerName>().is_err(), "{name:?}");
        }
    }
}
