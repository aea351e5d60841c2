//! The log: every event as one JSON object a line, as one line for people, or as fields of the journal.
//!
//! An event goes through `layer`, which gathers its fields and those of the spans around it (`fields`) into a
//! `record`, which says what every line has; `json`, `pretty` and `journald` only differ in how they write it down. The
//! thread of an [`Outlet`] brings it out, so that a log that nobody reads stops nobody. To the journal it goes through
//! `tracing-journald`.
//!
//! ```text
//! tracing::info!(action = "order_received", order_number = %number, "took an order");
//! tracing::error!(action = "db_connection_failed", error = &error as &dyn std::error::Error, "no database");
//! ```

mod failure;
mod fields;
mod journald;
mod json;
mod layer;
mod panics;
mod pretty;
mod record;
#[cfg(test)]
mod tests;

use std::io::{self, IsTerminal};
use std::sync::Arc;

use clap::ValueEnum;
use tracing::Span;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Registry;
use tracing_subscriber::layer::SubscriberExt;
use uuid::Uuid;

use journald::Journal;
use layer::{Form, LogLayer, Output};
use record::Process;

use super::outlet::Outlet;

pub use layer::LevelHandle;

/// How events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum LogFormat {
    /// Journal under systemd, pretty at a terminal, else JSON.
    #[default]
    Auto,
    /// One JSON object a line on standard output.
    Json,
    /// Fields of the systemd journal.
    Journald,
    /// Lines for people on standard output.
    Pretty,
}

/// The level from which on events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, ValueEnum)]
#[repr(u8)]
pub enum LogLevel {
    /// Failures that somebody has to look at.
    Error,
    /// And what is unusual.
    Warn,
    /// And what happens.
    #[default]
    Info,
    /// And how it happens.
    Debug,
    /// And everything that libraries have to say.
    Trace,
}

impl LogLevel {
    fn from_number(number: u8) -> Self {
        let all = [Self::Error, Self::Warn, Self::Info, Self::Debug];
        all.into_iter().find(|level| *level as u8 == number).unwrap_or(Self::Trace)
    }

    fn filter(self) -> LevelFilter {
        match self {
            Self::Error => LevelFilter::ERROR,
            Self::Warn => LevelFilter::WARN,
            Self::Info => LevelFilter::INFO,
            Self::Debug => LevelFilter::DEBUG,
            Self::Trace => LevelFilter::TRACE,
        }
    }
}

/// What [`init`] has to know.
#[derive(Debug, Clone)]
pub struct TelemetryOptions {
    /// The program's own crates, as Rust names them. What others have to say is marked with where it comes from.
    pub own_crates: &'static [&'static str],
    /// The role, as every line names it: `order-service`. A span's field `service` names another within it.
    pub service: &'static str,
    /// How events are written.
    pub format: LogFormat,
    /// From which level on.
    pub level: LogLevel,
    /// The worker that this process is, on every line it writes.
    pub worker_name: Option<String>,
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// [`init`] was called before in this process.
    #[error("the log of this process is set up already")]
    AlreadySet(#[from] tracing::subscriber::SetGlobalDefaultError),
    /// The thread that writes it cannot be started.
    #[error("the log cannot be written: {0}; see the limits of this process (ulimit -n, ulimit -u)")]
    NoThread(#[from] io::Error),
}

/// Keep this until the end of the process: when it goes, what is still to be written is waited for, for 2 s at most.
#[derive(Debug)]
#[must_use = "the last events may be lost without it"]
pub struct TelemetryGuard {
    level: LevelHandle,
    output: Output,
}

impl TelemetryGuard {
    /// Changes the level of the running process.
    pub fn level(&self) -> LevelHandle {
        self.level.clone()
    }

    /// Standard output for the role's own lines, never mixed up with those of the log: where that goes there as well, one
    /// thread writes both.
    ///
    /// # Errors
    /// The process is at a limit of the system.
    pub fn stdout(&self) -> io::Result<Arc<Outlet>> {
        match &self.output {
            Output::Lines(_, outlet) => Ok(Arc::clone(outlet)),
            Output::Journal(_) => Outlet::to_stdout().map(Arc::new),
        }
    }
}

impl Drop for TelemetryGuard {
    fn drop(&mut self) {
        self.output.flush();
    }
}

/// Sets up the log of this process, panics included. Asked for the journal where there is none, it writes JSON lines.
///
/// # Errors
/// There is one already.
pub fn init(options: TelemetryOptions) -> Result<TelemetryGuard, TelemetryError> {
    let level = LevelHandle::new(options.level);
    let process = Arc::new(Process {
        own_crates: options.own_crates,
        service: options.service,
        hostname: gethostname::gethostname().to_string_lossy().into_owned(),
        run_id: Uuid::new_v4().to_string(),
        worker_name: options.worker_name,
    });
    let (output, unreachable) = output(options.format, &process)?;
    let layer = LogLayer { process, level: level.clone(), output: output.clone() };
    tracing::subscriber::set_global_default(Registry::default().with(layer))?;
    panics::log_them();
    if let Some(error) = unreachable {
        tracing::warn!(
            action = "journal_unreachable",
            error = &error as &dyn std::error::Error,
            "the journal can't be reached; logging JSON lines instead"
        );
    }
    Ok(TelemetryGuard { level, output })
}

/// How and where a format is written, and why the journal can't be it where it was meant.
fn output(format: LogFormat, process: &Arc<Process>) -> io::Result<(Output, Option<io::Error>)> {
    let is_terminal = io::stdout().is_terminal();
    let journal_stream = || std::env::var("JOURNAL_STREAM").ok();
    let lines = |form| Outlet::to_stdout().map(|stdout| Output::Lines(form, Arc::new(stdout)));
    let journal = || match Journal::connect(Arc::clone(process)) {
        Ok(journal) => Ok((Output::Journal(Arc::new(Outlet::start("journal", journal)?)), None)),
        Err(error) => Ok((lines(Form::Json)?, Some(error))),
    };
    let form = match format {
        LogFormat::Journald => return journal(),
        LogFormat::Auto if journald::is_connected(journal_stream().as_deref()) => return journal(),
        LogFormat::Auto if !is_terminal => Form::Json,
        LogFormat::Json => Form::Json,
        LogFormat::Auto | LogFormat::Pretty => {
            let is_plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
            Form::Pretty { colour: is_terminal && !is_plain }
        }
    };
    Ok((lines(form)?, None))
}

/// The span of one request: its id is on every line logged within. `order_number` and `worker_name` can be recorded
/// on it once they are known.
pub fn request_span(request_id: &str) -> Span {
    tracing::info_span!(
        "request",
        request_id,
        order_number = tracing::field::Empty,
        worker_name = tracing::field::Empty
    )
}

/// [`request_span`] for the work on one order. Without a request id the lines carry the process's own.
pub fn order_span(request_id: &str, order_number: &str) -> Span {
    if request_id.is_empty() {
        return tracing::info_span!("order", order_number);
    }
    tracing::info_span!("order", request_id, order_number)
}
