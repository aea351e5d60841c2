//! The one layer through which every event goes: which are logged, and how an event becomes a line.

use std::cell::RefCell;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use jiff::Timestamp;
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record as SpanRecord};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use super::fields::{Fields, MAX_LINE_VALUE_BYTES};
use super::journald::{self, Journal};
use super::record::{Process, Record};
use super::{LogLevel, json, pretty};

/// Our own code; everything else is a library.
const OWN_TARGET: &str = "restaurant_system";

/// A buffer that one huge event made larger than this is not kept.
const MAX_KEPT_BYTES: usize = 64 * 1024;

/// Where events go.
pub(super) enum Output<W> {
    /// JSON lines.
    Json(W),
    /// Lines for people, in colours or not.
    Pretty(W, bool),
    /// Fields of the journal.
    Journal(Arc<Journal>),
}

impl<W> Output<W> {
    fn max_value_bytes(&self) -> usize {
        match self {
            Self::Json(_) | Self::Pretty(..) => MAX_LINE_VALUE_BYTES,
            Self::Journal(_) => journald::MAX_VALUE_BYTES,
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

    /// Libraries are heard from `WARN` on; they may say more only when debugging.
    fn wants(&self, metadata: &Metadata<'_>) -> bool {
        let level = self.get();
        if metadata.target().starts_with(OWN_TARGET) {
            // Spans carry the request id for what is logged inside them, so they are always there.
            return metadata.is_span() || *metadata.level() <= level.filter();
        }
        let for_libraries = match level {
            LogLevel::Trace => LevelFilter::TRACE,
            LogLevel::Debug => LevelFilter::INFO,
            LogLevel::Info | LogLevel::Warn => LevelFilter::WARN,
            LogLevel::Error => LevelFilter::ERROR,
        };
        *metadata.level() <= for_libraries
    }
}

/// Renders events and writes each whole line with a single write.
pub(super) struct LogLayer<W> {
    pub(super) process: Process,
    pub(super) level: LevelHandle,
    pub(super) output: Output<W>,
}

#[derive(Default)]
struct Scratch {
    fields: Fields,
    line: Vec<u8>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

impl<W: for<'w> MakeWriter<'w>> LogLayer<W> {
    fn write<S>(&self, event: &Event<'_>, ctx: &Context<'_, S>, scratch: &mut Scratch)
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let Scratch { fields, line } = scratch;
        fields.begin(self.output.max_value_bytes());
        line.clear();
        event.record(fields);
        for span in ctx.event_scope(event).into_iter().flatten() {
            if let Some(outer) = span.extensions().get::<Fields>() {
                fields.add_outer(outer);
            }
        }
        let record =
            Record { process: &self.process, time: Timestamp::now(), metadata: event.metadata(), fields };
        // A log that nobody reads any more (a closed pipe) must not end the work.
        match &self.output {
            Output::Json(writer) => {
                json::write(&record, line);
                let _ = writer.make_writer().write_all(line);
            }
            Output::Pretty(writer, colour) => {
                pretty::write(&record, *colour, line);
                let _ = writer.make_writer().write_all(line);
            }
            Output::Journal(journal) => journal.send(&record),
        }
        if fields.capacity().max(line.capacity()) > MAX_KEPT_BYTES {
            *scratch = Scratch::default();
        }
    }
}

impl<S, W> Layer<S> for LogLayer<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'w> MakeWriter<'w> + 'static,
{
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.level.wants(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _ctx: Context<'_, S>) -> bool {
        self.level.wants(metadata)
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
        SCRATCH.with(|scratch| match scratch.try_borrow_mut() {
            Ok(mut scratch) => self.write(event, &ctx, &mut scratch),
            // A value that logs while it is being logged.
            Err(_) => self.write(event, &ctx, &mut Scratch::default()),
        });
    }
}
