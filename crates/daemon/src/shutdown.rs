//! The end of a process: a first signal asks it to finish what it does, a second one to hurry.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Tells everything in a process that it is to end. Clones belong together.
///
/// `stopping` means: take nothing new, finish what is going on. `hurry` means: give back what is going on. Whoever
/// waits for something waits for the token that concerns it as well.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    stopping: CancellationToken,
    hurry: CancellationToken,
}

impl Shutdown {
    /// A shutdown that only code triggers: no signal is listened for.
    pub fn new() -> Self {
        Self::default()
    }

    /// Listens for `SIGTERM` and `SIGINT`, from now on and for the rest of the process.
    ///
    /// # Errors
    /// The signals can't be listened for.
    pub fn listen() -> std::io::Result<Self> {
        let shutdown = Self::new();
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        tokio::spawn(shutdown.clone().follow(terminate, interrupt));
        Ok(shutdown)
    }

    /// Cancelled when the process is to finish what it does and take nothing new.
    pub fn stopping(&self) -> CancellationToken {
        self.stopping.clone()
    }

    /// Cancelled when it is to end at once and give back what it does. `stopping` is cancelled then, too.
    pub fn hurry(&self) -> CancellationToken {
        self.hurry.clone()
    }

    /// Whether the end has begun.
    pub fn is_stopping(&self) -> bool {
        self.stopping.is_cancelled()
    }

    /// One step towards the end, as a signal does it: the first call asks to stop, the next one to hurry.
    /// `reason` (`"SIGTERM"`) goes to the log.
    pub fn trigger(&self, reason: &str) {
        if self.hurry.is_cancelled() {
            return;
        }
        if self.stopping.is_cancelled() {
            tracing::warn!(action = "graceful_shutdown", details = reason, "asked again: stopping at once");
            self.hurry.cancel();
        } else {
            tracing::info!(
                action = "graceful_shutdown",
                details = reason,
                "stopping: finishing what is in progress"
            );
            self.stopping.cancel();
        }
    }

    async fn follow(self, mut terminate: Signal, mut interrupt: Signal) {
        while !self.hurry.is_cancelled() {
            let name = tokio::select! {
                Some(()) = terminate.recv() => "SIGTERM",
                Some(()) = interrupt.recv() => "SIGINT",
                else => return,
            };
            self.trigger(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use nix::sys::signal::{Signal, raise};

    use super::*;

    #[test]
    fn the_first_call_stops_and_the_second_hurries() {
        let shutdown = Shutdown::new();
        let (stopping, hurry) = (shutdown.stopping(), shutdown.hurry());
        assert!(!shutdown.is_stopping());
        shutdown.trigger("test");
        assert!(shutdown.is_stopping() && stopping.is_cancelled() && !hurry.is_cancelled());
        shutdown.trigger("test");
        assert!(hurry.is_cancelled());
        shutdown.trigger("test");
    }

    #[tokio::test]
    async fn signals_do_the_same() {
        let deadline = Duration::from_secs(10);
        let shutdown = Shutdown::listen().unwrap();
        raise(Signal::SIGTERM).unwrap();
        tokio::time::timeout(deadline, shutdown.stopping().cancelled()).await.unwrap();
        assert!(!shutdown.hurry().is_cancelled());
        raise(Signal::SIGINT).unwrap();
        tokio::time::timeout(deadline, shutdown.hurry().cancelled()).await.unwrap();
    }
}
