//! How a broker that lost its disk is known: it lacks the sentinel that was left on it, a durable exchange that nobody
//! publishes to. Nobody declares it with the topology: it says that all that is to be there was published to this broker.

use super::channel::BrokerChannel;
use super::error::BrokerError;
use super::handle::{Broker, Publish};

/// What the broker remembers.
pub trait BrokerSentinel: Publish {
    /// Whether the broker of this connection (a generation of `BrokerState`) has the sentinel, which it keeps as long as it
    /// keeps its queues.
    ///
    /// # Errors
    /// `NotConnected` where this is not the present connection, its loss, or the server's refusal.
    fn has_sentinel(&self, connection: u64) -> impl Future<Output = Result<bool, BrokerError>> + Send;

    /// Leaves the sentinel, on the broker of this connection only: the next one's may have lost its disk in the meantime.
    ///
    /// # Errors
    /// As [`Self::has_sentinel`].
    fn leave_sentinel(&self, connection: u64) -> impl Future<Output = Result<(), BrokerError>> + Send;
}

impl BrokerSentinel for Broker {
    async fn has_sentinel(&self, connection: u64) -> Result<bool, BrokerError> {
        match self.declare_sentinel(connection, true).await {
            Ok(()) => Ok(true),
            Err(BrokerError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn leave_sentinel(&self, connection: u64) -> Result<(), BrokerError> {
        self.declare_sentinel(connection, false).await
    }
}

impl Broker {
    async fn declare_sentinel(&self, connection: u64, only_look: bool) -> Result<(), BrokerError> {
        let link = self.link()?;
        if link.generation != connection {
            return Err(BrokerError::NotConnected);
        }
        let channel = BrokerChannel::open(&link).await?;
        channel.declare_exchange(self.names().sentinel, "fanout", only_look).await?;
        channel.close().await;
        Ok(())
    }
}
