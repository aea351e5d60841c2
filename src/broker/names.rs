//! What the exchanges and queues are called (contract, section 5).

use amqp::WantedSlot;

use crate::domain::OrderType;

/// Topic exchange for orders; routing key `kitchen.{order_type}.{priority}`.
pub const ORDERS_EXCHANGE: &str = "orders_topic";
/// Fanout exchange for status updates.
pub const NOTIFICATIONS_EXCHANGE: &str = "notifications_fanout";
/// Fanout exchange for what no worker can ever process.
pub(super) const DEAD_LETTER_EXCHANGE: &str = "orders_dead_letter";
/// Where the dead letters wait for a person.
pub const DEAD_LETTER_QUEUE: &str = "kitchen_dead_letters";
/// The first subscriber's queue; the next ones append `.2`, `.3`, … or a name.
pub(super) const NOTIFICATIONS_QUEUE: &str = "notifications_queue";

/// How many subscribers without a name may have a queue.
const MAX_SLOTS: usize = 1000;

/// The queue that workers of this order type consume.
pub fn kitchen_queue(order_type: &str) -> String {
    format!("kitchen_{order_type}_queue")
}

/// The queues of all order types.
pub fn kitchen_queues() -> [String; OrderType::ALL.len()] {
    OrderType::ALL.map(|order_type| kitchen_queue(order_type.as_str()))
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

/// The queue that a subscriber wants: that of its name, or the first of those without one that is free.
pub fn wanted_slot(name: Option<&str>) -> WantedSlot {
    match name {
        Some(name) => WantedSlot::Of(named_slot(name)),
        None => WantedSlot::FirstFreeOf(numbered_slots().take(MAX_SLOTS).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subscribers_without_a_name_try_the_plain_queue_first() {
        let slots: Vec<String> = numbered_slots().take(3).collect();
        assert_eq!(slots, ["notifications_queue", "notifications_queue.2", "notifications_queue.3"]);
    }
}
