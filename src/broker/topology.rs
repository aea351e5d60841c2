//! The exchanges, queues and bindings (contract, section 5), as the client of RabbitMQ is told of them.

use std::time::Duration;

use amqp::{Advice, Names, QueueSpec};

use super::names::{
    DEAD_LETTER_EXCHANGE, DEAD_LETTER_QUEUE, NOTIFICATIONS_EXCHANGE, NOTIFICATIONS_QUEUE, ORDERS_EXCHANGE,
    kitchen_queue,
};
use crate::domain::{OrderType, Priority};

/// All names that are not the contract's. The sentinel says that all that is in the database was announced to this broker; no
/// subscriber's queue can be called as the moving ones are.
pub(super) const NAMES: Names = Names {
    dead_letter_exchange: DEAD_LETTER_EXCHANGE,
    dead_letter_queue: DEAD_LETTER_QUEUE,
    sentinel: "orders_announced_mark",
    alarm_probe: "restaurant-system.alarm-probe",
    moving_prefix: "restaurant_moving.",
    slot_prefix: "notification_subscriber.",
    consumer_tag_prefix: "restaurant",
};

/// What a person is told to do.
pub(super) const ADVICE: Advice = Advice {
    conflict: "`restaurant-system queues migrate` makes it anew and keeps what is in it, or configure the same \
               rabbitmq.queue_type",
    not_permitted: "docs/OPERATIONS.md says which rights each role needs",
    blocked: "orders are taken and cooked, and announced later",
    not_consumed: "orders of a kitchen queue are cooked from the backlog meanwhile",
    dead_letters_full: "see `restaurant-system dead-letters list`, then requeue or discard",
};

/// All exchanges, with their types.
pub(super) const EXCHANGES: [(&str, &str); 3] =
    [(ORDERS_EXCHANGE, "topic"), (NOTIFICATIONS_EXCHANGE, "fanout"), (DEAD_LETTER_EXCHANGE, "fanout")];

/// Subscribers' queues past the first vanish when nobody has used them for so long.
const SLOT_EXPIRES: Duration = Duration::from_secs(24 * 60 * 60);

/// The queues that always exist.
pub(super) fn queues() -> Vec<QueueSpec> {
    let others = [NOTIFICATIONS_QUEUE, DEAD_LETTER_QUEUE].into_iter().filter_map(queue);
    OrderType::ALL.into_iter().map(orders).chain(others).collect()
}

/// The queue of this name: one of those, or a subscriber's.
pub(super) fn queue(name: &str) -> Option<QueueSpec> {
    if let Some(spec) = OrderType::ALL.into_iter().map(orders).find(|spec| spec.name == name) {
        return Some(spec);
    }
    let (exchange, expires) = match name.strip_prefix(NOTIFICATIONS_QUEUE) {
        Some("") => (NOTIFICATIONS_EXCHANGE, None),
        Some(rest) if rest.starts_with('.') => (NOTIFICATIONS_EXCHANGE, Some(SLOT_EXPIRES)),
        None if name == DEAD_LETTER_QUEUE => (DEAD_LETTER_EXCHANGE, None),
        _ => return None,
    };
    Some(QueueSpec { expires, ..QueueSpec::new(name, exchange, "") })
}

/// The queue of the orders of this type.
fn orders(order_type: OrderType) -> QueueSpec {
    let name = kitchen_queue(order_type.as_str());
    let max_priority = Some(Priority::HIGH.value());
    QueueSpec { max_priority, ..QueueSpec::new(&name, ORDERS_EXCHANGE, format!("kitchen.{order_type}.*")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kitchen_queues_have_priorities_and_take_the_orders_of_their_type() {
        let spec = queue("kitchen_dine_in_queue").unwrap();
        assert_eq!((spec.exchange, spec.binding_key.as_str()), ("orders_topic", "kitchen.dine_in.*"));
        assert_eq!((spec.max_priority, spec.expires), (Some(10), None));
    }

    #[test]
    fn other_queues_carry_no_argument_because_other_clients_declare_them_too_but_those_of_later_subscribers()
    {
        for (name, expires) in [
            ("notifications_queue", None),
            ("kitchen_dead_letters", None),
            ("notifications_queue.7", Some(SLOT_EXPIRES)),
        ] {
            let spec = queue(name).unwrap();
            assert_eq!((spec.max_priority, spec.expires), (None, expires), "{name}");
        }
    }

    #[test]
    fn strangers_are_not_declared() {
        for name in ["", "kitchen_sushi_queue", "notifications_queue2", "amq.gen-1"] {
            assert_eq!(queue(name), None, "{name}");
        }
    }
}
