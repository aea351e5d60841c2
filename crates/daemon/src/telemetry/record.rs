//! One event with everything that its line says, whatever the format.

use tracing::{Level, Metadata};

use super::failure;
use super::fields::{ErrorText, Fields, Value};

/// The clients of PostgreSQL and RabbitMQ. What befalls their connections is logged once, by `store` and `broker`; their
/// own words about it are for debugging.
const CLIENTS: [&str; 3] = ["amqprs", "deadpool", "tokio_postgres"];

/// Whether an event comes from one of `own`, which are names of crates.
pub(super) fn is_own(own: &[&str], metadata: &Metadata<'_>) -> bool {
    let name = metadata.target().split("::").next().unwrap_or_default();
    own.contains(&name)
}

pub(super) fn is_client(metadata: &Metadata<'_>) -> bool {
    CLIENTS.iter().any(|client| metadata.target().starts_with(client))
}

/// What is the same for every event of a process.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) service: &'static str,
    pub(super) hostname: String,
    /// The program's own crates; everything else is a library.
    pub(super) own_crates: &'static [&'static str],
    /// Stands in for the request id of what belongs to no request.
    pub(super) run_id: String,
    /// The worker that this process is, on every line it writes.
    pub(super) worker_name: Option<String>,
}

/// An event, its spans' fields among its own.
pub(super) struct Record<'a> {
    pub(super) process: &'a Process,
    pub(super) metadata: &'static Metadata<'static>,
    pub(super) fields: &'a Fields,
    /// How many lines before this one were lost.
    pub(super) dropped: u64,
}

impl<'a> Record<'a> {
    /// How severe it is here: nothing that a client of a server says is more than `DEBUG`.
    pub(super) fn severity(&self) -> Level {
        let level = *self.metadata.level();
        if is_client(self.metadata) { level.max(Level::DEBUG) } else { level }
    }

    /// `DEBUG`, `INFO`, `WARN` or `ERROR`.
    pub(super) fn level(&self) -> &'static str {
        match self.severity() {
            Level::ERROR => "ERROR",
            Level::WARN => "WARN",
            Level::INFO => "INFO",
            Level::DEBUG | Level::TRACE => "DEBUG",
        }
    }

    /// The role that speaks: several can share one process, each in a span that names its `service`.
    pub(super) fn service(&self) -> &'a str {
        self.fields.text("service").unwrap_or(self.process.service)
    }

    fn is_own(&self) -> bool {
        is_own(self.process.own_crates, self.metadata)
    }

    /// What happened. Libraries know no actions.
    pub(super) fn action(&self) -> &'a str {
        let other = if self.is_own() { "log" } else { "library_message" };
        self.fields.text("action").unwrap_or(other)
    }

    pub(super) fn message(&self) -> &'a str {
        self.fields.text("message").unwrap_or_else(|| self.action())
    }

    /// The request's id, else the process' own: it is never absent.
    pub(super) fn request_id(&self) -> &'a str {
        self.fields.text("request_id").unwrap_or(&self.process.run_id)
    }

    /// The error; an `ERROR` without one gets it from its message.
    pub(super) fn error(&self) -> Option<ErrorText<'a>> {
        let recorded = self.fields.iter().find_map(|(_, value)| match value {
            Value::Error(error) => Some(error),
            _ => None,
        });
        let from_message = || {
            let msg = self.message();
            (self.severity() == Level::ERROR).then_some(ErrorText { kind: "", msg, stack: msg })
        };
        recorded.or_else(from_message).map(|error| match error.kind {
            "" => ErrorText { kind: failure::UNNAMED, ..error },
            _ => error,
        })
    }

    /// All other fields. One that is named like a key which the line itself may have gets a `_` behind its name.
    pub(super) fn others(&self) -> impl Iterator<Item = (&'static str, Value<'a>)> {
        let worker =
            self.process.worker_name.as_deref().filter(|_| self.fields.text("worker_name").is_none());
        let worker = worker.map(|name| ("worker_name", Value::Text(name)));
        let dropped = (self.dropped > 0).then_some(("log_dropped", Value::Unsigned(self.dropped)));
        let library = (!self.is_own()).then_some(("target", Value::Text(self.metadata.target())));
        let given = self.fields.iter().filter_map(|(name, value)| match (name, value) {
            (_, Value::Error(_)) => None,
            ("action" | "message" | "request_id" | "service", Value::Text(_)) => None,
            _ => Some((beside_the_lines_own(name), value)),
        });
        dropped.into_iter().chain(library).chain(worker).chain(given)
    }
}

fn beside_the_lines_own(name: &'static str) -> &'static str {
    match name {
        "action" => "action_",
        "message" => "message_",
        "request_id" => "request_id_",
        "service" => "service_",
        "error" => "error_",
        "timestamp" => "timestamp_",
        "level" => "level_",
        "hostname" => "hostname_",
        "target" => "target_",
        "log_dropped" => "log_dropped_",
        other => other,
    }
}
