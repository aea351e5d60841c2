//! `Broker`: what the rest of the system holds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::confirms::PublishOutcome;
use super::consumer::{ConsumeOptions, Consumer, Deliveries, Delivery, Received, Source};
use super::dead_bound::{DeadBound, count_letters};
use super::dead_letter::{DEAD_LETTER_RETRY_PAUSE, DeadLettered};
use super::dead_queue::DeadLetters;
use super::declare::Declarer;
use super::error::BrokerError;
use super::link::Link;
use super::name::{self, HeldName, NameError, NameHold};
use super::options::BrokerOptions;
use super::properties::{Outgoing, Properties};
use super::publish_metrics::PublishMetrics;
use super::publisher::Publisher;
use super::renewed::RenewedChannel;
use super::supervisor::{BrokerState, Links, Supervisor};
use super::topology::Names;

/// How long the confirmations of what was published last are waited for at the end.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// The connection to RabbitMQ, kept for ever. Cheap to clone: all clones are one.
#[derive(Debug, Clone)]
pub struct Broker {
    pub(super) shared: Arc<Shared>,
}

/// What all clones have in common.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) options: BrokerOptions,
    pub(super) declarer: Declarer,
    links: Links,
    blocked: watch::Receiver<Option<Instant>>,
    state: watch::Receiver<BrokerState>,
    publisher: Publisher,
    publish_metrics: PublishMetrics,
    topology_turn: tokio::sync::Mutex<()>,
    dead_bound: DeadBound,
    stop: CancellationToken,
    closed: CancellationToken,
}

/// Confirmed publishing.
pub trait Publish: Clone + Send + Sync + 'static {
    /// How things stand, to be watched.
    fn state(&self) -> watch::Receiver<BrokerState>;

    /// Publishes all of these, many on the way at once, and tells for each, in their order, what became of it. They
    /// are published in order too; a `Nacked` or `Unconfirmed` one has not stopped those after it.
    ///
    /// Without a connection the answer comes at once. It comes at the latest some `confirm_timeout` after RabbitMQ
    /// has fallen silent. Dropping the future does not take back what was handed in.
    fn publish(&self, messages: Vec<Outgoing>) -> impl Future<Output = Vec<PublishOutcome>> + Send;

    /// Declares the exchanges, queues and bindings once more, as far as the account may: somebody has deleted one, as an
    /// unroutable message shows.
    ///
    /// # Errors
    /// `NotConnected`, the connection's loss, or a right that the user lacks. A queue in trouble is none: it is logged.
    fn redeclare_topology(&self) -> impl Future<Output = Result<(), BrokerError>> + Send;
}

impl Publish for Broker {
    fn state(&self) -> watch::Receiver<BrokerState> {
        self.shared.state.clone()
    }

    async fn publish(&self, messages: Vec<Outgoing>) -> Vec<PublishOutcome> {
        if messages.is_empty() {
            return Vec::new();
        }
        let began = Instant::now();
        let outcomes = self.shared.publisher.publish(messages).await;
        self.shared.publish_metrics.record(&outcomes, began.elapsed());
        outcomes
    }

    async fn redeclare_topology(&self) -> Result<(), BrokerError> {
        let _turn = self.shared.topology_turn.lock().await;
        let link = self.link()?;
        self.shared.declarer.mend(&link).await
    }
}

/// Consuming, and names to consume under.
pub trait Consume: Publish {
    /// A message in the consumer's hands.
    type Delivery: Received;
    /// Messages as they come.
    type Consumer: Deliveries<Self::Delivery>;
    /// A name, held as long as this lives.
    type Name: NameHold;

    /// Consumes queues. Waits for a connection as long as there is none.
    ///
    /// # Errors
    /// At the first establishment only; what goes wrong later is the consumer's own business or an event.
    /// `InUse`: another has the queue exclusively, or wants company for one that is wanted exclusively.
    fn consume(
        &self,
        options: ConsumeOptions,
    ) -> impl Future<Output = Result<Self::Consumer, BrokerError>> + Send;

    /// Holds a name that only one living process can hold, for instance `job_runner.7`. Waits for a
    /// connection as long as there is none. A crashed owner's name is free after a moment, which is waited for.
    ///
    /// # Errors
    /// `InUse` by a living process, `Invalid`, or the broker's own.
    fn hold_name(&self, name: &str) -> impl Future<Output = Result<Self::Name, NameError>> + Send;

    /// How long RabbitMQ may take to notice that a connection is dead, and to give up what it held.
    fn death_notice(&self) -> Duration;

