//! One channel of a connection, and what the server says about it.

use std::future::Future;
use std::sync::{Arc, OnceLock};

use amqprs::callbacks::ChannelCallback;
use amqprs::channel::Channel;
use amqprs::error::Error as AmqpError;
use amqprs::{Ack, BasicProperties, Cancel, CloseChannel, Nack, Return};
use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use super::confirms::{Confirms, Verdict};
use super::error::BrokerError;
use super::link::Link;

/// A channel whose requests are bounded and whose end is noticed. To be used by one task at a time: the client
/// library mixes up the answers to equal requests.
pub(super) struct BrokerChannel {
    link: Arc<Link>,
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
        let select = amqprs::channel::ConfirmSelectArguments::default();
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

    /// The connection it is on.
    pub(super) fn link(&self) -> &Arc<Link> {
        &self.link
    }

    /// The library's handle, for what needs no answer.
    pub(super) fn raw(&self) -> Option<&Channel> {
        self.channel.as_ref()
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
        match self.end.reply.get() {
            Some((code, text)) => BrokerError::from_reply(object, *code, text),
            None => self.link.lost(),
        }
    }

    /// Makes one request about `object` and waits for its answer.
    pub(super) async fn call<T, F>(
        &self,
        object: &str,
        request: impl FnOnce(Channel) -> F,
    ) -> Result<T, BrokerError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, AmqpError>> + Send + 'static,
    {
        let Some(channel) = self.channel.clone() else { return Err(self.link.lost()) };
        self.link.bounded(object, request(channel)).await.map_err(|error| match self.end.reply.get() {
            Some((code, text)) => BrokerError::from_reply(object, *code, text),
            None => error,
        })
    }

    /// Sends something that gets no answer. `false`: the channel has ended, or the connection is stuck and given up.
    ///
    /// Unlike a request this may be cancelled: it is one `send` into the library's queue, done wholly or not at all.
    pub(super) async fn send<F>(&self, what: &str, message: impl FnOnce(Channel) -> F) -> bool
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
            () = tokio::time::sleep(self.link.operation_timeout()) => {
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

impl Drop for BrokerChannel {
    fn drop(&mut self) {
        // The library spawns a task that closes the channel.
        let _runtime = self.link.runtime().enter();
        drop(self.channel.take());
    }
}

/// A channel for requests that may be refused: the server closes a channel with each refusal, and the next request gets
/// a new one.
pub(super) struct RenewedChannel {
    link: Arc<Link>,
    channel: Option<BrokerChannel>,
}

impl RenewedChannel {
    /// One on this connection, opened when it is needed.
    pub(super) fn on(link: &Arc<Link>) -> Self {
        Self { link: link.clone(), channel: None }
    }

    /// The channel.
    pub(super) async fn get(&mut self) -> Result<&BrokerChannel, BrokerError> {
        let channel = match self.channel.take() {
            Some(channel) => channel,
            None => BrokerChannel::open(&self.link).await?,
        };
        Ok(self.channel.insert(channel))
    }

    /// The server has closed it.
    pub(super) fn renew(&mut self) {
        self.channel = None;
    }

    /// Hands the answer on; after a failure the next request gets a new channel.
    pub(super) fn renew_after<T>(&mut self, answer: Result<T, BrokerError>) -> Result<T, BrokerError> {
        if answer.is_err() {
            self.renew();
        }
        answer
    }

    /// Closes it.
    pub(super) async fn close(self) {
        if let Some(channel) = &self.channel {
            channel.close().await;
        }
    }

    /// The channel, for good.
    pub(super) async fn into_channel(mut self) -> Result<BrokerChannel, BrokerError> {
        match self.channel.take() {
            Some(channel) => Ok(channel),
            None => BrokerChannel::open(&self.link).await,
        }
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
            let reason = match self.end.reply.get() {
                Some((code, text)) => BrokerError::from_reply("publishing", *code, text),
                None => self.link.lost(),
            };
            confirms.close(&reason);
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
