//! How a broker that lost its disk is known: it does not have the mark any more that was left on it.

use std::sync::Arc;

use amqprs::channel::ExchangeDeclareArguments;

use super::channel::BrokerChannel;
use super::error::BrokerError;
use super::handle::Broker;
use super::link::Link;

/// A durable exchange that nobody publishes to. Whoever declares the topology must not declare it: it says that all
/// that is in the database was announced to this broker.
const MARK: &str = "orders_announced_mark";

impl Broker {
    /// Whether this broker has the mark, which it keeps as long as it keeps its queues.
    ///
    /// # Errors
    /// `NotConnected`, the connection's loss, or the server's refusal.
    pub async fn has_mark(&self) -> Result<bool, BrokerError> {
        match declare(&self.link()?, true).await {
            Ok(()) => Ok(true),
            Err(BrokerError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Leaves the mark.
    ///
    /// # Errors
    /// As [`Broker::has_mark`].
    pub async fn leave_mark(&self) -> Result<(), BrokerError> {
        declare(&self.link()?, false).await
    }
}

async fn declare(link: &Arc<Link>, only_look: bool) -> Result<(), BrokerError> {
    let channel = BrokerChannel::open(link).await?;
    let arguments = ExchangeDeclareArguments::new(MARK, "fanout").durable(true).passive(only_look).finish();
    channel
        .call(
            &format!("exchange '{MARK}'"),
            |channel| async move { channel.exchange_declare(arguments).await },
        )
        .await?;
    channel.close().await;
    Ok(())
}
