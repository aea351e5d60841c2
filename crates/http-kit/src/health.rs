//! Whether the process lives, and whether it can do its job.

use std::{collections::BTreeMap, fmt, sync::Arc};

use jiff::Timestamp;
use poem_openapi::{ApiResponse, Enum, Object};
use serde::Serialize;

use super::{problem::Problem, reply::JsonReply};

/// What `/healthz` says.
#[derive(Debug, Serialize, Object)]
pub struct Health {
    /// Always `ok`: a process that is not does not answer.
    pub status: String,
}

/// Whether the service can do its job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Enum)]
#[serde(rename_all = "lowercase")]
#[oai(rename_all = "lowercase")]
pub enum ReadyState {
    /// It can.
    Ready,
    /// It cannot right now.
    Unavailable,
}

/// Whether a server can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Enum)]
#[serde(rename_all = "lowercase")]
#[oai(rename_all = "lowercase")]
pub enum CheckState {
    /// It can.
    Up,
    /// It can, but it takes nothing at the moment: its memory or disk alarm is on.
    Blocked,
    /// It cannot.
    Down,
}

/// The state of one server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Object)]
pub struct Check {
    /// Whether the server can be reached.
    pub status: CheckState,
    /// Since when it is so, RFC 3339 in UTC.
    pub since: String,
    /// What an operator should change at the server, where there is something.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[oai(skip_serializing_if_is_none)]
    pub warnings: Option<Vec<String>>,
}

/// What `/readyz` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Object)]
pub struct ReadinessReport {
    /// Whether the service can do its job.
    pub status: ReadyState,
    /// The state of each server that it works with, by the server's name.
    pub checks: BTreeMap<String, Check>,
}

impl ReadinessReport {
    /// Nothing checked yet: ready.
    pub fn new() -> Self {
        Self { status: ReadyState::Ready, checks: BTreeMap::new() }
    }

    /// A server without which the service cannot do its job.
    #[must_use]
    pub fn required(mut self, name: &str, up: bool, since: Timestamp) -> Self {
        if !up {
            self.status = ReadyState::Unavailable;
        }
        self.optional(name, up, since)
    }

    /// A server without which the service can do its job, if not all of it.
    #[must_use]
    pub fn optional(self, name: &str, up: bool, since: Timestamp) -> Self {
        self.with(name, if up { CheckState::Up } else { CheckState::Down }, since)
    }

    /// A server without which the service can do its job, and which takes nothing at the moment.
    #[must_use]
    pub fn blocked(self, name: &str, since: Timestamp) -> Self {
        self.with(name, CheckState::Blocked, since)
    }

    /// What should be changed at a server that is in the report.
    #[must_use]
    pub fn warnings(mut self, name: &str, warnings: &[&str]) -> Self {
        if let Some(check) = self.checks.get_mut(name).filter(|_| !warnings.is_empty()) {
            check.warnings = Some(warnings.iter().map(|&warning| warning.to_owned()).collect());
        }
        self
    }

    fn with(mut self, name: &str, status: CheckState, since: Timestamp) -> Self {
        self.checks.insert(name.to_owned(), Check { status, since: format!("{since:.3}"), warnings: None });
        self
    }
}

impl Default for ReadinessReport {
    fn default() -> Self {
        Self::new()
    }
}

/// Where the report comes from: the service looks at what it knows of its servers. Called for every `/readyz`, so it
/// asks nobody.
#[derive(Clone)]
pub struct Readiness(Arc<dyn Fn() -> ReadinessReport + Send + Sync>);

impl Readiness {
    /// A source of reports.
    pub fn new(report: impl Fn() -> ReadinessReport + Send + Sync + 'static) -> Self {
        Self(Arc::new(report))
    }

    /// The state of things now.
    pub fn report(&self) -> ReadinessReport {
        (self.0)()
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Readiness")
    }
}

/// The answer of `/readyz`.
#[derive(ApiResponse)]
pub enum ReadyReply {
    /// The service can do its job.
    #[oai(status = 200)]
    Ready(JsonReply<ReadinessReport>),
    /// It cannot, because a server that it needs is away.
    #[oai(status = 503)]
    Unavailable(JsonReply<ReadinessReport>),
}

impl ReadyReply {
    /// The reply for a report.
    ///
    /// # Errors
    /// None in practice, see [`JsonReply::new`].
    pub fn new(report: &ReadinessReport) -> Result<Self, Problem> {
        let reply = JsonReply::new(report)?;
        Ok(match report.status {
            ReadyState::Ready => Self::Ready(reply),
            ReadyState::Unavailable => Self::Unavailable(reply),
        })
    }
}
