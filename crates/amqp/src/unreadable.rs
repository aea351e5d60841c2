//! Messages that the client library cannot read.
//!
//! It ends the connection at a message whose properties are not UTF-8, or have a header of a type that it does not
//! know. The message goes back to its queue and comes again: the consumer would lose its connection for ever. So, when
//! a connection ends soon after consuming began, the queue is looked through message by message, once for all of them.
//! What can be read is held by connections that take no more, until what is next cannot be read: a connection ends at it
//! again. It is taken out without an acknowledgement then, which removes it although it is never read.
//!
//! A classic queue puts a message back to where it was. A quorum queue puts it behind all others that were put back: there
//! what is next is known only when each message that is left has ended a connection.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use daemon::clock::rfc3339_ms;
use tokio::sync::mpsc;

use super::channel::BrokerChannel;
use super::dead_letter::{DEATH_REASON_HEADER, DEATH_TIME_HEADER, ORIGINAL_QUEUE_HEADER};
use super::error::BrokerError;
use super::link::Link;
use super::options::{BrokerOptions, QueueType};
use super::properties::{Outgoing, Properties};
use super::renewed::RenewedChannel;

/// How far a queue is looked through; what lies deeper is found when it has come to the front.
const MAX_LOOKED_AT: usize = 1000;
/// How many connections a search makes at most, one after the other; each that holds messages stays open until the end.
const MAX_CONNECTIONS: u32 = 200;
/// So often what ended a connection may not be met again before the network is the cause, or another consumer has it.
const MAX_ACCIDENTS: u32 = 5;
/// How long the server takes at first to put back what a connection held that has ended. It doubles each time that it was
/// not enough.
const PUT_BACK: Duration = Duration::from_millis(50);

/// Removes all messages of a queue that cannot be read, as far as it is looked through, and says how many they were. What is
/// to be published then goes to `taken` at once: a dead letter that tells of it, or the message itself where another was
/// met in its place.
pub(super) async fn remove(
    options: &BrokerOptions,
    queue: &str,
    taken: &mpsc::UnboundedSender<Outgoing>,
) -> Result<usize, BrokerError> {
    let mut search = Search {
        options,
        queue,
        taken,
        held: Vec::new(),
        passed: 0,
        removed: 0,
        ends_in_a_row: 0,
        is_one_about: false,
        accidents: 0,
        put_back: PUT_BACK,
    };
    let outcome = search.remove_all().await;
    let removed = search.removed;
    if removed > 0 {
        tracing::error!(
            action = "message_processing_failed",
            details = queue,
            removed,
            "{removed} messages with properties that cannot be read were removed"
        );
    }
    outcome.map(|()| removed)
}

/// One search through a queue.
struct Search<'a> {
    options: &'a BrokerOptions,
    queue: &'a str,
    taken: &'a mpsc::UnboundedSender<Outgoing>,
    /// Have in hand what can be read. All of it is back in its queue when this ends.
    held: Vec<BrokerChannel>,
    passed: usize,
    removed: usize,
    /// How many connections in a row ended at their first message.
    ends_in_a_row: usize,
    /// Whether a message has ended a connection that was not removed since.
    is_one_about: bool,
    accidents: u32,
    put_back: Duration,
}

/// How a connection fared that took messages one by one.
struct Fared {
    /// How many messages waited when it began.
    waiting: usize,
    /// How many it could read.
    read: usize,
    end: ReadingEnd,
}

enum ReadingEnd {
    /// It has taken as many as it was to take.
    Full(BrokerChannel),
    /// There were no more.
    Empty(BrokerChannel),
    /// A message has ended it.
    Cut,
}

