//! A name that only one living process can hold: an exclusive queue, which vanishes with its owner's connection.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{oneshot, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::channel::{BrokerChannel, Feed, QueueKind};
use super::error::BrokerError;
use super::link::Link;
use super::options::BrokerOptions;
use super::supervisor::Links;

/// Why a name can't be held.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Another living process holds it.
    #[error("the name '{name}' is in use by a living process; choose another name or stop that process")]
    InUse {
        /// The name.
        name: String,
    },
    /// No queue can be called so.
    #[error("'{name}' cannot be held as a name: {reason}")]
    Invalid {
        /// The name.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// RabbitMQ refused for another reason, or this process has closed the broker.
    #[error("the name '{name}' cannot be held: {source}")]
    Broker {
        /// The name.
        name: String,
        /// Why.
        source: BrokerError,
    },
}

/// A name held by this process until this is dropped. It is taken again after every reconnection.
#[derive(Debug)]
pub struct HeldName {
    lost: watch::Receiver<bool>,
    holding: Holding,
    _release: DropGuard,
}

/// A name in its holder's hands.
pub trait NameHold: Send + Sync {
    /// Ends when another process took the name while this one had no connection. May be cancelled.
    fn lost(&self) -> impl Future<Output = ()> + Send;
}

impl NameHold for HeldName {
    async fn lost(&self) {
        let mut lost = self.lost.clone();
        // The task only ends without a word when the broker is closed, and a name is not lost by that.
        if lost.wait_for(|lost| *lost).await.is_err() {
            std::future::pending().await
        }
    }
}

impl HeldName {
    /// On which connection it is held, for those who may use something only while it is.
    pub(super) fn holding(&self) -> Holding {
        self.holding.clone()
    }
}

/// The connection on which a name is held at the moment, by its generation.
#[derive(Debug, Clone)]
pub(super) struct Holding(watch::Receiver<Option<u64>>);

impl Holding {
    /// Waits until the name is held on this connection. `false`: the connection ends before that. A name that is lost or
    /// released is waited for without end: whoever uses it hears of that elsewhere.
    pub(super) async fn on(&mut self, link: &Link) -> bool {
        let held = async {
            if self.0.wait_for(|held| *held == Some(link.generation)).await.is_err() {
                std::future::pending().await
            }
        };
        tokio::select! {
            biased;
            () = link.dead() => false,
            () = held => true,
        }
    }
}

/// Takes the name, waiting for a connection as long as there is none, and for `grace` while somebody has it.
pub(super) async fn hold(
    options: &BrokerOptions,
    links: Links,
    name: &str,
    grace: Duration,
) -> Result<HeldName, NameError> {
    check(name)?;
    let (lost, lost_seen) = watch::channel(false);
    let (holding, holding_seen) = watch::channel(None);
    let (held, first) = oneshot::channel();
    let release = CancellationToken::new();
    let keeper = Keeper { options: options.clone(), links, name: name.to_owned(), grace, lost, holding };
    let released = release.clone();
    let release = release.drop_guard();
    tokio::spawn(async move {
        tokio::select! {
            () = released.cancelled() => {}
            () = keeper.run(held) => {}
        }
    });
    match first.await {
        Ok(Ok(())) => Ok(HeldName { lost: lost_seen, holding: Holding(holding_seen), _release: release }),
        Ok(Err(BrokerError::InUse { .. })) => Err(NameError::InUse { name: name.to_owned() }),
        Ok(Err(source)) => Err(NameError::Broker { name: name.to_owned(), source }),
        Err(_) => Err(NameError::Broker { name: name.to_owned(), source: BrokerError::Closed }),
    }
}

fn check(name: &str) -> Result<(), NameError> {
    let reason = match name {
        "" => "it is empty",
        name if name.len() > 255 => "it is longer than 255 bytes",
        name if name.starts_with("amq.") => "RabbitMQ keeps names that begin with 'amq.' for itself",
        _ => return Ok(()),
    };
    Err(NameError::Invalid { name: name.to_owned(), reason })
}

/// The task that holds the name.
struct Keeper {
    options: BrokerOptions,
    links: Links,
    name: String,
    /// How long it is asked for at first while somebody has it.
    grace: Duration,
    lost: watch::Sender<bool>,
    holding: watch::Sender<Option<u64>>,
}

impl Keeper {
    /// Holds the name over all connections. Cancelled when it is released, which drops the channel and so the queue.
    async fn run(mut self, held: oneshot::Sender<Result<(), BrokerError>>) {
        let mut first = Some(held);
        let mut backoff = self.options.backoff();
        let mut refused_since: Option<Instant> = None;
        while let Some(link) = self.links.live().await {
            match self.take(&link).await {
                Ok(claim) => {
                    refused_since = None;
                    backoff.reset();
                    if let Some(first) = first.take() {
                        let _ = first.send(Ok(()));
                    }
                    self.holding.send_replace(Some(link.generation));
                    claim.until_gone().await;
                    self.holding.send_replace(None);
                }
                Err(error) if error.is_connection_gone() => {}
                Err(error) => {
                    let since = *refused_since.get_or_insert_with(Instant::now);
                    let in_use = matches!(error, BrokerError::InUse { .. });
                    let patience = match first {
                        Some(_) if in_use => self.grace,
                        Some(_) => Duration::ZERO,
                        None => self.options.reclaim_grace(),
                    };
                    if since.elapsed() >= patience {
                        match first.take() {
                            Some(first) => drop(first.send(Err(error))),
                            None => drop(self.lost.send(true)),
                        }
                        return;
                    }
                }
            }
            tokio::time::sleep(backoff.next_delay().min(Duration::from_secs(1))).await;
        }
    }

    /// Declares the queue and consumes it: a queue that vanishes is noticed by its consumer.
    async fn take(&self, link: &Arc<Link>) -> Result<Claim, BrokerError> {
        let channel = BrokerChannel::open(link).await?;
        channel.declare_queue(&self.name, QueueKind::Exclusive).await?;
        // Exclusive here too: a connection may declare its own queue twice, and hold the name twice.
        let feed = channel.consume(&self.name, "holder", false, true).await?;
        Ok(Claim { channel, feed })
    }
}

/// The name, held on one connection.
struct Claim {
    channel: BrokerChannel,
    feed: Feed,
}

impl Claim {
    async fn until_gone(mut self) {
        loop {
            tokio::select! {
                () = self.channel.ended() => return,
                message = self.feed.next() => if message.is_none() { break },
            }
        }
        // The queue was deleted; the channel is of no use any more.
        self.channel.close().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_no_queue_can_have_are_refused() {
        for name in ["", "amq.x", &"x".repeat(256)] {
            assert!(matches!(check(name), Err(NameError::Invalid { .. })), "{name}");
        }
        assert_eq!(check("job_runner.7"), Ok(()));
    }
}
