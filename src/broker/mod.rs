//! What the restaurant has on RabbitMQ; the client that speaks AMQP is the crate [`amqp`].
//!
//! `names`: what exchanges and queues are called. `topology`: how they are declared, and what a person is told to do about
//! them. `part`: who makes which. `messages`: what messages are called. `asyncapi`: the document that says all of it.

mod asyncapi;
pub mod messages;
mod names;
mod part;
mod topology;

pub use asyncapi::asyncapi;
pub use names::{
    DEAD_LETTER_QUEUE, NOTIFICATIONS_EXCHANGE, ORDERS_EXCHANGE, kitchen_queue, kitchen_queues, named_slot,
    numbered_slots, order_routing_key, wanted_slot,
};
pub use part::Part;