    /// Whether one more letter fits among the dead letters, as of a moment ago. Where none does, the message is to be dropped,
    /// which is counted here and told of.
    fn has_room_for_dead_letter(&self) -> impl Future<Output = bool> + Send;

    /// Moves a message to the dead letters: the same body, as far as it is kept, and the same properties, with headers that
    /// say why and whence. It is acknowledged only after its copy has been confirmed, so it may be there twice, but is never lost.
    fn dead_letter(
        &self,
        delivery: Self::Delivery,
        reason: &str,
    ) -> impl Future<Output = DeadLettered> + Send;
}

impl Consume for Broker {
    type Delivery = Delivery;
    type Consumer = Consumer;
    type Name = HeldName;

    async fn consume(&self, options: ConsumeOptions) -> Result<Consumer, BrokerError> {
        self.start_consumer(Source::Queues(options)).await
    }

    async fn hold_name(&self, name: &str) -> Result<HeldName, NameError> {
        self.hold_name_within(name, self.shared.options.claim_grace).await
    }

    fn death_notice(&self) -> Duration {
        self.shared.options.reclaim_grace()
    }

    async fn has_room_for_dead_letter(&self) -> bool {
        let Shared { links, options, dead_bound, .. } = &*self.shared;
        dead_bound.has_room(links.current(), options).await
    }

    async fn dead_letter(&self, delivery: Delivery, reason: &str) -> DeadLettered {
        let letter = delivery.dead_letter(self.names().dead_letter_exchange, reason);
        let mut outcome = self.publish_one(letter.clone()).await;
        if matches!(outcome, PublishOutcome::Unroutable { .. }) && self.redeclare_topology().await.is_ok() {
            outcome = self.publish_one(letter).await;
        }
        if outcome == PublishOutcome::Routed {
            delivery.ack().await;
            DeadLettered::Moved
        } else {
            delivery.give_back_after(DEAD_LETTER_RETRY_PAUSE);
            DeadLettered::GivenBack(outcome)
        }
    }
}

impl Broker {
    /// Starts connecting and answers at once. It goes on until `close`. Must be called on a Tokio runtime.
    #[allow(clippy::needless_pass_by_value)]
    pub fn start(options: BrokerOptions) -> Self {
        let stop = CancellationToken::new();
        let supervisor_stop = CancellationToken::new();
        let closed = CancellationToken::new();
        let declarer = Declarer::new(&options);
        let (supervisor, links, state) =
            Supervisor::new(options.clone(), declarer.clone(), supervisor_stop.clone());
        let supervising = tokio::spawn(supervisor.run());
        let (publisher, task) = Publisher::start(&options, declarer.clone(), links.clone(), stop.clone());
        let blocked = task.blocked();
        let publishing = tokio::spawn(task.run());
        let (stopping, links_at_end, done) = (stop.clone(), links.clone(), closed.clone());
        tokio::spawn(async move {
            stopping.cancelled().await;
            let _ = tokio::time::timeout(DRAIN_TIMEOUT, publishing).await;
            supervisor_stop.cancel();
            let _ = supervising.await;
            if let Some(link) = links_at_end.current() {
                link.close().await;
            }
            done.cancel();
        });
        let topology_turn = tokio::sync::Mutex::new(());
        let publish_metrics = PublishMetrics::register(&options.metrics);
        Self {
            shared: Arc::new(Shared {
                options,
                declarer,
                links,
                blocked,
                state,
                publisher,
                publish_metrics,
                topology_turn,
                dead_bound: DeadBound::default(),
                stop,
                closed,
            }),
        }
    }

    /// Since when the server takes no messages because of an alarm, `None` while it takes them; to be watched. Known
    /// some seconds after something was to be published, or after `BrokerOptions::alarm_probe`.
    pub fn blocked(&self) -> watch::Receiver<Option<Instant>> {
        self.shared.blocked.clone()
    }

    /// Whether there is a connection right now.
    pub fn is_connected(&self) -> bool {
        self.shared.links.current().is_some()
    }

    /// How many messages wait among the dead letters. `None`: that cannot be told now.
    pub async fn count_dead_letters(&self) -> Option<u32> {
        let link = self.shared.links.current()?;
        count_letters(&link, self.shared.options.topology.names().dead_letter_queue).await
    }

    /// Waits for a connection. `false`: the broker has been closed. May be cancelled.
    pub async fn wait_connected(&self) -> bool {
        self.shared.links.clone().live().await.is_some()
    }

