//! Consuming: messages in, acknowledgements out, over all connections that there will be.
//!
//! A task per consumer keeps it established (`task`, `establish`), an inbox between the task and the reader is emptied
//! when the connection goes (`inbox`), and a delivery can be acknowledged only on the channel it came by (`delivery`).

mod delivery;
mod establish;
mod inbox;
mod source;
mod task;

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

pub use delivery::{Delivery, Received};
pub(super) use source::Source;

use self::inbox::Inbox;
use self::task::{Command, ConsumerTask};
use super::declare::Declarer;
use super::error::BrokerError;
use super::name::{HeldName, Holding};
use super::options::{BrokerOptions, QueueType};
use super::publisher::Publisher;
use super::supervisor::Links;

/// What to consume, and how.
#[derive(Debug, Clone)]
pub struct ConsumeOptions {
    /// The queues, all on one channel. The program's own are declared if need be, others must exist.
    pub queues: Vec<String>,
    /// How many messages may be with this consumer, unacknowledged, at once: over all queues together where they are
    /// classic, and divided between them (at least one each) where they are quorum queues, which know no sum.
    pub prefetch: u16,
    /// Refuse, and be refused, company on the queues.
    pub exclusive: bool,
    /// Do without those of the program's own queues that cannot be consumed, were it all of them; they are told of, and tried
    /// again now and then.
    pub tolerant: bool,
    /// What RabbitMQ's own tools show for it.
    pub consumer_tag_prefix: Option<String>,
    /// The name that goes with the queues: they are consumed only on connections on which it is held.
    name: Option<Holding>,
    /// Whether consumers that a quorum queue counts may be dead.
    ignores_counted: bool,
}

impl ConsumeOptions {
    /// One queue, with company.
    pub fn new(queues: impl IntoIterator<Item = impl Into<String>>, prefetch: u16) -> Self {
        Self {
            queues: queues.into_iter().map(Into::into).collect(),
            prefetch,
            exclusive: false,
            tolerant: false,
            consumer_tag_prefix: None,
            name: None,
            ignores_counted: false,
        }
    }

    /// The only consumer of its queues.
    pub fn exclusive(mut self) -> Self {
        self.exclusive = true;
        self
    }

    /// See `tolerant`.
    pub fn tolerant(mut self) -> Self {
        self.tolerant = true;
        self
    }

    /// What RabbitMQ's own tools show for it.
    pub fn tagged(mut self, prefix: impl Into<String>) -> Self {
        self.consumer_tag_prefix = Some(prefix.into());
        self
    }

    /// Only on connections on which this name is held. When it is lost nothing is consumed any more, and nothing is said.
    pub fn with_name(mut self, name: &HeldName) -> Self {
        self.name = Some(name.holding());
        self
    }

    /// Beside consumers that a quorum queue counts, if `yes`: while a node is away the queue counts those that it had there,
    /// and who has the name knows that no other lives which takes it.
    pub fn ignoring_counted(mut self, yes: bool) -> Self {
        self.ignores_counted = yes;
        self
    }

    /// Whether the name alone keeps others from the queues. On quorum queues nothing else does: on many versions they let
    /// several exclusive consumers in.
    fn is_held_by_name(&self, queue_type: QueueType) -> bool {
        self.exclusive && self.name.is_some() && queue_type == QueueType::Quorum
    }
}

/// What a consumer meets.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "nearly all events are deliveries")]
pub enum ConsumerEvent<D = Delivery> {
    /// A message to be processed, then acknowledged, given back or dead-lettered.
    Delivery(D),
    /// The connection, the channel or the queue went away. Everything delivered and not acknowledged is void: it
    /// comes again, here or elsewhere. Acknowledging it is harmless and does nothing.
    Interrupted,
    /// Messages flow again. A reader of copies (`Broker::consume_fanout_copy`) has missed what was published since
    /// the interruption.
    Resumed,
    /// It could not be established again: the queue is in use by another. The last event.
    Failed(BrokerError),
}

/// A consumer of one or more queues. Dropping it gives back what it has not handed out.
#[derive(Debug)]
pub struct Consumer {
    inbox: Arc<Inbox>,
    commands: mpsc::Sender<Command>,
    queue: String,
}

/// Messages as they come, `D` each.
pub trait Deliveries<D>: Send {
    /// The next event; `None` after `stop`, after `Failed`, and when the broker has been closed. May be cancelled.
    fn next(&mut self) -> impl Future<Output = Option<ConsumerEvent<D>>> + Send;

    /// Takes no new messages: what has not been handed out yet is given back, what has can still be acknowledged.
    fn stop(&mut self) -> impl Future<Output = ()> + Send;
}

impl Deliveries<Delivery> for Consumer {
    async fn next(&mut self) -> Option<ConsumerEvent> {
        self.inbox.next().await
    }

    async fn stop(&mut self) {
        let (done, stopped) = oneshot::channel();
        if self.commands.send(Command::Stop(done)).await.is_ok() {
            let _ = stopped.await;
        }
    }
}

impl Consumer {
    /// Starts one and waits until it is established for the first time, however long there is no connection.
    ///
    /// # Errors
    /// `InUse`, `NotFound`, `NotPermitted`, `Conflict` or `Refused` by the server, `Closed` at the broker's end.
    pub(super) async fn start(
        broker: &BrokerOptions,
        declarer: Declarer,
        links: Links,
        publisher: Publisher,
        source: Source,
    ) -> Result<Self, BrokerError> {
        let inbox = Arc::new(Inbox::default());
        let (commands, requests) = mpsc::channel(4);
        let (established, first) = oneshot::channel();
        let queue = source.first_queue();
        let task = ConsumerTask::new(broker, declarer, links, publisher, source, inbox.clone(), requests);
        tokio::spawn(task.run(established));
        first.await.unwrap_or(Err(BrokerError::Closed))?;
        Ok(Self { inbox, commands, queue })
    }

    /// The first of its queues, as it was asked for.
    pub fn queue(&self) -> &str {
        &self.queue
    }

    /// Stops and closes the channel. Acknowledgements made before have reached the server by then; deliveries that
    /// are still being worked on go back to their queues.
    pub async fn close(mut self) {
        self.stop().await;
        let (done, closed) = oneshot::channel();
        if self.commands.send(Command::Close(done)).await.is_ok() {
            let _ = closed.await;
        }
    }
}
