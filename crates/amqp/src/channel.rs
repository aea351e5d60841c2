//! One channel of a connection: what can be asked of the server on it, and what the server says about it.

use std::future::{Future, poll_fn};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use amqprs::callbacks::ChannelCallback;
use amqprs::channel::{
    BasicAckArguments, BasicCancelArguments, BasicConsumeArguments, BasicGetArguments, BasicNackArguments,
    BasicPublishArguments, BasicQosArguments, Channel, ConfirmSelectArguments, ConsumerMessage,
    ExchangeDeclareArguments, QueueBindArguments, QueueDeclareArguments, QueueDeleteArguments,
    QueueUnbindArguments,
};
use amqprs::error::Error as AmqpError;
use amqprs::{Ack, BasicProperties, Cancel, CloseChannel, FieldTable, FieldValue, Nack, Return};
use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::confirms::{Confirms, Verdict};
use super::error::BrokerError;
use super::link::Link;
use super::properties::AmqpProperties;

/// A channel whose requests are bounded and whose end is noticed. To be used by one task at a time: the client
/// library mixes up the answers to equal requests.
pub(super) struct BrokerChannel {
    /// The connection it is on.
    pub(super) link: Arc<Link>,
    /// `None` only while it is being dropped.
    channel: Option<Channel>,
    end: Arc<End>,
}

/// That and why the server closed a channel.
#[derive(Debug, Default)]
struct End {
    happened: CancellationToken,
    reply: OnceLock<(u16, String)>,
}

impl End {
    /// The server's reason as an error about what was in use, where it gave one.
    fn refusal(&self, object: &str, link: &Link) -> Option<BrokerError> {
        let (code, text) = self.reply.get()?;
        Some(BrokerError::from_reply(object, *code, text, link.advice))
    }
}

impl BrokerChannel {
    /// Opens a channel.
    pub(super) async fn open(link: &Arc<Link>) -> Result<Self, BrokerError> {
        Self::open_with(link, None).await
    }

    /// Opens a channel for publishing: confirmations go to `confirms`.
    pub(super) async fn open_confirming(
        link: &Arc<Link>,
        confirms: Arc<Confirms>,
    ) -> Result<Self, BrokerError> {
        let channel = Self::open_with(link, Some(confirms)).await?;
        let select = ConfirmSelectArguments::default();
        channel
            .call("publisher confirms", |channel| async move { channel.confirm_select(select).await })
            .await?;
        Ok(channel)
    }

    async fn open_with(link: &Arc<Link>, confirms: Option<Arc<Confirms>>) -> Result<Self, BrokerError> {
        let channel = link.open_channel().await?;
        let end = Arc::new(End::default());
        let events = Events { end: end.clone(), link: link.clone(), confirms };
        let opened = Self { link: link.clone(), channel: Some(channel), end };
        opened
            .call("the channel's callbacks", |channel| async move { channel.register_callback(events).await })
            .await?;
        Ok(opened)
    }

    /// Ends when the channel or its connection has ended.
    pub(super) async fn ended(&self) {
        tokio::select! {
            () = self.end.happened.cancelled() => {}
            () = self.link.dead() => {}
        }
    }

    /// Whether nothing can be sent on it any more.
    pub(super) fn has_ended(&self) -> bool {
        self.end.happened.is_cancelled() || self.link.is_dead()
    }

    /// Why it ended, as an error about what was in use.
    pub(super) fn failure(&self, object: &str) -> BrokerError {
        self.end.refusal(object, &self.link).unwrap_or_else(|| self.link.lost())
    }

    /// Makes one request about `object` and waits for its answer.
    async fn call<T, F>(&self, object: &str, request: impl FnOnce(Channel) -> F) -> Result<T, BrokerError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, AmqpError>> + Send + 'static,
    {
        let Some(channel) = self.channel.clone() else { return Err(self.link.lost()) };
        let answer = self.link.bounded(object, request(channel)).await;
        answer.map_err(|error| self.end.refusal(object, &self.link).unwrap_or(error))
    }

