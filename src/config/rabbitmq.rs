//! `rabbitmq:` the message broker.

use std::time::Duration;

use amqp::QueueType;
use daemon::tls::TlsOptions;
use secrecy::SecretString;
use settings::{HostPort, Reader};

use super::tls;

const TLS_PORT: u16 = 5671;
const MANAGEMENT_PORT: u16 = 15672;

/// AMQP knows no other log-in that every server has.
const TOLD_IN_CLEAR: &str = "its password goes over the network in clear without TLS: set rabbitmq.tls";

#[derive(Debug, Clone)]
pub struct RabbitMqConfig {
    /// The nodes to try, from one at random on; never empty.
    pub hosts: Vec<HostPort>,
    pub user: String,
    pub password: SecretString,
    pub vhost: String,
    pub queue_type: QueueType,
    /// The management API, `http://host:port`, for what AMQP does not tell.
    pub management_url: Option<String>,
    /// TLS, where it is on; the default port is then 5671.
    pub tls: Option<TlsOptions>,
    /// How long one attempt to connect may take, log-in included.
    pub connect_timeout: Duration,
    /// How long a published message may wait for its confirm before the connection counts as lost.
    pub confirm_timeout: Duration,
    /// The heartbeat asked for, in seconds: a silent connection is noticed after two of them.
    pub heartbeat_seconds: u16,
    /// How many dead letters there may be before messages that nobody can process are dropped.
    pub max_dead_letters: u32,
}

impl RabbitMqConfig {
    pub(super) fn read(reader: &mut Reader) -> Self {
        let tls = tls::read(reader, "rabbitmq");
        let port = match tls {
            Some(_) if !reader.is_given(&["rabbitmq.port"]) => TLS_PORT,
            _ => reader.number("rabbitmq.port"),
        };
        let kinds = [("classic", QueueType::Classic), ("quorum", QueueType::Quorum)];
        let hosts = reader.hosts("rabbitmq.host", |text| HostPort::parse_network(text, port));
        if tls.is_none() && !hosts.iter().all(HostPort::is_local) {
            reader.warn(&["rabbitmq.host"], TOLD_IN_CLEAR);
        }
        Self {
            hosts,
            user: reader.text("rabbitmq.user"),
            password: reader.secret("rabbitmq.password"),
            vhost: reader.text("rabbitmq.vhost"),
            queue_type: reader.word("rabbitmq.queue_type", &kinds),
            management_url: reader.http_url("rabbitmq.management_url", MANAGEMENT_PORT),
            tls,
            connect_timeout: reader.seconds("rabbitmq.connect_timeout_seconds"),
            confirm_timeout: reader.seconds("rabbitmq.confirm_timeout_seconds"),
            heartbeat_seconds: reader.number("rabbitmq.heartbeat_seconds"),
            max_dead_letters: reader.number("rabbitmq.max_dead_letters"),
        }
    }
}
