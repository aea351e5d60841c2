//! RabbitMQ takes no messages while its memory or disk alarm is on: one line when that begins and one when it ends.
//!
//! The client library does not announce that it understands RabbitMQ's word of it, so that the server says nothing: it is
//! found out by a message that is not confirmed on a connection that was let in (`publishing`, `publisher`).

use std::time::Instant;

use daemon::clock::whole_ms;
use tokio::sync::watch;

/// Whether the alarm is on, as far as it is known.
#[derive(Debug)]
pub(super) struct Alarm {
    since: watch::Sender<Option<Instant>>,
    /// What becomes of the program's work while it is on.
    effect: &'static str,
}

impl Alarm {
    pub(super) fn new(effect: &'static str) -> Self {
        Self { since: watch::Sender::new(None), effect }
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Option<Instant>> {
        self.since.subscribe()
    }

    pub(super) fn is_on(&self) -> bool {
        self.since.borrow().is_some()
    }

    /// The server has taken nothing since then.
    pub(super) fn is_on_since(&self, since: Instant) {
        if self.since.send_replace(Some(since)).is_none() {
            tracing::warn!(
                action = "rabbitmq_blocked",
                details = "`rabbitmq-diagnostics alarms` says which",
                "RabbitMQ takes no messages: its memory or disk alarm is on; {}",
                self.effect
            );
        }
    }

    /// The server takes messages.
    pub(super) fn is_over(&self) {
        if let Some(since) = self.since.send_replace(None) {
            let duration_ms = whole_ms(since.elapsed());
            tracing::info!(action = "rabbitmq_unblocked", duration_ms, "RabbitMQ takes messages again");
        }
    }
}
