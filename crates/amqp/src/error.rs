//! What can go wrong with RabbitMQ, in words that say what to do.

use std::time::Duration;

use super::advice::Advice;

/// A failure of the broker, of the connection to it, or of a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BrokerError {
    /// No connection could be made to this host.
    #[error(
        "cannot reach RabbitMQ at {host}: {reason}; check rabbitmq.host and rabbitmq.port, and that it runs"
    )]
    Unreachable {
        /// `host:port`.
        host: String,
        /// What the system said.
        reason: String,
    },
    /// The server answered but did not let us in.
    #[error(
        "RabbitMQ at {host} did not let user '{user}' into virtual host '{vhost}': {reason}; check rabbitmq.user, \
         rabbitmq.password and rabbitmq.vhost, and the user's permissions"
    )]
    LoginRefused {
        /// `host:port`.
        host: String,
        /// The user that was tried.
        user: String,
        /// The virtual host that was asked for.
        vhost: String,
        /// What the server said, if it said anything.
        reason: String,
    },
    /// The connection's settings can't be used at all.
    #[error("the RabbitMQ settings cannot be used: {reason}")]
    Unusable {
        /// What is wrong, and with which setting.
        reason: String,
    },
    /// An exchange or queue exists, made by somebody else with other arguments.
    #[error("{object} exists on RabbitMQ with other arguments than this system's: {reason}; {advice}")]
    Conflict {
        /// For instance `queue 'jobs'`.
        object: String,
        /// What the server said.
        reason: String,
        /// What can be done, of the program's [`Advice`].
        advice: &'static str,
    },
    /// Somebody else holds it exclusively.
    #[error("{object} is in use by another process")]
    InUse {
        /// For instance `queue 'jobs'`.
        object: String,
    },
    /// It does not exist.
    #[error("{object} does not exist on RabbitMQ: {reason}")]
    NotFound {
        /// For instance `exchange 'work'`.
        object: String,
        /// What the server said.
        reason: String,
    },
    /// It does not exist yet, and the user may not make it.
    #[error(
        "{object} does not exist on RabbitMQ yet, and this user may not make it; {maker} does: start it, or grant the user \
         the right to configure it"
    )]
    Awaited {
        /// For instance `exchange 'work'`.
        object: String,
        /// Who makes it.
        maker: &'static str,
    },
    /// The user lacks a permission.
    #[error("RabbitMQ refused access to {object}: {reason}; {advice}")]
    NotPermitted {
        /// What was to be used.
        object: String,
        /// What the server said.
        reason: String,
        /// What can be done, of the program's [`Advice`].
        advice: &'static str,
    },
    /// The server closed the channel for another reason.
    #[error("RabbitMQ refused {object}: {reason} (code {code})")]
    Refused {
        /// What was to be used.
        object: String,
        /// The AMQP reply code.
        code: u16,
        /// What the server said.
        reason: String,
    },
    /// The connection ended.
    #[error("the connection to RabbitMQ was lost: {reason}")]
    ConnectionLost {
        /// As far as it is known.
        reason: String,
    },
    /// A request got no answer in time; its connection has been given up.
    #[error("RabbitMQ did not answer within {} ms: {what}; the connection is given up", .after.as_millis())]
    TimedOut {
        /// What was asked for.
        what: String,
        /// How long it was waited for.
        after: Duration,
    },
    /// An alarm of the server has it take no messages.
    #[error(
        "RabbitMQ takes no messages: its memory or disk alarm is on; `rabbitmq-diagnostics alarms` says which, and \
         everything waits until there is room again"
    )]
    Blocked,
    /// There is no connection at the moment.
    #[error("there is no connection to RabbitMQ at the moment")]
    NotConnected,
    /// The broker client has been closed.
    #[error("the connection to RabbitMQ has been closed by this process")]
    Closed,
}

impl BrokerError {
    /// Translates the server's reason for closing a channel.
    pub(super) fn from_reply(object: &str, code: u16, text: &str, advice: Advice) -> Self {
        let (object, reason) = (object.to_owned(), text.to_owned());
        match code {
            403 if text.contains("exclusive use") => Self::InUse { object },
            405 => Self::InUse { object },
            403 => Self::NotPermitted { object, reason, advice: advice.not_permitted },
            404 => Self::NotFound { object, reason },
            406 => Self::Conflict { object, reason, advice: advice.conflict },
            _ => Self::Refused { object, code, reason },
        }
    }

    /// Whether one queue or exchange is in trouble, and nothing else.
    pub(super) fn is_of_one_object(&self) -> bool {
        matches!(
            self,
            Self::Conflict { .. }
                | Self::InUse { .. }
                | Self::NotFound { .. }
                | Self::Awaited { .. }
                | Self::Refused { .. }
        )
    }

    /// Whether the connection is gone or was given up, so that the next one may do.
    pub(super) fn is_connection_gone(&self) -> bool {
        matches!(
            self,
            Self::ConnectionLost { .. }
                | Self::TimedOut { .. }
                | Self::NotConnected
                | Self::Unreachable { .. }
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reply_code_decides_what_it_means() {
        let advice = Advice { conflict: "make it anew", ..Advice::default() };
        let of = |code, text| BrokerError::from_reply("queue 'q'", code, text, advice);
        assert!(matches!(
            of(405, "RESOURCE_LOCKED - cannot obtain exclusive access"),
            BrokerError::InUse { .. }
        ));
        assert!(matches!(of(403, "ACCESS_REFUSED - queue 'q' in exclusive use"), BrokerError::InUse { .. }));
        assert!(matches!(of(403, "ACCESS_REFUSED - configure access"), BrokerError::NotPermitted { .. }));
        assert!(matches!(of(404, "NOT_FOUND"), BrokerError::NotFound { .. }));
        assert!(matches!(of(541, "INTERNAL_ERROR"), BrokerError::Refused { code: 541, .. }));
        let conflict = of(406, "PRECONDITION_FAILED - inequivalent arg 'x-max-priority'").to_string();
        assert!(conflict.contains("queue 'q'") && conflict.contains("make it anew"), "{conflict}");
    }
}
