//! One line when RabbitMQ goes away and one when it is back, however many attempts lie between.

use std::time::Instant;

use daemon::clock::whole_ms;

use super::error::BrokerError;

/// A new kind of failure within an outage (the server is back but refuses the password, say) is worth a line of its
/// own once it has stayed for so many attempts.
const PERSISTENT_ATTEMPTS: u32 = 4;

/// Writes the log of the connection.
#[derive(Debug)]
pub(super) struct OutageLog {
    ever_connected: bool,
    outage: Option<Outage>,
    started: Instant,
}

#[derive(Debug)]
struct Outage {
    since: Instant,
    reported: Vec<FailureKind>,
    last: FailureKind,
    repeated: u32,
}

/// What an operator would do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FailureKind {
    Away,
    Refused,
    Conflict,
}

impl FailureKind {
    fn of(error: &BrokerError) -> Self {
        match error {
            BrokerError::Unreachable { .. }
            | BrokerError::ConnectionLost { .. }
            | BrokerError::TimedOut { .. }
            | BrokerError::NotConnected
            | BrokerError::Blocked
            | BrokerError::Closed => Self::Away,
            BrokerError::LoginRefused { .. }
            | BrokerError::NotPermitted { .. }
            | BrokerError::Awaited { .. }
            | BrokerError::Unusable { .. } => Self::Refused,
            BrokerError::Conflict { .. }
            | BrokerError::InUse { .. }
            | BrokerError::NotFound { .. }
            | BrokerError::Refused { .. } => Self::Conflict,
        }
    }
}

impl OutageLog {
    pub(super) fn new() -> Self {
        Self { ever_connected: false, outage: None, started: Instant::now() }
    }

    /// A connection was lost, or an attempt to make one failed.
    pub(super) fn failed(&mut self, error: &BrokerError) {
        if self.is_worth_a_line(FailureKind::of(error)) {
            tracing::error!(
                action = "rabbitmq_connection_failed",
                error = error as &dyn std::error::Error,
                details = "rabbitmq",
                "RabbitMQ is away; it is being tried again until it is back"
            );
        }
    }

    /// A connection was made.
    pub(super) fn connected(&mut self, host: &str) {
        let outage = self.outage.take();
        if !self.ever_connected {
            self.ever_connected = true;
            let duration_ms = whole_ms(self.started.elapsed());
            tracing::info!(
                action = "rabbitmq_connected",
                duration_ms,
                address = host,
                details = host,
                "connected to RabbitMQ"
            );
        }
        if let Some(outage) = outage {
            let duration_ms = whole_ms(outage.since.elapsed());
            tracing::info!(
                action = "reconnected",
                duration_ms,
                address = host,
                details = "rabbitmq",
                "RabbitMQ is back, at {host}"
            );
        }
    }

    fn is_worth_a_line(&mut self, kind: FailureKind) -> bool {
        let Some(outage) = &mut self.outage else {
            self.outage =
                Some(Outage { since: Instant::now(), reported: vec![kind], last: kind, repeated: 1 });
            return true;
        };
        outage.repeated = if outage.last == kind { outage.repeated + 1 } else { 1 };
        outage.last = kind;
        let news = outage.repeated >= PERSISTENT_ATTEMPTS && !outage.reported.contains(&kind);
        if news {
            outage.reported.push(kind);
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_reported_once_however_many_attempts_fail() {
        let mut log = OutageLog::new();
        let lines = (0..100).filter(|_| log.is_worth_a_line(FailureKind::Away)).count();
        assert_eq!(lines, 1);
        log.connected("h:1");
        assert!(log.is_worth_a_line(FailureKind::Away));
    }

    #[test]
    fn another_kind_of_failure_is_reported_when_it_stays() {
        let mut log = OutageLog::new();
        assert!(log.is_worth_a_line(FailureKind::Away));
        assert!(!log.is_worth_a_line(FailureKind::Refused), "a server that is booting may refuse once");
        assert!(!log.is_worth_a_line(FailureKind::Away));
        let lines = (0..100).filter(|_| log.is_worth_a_line(FailureKind::Refused)).count();
        assert_eq!(lines, 1);
    }
}
