//! RabbitMQ: the only place that speaks AMQP. It moves bytes with properties; what they mean is for others.
//!
//! ```text
//! Broker (handle) ── publish ──▶ publisher ──▶ publishing ── a connection of its own; counts tags ──▶ confirms
//!    │
//!    ├── consume ──▶ consumer ──────┐ a channel each      supervisor ── keeps one ──▶ link (a connection)
//!    └── hold_name ─▶ name ─────────┘        ▲ channel         │ declares
//!                                            └─────────────────┴──▶ topology
//! ```
//! - `handle`: what the rest of the system holds; `options` and `error`: what it says to it and hears from it. What relay,
//!   reconciler and worker use of it are traits (`Publish`, `Consume`, `MarkedBroker`, …), of which `tests/it/sim` has a model.
//! - `supervisor`: connects, and again, for ever; `outage`: one log line when it goes and one when it is back.
//! - `link`, `channel`: one connection and one channel of the client library, with all its traps fenced in; `properties`:
//!   what goes with a message. No other file uses the library. `renewed`: a new channel after each refusal.
//! - `topology`: exchanges, queues, bindings; `names`: what they are called; `part`: who makes which; `troubles`: those that
//!   are not as they should be.
//! - `publisher`, `publishing`, `confirms`: confirmed publishing; `alarm`: a server that takes nothing. `consumer`:
//!   deliveries and acknowledgements.
//! - `mark`: how a broker that lost its disk is known. `members`: quorum queues with too few of them.
//! - `name`: names that only a living process holds. `slot`: subscribers' queues, each with such a name.
//!   `dead_letter`: what no worker can ever process; `dead_bound`: how much of it; `dead_queue`: looking at it. `renewal`,
//!   `shovel`: a queue with other arguments is made anew. `unreadable`: what the client library itself cannot read.

mod alarm;
mod channel;
mod confirms;
mod consumer;
mod dead_bound;
mod dead_letter;
mod dead_queue;
mod error;
mod handle;
mod link;
mod mark;
mod members;
pub mod messages;
mod name;
mod names;
mod options;
mod outage;
mod part;
mod properties;
mod publisher;
mod publishing;
mod renewal;
mod renewed;
mod shovel;
mod slot;
mod supervisor;
mod topology;
mod troubles;
mod unreadable;

pub use confirms::PublishOutcome;
pub use consumer::{ConsumeOptions, Consumer, ConsumerEvent, Deliveries, Delivery, Received};
pub use dead_letter::{
    DEATH_REASON_HEADER, DEATH_TIME_HEADER, DeadLettered, ORIGINAL_BYTES_HEADER, ORIGINAL_EXCHANGE_HEADER,
    ORIGINAL_QUEUE_HEADER, ORIGINAL_ROUTING_KEY_HEADER,
};
pub use dead_queue::{DeadLetter, DeadLetters};
pub use error::BrokerError;
pub use handle::{Broker, Consume, Publish};
pub use mark::MarkedBroker;
pub use name::{HeldName, NameError, NameHold};
pub use names::{
    DEAD_LETTER_EXCHANGE, DEAD_LETTER_QUEUE, NOTIFICATIONS_EXCHANGE, NOTIFICATIONS_QUEUE, ORDERS_EXCHANGE,
    kitchen_queue, kitchen_queues, named_slot, numbered_slots, order_routing_key,
};
pub use options::{BrokerOptions, QueueType};
pub use part::Part;
pub use properties::{InvalidMessage, Outgoing, Properties};
pub use renewal::QueueReport;
pub use slot::{Slot, SlotEvent, WantedSlot};
pub use supervisor::BrokerState;