    /// Waits for a connection, or for the first attempt to make one to fail: for commands, which somebody waits for.
    /// May be cancelled.
    ///
    /// # Errors
    /// Why there is none. It is being tried on.
    pub async fn connected_at_once(&self) -> Result<(), BrokerError> {
        let mut state = self.state();
        loop {
            match &*state.borrow_and_update() {
                BrokerState::Connected { .. } => return Ok(()),
                BrokerState::Connecting { failure: Some(failure), .. } => return Err(failure.clone()),
                BrokerState::Connecting { failure: None, .. } => {}
                BrokerState::Closed => return Err(BrokerError::Closed),
            }
            state.changed().await.map_err(|_| BrokerError::Closed)?;
        }
    }

    /// What the server says it is: `RabbitMQ 4.0.5`.
    ///
    /// # Errors
    /// `NotConnected`.
    pub fn server(&self) -> Result<String, BrokerError> {
        Ok(self.link()?.server.clone())
    }

    /// How many messages wait in each of these queues and how many consumers it has; `None` where there is none. Nothing is
    /// declared.
    ///
    /// # Errors
    /// `NotConnected`, the connection's loss, or the server's refusal.
    pub async fn count_queues(&self, names: &[String]) -> Result<Vec<Option<(u32, u32)>>, BrokerError> {
        let mut channel = RenewedChannel::on(&self.link()?);
        let mut counts = Vec::with_capacity(names.len());
        for name in names {
            let found = channel.look_at_queue(name).await?;
            counts.push(found.map(|found| (found.messages, found.consumers)));
        }
        channel.close().await;
        Ok(counts)
    }

    /// Whether the server takes messages: those that go nowhere show it. Under an alarm it takes the first of a connection, and
    /// reads nothing more from it.
    ///
    /// # Errors
    /// `Blocked` by an alarm, the connection's loss, or the server's refusal.
    pub async fn takes_messages(&self) -> Result<(), BrokerError> {
        let probe = Outgoing {
            exchange: "".into(),
            routing_key: self.names().alarm_probe.to_owned(),
            body: Bytes::new(),
            properties: Properties::default(),
        };
        for _ in 0..2 {
            if let PublishOutcome::Unconfirmed(error) = self.publish_one(probe.clone()).await {
                return Err(error);
            }
        }
        Ok(())
    }

    /// Looks at the dead letters.
    ///
    /// # Errors
    /// `NotConnected`, or the connection's loss.
    pub async fn dead_letters(&self) -> Result<DeadLetters, BrokerError> {
        let link = self.link()?;
        DeadLetters::open(&link, self.names().dead_letter_queue).await
    }

    /// Publishes one message.
    pub async fn publish_one(&self, message: Outgoing) -> PublishOutcome {
        self.publish(vec![message]).await.pop().unwrap_or(PublishOutcome::Unconfirmed(BrokerError::Closed))
    }

    pub(super) fn names(&self) -> Names {
        self.shared.declarer.names()
    }

    /// The present connection.
    pub(super) fn link(&self) -> Result<Arc<Link>, BrokerError> {
        self.shared.links.current().ok_or(BrokerError::NotConnected)
    }

    /// Consumes a copy of all that a fanout exchange gets from now on, by a queue that lives with the connection. What is
    /// published during an interruption is missed: look elsewhere after `ConsumerEvent::Resumed`.
    ///
    /// # Errors
    /// As `consume`.
    pub async fn consume_fanout_copy(
        &self,
        exchange: &'static str,
        prefetch: u16,
    ) -> Result<Consumer, BrokerError> {
        self.start_consumer(Source::FanoutCopy { exchange, prefetch }).await
    }

    async fn start_consumer(&self, source: Source) -> Result<Consumer, BrokerError> {
        let Shared { options, declarer, links, publisher, .. } = &*self.shared;
        Consumer::start(options, declarer.clone(), links.clone(), publisher.clone(), source).await
    }

    /// [`Self::hold_name`], asking for so long while somebody has it.
    pub(super) async fn hold_name_within(&self, name: &str, grace: Duration) -> Result<HeldName, NameError> {
        name::hold(&self.shared.options, self.shared.links.clone(), name, grace).await
    }

    /// Says goodbye: what was handed in for publishing is confirmed first, within some seconds. Consumers end.
    pub async fn close(&self) {
        self.shared.stop.cancel();
        self.shared.closed.cancelled().await;
    }

    /// Gives the current connection up, if it is still this one: somebody has reason not to trust it.
    pub fn discard(&self, generation: u64, reason: &str) {
        if let Some(link) = self.shared.links.current().filter(|link| link.generation == generation) {
            link.discard(reason);
        }
    }
}
