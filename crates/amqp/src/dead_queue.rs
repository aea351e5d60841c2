//! Looking at the dead letters, one by one, from the oldest on.

use std::sync::Arc;

use bytes::Bytes;

use super::channel::BrokerChannel;
use super::dead_letter::{
    DEAD_LETTER_HEADERS, DEATH_REASON_HEADER, DEATH_TIME_HEADER, ORIGINAL_BYTES_HEADER,
    ORIGINAL_EXCHANGE_HEADER, ORIGINAL_QUEUE_HEADER, ORIGINAL_ROUTING_KEY_HEADER,
};
use super::error::BrokerError;
use super::link::Link;
use super::properties::{Outgoing, Properties};

/// A message among the dead letters.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    /// The routing key it came to the dead letters with.
    pub routing_key: String,
    /// Somebody has looked at it before.
    pub redelivered: bool,
    /// The content, as it is.
    pub body: Bytes,
    /// What goes with it, our headers about its death among it.
    pub properties: Properties,
    /// How many letters wait behind it that nobody is looking at.
    pub behind: u32,
    tag: u64,
}

impl DeadLetter {
    fn header(&self, name: &str) -> Option<&str> {
        self.properties.headers.get(name).map(String::as_str)
    }

    /// Why it is dead.
    pub fn reason(&self) -> Option<&str> {
        self.header(DEATH_REASON_HEADER)
    }

    /// When it died, RFC 3339 in UTC.
    pub fn died_at(&self) -> Option<&str> {
        self.header(DEATH_TIME_HEADER)
    }

    /// The queue it came from.
    pub fn queue(&self) -> Option<&str> {
        self.header(ORIGINAL_QUEUE_HEADER)
    }

    /// Whether only the beginning of its content is kept.
    pub fn is_cut(&self) -> bool {
        self.header(ORIGINAL_BYTES_HEADER).is_some()
    }

    /// The exchange and the routing key that it was first published with.
    pub fn origin(&self) -> Option<(&str, &str)> {
        Some((
            self.header(ORIGINAL_EXCHANGE_HEADER)?,
            self.header(ORIGINAL_ROUTING_KEY_HEADER).unwrap_or(&self.routing_key),
        ))
    }

    /// The message as it was before it died; `None` where it does not say where it was published.
    pub fn original(&self) -> Option<Outgoing> {
        let (exchange, routing_key) = self.origin()?;
        let mut properties = self.properties.clone();
        properties.headers.retain(|name, _| !DEAD_LETTER_HEADERS.contains(&name.as_str()));
        Some(Outgoing {
            exchange: exchange.to_owned().into(),
            routing_key: routing_key.to_owned(),
            body: self.body.clone(),
            properties,
        })
    }
}

/// The dead letters, in hand: what has been looked at is seen by nobody else until this is closed or dropped, or this
/// process ends. Then all of it is back where it was, but what was removed.
pub struct DeadLetters {
    channel: BrokerChannel,
    queue: &'static str,
}

impl DeadLetters {
    pub(super) async fn open(link: &Arc<Link>, queue: &'static str) -> Result<Self, BrokerError> {
        Ok(Self { channel: BrokerChannel::open(link).await?, queue })
    }

    /// The next letter; `None` after the last.
    ///
    /// # Errors
    /// The connection's loss, or the server's refusal.
    pub async fn next(&mut self) -> Result<Option<DeadLetter>, BrokerError> {
        let got = self.channel.get(self.queue, false).await?;
        Ok(got.map(|(message, behind)| DeadLetter {
            routing_key: message.routing_key,
            redelivered: message.redelivered,
            body: Bytes::from(message.body),
            properties: Properties::from_amqp(&message.properties),
            behind,
            tag: message.tag,
        }))
    }

    /// Removes a letter for ever. It is sure only when [`Self::close`] says so.
    ///
    /// # Errors
    /// The connection's loss: the letter stays.
    pub async fn remove(&mut self, letter: &DeadLetter) -> Result<(), BrokerError> {
        let sent = self.channel.ack(letter.tag, false).await;
        if sent { Ok(()) } else { Err(self.channel.failure(&format!("queue '{}'", self.queue))) }
    }

    /// Puts everything back that was not removed.
    ///
    /// # Errors
    /// The connection's loss: what was removed last may be there still.
    pub async fn close(self) -> Result<(), BrokerError> {
        self.channel.close_surely().await
    }
}
