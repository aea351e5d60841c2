//! `outbox:` changes that are committed and not yet announced.

use std::time::Duration;

use super::keys::Key;
use super::reader::Reader;

pub(super) const KEYS: &[Key] = &[
    Key::single("outbox.max_rows"),
    Key::single("outbox.announce_again_seconds"),
    Key::single("outbox.repeat_updates_seconds"),
];

/// The outbox and what is announced again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutboxConfig {
    /// While so many announcements wait, because RabbitMQ is away for long, no order is taken.
    pub max_rows: u32,
    /// An order that waits so long is announced again; then after twice that time, and so on.
    pub announce_again: Duration,
    /// A broker that lost its disk is told the changes of this time again.
    pub repeat_updates: Duration,
}

impl OutboxConfig {
    pub(super) fn read(reader: &mut Reader) -> Self {
        Self {
            max_rows: reader.number("outbox.max_rows", 1..=u32::MAX).unwrap_or(1_000_000),
            announce_again: reader
                .seconds("outbox.announce_again_seconds", 0.1)
                .unwrap_or(Duration::from_secs(300)),
            repeat_updates: reader
                .seconds("outbox.repeat_updates_seconds", 0.0)
                .unwrap_or(Duration::from_secs(3600)),
        }
    }
}
