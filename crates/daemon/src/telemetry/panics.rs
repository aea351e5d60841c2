//! A panic is an `ERROR` line like any other, instead of loose text on standard error.

use std::panic::PanicHookInfo;
use std::time::{Duration, Instant};

use crate::ration::Ration;

/// Where a request can cause a panic, anybody can, again and again.
static SAID: Ration = Ration::new(100, Duration::from_secs(1));

/// What a panic said and where.
#[derive(Debug, thiserror::Error)]
#[error("panicked at {place}: {message}")]
struct Panic {
    message: String,
    place: String,
}

impl From<&PanicHookInfo<'_>> for Panic {
    fn from(info: &PanicHookInfo<'_>) -> Self {
        Self {
            message: info.payload_as_str().unwrap_or("(no message)").to_owned(),
            place: info.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string),
        }
    }
}

/// Logs panics from now on. What a panic ends is up to whoever catches it.
pub(super) fn log_them() {
    std::panic::set_hook(Box::new(|info| {
        let Some(count) = SAID.next(Instant::now()) else { return };
        let panic = Panic::from(info);
        tracing::error!(
            action = "panic",
            error = &panic as &(dyn std::error::Error + 'static),
            count,
            "a task panicked; this is a defect of the program"
        );
    }));
}
