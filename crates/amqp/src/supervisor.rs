//! Keeps one connection to RabbitMQ, for ever: connects, declares the topology, hands the connection out, notices
//! its end, and begins again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::declare::Declarer;
use super::error::BrokerError;
use super::link::Link;
use super::options::BrokerOptions;
use super::outage::OutageLog;

/// How often a connection is asked whether it believes to be open, beside all that notices its end at once.
const LIVENESS_CHECK: Duration = Duration::from_secs(1);
/// How often at least it is looked whether another process has made what this one needs: on a connection each, since a look that
/// finds nothing costs a connection a channel.
const MAKER_LOOK: Duration = Duration::from_secs(2);
/// A connection that lived so long was a good one: after its end the waits begin small again.
const GOOD_CONNECTION: Duration = Duration::from_secs(30);

/// How things stand with RabbitMQ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BrokerState {
    /// There is no connection; it is being worked on.
    Connecting {
        /// Since when.
        since: Instant,
        /// Why the last attempt failed, or the last connection ended; `None` before the first.
        failure: Option<BrokerError>,
    },
    /// There is a connection and the topology stands.
    Connected {
        /// Counts up with every connection of this process, from 1.
        generation: u64,
        /// The server's `host:port`.
        host: String,
    },
    /// This process has closed it.
    Closed,
}

/// The current connection, for those who use it.
#[derive(Debug, Clone)]
pub(super) struct Links(watch::Receiver<Option<Arc<Link>>>);

impl Links {
    /// The connection, if there is one that lives.
    pub(super) fn current(&self) -> Option<Arc<Link>> {
        self.0.borrow().clone().filter(|link| !link.is_dead())
    }

    /// Waits for a connection that lives. `None`: there will never be one again.
    pub(super) async fn live(&mut self) -> Option<Arc<Link>> {
        loop {
            let found = self.0.borrow_and_update().clone().filter(|link| !link.is_dead());
            if found.is_some() {
                return found;
            }
            self.0.changed().await.ok()?;
        }
    }
}

/// The task that keeps the connection.
pub(super) struct Supervisor {
    options: BrokerOptions,
    declarer: Declarer,
    links: watch::Sender<Option<Arc<Link>>>,
    state: watch::Sender<BrokerState>,
    stop: CancellationToken,
    generation: u64,
    /// Which host to try first: one at random at the start, so that processes spread over the nodes of a cluster, then the
    /// one after the last that failed.
    next_host: usize,
}

impl Supervisor {
    /// Prepares it; `run` does the work until `stop` is cancelled.
    pub(super) fn new(
        options: BrokerOptions,
        declarer: Declarer,
        stop: CancellationToken,
    ) -> (Self, Links, watch::Receiver<BrokerState>) {
        let (links, links_seen) = watch::channel(None);
        let (state, state_seen) =
            watch::channel(BrokerState::Connecting { since: Instant::now(), failure: None });
        let next_host = fastrand::usize(..options.hosts.len().max(1));
        let supervisor = Self { options, declarer, links, state, stop, generation: 0, next_host };
        (supervisor, Links(links_seen), state_seen)
    }

    /// Keeps a connection. Ends when told to stop, leaving the last connection to whoever closes it.
    pub(super) async fn run(mut self) {
        let mut backoff = self.options.backoff();
        let mut log = OutageLog::new();
        let mut disconnected_at = Instant::now();
        let stop = self.stop.clone();
        loop {
            let attempt = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                attempt = self.connect() => attempt,
            };
            let lost = match attempt {
                Ok(link) => {
                    log.connected(&link.host);
                    self.declarer.troubles().nothing_is_awaited();
                    let connected_at = Instant::now();
                    self.hand_out(&link);
                    tokio::select! {
                        biased;
                        () = stop.cancelled() => break,
                        () = until_dead(&link) => {}
                    }
                    if connected_at.elapsed() > GOOD_CONNECTION {
                        backoff.reset();
                    }
                    self.links.send_replace(None);
                    disconnected_at = Instant::now();
                    // Frees the socket, and whoever still waits for an answer on it.
                    link.discard("it ended");
                    link.lost()
                }
                Err(error) => error,
            };
            let mut delay = backoff.next_delay();
            if let BrokerError::Awaited { object, maker } = &lost {
                self.declarer.troubles().is_awaited(object, maker);
                delay = delay.min(MAKER_LOOK);
            } else {
                log.failed(&lost);
            }
            self.state.send_replace(BrokerState::Connecting { since: disconnected_at, failure: Some(lost) });
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = tokio::time::sleep(delay) => {}
            }
        }
        self.state.send_replace(BrokerState::Closed);
    }

    /// One attempt on every host. The error is the last host's.
    async fn connect(&mut self) -> Result<Arc<Link>, BrokerError> {
        let mut failure = BrokerError::Unusable { reason: "rabbitmq.host is empty".to_owned() };
        for _ in 0..self.options.hosts.len() {
            let host = &self.options.hosts[self.next_host % self.options.hosts.len()];
            match self.connect_to(host).await {
                Ok(link) => {
                    self.generation += 1;
                    return Ok(link);
                }
                Err(error) => {
                    tracing::debug!(action = "rabbitmq_attempt_failed", details = %error, "an attempt failed");
                    failure = error;
                    self.next_host = (self.next_host + 1) % self.options.hosts.len();
                }
            }
        }
        Err(failure)
    }

    async fn connect_to(&self, host: &(String, u16)) -> Result<Arc<Link>, BrokerError> {
        let link = Link::open(&self.options, host, self.generation + 1).await?;
        if let Err(error) = self.declarer.declare(&link).await {
            if !link.is_dead() {
                link.close().await;
            }
            return Err(error);
        }
        Ok(link)
    }

    fn hand_out(&self, link: &Arc<Link>) {
        self.links.send_replace(Some(link.clone()));
        let state = BrokerState::Connected { generation: link.generation, host: link.host.clone() };
        self.state.send_replace(state);
    }
}

/// Ends when the connection has, by whatever sign of it.
async fn until_dead(link: &Link) {
    loop {
        tokio::select! {
            () = link.dead() => return,
            () = tokio::time::sleep(LIVENESS_CHECK) => {
                if !link.claims_to_be_open() {
                    link.discard("it could not be written to");
                    return;
                }
            }
        }
    }
}
