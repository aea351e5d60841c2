//! `rabbitmq:` the message broker.

use std::time::Duration;

use amqp::{BrokerOptions, QueueType};
use settings::{HostPort, Reader};

use super::tls;
use crate::broker::Part;

const TLS_PORT: u16 = 5671;
const MANAGEMENT_PORT: u16 = 15672;

/// AMQP knows no other log-in that every server has.
const TOLD_IN_CLEAR: &str = "its password goes over the network in clear without TLS: set rabbitmq.tls";

pub(super) fn read(reader: &mut Reader) -> BrokerOptions {
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
    BrokerOptions {
        hosts: hosts.into_iter().map(|host| (host.host, host.port)).collect(),
        user: reader.text("rabbitmq.user"),
        password: reader.secret("rabbitmq.password"),
        vhost: reader.text("rabbitmq.vhost"),
        queue_type: reader.word("rabbitmq.queue_type", &kinds),
        management_url: reader.http_url("rabbitmq.management_url", MANAGEMENT_PORT),
        tls,
        connect_timeout: reader.seconds("rabbitmq.connect_timeout_seconds"),
        confirm_timeout: reader.seconds("rabbitmq.confirm_timeout_seconds"),
        heartbeat: Duration::from_secs(reader.number("rabbitmq.heartbeat_seconds")),
        max_dead_letters: reader.number("rabbitmq.max_dead_letters"),
        ..Part::Operator.options()
    }
}
