//! The one layer through which every event goes: which are logged, and how an event becomes a line.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use jiff::Timestamp;
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record as SpanRecord};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use super::fields::{Fields, MAX_LINE_VALUE_BYTES};
use super::journald::Entry;
use super::record::{self, Process, Record};
use super::{LogLevel, journald, json, pretty};
use crate::outlet::Outlet;

/// A buffer that one huge event made larger than this is not kept.
const MAX_KEPT_BYTES: usize = 64 * 1024;

/// What most lines have room in.
const USUAL_LINE_BYTES: usize = 512;

/// How events are written as lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// JSON.
    Json,
    /// For people, in colours or not.
    Pretty { colour: bool },
}

/// Where events go.
#[derive(Debug, Clone)]
pub(super) enum Output {
    /// Lines, which the thread that logs puts into words.
    Lines(Form, Arc<Outlet>),
    /// Entries of the journal, which the thread that sends puts into words.
    Journal(Arc<Outlet<Entry>>),
}

impl Output {
    fn max_value_bytes(&self) -> usize {
        match self {
            Self::Lines(..) => MAX_LINE_VALUE_BYTES,
            Self::Journal(_) => journald::MAX_VALUE_BYTES,
        }
    }

    fn log(&self, process: &Process, metadata: &'static Metadata<'static>, fields: &Fields) {
        match self {
            Self::Lines(form, outlet) => {
                let dropped = outlet.take_dropped();
                let record = Record { process, metadata, fields, dropped };
                let mut line = Vec::with_capacity(USUAL_LINE_BYTES);
                match form {
                    Form::Json => json::write(&record, Timestamp::now(), &mut line),
                    Form::Pretty { colour } => pretty::write(&record, Timestamp::now(), *colour, &mut line),
                }
                outlet.offer(line, dropped);
            }
            Self::Journal(outlet) => {
                let dropped = outlet.take_dropped();
                outlet.offer(Entry { metadata, fields: fields.clone(), dropped }, dropped);
            }
        }
    }

    /// Waits for what is still to be written, as [`Outlet::flush`] does.
    pub(super) fn flush(&self) {
        match self {
            Self::Lines(_, outlet) => outlet.flush(),
            Self::Journal(outlet) => outlet.flush(),
        }
    }
}

/// The level from which on events are logged; can be changed while the process runs.
#[derive(Debug, Clone)]
pub struct LevelHandle(Arc<AtomicU8>);

impl LevelHandle {
    pub(super) fn new(level: LogLevel) -> Self {
        Self(Arc::new(AtomicU8::new(level as u8)))
    }

    /// Logs from `level` on, at once.
    pub fn set(&self, level: LogLevel) {
        self.0.store(level as u8, Ordering::Relaxed);
        // What each place in the code remembers about being wanted is out of date now.
        tracing::callsite::rebuild_interest_cache();
    }

    /// The level in force.
    pub fn get(&self) -> LogLevel {
        LogLevel::from_number(self.0.load(Ordering::Relaxed))
    }

    /// Libraries are heard from `WARN` on; they may say more only when debugging, and the clients of the servers say
    /// nothing before.
    fn wants(&self, own_crates: &[&str], metadata: &Metadata<'_>) -> bool {
        let level = self.get();
        if record::is_own(own_crates, metadata) {
            // Spans carry the request id for what is logged inside them, so they are always there.
            return metadata.is_span() || *metadata.level() <= level.filter();
        }
        let for_libraries = match level {
            LogLevel::Trace => LevelFilter::TRACE,
            LogLevel::Debug => LevelFilter::INFO,
            _ if record::is_client(metadata) => LevelFilter::OFF,
            LogLevel::Info | LogLevel::Warn => LevelFilter::WARN,
            LogLevel::Error => LevelFilter::ERROR,
        };
        *metadata.level() <= for_libraries
    }
}

/// Gives each event as a whole to the thread that writes.
pub(super) struct LogLayer {
    pub(super) process: Arc<Process>,
    pub(super) level: LevelHandle,
    pub(super) output: Output,
}

thread_local! {
    static FIELDS: RefCell<Fields> = RefCell::default();
}

impl LogLayer {
    fn write<S>(&self, event: &Event<'_>, ctx: &Context<'_, S>, fields: &mut Fields)
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        fields.begin(self.output.max_value_bytes());
        event.record(fields);
        for span in ctx.event_scope(event).into_iter().flatten() {
            if let Some(outer) = span.extensions().get::<Fields>() {
                fields.add_outer(outer);
            }
        }
        self.output.log(&self.process, event.metadata(), fields);
        if fields.capacity() > MAX_KEPT_BYTES {
            *fields = Fields::default();
        }
    }
}

impl<S> Layer<S> for LogLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.level.wants(self.process.own_crates, metadata) {
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _ctx: Context<'_, S>) -> bool {
        self.level.wants(self.process.own_crates, metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        // Not below INFO, the level of the spans.
        Some(self.level.get().filter().max(LevelFilter::INFO))
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, ctx: Context<'_, S>) {
        if let Some(span) = ctx.span(id) {
            let mut fields = Fields::default();
            fields.begin(self.output.max_value_bytes());
            attributes.record(&mut fields);
            span.extensions_mut().replace(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &SpanRecord<'_>, ctx: Context<'_, S>) {
        if let Some(span) = ctx.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, ctx: Context<'_, S>) {
        FIELDS.with(|fields| match fields.try_borrow_mut() {
            Ok(mut fields) => self.write(event, &ctx, &mut fields),
            // A value that logs while it is being logged.
            Err(_) => self.write(event, &ctx, &mut Fields::default()),
        });
    }
}
