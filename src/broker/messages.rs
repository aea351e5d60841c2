//! What messages are called, and how much of one is read. What they say are the domain's types: [`OrderMessage`] and
//! [`StatusUpdate`] (contract, section 5).

#[cfg(doc)]
use crate::domain::{OrderMessage, StatusUpdate};

/// The most that is read of a message. The largest order is some 75 KiB: 20 items with names and notes of 250 characters, an
/// address of 500, notes of 200 and a name of 100, each character in the twelve bytes that JSON can spend on it. The rest is
/// for the names of options, and for what later versions add.
pub const MAX_MESSAGE_BYTES: usize = 128 * 1024;

/// AMQP's `type` of an [`OrderMessage`].
pub const ORDER_KIND: &str = "order.received";
/// AMQP's `type` of a [`StatusUpdate`].
pub const STATUS_KIND: &str = "order.status_changed";
