//! A delivered message and its acknowledgement, valid on the channel that it came by and nowhere else.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use daemon::clock::rfc3339_ms;
use daemon::sync::locked;
use jiff::Timestamp;
use tokio::sync::Mutex;

use crate::channel::{BrokerChannel, Message};
use crate::dead_letter::{
    DEATH_REASON_HEADER, DEATH_TIME_HEADER, MAX_FOREIGN_HEADERS_BYTES, MAX_REASON_BYTES,
    ORIGINAL_BYTES_HEADER, ORIGINAL_EXCHANGE_HEADER, ORIGINAL_QUEUE_HEADER, ORIGINAL_ROUTING_KEY_HEADER,
};
use crate::properties::{Outgoing, Properties};

/// A delivery that is dropped without a word is given back after this pause, so that it does not go round quickly.
const DROPPED_GIVE_BACK: Duration = Duration::from_secs(1);

/// The channel of a consumer during one connection, with the tags that are not acknowledged on it.
pub(super) struct ChannelSession {
    pub(super) channel: BrokerChannel,
    /// Held while an acknowledgement is sent, so that a `multiple` one never meets a tag that another has settled:
    /// the server closes a channel that acknowledges twice.
    outstanding: Mutex<BTreeSet<u64>>,
    /// What is to be acknowledged next.
    done: std::sync::Mutex<Vec<u64>>,
    /// How much of a content is kept.
    max_body_bytes: usize,
}

impl ChannelSession {
    pub(super) fn new(channel: BrokerChannel, max_body_bytes: usize) -> Self {
        Self { channel, outstanding: Mutex::default(), done: std::sync::Mutex::default(), max_body_bytes }
    }

    pub(super) async fn arrived(&self, tag: u64) {
        self.outstanding.lock().await.insert(tag);
    }

    /// Acknowledges this tag, and those that others are done with at the same moment, with as few frames as can be: to
    /// RabbitMQ one that acknowledges fifty messages is one piece of work. `false`: void, they come again.
    async fn ack(&self, tag: u64) -> bool {
        locked(&self.done).push(tag);
        // Those whose work was finished by the same commit get here now.
        tokio::task::yield_now().await;
        let mut outstanding = self.outstanding.lock().await;
        let done = std::mem::take(&mut *locked(&self.done));
        // Its own among them, for sure: who took them before may have been cut off.
        let wanted: HashSet<u64> =
            done.into_iter().chain([tag]).filter(|tag| outstanding.contains(tag)).collect();
        let prefix = outstanding.iter().take_while(|tag| wanted.contains(tag)).last().copied();
        if let Some(last) = prefix {
            if !self.channel.ack(last, true).await {
                return false;
            }
            *outstanding = outstanding.split_off(&(last + 1));
        }
        for tag in wanted.into_iter().filter(|tag| prefix.is_none_or(|last| *tag > last)) {
            if !self.channel.ack(tag, false).await {
                return false;
            }
            outstanding.remove(&tag);
        }
        !self.channel.has_ended()
    }

    /// Puts one message back into its queue.
    pub(super) async fn give_back(&self, tag: u64) -> bool {
        let mut outstanding = self.outstanding.lock().await;
        if !outstanding.contains(&tag) {
            return false;
        }
        let sent = self.channel.give_back(tag).await;
        outstanding.remove(&tag);
        sent
    }
}

/// A message from a queue. It is this consumer's until it is acknowledged or given back.
pub struct Delivery {
    /// The queue it came from.
    pub queue: String,
    /// The exchange it was published to.
    pub exchange: String,
    /// The routing key it was published with.
    pub routing_key: String,
    /// It may have been delivered before.
    pub redelivered: bool,
    /// The content as it is, or the beginning of one that is larger than `BrokerOptions::max_body_bytes`: so many wait for a
    /// reader as its prefetch lets in, and each may have 128 MiB.
    pub body: Bytes,
    /// How many bytes the whole content has.
    pub body_bytes: usize,
    /// What goes with it, as far as it does.
    pub properties: Properties,
    session: Arc<ChannelSession>,
    tag: u64,
    settled: bool,
}

