//! The exchanges, queues and bindings, declared the same by whoever starts first (contract, section 5).

use std::sync::Arc;

use amqprs::channel::{ExchangeDeclareArguments, QueueBindArguments, QueueDeclareArguments};
use amqprs::{FieldTable, FieldValue};

use super::channel::BrokerChannel;
use super::error::BrokerError;
use super::link::Link;
use super::options::QueueType;

/// Topic exchange for orders; routing key `kitchen.{order_type}.{priority}`.
pub const ORDERS_EXCHANGE: &str = "orders_topic";
/// Fanout exchange for status updates.
pub const NOTIFICATIONS_EXCHANGE: &str = "notifications_fanout";
/// Fanout exchange for what no worker can ever process.
pub const DEAD_LETTER_EXCHANGE: &str = "orders_dead_letter";
/// Where the dead letters wait for a person.
pub const DEAD_LETTER_QUEUE: &str = "kitchen_dead_letters";
/// The first subscriber's queue; the next ones append `.2`, `.3`, … or a name.
pub const NOTIFICATIONS_QUEUE: &str = "notifications_queue";

const ORDER_TYPES: [&str; 3] = ["dine_in", "takeout", "delivery"];
const MAX_PRIORITY: i32 = 10;
/// Subscribers' queues past the first vanish when nobody has used them for a day.
const SLOT_EXPIRES_MS: i32 = 24 * 60 * 60 * 1000;
/// A quorum queue drops a message that was put back too often, from RabbitMQ 4 on after 20 times unless it is told
/// otherwise; looking at the dead letters puts them back.
const UNLIMITED_LOOKS: i32 = i32::MAX;

/// The queue that workers of this order type consume.
pub fn kitchen_queue(order_type: &str) -> String {
    format!("kitchen_{order_type}_queue")
}

/// The routing key that takes an order to the queue of its type.
pub fn order_routing_key(order_type: &str, priority: u8) -> String {
    format!("kitchen.{order_type}.{priority}")
}

/// The queue of a subscriber with this name (`--name N`).
pub fn named_slot(name: &str) -> String {
    format!("{NOTIFICATIONS_QUEUE}.{name}")
}

/// The queues of subscribers without a name, in the order in which they are tried.
pub fn numbered_slots() -> impl Iterator<Item = String> {
    std::iter::once(NOTIFICATIONS_QUEUE.to_owned()).chain((2..).map(|n: u32| named_slot(&n.to_string())))
}

/// A durable queue as it must be declared.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct QueueSpec {
    name: String,
    arguments: Vec<(&'static str, FieldValue)>,
    exchange: &'static str,
    binding_key: String,
}

/// What this system needs to find on the server.
#[derive(Debug, Clone, Copy)]
pub(super) struct Topology {
    pub(super) queue_type: QueueType,
}

impl Topology {
    /// Declares everything that always exists, one after the other: the client library mixes up answers otherwise.
    pub(super) async fn declare(self, link: &Arc<Link>) -> Result<(), BrokerError> {
        let channel = BrokerChannel::open(link).await?;
        for (exchange, kind) in
            [(ORDERS_EXCHANGE, "topic"), (NOTIFICATIONS_EXCHANGE, "fanout"), (DEAD_LETTER_EXCHANGE, "fanout")]
        {
            declare_exchange(&channel, exchange, kind).await?;
        }
        let kitchen = ORDER_TYPES.map(kitchen_queue);
        let others = [NOTIFICATIONS_QUEUE, DEAD_LETTER_QUEUE].map(str::to_owned);
        for name in kitchen.into_iter().chain(others) {
            if let Some(spec) = self.queue(&name) {
                spec.declare(&channel).await?;
            }
        }
        channel.close().await;
        Ok(())
    }

    /// How this queue is to be declared, if it is one of the system's.
    pub(super) fn queue(self, name: &str) -> Option<QueueSpec> {
        let (mut arguments, exchange, binding_key) = if let Some(order_type) =
            ORDER_TYPES.iter().find(|order_type| kitchen_queue(order_type) == name)
        {
            let priority = match self.queue_type {
                QueueType::Classic => vec![("x-max-priority", FieldValue::I(MAX_PRIORITY))],
                QueueType::Quorum => Vec::new(),
            };
            (priority, ORDERS_EXCHANGE, format!("kitchen.{order_type}.*"))
        } else if name == DEAD_LETTER_QUEUE {
            (Vec::new(), DEAD_LETTER_EXCHANGE, String::new())
        } else if name == NOTIFICATIONS_QUEUE {
            (Vec::new(), NOTIFICATIONS_EXCHANGE, String::new())
        } else if name.strip_prefix(NOTIFICATIONS_QUEUE).is_some_and(|rest| rest.starts_with('.')) {
            (vec![("x-expires", FieldValue::I(SLOT_EXPIRES_MS))], NOTIFICATIONS_EXCHANGE, String::new())
        } else {
            return None;
        };
        if self.queue_type == QueueType::Quorum {
            arguments.push(("x-queue-type", FieldValue::from("quorum")));
            if name == DEAD_LETTER_QUEUE {
                arguments.push(("x-delivery-limit", FieldValue::I(UNLIMITED_LOOKS)));
            }
        }
        Some(QueueSpec { name: name.to_owned(), arguments, exchange, binding_key })
    }
}

