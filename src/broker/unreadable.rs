//! Messages that the client library cannot read.
//!
//! It ends the connection at a message whose properties are not UTF-8, or have a header of a type that it does not
//! know. The message goes back to its queue and comes again: the consumer would lose its connection for ever. So, when
//! connections end soon after consuming began, again and again, the queue is looked through message by message. Where
//! the connection ends at the same place each time, the message there is taken out without an acknowledgement, which
//! removes it although it is never read.

use std::sync::Arc;

use amqprs::channel::{BasicGetArguments, GetMessage};
use bytes::Bytes;

use super::channel::BrokerChannel;
use super::dead_letter::{DEATH_REASON_HEADER, DEATH_TIME_HEADER, ORIGINAL_QUEUE_HEADER};
use super::error::BrokerError;
use super::link::Link;
use super::options::BrokerOptions;
use super::properties::{Outgoing, Properties};
use super::topology::DEAD_LETTER_EXCHANGE;
use crate::runtime::clock::rfc3339_ms;

/// How far a queue is looked through; what lies deeper is found when it has come to the front.
const MAX_LOOKED_AT: usize = 1000;

/// Looks for a message that cannot be read and removes it. The answer is what is to be published then: a dead letter
/// that tells of it, or the message itself where another was met in its place.
pub(super) async fn remove(options: &BrokerOptions, queue: &str) -> Result<Option<Outgoing>, BrokerError> {
    let Some(place) = find(options, queue).await? else { return Ok(None) };
    // Twice at the same place is no accident of the network.
    if find(options, queue).await? != Some(place) {
        return Ok(None);
    }
    let link = connect(options).await?;
    let channel = BrokerChannel::open(&link).await?;
    for _ in 0..place {
        if get(&channel, queue, false).await?.is_none() {
            return Ok(None);
        }
    }
    match get(&channel, queue, true).await {
        Ok(None) => Ok(None),
        // Another consumer was quicker: this one is innocent.
        Ok(Some((_, properties, body))) => Ok(Some(Outgoing {
            exchange: "".into(),
            routing_key: queue.to_owned(),
            body: Bytes::from(body),
            properties: Properties::from_amqp(&properties),
        })),
        Err(_) if link.was_cut() => {
            tracing::error!(
                action = "message_processing_failed",
                details = queue,
                "a message with properties that cannot be read was removed"
            );
            Ok(Some(obituary(queue)))
        }
        Err(error) => Err(error),
    }
}

/// How many messages can be read before one that cannot; `None`: there is none, as far as it was looked.
async fn find(options: &BrokerOptions, queue: &str) -> Result<Option<usize>, BrokerError> {
    let link = connect(options).await?;
    let channel = BrokerChannel::open(&link).await?;
    for place in 0..MAX_LOOKED_AT {
        match get(&channel, queue, false).await {
            Ok(Some(_)) => {}
            Ok(None) => break,
            Err(_) if link.was_cut() => return Ok(Some(place)),
            Err(error) => return Err(error),
        }
    }
    // All of them are back in their places after this.
    channel.close().await;
    Ok(None)
}

async fn get(channel: &BrokerChannel, queue: &str, no_ack: bool) -> Result<Option<GetMessage>, BrokerError> {
    let mut arguments = BasicGetArguments::new(queue);
    arguments.no_ack(no_ack);
    channel
        .call(&format!("queue '{queue}'"), |channel| async move { channel.basic_get(arguments).await })
        .await
}

/// A connection of its own: it will not live long.
async fn connect(options: &BrokerOptions) -> Result<Arc<Link>, BrokerError> {
    let mut failure = BrokerError::NotConnected;
    for host in &options.hosts {
        match Link::open(options, host, 0).await {
            Ok(link) => return Ok(link),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

fn obituary(queue: &str) -> Outgoing {
    let reason =
        "its properties could not be read (no UTF-8, or headers of an unknown type); nothing of it is left";
    let headers = [
        (DEATH_REASON_HEADER, reason.to_owned()),
        (DEATH_TIME_HEADER, rfc3339_ms(jiff::Timestamp::now())),
        (ORIGINAL_QUEUE_HEADER, queue.to_owned()),
    ];
    let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Outgoing {
        exchange: DEAD_LETTER_EXCHANGE.into(),
        routing_key: String::new(),
        body: Bytes::new(),
        properties: Properties { headers, ..Properties::default() },
    }
}