    /// Sends something that gets no answer. `false`: the channel has ended, or the connection is stuck and given up.
    ///
    /// Unlike a request this may be cancelled: it is one `send` into the library's queue, done wholly or not at all.
    async fn send<F>(&self, what: &str, message: impl FnOnce(Channel) -> F) -> bool
    where
        F: Future<Output = Result<(), AmqpError>> + Send,
    {
        let Some(channel) = self.channel.clone() else { return false };
        if self.has_ended() {
            return false;
        }
        tokio::select! {
            biased;
            sent = message(channel) => sent.is_ok(),
            () = self.ended() => false,
            () = tokio::time::sleep(self.link.operation_timeout) => {
                self.link.discard(format!("{what} could not be sent"));
                false
            }
        }
    }

    /// Closes it: what was sent before has been processed by then, what is not acknowledged goes back to its queue.
    pub(super) async fn close(&self) {
        let _ = self.close_surely().await;
    }

    /// [`Self::close`], which tells whether the server has heard of everything.
    pub(super) async fn close_surely(&self) -> Result<(), BrokerError> {
        if self.has_ended() {
            return Err(self.failure("the channel"));
        }
        let closed = self.call("closing a channel", Channel::close).await;
        self.end.happened.cancel();
        closed
    }
}

/// A value among a queue's arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Argument {
    Number(i32),
    Text(&'static str),
}

/// How a queue is declared.
pub(super) enum QueueKind<'a> {
    /// It stays, and has these arguments.
    Durable(&'a [(&'static str, Argument)]),
    /// It is this connection's alone and goes with its consumer.
    Exclusive,
    /// It is only looked at, not made.
    Existing,
}

/// A queue as the server describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// Its name; of use when the server chose it.
    pub(super) name: String,
    /// How many messages wait in it.
    pub(super) messages: u32,
    /// How many consumers it has.
    pub(super) consumers: u32,
}

/// A message from a queue, as it came.
pub(super) struct Message {
    pub(super) tag: u64,
    pub(super) exchange: String,
    pub(super) routing_key: String,
    pub(super) redelivered: bool,
    pub(super) properties: AmqpProperties,
    pub(super) body: Vec<u8>,
}

/// One queue's stream of messages.
pub(super) struct Feed {
    pub(super) queue: String,
    consumer_tag: String,
    messages: mpsc::UnboundedReceiver<ConsumerMessage>,
}

impl Feed {
    /// The next message; `None` when the consumer is cancelled or the queue has gone. May be cancelled.
    pub(super) async fn next(&mut self) -> Option<Message> {
        poll_fn(|context| self.poll_next(context)).await
    }

    pub(super) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Message>> {
        while let Some(message) = ready!(self.messages.poll_recv(context)) {
            let Some(deliver) = message.deliver else { continue };
            return Poll::Ready(Some(Message {
                tag: deliver.delivery_tag(),
                exchange: deliver.exchange().clone(),
                routing_key: deliver.routing_key().clone(),
                redelivered: deliver.redelivered(),
                properties: AmqpProperties(message.basic_properties.unwrap_or_default()),
                body: message.content.unwrap_or_default(),
            }));
        }
        Poll::Ready(None)
    }
}

/// What can be asked of the server.
impl BrokerChannel {
    /// Declares a durable exchange, or only looks whether it is there.
    pub(super) async fn declare_exchange(
        &self,
        name: &str,
        kind: &str,
        only_look: bool,
    ) -> Result<(), BrokerError> {
        let arguments = ExchangeDeclareArguments::new(name, kind).durable(true).passive(only_look).finish();
        self.call(&format!("exchange '{name}'"), |channel| async move {
            channel.exchange_declare(arguments).await
        })
        .await
    }

