//! Who makes what on the server, and who waits for it: each role runs with an account that may make no more than this
//! (docs/OPERATIONS.md, "Accounts in RabbitMQ").

use super::names::{
    DEAD_LETTER_EXCHANGE, DEAD_LETTER_QUEUE, NOTIFICATIONS_EXCHANGE, NOTIFICATIONS_QUEUE, ORDERS_EXCHANGE,
    kitchen_queues,
};

/// The part that a process has in the house.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Part {
    /// A command of an operator, who may make anything.
    #[default]
    Operator,
    /// It makes what orders and updates go to, so that nothing that it publishes is lost.
    OrderService,
    /// It makes the queues that it consumes, and the dead letters.
    Kitchen,
    /// It makes the queues of subscribers.
    Subscriber,
    /// It makes nothing that stays.
    Tracking,
}

impl Part {
    /// Whether it declares this exchange or queue whenever it connects. What others make it declares only where that is
    /// missing, if its account may.
    pub(super) fn makes(self, object: &str) -> bool {
        let is_dead_letters = [DEAD_LETTER_EXCHANGE, DEAD_LETTER_QUEUE].contains(&object);
        match self {
            Self::Operator => true,
            Self::OrderService => !is_dead_letters,
            Self::Kitchen => is_dead_letters || kitchen_queues().iter().any(|queue| queue == object),
            Self::Subscriber => object.starts_with(NOTIFICATIONS_QUEUE),
            Self::Tracking => false,
        }
    }

    /// Whether it can do nothing before this exchange or queue is there.
    pub(super) fn needs(self, object: &str) -> bool {
        let is_published_to = match self {
            Self::Kitchen => object == ORDERS_EXCHANGE || object == NOTIFICATIONS_EXCHANGE,
            Self::Subscriber | Self::Tracking => object == NOTIFICATIONS_EXCHANGE,
            Self::Operator | Self::OrderService => false,
        };
        is_published_to || self.makes(object)
    }
}

/// Who makes this exchange or queue, in words.
pub(super) fn maker(object: &str) -> &'static str {
    match [Part::OrderService, Part::Kitchen].map(|part| part.makes(object)) {
        [true, _] => "the order service",
        [false, true] => "a kitchen worker",
        [false, false] => "an operator",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_exchange_and_queue_has_a_maker_that_faces_strangers_only_where_it_must() {
        for (object, by) in [
            ("orders_topic", "the order service"),
            ("notifications_fanout", "the order service"),
            ("notifications_queue", "the order service"),
            ("kitchen_takeout_queue", "the order service"),
            ("orders_dead_letter", "a kitchen worker"),
            ("kitchen_dead_letters", "a kitchen worker"),
        ] {
            assert_eq!(maker(object), by, "{object}");
        }
    }

    #[test]
    fn who_tells_of_changes_waits_for_nothing_but_their_exchange_and_its_own_queue() {
        let objects = [ORDERS_EXCHANGE, DEAD_LETTER_EXCHANGE, "kitchen_takeout_queue", DEAD_LETTER_QUEUE];
        for part in [Part::Subscriber, Part::Tracking] {
            assert!(part.needs(NOTIFICATIONS_EXCHANGE));
            assert!(objects.iter().all(|object| !part.needs(object)), "{part:?}");
        }
        assert!(
            Part::Subscriber.needs("notifications_queue.kiosk")
                && !Part::Tracking.needs("notifications_queue")
        );
    }
}
