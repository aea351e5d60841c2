//! Who makes what on the server, and who waits for it: each role runs with an account that may make no more than this
//! (docs/OPERATIONS.md, "Accounts in RabbitMQ").

use std::sync::Arc;

use amqp::{BrokerOptions, Names, QueueSpec, Topology};

use super::messages::MAX_MESSAGE_BYTES;
use super::names::{
    DEAD_LETTER_EXCHANGE, DEAD_LETTER_QUEUE, NOTIFICATIONS_EXCHANGE, NOTIFICATIONS_QUEUE, ORDERS_EXCHANGE,
    kitchen_queues,
};
use super::topology::{ADVICE, EXCHANGES, NAMES, queue, queues};

/// The part that a process has in a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// A command of an operator, who may make anything.
    Operator,
    /// It makes what orders and updates go to, so that nothing that it publishes is lost.
    OrderService,
    /// It makes the queues that it consumes, and the dead letters.
    Kitchen,
    /// It makes the queues of subscribers.
    Subscriber,
    /// It makes nothing that stays.
    Tracking,
    /// It looks, and nothing is made for it, not even what is missing.
    Onlooker,
}

impl Part {
    /// How a process with this part reaches a fresh local RabbitMQ.
    pub fn options(self) -> BrokerOptions {
        BrokerOptions {
            advice: ADVICE,
            connection_name: "restaurant-system".to_owned(),
            max_body_bytes: MAX_MESSAGE_BYTES,
            ..BrokerOptions::new(Arc::new(self))
        }
    }
}

impl Topology for Part {
    fn names(&self) -> Names {
        NAMES
    }

    fn exchanges(&self) -> &[(&'static str, &'static str)] {
        if *self == Self::Onlooker { &[] } else { &EXCHANGES }
    }

    fn queues(&self) -> Vec<QueueSpec> {
        if *self == Self::Onlooker { Vec::new() } else { queues() }
    }

    fn queue(&self, name: &str) -> Option<QueueSpec> {
        queue(name)
    }

    fn makes(&self, object: &str) -> bool {
        let is_dead_letters = [DEAD_LETTER_EXCHANGE, DEAD_LETTER_QUEUE].contains(&object);
        match self {
            Self::Operator => true,
            Self::OrderService => !is_dead_letters,
            Self::Kitchen => is_dead_letters || kitchen_queues().iter().any(|queue| queue == object),
            Self::Subscriber => object.starts_with(NOTIFICATIONS_QUEUE),
            Self::Tracking | Self::Onlooker => false,
        }
    }

    fn needs(&self, object: &str) -> bool {
        let is_published_to = match self {
            Self::Kitchen => object == ORDERS_EXCHANGE || object == NOTIFICATIONS_EXCHANGE,
            Self::Subscriber | Self::Tracking => object == NOTIFICATIONS_EXCHANGE,
            Self::Operator | Self::OrderService | Self::Onlooker => false,
        };
        is_published_to || self.makes(object)
    }

    fn maker(&self, object: &str) -> &'static str {
        match [Part::OrderService, Part::Kitchen].map(|part| part.makes(object)) {
            [true, _] => "the order service",
            [false, true] => "a kitchen worker",
            [false, false] => "an operator",
        }
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
            assert_eq!(Part::Operator.maker(object), by, "{object}");
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