impl Search<'_> {
    async fn remove_all(&mut self) -> Result<(), BrokerError> {
        let mut wanted = MAX_LOOKED_AT;
        for _ in 0..MAX_CONNECTIONS {
            let left = MAX_LOOKED_AT.saturating_sub(self.passed + self.removed);
            if left == 0 || self.accidents >= MAX_ACCIDENTS {
                break;
            }
            let Fared { waiting, read, end } = self.read_up_to(wanted.min(left)).await?;
            wanted = match end {
                ReadingEnd::Full(channel) => {
                    self.hold(channel, read);
                    MAX_LOOKED_AT
                }
                ReadingEnd::Empty(channel) => {
                    if read > 0 {
                        self.hold(channel, read);
                    }
                    if !self.is_one_about {
                        break;
                    }
                    self.miss().await;
                    MAX_LOOKED_AT
                }
                ReadingEnd::Cut => {
                    self.is_one_about = true;
                    self.ends_in_a_row = if read == 0 { self.ends_in_a_row + 1 } else { 0 };
                    if self.ends_in_a_row >= self.ends_until_known(waiting) {
                        self.take_out().await?;
                    }
                    // What it could read, so that what it could not is next.
                    if self.ends_in_a_row == 0 && !self.is_one_about { MAX_LOOKED_AT } else { read.max(1) }
                }
            };
        }
        Ok(())
    }

    /// How many connections in a row must end at their first message before it is known that the next one does. At first it
    /// might be an accident of the network.
    fn ends_until_known(&self, waiting: usize) -> usize {
        let ends = if self.removed == 0 { 2 } else { 1 };
        match self.options.queue_type {
            QueueType::Classic => ends,
            QueueType::Quorum => ends.max(waiting),
        }
    }

    fn hold(&mut self, channel: BrokerChannel, read: usize) {
        self.passed += read;
        self.ends_in_a_row = 0;
        self.held.push(channel);
    }

    /// What ended a connection is not there any more, or not yet again.
    async fn miss(&mut self) {
        self.accidents += 1;
        self.put_back *= 2;
        tokio::time::sleep(self.put_back).await;
    }

    /// Takes up to so many messages in hand, on a connection of its own.
    async fn read_up_to(&self, wanted: usize) -> Result<Fared, BrokerError> {
        let link = connect(self.options).await?;
        let mut channel = RenewedChannel::on(&link);
        let waiting = channel.look_at_queue(self.queue).await?.map_or(0, |found| found.messages as usize);
        let channel = channel.into_channel().await?;
        for read in 0..wanted {
            match channel.get(self.queue, false).await {
                Ok(Some(_)) => {}
                Ok(None) => return Ok(Fared { waiting, read, end: ReadingEnd::Empty(channel) }),
                Err(error) => {
                    self.ended_by_message(&channel, error).await?;
                    return Ok(Fared { waiting, read, end: ReadingEnd::Cut });
                }
            }
        }
        Ok(Fared { waiting, read: wanted, end: ReadingEnd::Full(channel) })
    }

    /// Takes the next message out for ever.
    async fn take_out(&mut self) -> Result<(), BrokerError> {
        self.ends_in_a_row = 0;
        let link = connect(self.options).await?;
        let channel = BrokerChannel::open(&link).await?;
        match channel.get(self.queue, true).await {
            Err(error) => {
                self.ended_by_message(&channel, error).await?;
                self.is_one_about = false;
                self.removed += 1;
                let exchange = self.options.topology.names().dead_letter_exchange;
                let _ = self.taken.send(dead_letter_of_nothing(exchange, self.queue));
            }
            Ok(None) => self.miss().await,
            // Another consumer was quicker: this one is innocent.
            Ok(Some((message, _))) => {
                let _ = self.taken.send(Outgoing {
                    exchange: "".into(),
                    routing_key: self.queue.to_owned(),
                    body: Bytes::from(message.body),
                    properties: Properties::from_amqp(&message.properties),
                });
                self.miss().await;
            }
        }
        Ok(())
    }

    /// Whether a request failed because its connection was cut, as by a message that cannot be read. What the connection
    /// held is back in its queue afterwards, most probably.
    async fn ended_by_message(&self, channel: &BrokerChannel, error: BrokerError) -> Result<(), BrokerError> {
        if !channel.link.was_cut().await {
            return Err(error);
        }
        tokio::time::sleep(self.put_back).await;
        Ok(())
    }
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

/// Tells of a message of which nothing is left.
fn dead_letter_of_nothing(exchange: &'static str, queue: &str) -> Outgoing {
    let reason =
        "its properties could not be read (no UTF-8, or headers of an unknown type); nothing of it is left";
    let headers = [
        (DEATH_REASON_HEADER, reason.to_owned()),
        (DEATH_TIME_HEADER, rfc3339_ms(jiff::Timestamp::now())),
        (ORIGINAL_QUEUE_HEADER, queue.to_owned()),
    ];
    let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Outgoing {
        exchange: exchange.into(),
        routing_key: String::new(),
        body: Bytes::new(),
        properties: Properties { headers, ..Properties::default() },
    }
}

/// A message that was taken out by mistake and that the account may not put back into its queue: a person can.
pub(super) fn misplaced(exchange: &'static str, message: Outgoing) -> Outgoing {
    let Outgoing { routing_key: queue, body, mut properties, .. } = message;
    let reason =
        "it was taken from its queue in place of one that could not be read, and may not be put back";
    properties.headers.insert(DEATH_REASON_HEADER.to_owned(), reason.to_owned());
    properties.headers.insert(DEATH_TIME_HEADER.to_owned(), rfc3339_ms(jiff::Timestamp::now()));
    properties.headers.insert(ORIGINAL_QUEUE_HEADER.to_owned(), queue);
    Outgoing { exchange: exchange.into(), routing_key: String::new(), body, properties }
}
