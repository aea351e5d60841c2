//! `outbox:` changes that are committed and not yet announced.

use std::time::Duration;

use settings::Reader;

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
            max_rows: reader.number("outbox.max_rows"),
            announce_again: reader.seconds("outbox.announce_again_seconds"),
            repeat_updates: reader.seconds("outbox.repeat_updates_seconds"),
        }
    }
}
