//! How to reach RabbitMQ and how patient to be with it.

use std::sync::Arc;
use std::time::Duration;

use daemon::metrics::Metrics;
use daemon::retry::Backoff;
use daemon::tls::TlsOptions;
use secrecy::SecretString;

use super::advice::Advice;
use super::topology::Topology;

/// The kind of the durable queues that are declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum QueueType {
    /// Classic queues: strict priorities (`x-max-priority`), one node.
    #[default]
    Classic,
    /// Quorum queues (`x-queue-type: quorum`): replicated over a cluster. They take no `x-max-priority`, so messages
    /// come out in the order of their arrival, or by the two levels that RabbitMQ 4 has.
    Quorum,
}

/// Everything the connection needs. What [`BrokerOptions::new`] makes reaches a fresh local RabbitMQ.
///
/// Errors name them as keys of a section `rabbitmq`, as the configuration of a program has them.
#[derive(Debug, Clone)]
pub struct BrokerOptions {
    /// Hosts and ports, tried in turn until one answers, from one at random on.
    pub hosts: Vec<(String, u16)>,
    /// The virtual host.
    pub vhost: String,
    /// The user to log in as.
    pub user: String,
    /// Its password.
    pub password: SecretString,
    /// What the program has on the server.
    pub topology: Arc<dyn Topology>,
    /// What errors and log lines say that can be done.
    pub advice: Advice,
    /// The kind of the durable queues.
    pub queue_type: QueueType,
    /// The management API, `http://host:port`, where quorum queues' members are to be watched.
    pub management_url: Option<String>,
    /// Encryption, where the listener wants it.
    pub tls: Option<TlsOptions>,
    /// What RabbitMQ's own tools show for this connection, for instance `runner.7`.
    pub connection_name: String,
    /// How long one host may take to accept a connection and let us log in.
    pub connect_timeout: Duration,
    /// How long one request (declare, consume, …) may take before the connection is given up.
    pub operation_timeout: Duration,
    /// The AMQP heartbeat, 2 s at least. A peer that is silent for twice this long is gone.
    pub heartbeat: Duration,
    /// How long published messages may stay without any confirmation before the connection is given up.
    pub confirm_timeout: Duration,
    /// How long nothing may be published before a message that goes nowhere shows whether an alarm of the server is on;
    /// `None`: whoever publishes finds out. With it the publishing connection is made at once.
    pub alarm_probe: Option<Duration>,
    /// The first wait before connecting again; it doubles, with jitter.
    pub backoff_min: Duration,
    /// The longest wait before connecting again.
    pub backoff_max: Duration,
    /// How much of a message's content is kept that is delivered.
    pub max_body_bytes: usize,
    /// How many dead letters there may be before messages that nobody can process are dropped.
    pub max_dead_letters: u32,
    /// How many messages may be published and not yet confirmed at once.
    pub publish_window: usize,
    /// How long a name or an exclusive queue is asked for while somebody has it, before it counts as in use: a
    /// crashed owner's connection takes a moment to vanish.
    pub claim_grace: Duration,
    /// How long the nodes of a cluster may take to give up one of them that is frozen, with what its connections held:
    /// RabbitMQ's `net_ticktime`. A process that lost its slot takes no other one before that.
    pub node_patience: Duration,
    /// Where publishing is measured.
    pub metrics: Metrics,
}

impl BrokerOptions {
    /// For a program with this topology.
    pub fn new(topology: Arc<dyn Topology>) -> Self {
        Self {
            hosts: vec![("localhost".to_owned(), 5672)],
            vhost: "/".to_owned(),
            user: "guest".to_owned(),
            password: SecretString::from("guest"),
            topology,
            advice: Advice::default(),
            queue_type: QueueType::default(),
            management_url: None,
            tls: None,
            connection_name: "amqp".to_owned(),
            connect_timeout: Duration::from_secs(5),
            operation_timeout: Duration::from_secs(10),
            heartbeat: Duration::from_secs(10),
            confirm_timeout: Duration::from_secs(10),
            alarm_probe: None,
            backoff_min: Duration::from_millis(200),
            backoff_max: Duration::from_secs(10),
            max_body_bytes: 128 * 1024,
            max_dead_letters: 10_000,
            publish_window: 1024,
            claim_grace: Duration::from_secs(3),
            node_patience: Duration::from_secs(60),
            metrics: Metrics::default(),
        }
    }

    /// The heartbeat in the protocol's unit. Below 2 s the client library would spin.
    pub(super) fn heartbeat_s(&self) -> u16 {
        u16::try_from(self.heartbeat.as_secs()).unwrap_or(u16::MAX).max(2)
    }

    /// How long a claim that we had before an outage is fought for: the server needs two heartbeats to notice that
    /// our former connection is dead, and gives up what it held only then.
    pub(super) fn reclaim_grace(&self) -> Duration {
        self.claim_grace + 3 * Duration::from_secs(u64::from(self.heartbeat_s()))
    }

    /// The waits between attempts: they double from `backoff_min` to `backoff_max`, with jitter, and never end.
    pub(super) fn backoff(&self) -> Backoff {
        Backoff::new(self.backoff_min, self.backoff_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::tests::Jobs;

    fn options() -> BrokerOptions {
        BrokerOptions::new(Arc::new(Jobs))
    }

    #[test]
    fn the_password_is_not_in_the_debug_text() {
        let options = BrokerOptions { password: SecretString::from("hunter2"), ..options() };
        assert!(!format!("{options:?}").contains("hunter2"));
    }

    #[test]
    fn a_heartbeat_below_two_seconds_is_raised() {
        let options = BrokerOptions { heartbeat: Duration::from_millis(10), ..options() };
        assert_eq!(options.heartbeat_s(), 2);
    }
}
