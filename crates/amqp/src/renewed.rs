//! A channel for requests that may be refused: the server closes a channel with each refusal, and the next request gets a
//! new one.

use std::sync::Arc;

use super::channel::{BrokerChannel, Found, QueueKind};
use super::error::BrokerError;
use super::link::Link;

/// A channel, or none at the moment.
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

    /// Looks at a queue without declaring it; `None`: there is none.
    pub(super) async fn look_at_queue(&mut self, name: &str) -> Result<Option<Found>, BrokerError> {
        let found = self.get().await?.declare_queue(name, QueueKind::Existing).await;
        match self.renew_after(found) {
            Ok(found) => Ok(Some(found)),
            Err(BrokerError::NotFound { reason, .. }) if reason.contains("no queue") => Ok(None),
            Err(error) => Err(error),
        }
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