    /// Declares a queue. Without a name the server chooses one.
    pub(super) async fn declare_queue(&self, name: &str, kind: QueueKind<'_>) -> Result<Found, BrokerError> {
        let mut declare = QueueDeclareArguments::new(name);
        match kind {
            QueueKind::Durable(arguments) => declare.durable(true).arguments(field_table(arguments)),
            QueueKind::Exclusive => declare.exclusive(true).auto_delete(true),
            QueueKind::Existing => declare.passive(true),
        };
        let object = queue_object(name);
        let answer =
            self.call(&object, |channel| async move { channel.queue_declare(declare).await }).await?;
        answer
            .map(|(name, messages, consumers)| Found { name, messages, consumers })
            .ok_or(BrokerError::Refused { object, code: 0, reason: "no answer".to_owned() })
    }

    /// Binds a queue to an exchange.
    pub(super) async fn bind(&self, queue: &str, exchange: &str, key: &str) -> Result<(), BrokerError> {
        let arguments = QueueBindArguments::new(queue, exchange, key);
        let object = format!("the binding of queue '{queue}' to exchange '{exchange}'");
        self.call(&object, |channel| async move { channel.queue_bind(arguments).await }).await
    }

    /// Takes a binding back.
    pub(super) async fn unbind(&self, queue: &str, exchange: &str, key: &str) -> Result<(), BrokerError> {
        let arguments = QueueUnbindArguments::new(queue, exchange, key);
        self.call(&queue_object(queue), |channel| async move { channel.queue_unbind(arguments).await }).await
    }

    /// Deletes a queue, on these conditions.
    pub(super) async fn delete_queue(
        &self,
        name: &str,
        only_unused: bool,
        only_empty: bool,
    ) -> Result<(), BrokerError> {
        let mut arguments = QueueDeleteArguments::new(name);
        arguments.if_unused(only_unused).if_empty(only_empty);
        self.call(&queue_object(name), |channel| async move { channel.queue_delete(arguments).await })
            .await
            .map(drop)
    }

    /// How many unacknowledged messages may be on their way to each consumer, or to all of the channel as a sum.
    pub(super) async fn set_prefetch(&self, count: u16, is_sum: bool) -> Result<(), BrokerError> {
        let arguments = BasicQosArguments::new(0, count, is_sum);
        self.call("the prefetch", |channel| async move { channel.basic_qos(arguments).await }).await
    }

    /// Consumes a queue. Without a tag the server chooses one.
    pub(super) async fn consume(
        &self,
        queue: &str,
        tag: &str,
        manual_ack: bool,
        exclusive: bool,
    ) -> Result<Feed, BrokerError> {
        let arguments =
            BasicConsumeArguments::new(queue, tag).manual_ack(manual_ack).exclusive(exclusive).finish();
        let (consumer_tag, messages) = self
            .call(&queue_object(queue), |channel| async move { channel.basic_consume_rx(arguments).await })
            .await?;
        Ok(Feed { queue: queue.to_owned(), consumer_tag, messages })
    }

    /// Ends a feed, after its last message. A failure means that the channel is gone, which ends it as well.
    pub(super) async fn cancel(&self, feed: &Feed) {
        let arguments = BasicCancelArguments::new(&feed.consumer_tag);
        let object = queue_object(&feed.queue);
        let _ = self.call(&object, |channel| async move { channel.basic_cancel(arguments).await }).await;
    }

    /// Takes one message, and says how many wait behind it. With `no_ack` it is gone from its queue at once.
    pub(super) async fn get(&self, queue: &str, no_ack: bool) -> Result<Option<(Message, u32)>, BrokerError> {
        let arguments = BasicGetArguments::new(queue).no_ack(no_ack).finish();
        let got = self
            .call(&queue_object(queue), |channel| async move { channel.basic_get(arguments).await })
            .await?;
        Ok(got.map(|(got, properties, body)| {
            let message = Message {
                tag: got.delivery_tag(),
                exchange: got.exchange().clone(),
                routing_key: got.routing_key().clone(),
                redelivered: got.redelivered(),
                properties: AmqpProperties(properties),
                body,
            };
            (message, got.message_count())
        }))
    }

