//! How a broker that lost its disk is known: it does not have the mark any more that was left on it.

use std::sync::Arc;

use super::channel::BrokerChannel;
use super::error::BrokerError;
use super::handle::{Broker, Publish};
use super::link::Link;

/// A durable exchange that nobody publishes to. Whoever declares the topology must not declare it: it says that all
/// that is in the database was announced to this broker.
const MARK: &str = "orders_announced_mark";

/// What the broker remembers.
pub trait MarkedBroker: Publish {
    /// Whether the broker of this connection (a generation of `BrokerState`) has the mark, which it keeps as long as it
    /// keeps its queues.
    ///
    /// # Errors
    /// `NotConnected` where this is not the present connection, its loss, or the server's refusal.
    fn has_mark(&self, connection: u64) -> impl Future<Output = Result<bool, BrokerError>> + Send;

    /// Leaves the mark, on the broker of this connection only: the next one's may have lost its disk in the meantime.
    ///
    /// # Errors
    /// As [`Self::has_mark`].
    fn leave_mark(&self, connection: u64) -> impl Future<Output = Result<(), BrokerError>> + Send;
}

impl MarkedBroker for Broker {
    async fn has_mark(&self, connection: u64) -> Result<bool, BrokerError> {
        match declare(&self.connection(connection)?, true).await {
            Ok(()) => Ok(true),
            Err(BrokerError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn leave_mark(&self, connection: u64) -> Result<(), BrokerError> {
        declare(&self.connection(connection)?, false).await
    }
}

impl Broker {
    fn connection(&self, generation: u64) -> Result<Arc<Link>, BrokerError> {
        let link = self.link()?;
        if link.generation() == generation { Ok(link) } else { Err(BrokerError::NotConnected) }
    }
}

async fn declare(link: &Arc<Link>, only_look: bool) -> Result<(), BrokerError> {
    let channel = BrokerChannel::open(link).await?;
    channel.declare_exchange(MARK, "fanout", only_look).await?;
    channel.close().await;
    Ok(())
}