impl QueueSpec {
    /// Declares and binds it; the answer is how many consumers it has.
    pub(super) async fn declare(&self, channel: &BrokerChannel) -> Result<u32, BrokerError> {
        let mut table = FieldTable::new();
        for (key, value) in &self.arguments {
            if let Ok(key) = (*key).try_into() {
                table.insert(key, value.clone());
            }
        }
        let declare = QueueDeclareArguments::durable_client_named(&self.name).arguments(table).finish();
        let (_, consumers) = declare_queue(channel, &self.name, declare).await?;
        bind_queue(channel, &self.name, self.exchange, &self.binding_key).await?;
        Ok(consumers)
    }
}

async fn declare_exchange(channel: &BrokerChannel, exchange: &str, kind: &str) -> Result<(), BrokerError> {
    let arguments = ExchangeDeclareArguments::new(exchange, kind).durable(true).finish();
    channel
        .call(&format!("exchange '{exchange}'"), |channel| async move {
            channel.exchange_declare(arguments).await
        })
        .await
}

/// Declares a queue; the answer is its name (of use when the server chose it) and how many consumers it has.
pub(super) async fn declare_queue(
    channel: &BrokerChannel,
    name: &str,
    arguments: QueueDeclareArguments,
) -> Result<(String, u32), BrokerError> {
    let object = format!("queue '{name}'");
    let answer =
        channel.call(&object, |channel| async move { channel.queue_declare(arguments).await }).await?;
    answer.map(|(name, _messages, consumers)| (name, consumers)).ok_or(BrokerError::Refused {
        object,
        code: 0,
        reason: "no answer".to_owned(),
    })
}

/// Binds a queue to an exchange.
pub(super) async fn bind_queue(
    channel: &BrokerChannel,
    queue: &str,
    exchange: &str,
    key: &str,
) -> Result<(), BrokerError> {
    let arguments = QueueBindArguments::new(queue, exchange, key);
    channel
        .call(&format!("the binding of queue '{queue}' to exchange '{exchange}'"), |channel| async move {
            channel.queue_bind(arguments).await
        })
        .await
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    const CLASSIC: Topology = Topology { queue_type: QueueType::Classic };
    const QUORUM: Topology = Topology { queue_type: QueueType::Quorum };

    fn keys(spec: &QueueSpec) -> Vec<&str> {
        spec.arguments.iter().map(|(key, _)| *key).collect()
    }

    #[test]
    fn kitchen_queues_have_priorities_and_take_the_orders_of_their_type() {
        let spec = CLASSIC.queue("kitchen_dine_in_queue").unwrap();
        assert_eq!(spec.arguments, [("x-max-priority", FieldValue::I(10))]);
        assert_eq!((spec.exchange, spec.binding_key.as_str()), ("orders_topic", "kitchen.dine_in.*"));
    }

    #[test]
    fn classic_queues_carry_no_other_argument_because_other_clients_declare_them_too() {
        assert!(keys(&CLASSIC.queue("notifications_queue").unwrap()).is_empty());
        assert!(keys(&CLASSIC.queue("kitchen_dead_letters").unwrap()).is_empty());
        assert_eq!(keys(&CLASSIC.queue("notifications_queue.7").unwrap()), ["x-expires"]);
    }

    #[test]
    fn quorum_queues_are_declared_as_such_and_without_priorities() {
        assert_eq!(keys(&QUORUM.queue("kitchen_takeout_queue").unwrap()), ["x-queue-type"]);
        assert_eq!(keys(&QUORUM.queue("notifications_queue.2").unwrap()), ["x-expires", "x-queue-type"]);
        assert_eq!(
            keys(&QUORUM.queue("kitchen_dead_letters").unwrap()),
            ["x-queue-type", "x-delivery-limit"]
        );
    }

    #[test]
    fn strangers_are_not_declared() {
        for name in ["", "kitchen_sushi_queue", "notifications_queue2", "amq.gen-1"] {
            assert_eq!(CLASSIC.queue(name), None, "{name}");
        }
    }

    #[test]
    fn subscribers_without_a_name_try_the_plain_queue_first() {
        let slots: Vec<String> = numbered_slots().take(3).collect();
        assert_eq!(slots, ["notifications_queue", "notifications_queue.2", "notifications_queue.3"]);
    }
}