    /// Publishes a message. What became of it the confirmation says, or the channel's end: this is not to be cancelled
    /// but by that.
    pub(super) async fn publish(
        &self,
        exchange: &str,
        routing_key: &str,
        mandatory: bool,
        AmqpProperties(properties): AmqpProperties,
        body: Vec<u8>,
    ) {
        let arguments = BasicPublishArguments::new(exchange, routing_key).mandatory(mandatory).finish();
        if let Some(channel) = &self.channel {
            let _ = channel.basic_publish(properties, body, arguments).await;
        }
    }

    /// Acknowledges a message, or all up to it. `false`: the channel has ended.
    pub(super) async fn ack(&self, tag: u64, multiple: bool) -> bool {
        let arguments = BasicAckArguments::new(tag, multiple);
        self.send("an acknowledgement", |channel| async move { channel.basic_ack(arguments).await }).await
    }

    /// Puts a message back into its queue. `false`: the channel has ended, which does the same.
    pub(super) async fn give_back(&self, tag: u64) -> bool {
        let arguments = BasicNackArguments::new(tag, false, true);
        self.send("giving a message back", |channel| async move { channel.basic_nack(arguments).await }).await
    }
}

fn queue_object(name: &str) -> String {
    format!("queue '{name}'")
}

fn field_table(arguments: &[(&'static str, Argument)]) -> FieldTable {
    let mut table = FieldTable::new();
    for (key, value) in arguments {
        let value = match *value {
            Argument::Number(number) => FieldValue::I(number),
            Argument::Text(text) => FieldValue::from(text),
        };
        if let Ok(key) = (*key).try_into() {
            table.insert(key, value);
        }
    }
    table
}

impl Drop for BrokerChannel {
    fn drop(&mut self) {
        // The library spawns a task that closes the channel.
        let _runtime = self.link.runtime.enter();
        drop(self.channel.take());
    }
}

/// Lives in the library's task for this channel and dies with it.
struct Events {
    end: Arc<End>,
    link: Arc<Link>,
    confirms: Option<Arc<Confirms>>,
}

impl Drop for Events {
    fn drop(&mut self) {
        self.end.happened.cancel();
        if let Some(confirms) = &self.confirms {
            let refusal = self.end.refusal("publishing", &self.link);
            confirms.close(&refusal.unwrap_or_else(|| self.link.lost()));
        }
    }
}

#[async_trait]
impl ChannelCallback for Events {
    async fn close(&mut self, _: &Channel, close: CloseChannel) -> Result<(), AmqpError> {
        let _ = self.end.reply.set((close.reply_code(), close.reply_text().clone()));
        self.link.count_spent_channel();
        Ok(())
    }

    async fn cancel(&mut self, _: &Channel, _: Cancel) -> Result<(), AmqpError> {
        // A queue was deleted: agreeing ends the consumer's stream, which is how the consumer learns it.
        Ok(())
    }

    async fn flow(&mut self, _: &Channel, active: bool) -> Result<bool, AmqpError> {
        Ok(active)
    }

    async fn publish_ack(&mut self, _: &Channel, ack: Ack) {
        if let Some(confirms) = &self.confirms {
            confirms.settle(ack.delivery_tag(), ack.mutiple(), Verdict::Acked);
        }
    }

    async fn publish_nack(&mut self, _: &Channel, nack: Nack) {
        if let Some(confirms) = &self.confirms {
            confirms.settle(nack.delivery_tag(), nack.multiple(), Verdict::Nacked);
        }
    }

    async fn publish_return(&mut self, _: &Channel, ret: Return, properties: BasicProperties, _: Vec<u8>) {
        if let Some(confirms) = &self.confirms {
            let why = format!("{} (code {})", ret.reply_text(), ret.reply_code());
            confirms.returned(properties.message_id().map_or("", String::as_str), &why);
        }
    }
}