/// A message in a consumer's hands.
pub trait Received: Send + 'static {
    /// The queue it came from.
    fn queue(&self) -> &str;

    /// See [`Delivery::body`].
    fn body(&self) -> &[u8];

    /// How many bytes the whole content has.
    fn body_bytes(&self) -> usize;

    /// What goes with it, as far as it does.
    fn properties(&self) -> &Properties;

    /// Done with it. `false`: its connection is gone, so it comes again.
    fn ack(self) -> impl Future<Output = bool> + Send;

    /// Back into its queue, at once, for whoever takes it next. `false`: it is void, so it goes there anyway.
    fn give_back(self) -> impl Future<Output = bool> + Send;
}

impl Received for Delivery {
    fn queue(&self) -> &str {
        &self.queue
    }

    fn body(&self) -> &[u8] {
        &self.body
    }

    fn body_bytes(&self) -> usize {
        self.body_bytes
    }

    fn properties(&self) -> &Properties {
        &self.properties
    }

    async fn ack(mut self) -> bool {
        let acked = self.session.ack(self.tag).await;
        self.settled = true;
        acked
    }

    async fn give_back(mut self) -> bool {
        let given = self.session.give_back(self.tag).await;
        self.settled = true;
        given
    }
}

impl Delivery {
    pub(super) fn new(queue: &str, message: Message, session: &Arc<ChannelSession>) -> Self {
        let Message { tag, exchange, routing_key, redelivered, properties, body: content } = message;
        let body_bytes = content.len();
        let body = match content.get(..session.max_body_bytes) {
            Some(beginning) => Bytes::copy_from_slice(beginning),
            None => Bytes::from(content),
        };
        Self {
            queue: queue.to_owned(),
            exchange,
            routing_key,
            redelivered,
            body,
            body_bytes,
            properties: Properties::from_amqp(&properties),
            session: session.clone(),
            tag,
            settled: false,
        }
    }

    /// Whether the connection it came by is gone: it comes again, whatever is done with this one.
    pub fn is_void(&self) -> bool {
        self.session.channel.has_ended()
    }

    /// Back into its queue after a pause. Does not wait for it.
    pub fn give_back_after(mut self, pause: Duration) {
        self.schedule_give_back(pause);
    }

    /// Its copy for the dead letters, which says why it is there and whence it came.
    pub(crate) fn dead_letter(&self, exchange: &'static str, reason: &str) -> Outgoing {
        let mut properties = self.properties.clone();
        // Room for our own: the foreign ones may fill a frame.
        if properties.headers_bytes() > MAX_FOREIGN_HEADERS_BYTES {
            properties.headers.clear();
            properties.traceparent = None;
        }
        let headers = &mut properties.headers;
        let end = reason.floor_char_boundary(MAX_REASON_BYTES);
        headers.insert(DEATH_REASON_HEADER.to_owned(), reason[..end].to_owned());
        headers.insert(DEATH_TIME_HEADER.to_owned(), rfc3339_ms(Timestamp::now()));
        headers.insert(ORIGINAL_QUEUE_HEADER.to_owned(), self.queue.clone());
        headers.insert(ORIGINAL_EXCHANGE_HEADER.to_owned(), self.exchange.clone());
        headers.insert(ORIGINAL_ROUTING_KEY_HEADER.to_owned(), self.routing_key.clone());
        // Whoever published it may have said so of itself.
        headers.remove(ORIGINAL_BYTES_HEADER);
        if self.body_bytes > self.body.len() {
            headers.insert(ORIGINAL_BYTES_HEADER.to_owned(), self.body_bytes.to_string());
        }
        Outgoing {
            exchange: exchange.into(),
            routing_key: self.routing_key.clone(),
            body: self.body.clone(),
            properties,
        }
    }

    /// Nothing is to be done with it any more: it is void.
    pub(super) fn forget(mut self) {
        self.settled = true;
    }

    fn schedule_give_back(&mut self, pause: Duration) {
        self.settled = true;
        if self.is_void() {
            return;
        }
        let (session, tag) = (self.session.clone(), self.tag);
        self.session.channel.link.runtime.spawn(async move {
            tokio::select! {
                () = tokio::time::sleep(pause) => { session.give_back(tag).await; }
                () = session.channel.ended() => {}
            }
        });
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if !self.settled {
            self.schedule_give_back(DROPPED_GIVE_BACK);
        }
    }
}

impl std::fmt::Debug for Delivery {
    /// Without the body, which may hold personal data.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Delivery")
            .field("queue", &self.queue)
            .field("tag", &self.tag)
            .field("redelivered", &self.redelivered)
            .field("message_id", &self.properties.message_id)
            .field("body_bytes", &self.body_bytes)
            .finish_non_exhaustive()
    }
}
