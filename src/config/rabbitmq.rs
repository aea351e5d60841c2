//! `rabbitmq:` the message broker.

use std::time::Duration;

use secrecy::SecretString;

use super::host::HostPort;
use super::keys::Key;
use super::reader::Reader;
use crate::broker::QueueType;
use crate::runtime::tls::TlsOptions;

pub(super) const KEYS: &[Key] = &[
    Key::list("rabbitmq.host"),
    Key::single("rabbitmq.port"),
    Key::single("rabbitmq.user"),
    Key::single("rabbitmq.password"),
    Key::single("rabbitmq.password_file"),
    Key::single("rabbitmq.vhost"),
    Key::single("rabbitmq.queue_type"),
    Key::single("rabbitmq.management_url"),
    Key::single("rabbitmq.tls"),
    Key::single("rabbitmq.tls.enabled"),
    Key::single("rabbitmq.tls.ca_file"),
    Key::single("rabbitmq.connect_timeout_seconds"),
    Key::single("rabbitmq.confirm_timeout_seconds"),
    Key::single("rabbitmq.heartbeat_seconds"),
    Key::single("rabbitmq.max_dead_letters"),
];

/// AMQP knows no other log-in that every server has.
const TOLD_IN_CLEAR: &str = "its password goes over the network in clear without TLS: set rabbitmq.tls";

/// How RabbitMQ is reached.
#[derive(Debug, Clone)]
pub struct RabbitMqConfig {
    /// The nodes to try, from one at random on; never empty.
    pub hosts: Vec<HostPort>,
    /// The user to log in as.
    pub user: String,
    /// Its password.
    pub password: SecretString,
    /// The virtual host.
    pub vhost: String,
    /// The kind of queue that is declared.
    pub queue_type: QueueType,
    /// The management API, `http://host:port`, for what AMQP does not tell.
    pub management_url: Option<String>,
    /// TLS, where it is on; the default port is then 5671.
    pub tls: Option<TlsOptions>,
    /// How long one attempt to connect may take, log-in included.
    pub connect_timeout: Duration,
    /// How long a published message may wait for its confirm before the connection counts as lost.
    pub confirm_timeout: Duration,
    /// The heartbeat asked for, in seconds, 2 to 3600: a silent connection is noticed after two of them.
    pub heartbeat_seconds: u16,
    /// How many dead letters there may be before messages that nobody can process are dropped.
    pub max_dead_letters: u32,
}

impl RabbitMqConfig {
    pub(super) fn read(reader: &mut Reader) -> Self {
        let tls = reader.tls("rabbitmq");
        let default_port = if tls.is_some() { 5671 } else { 5672 };
        let port = reader.number("rabbitmq.port", 1..=u16::MAX).unwrap_or(default_port);
        let localhost = || vec![HostPort { host: "localhost".to_owned(), port }];
        let kinds = [("classic", QueueType::Classic), ("quorum", QueueType::Quorum)];
        let hosts = reader
            .hosts("rabbitmq.host", |text| HostPort::parse_network(text, port))
            .unwrap_or_else(localhost);
        if tls.is_none() && !hosts.iter().all(HostPort::is_local) {
            reader.warn(&["rabbitmq.host"], TOLD_IN_CLEAR);
        }
        Self {
            hosts,
            user: reader.text("rabbitmq.user").unwrap_or_else(|| "guest".to_owned()),
            password: reader.password("rabbitmq").unwrap_or_else(|| "guest".into()),
            vhost: reader.text("rabbitmq.vhost").unwrap_or_else(|| "/".to_owned()),
            queue_type: reader.one_of("rabbitmq.queue_type", &kinds).unwrap_or_default(),
            management_url: reader.http_url("rabbitmq.management_url", 15672),
            tls,
            connect_timeout: reader
                .seconds("rabbitmq.connect_timeout_seconds", 0.1)
                .unwrap_or(Duration::from_secs(5)),
            confirm_timeout: reader
                .seconds("rabbitmq.confirm_timeout_seconds", 0.1)
                .unwrap_or(Duration::from_secs(10)),
            heartbeat_seconds: reader.number("rabbitmq.heartbeat_seconds", 2..=3600).unwrap_or(10),
            max_dead_letters: reader.number("rabbitmq.max_dead_letters", 1..=10_000_000).unwrap_or(10_000),
        }
    }
}
