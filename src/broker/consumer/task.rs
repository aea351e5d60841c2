//! The task that keeps one consumer established and fills its inbox.

use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use amqprs::channel::{
    BasicCancelArguments, BasicConsumeArguments, BasicQosArguments, ConsumerMessage, QueueDeclareArguments,
};
use tokio::sync::{mpsc, oneshot};

use super::super::channel::BrokerChannel;
use super::super::confirms::PublishOutcome;
use super::super::error::BrokerError;
use super::super::link::Link;
use super::super::options::{BrokerOptions, QueueType};
use super::super::properties::Outgoing;
use super::super::publisher::Publisher;
use super::super::supervisor::Links;
use super::super::topology::{Topology, bind_queue, declare_queue};
use super::super::unreadable;
use super::delivery::Lane;
use super::inbox::Inbox;
use super::{ConsumeOptions, ConsumerEvent, Delivery};

/// A connection that is cut so soon after consuming began may have been cut by a message.
const EARLY: Duration = Duration::from_secs(2);
/// So many in a row are looked into.
const SUSPICIOUS_CUTS: u32 = 3;
/// How long a connection's end may be noticed after its channel's.
const DEATH_NOTICE: Duration = Duration::from_millis(500);
/// Between attempts to publish what was taken out.
const PUBLISH_PAUSE: Duration = Duration::from_secs(1);

/// Where the messages come from.
#[derive(Debug, Clone)]
pub(in super::super) enum Source {
    /// Queues that stay.
    Queues(ConsumeOptions),
    /// A queue of this connection's own, bound to a fanout exchange: a copy of everything from now on.
    FanoutCopy {
        /// The exchange.
        exchange: &'static str,
        /// How many unacknowledged messages may be on their way.
        prefetch: u16,
    },
}

impl Source {
    pub(super) fn first_queue(&self) -> String {
        match self {
            Source::Queues(options) => options.queues.first().cloned().unwrap_or_default(),
            Source::FanoutCopy { .. } => String::new(),
        }
    }

    fn prefetch(&self) -> u16 {
        match self {
            Source::Queues(options) => options.prefetch.max(1),
            Source::FanoutCopy { prefetch, .. } => (*prefetch).max(1),
        }
    }

    fn in_use_grace(&self) -> Duration {
        match self {
            Source::Queues(options) => options.in_use_grace,
            Source::FanoutCopy { .. } => Duration::ZERO,
        }
    }
}

/// What the reader asks of the task.
#[derive(Debug)]
pub(super) enum Command {
    /// Take nothing new.
    Stop(oneshot::Sender<()>),
    /// After `Stop`: close the channel.
    Close(oneshot::Sender<()>),
}

/// One queue's stream of messages.
struct Feed {
    queue: String,
    consumer_tag: String,
    messages: mpsc::UnboundedReceiver<ConsumerMessage>,
}

/// How the time on one channel ended.
enum Ended {
    /// The connection, channel or a queue went.
    Interrupted,
    /// The reader wants no more.
    Done,
}

pub(super) struct ConsumerTask {
    options: BrokerOptions,
    links: Links,
    publisher: Publisher,
    source: Source,
    inbox: Arc<Inbox>,
    commands: mpsc::Receiver<Command>,
    /// How many connections in a row were cut soon after consuming began.
    cut_early: u32,
}

impl ConsumerTask {
    pub(super) fn new(
        options: &BrokerOptions,
        links: Links,
        publisher: Publisher,
        source: Source,
        inbox: Arc<Inbox>,
        commands: mpsc::Receiver<Command>,
    ) -> Self {
        Self { options: options.clone(), links, publisher, source, inbox, commands, cut_early: 0 }
    }

    /// Keeps the consumer until its reader or the broker is gone.
    pub(super) async fn run(mut self, established: oneshot::Sender<Result<(), BrokerError>>) {
        let mut first = Some(established);
        let mut backoff = self.options.backoff();
        // Since when somebody else has had our queue.
        let mut in_use_since: Option<Instant> = None;
        while let Some(link) = self.next_link().await {
            match self.establish(&link, first.is_some()).await {
                Ok((lane, feeds)) => {
                    in_use_since = None;
                    let established_at = Instant::now();
                    match first.take() {
                        Some(first) => drop(first.send(Ok(()))),
                        None => self.inbox.push(ConsumerEvent::Resumed),
                    }
                    if matches!(self.pump(&lane, feeds).await, Ended::Done) {
                        break;
                    }
                    self.inbox.interrupt();
                    lane.channel.close().await;
                    if !self.remove_unreadable(&link, established_at.elapsed()).await {
                        break;
                    }
                    if established_at.elapsed() > self.options.backoff_max {
                        backoff.reset();
                    }
                }
                // Messages come before the server's word that they will.
                Err(error) if error.is_connection_gone() => {
                    if !self.remove_unreadable(&link, Duration::ZERO).await {
                        break;
                    }
                }
                Err(error) => {
                    let since = *in_use_since.get_or_insert_with(Instant::now);
                    if self.gives_up(&error, since, first.is_some()) {
                        match first.take() {
                            Some(first) => drop(first.send(Err(error))),
                            None => self.inbox.push(ConsumerEvent::Failed(error)),
                        }
                        break;
                    }
                    tracing::debug!(action = "rabbitmq_consumer_waits", details = %error, "consuming must wait");
                }
            }
            if !self.pause(backoff.next_delay()).await {
                break;
            }
        }
        self.inbox.end();
    }

    /// Where connections are cut again and again as soon as messages come, one of these may be what the client library
    /// cannot read: takes it out. `false`: the reader has gone.
    async fn remove_unreadable(&mut self, link: &Link, lived: Duration) -> bool {
        // The channel's end is noticed first.
        let _ = tokio::time::timeout(DEATH_NOTICE, link.dead()).await;
        let is_early = link.was_cut() && lived < EARLY;
        self.cut_early = if is_early { self.cut_early + 1 } else { 0 };
        let Source::Queues(ConsumeOptions { queues, .. }) = &self.source else { return true };
        if self.cut_early < SUSPICIOUS_CUTS {
            return true;
        }
        self.cut_early = 0;
        let (options, queues) = (self.options.clone(), queues.clone());
        let (mut links, publisher) = (self.links.clone(), self.publisher.clone());
        // A task of its own: what it has taken out it must not forget because the reader goes.
        let removing = tokio::spawn(async move {
            for queue in queues {
                match unreadable::remove(&options, &queue).await {
                    Ok(None) => {}
                    Ok(Some(message)) => publish_surely(&mut links, &publisher, message).await,
                    Err(error) => tracing::debug!(
                        action = "rabbitmq_search_failed", details = %error, "a queue could not be looked through"
                    ),
                }
            }
        });
        tokio::select! {
            biased;
            () = until_asked_to_end(&mut self.commands) => false,
            _ = removing => true,
        }
    }

    /// A failure that is no lost connection: whether to wait longer. At the start everything but a queue in use is
    /// told at once. Later only a queue in use for long ends the consumer: the rest may be repaired by somebody.
    fn gives_up(&self, error: &BrokerError, since: Instant, at_start: bool) -> bool {
        let in_use = matches!(error, BrokerError::InUse { .. });
        match (at_start, in_use) {
            (true, false) => true,
            (true, true) => since.elapsed() >= self.source.in_use_grace(),
            (false, true) => since.elapsed() >= self.options.reclaim_grace(),
            (false, false) => false,
        }
    }

    /// Waits for a connection, unless the reader goes.
    async fn next_link(&mut self) -> Option<Arc<Link>> {
        tokio::select! {
            biased;
            () = until_asked_to_end(&mut self.commands) => None,
            link = usable(&mut self.links, &self.source) => link,
        }
    }

    /// Waits before the next try. `false`: the reader has gone.
    async fn pause(&mut self, delay: Duration) -> bool {
        tokio::select! {
            () = until_asked_to_end(&mut self.commands) => false,
            () = tokio::time::sleep(delay) => true,
        }
    }

    async fn establish(
        &self,
        link: &Arc<Link>,
        at_start: bool,
    ) -> Result<(Arc<Lane>, Vec<Feed>), BrokerError> {
        let channel = BrokerChannel::open(link).await?;
        let queues = self.prepare_queues(&channel, at_start).await?;
        // For a sum over several queues RabbitMQ asks a process of its own about each message.
        let is_sum = self.options.queue_type == QueueType::Classic && queues.len() > 1;
        let arguments = if is_sum {
            BasicQosArguments::new(0, self.source.prefetch(), true)
        } else {
            let share = self.source.prefetch() / u16::try_from(queues.len()).unwrap_or(u16::MAX).max(1);
            BasicQosArguments::new(0, share.max(1), false)
        };
        channel.call("the prefetch", |channel| async move { channel.basic_qos(arguments).await }).await?;
        let mut feeds = Vec::with_capacity(queues.len());
        for queue in queues {
            feeds.push(self.consume(&channel, queue).await?);
        }
        Ok((Arc::new(Lane::new(channel)), feeds))
    }

    /// Declares what is to be consumed, and answers with the queues' names.
    async fn prepare_queues(
        &self,
        channel: &BrokerChannel,
        at_start: bool,
    ) -> Result<Vec<String>, BrokerError> {
        match &self.source {
            Source::Queues(options) => {
                let topology = Topology { queue_type: self.options.queue_type };
                let by_name = options.is_held_by_name(self.options.queue_type);
                // Who was here before may be counted still.
                let ignores_counted = by_name && (options.ignores_counted || !at_start);
                for queue in &options.queues {
                    let consumers = match topology.queue(queue) {
                        Some(spec) => spec.declare(channel).await?,
                        None => 0,
                    };
                    // Asked before it is tried: every refusal costs a channel.
                    if options.exclusive && consumers > 0 && !ignores_counted {
                        return Err(BrokerError::InUse { object: format!("queue '{queue}'") });
                    }
                }
                Ok(options.queues.clone())
            }
            Source::FanoutCopy { exchange, .. } => {
                let mut arguments = QueueDeclareArguments::exclusive_server_named();
                arguments.auto_delete(true);
                let (name, _) = declare_queue(channel, "", arguments).await?;
                bind_queue(channel, &name, exchange, "").await?;
                Ok(vec![name])
            }
        }
    }

    fn is_exclusive(&self) -> bool {
        matches!(&self.source, Source::Queues(options)
            if options.exclusive && !options.is_held_by_name(self.options.queue_type))
    }

    async fn consume(&self, channel: &BrokerChannel, queue: String) -> Result<Feed, BrokerError> {
        let prefix = match &self.source {
            Source::Queues(options) => options.consumer_tag_prefix.as_str(),
            Source::FanoutCopy { .. } => "copy",
        };
        let wanted = format!("{prefix}.{queue}");
        // Empty: the server chooses one. It must be unique on its channel only.
        let wanted = if wanted.len() <= 255 { wanted } else { String::new() };
        let mut arguments = BasicConsumeArguments::new(&queue, &wanted);
        arguments.manual_ack(true).exclusive(self.is_exclusive());
        let (consumer_tag, messages) = channel
            .call(
                &format!("queue '{queue}'"),
                |channel| async move { channel.basic_consume_rx(arguments).await },
            )
            .await?;
        Ok(Feed { queue, consumer_tag, messages })
    }

    /// Moves messages into the inbox until something ends it.
    async fn pump(&mut self, lane: &Arc<Lane>, mut feeds: Vec<Feed>) -> Ended {
        let mut turn = 0;
        loop {
            tokio::select! {
                command = self.commands.recv() => {
                    self.stop(lane, &mut feeds).await;
                    return self.wind_down(lane, command).await;
                }
                () = lane.channel.ended() => return Ended::Interrupted,
                received = next_message(&mut feeds, &mut turn) => match received {
                    Some((queue, message)) => self.deliver(lane, &queue, message).await,
                    // Its queue was deleted, or moved.
                    None => return Ended::Interrupted,
                },
            }
        }
    }

    async fn deliver(&self, lane: &Arc<Lane>, queue: &str, message: ConsumerMessage) {
        if let Some(delivery) = Delivery::new(queue, message, lane) {
            lane.arrived(delivery.tag()).await;
            self.inbox.push(ConsumerEvent::Delivery(delivery));
        }
    }

    /// Ends the flow and gives back what nobody has seen.
    async fn stop(&self, lane: &Arc<Lane>, feeds: &mut Vec<Feed>) {
        for feed in feeds.iter() {
            let arguments = BasicCancelArguments::new(&feed.consumer_tag);
            let object = format!("queue '{}'", feed.queue);
            // A failure means that the channel is gone, which ends the flow as well.
            let _ = lane
                .channel
                .call(&object, |channel| async move { channel.basic_cancel(arguments).await })
                .await;
        }
        for feed in feeds.iter_mut() {
            // A cancelled feed ends after its last message; that of a dead channel may not.
            loop {
                tokio::select! {
                    biased;
                    received = feed.messages.recv() => match received {
                        Some(message) => self.deliver(lane, &feed.queue, message).await,
                        None => break,
                    },
                    () = lane.channel.ended() => break,
                }
            }
        }
        feeds.clear();
        for delivery in self.inbox.take_deliveries() {
            delivery.give_back().await;
        }
        self.inbox.end();
    }

    /// After the flow has ended: keeps the channel for acknowledgements until the reader goes or wants it closed.
    async fn wind_down(&mut self, lane: &Arc<Lane>, command: Option<Command>) -> Ended {
        let mut command = command;
        while let Some(asked) = command {
            match asked {
                Command::Stop(done) => {
                    let _ = done.send(());
                }
                Command::Close(done) => {
                    lane.channel.close().await;
                    let _ = done.send(());
                }
            }
            command = self.commands.recv().await;
        }
        Ended::Done
    }
}

/// A connection on which the source may be consumed. `None`: there will never be one again.
async fn usable(links: &mut Links, source: &Source) -> Option<Arc<Link>> {
    loop {
        let link = links.live().await?;
        match source {
            Source::Queues(ConsumeOptions { name: Some(name), .. }) => {
                if name.clone().on(&link).await {
                    return Some(link);
                }
            }
            Source::Queues(_) | Source::FanoutCopy { .. } => return Some(link),
        }
    }
}

/// Publishes this message, however long it takes.
async fn publish_surely(links: &mut Links, publisher: &Publisher, message: Outgoing) {
    while links.live().await.is_some() {
        let outcome = publisher.publish(vec![message.clone()]).await.pop();
        if matches!(outcome, Some(PublishOutcome::Routed | PublishOutcome::Invalid(_))) {
            return;
        }
        tokio::time::sleep(PUBLISH_PAUSE).await;
    }
}

/// Ends when the reader asks for anything that ends the consumer, or is gone. While there is no channel there is
/// nothing to be stopped.
async fn until_asked_to_end(commands: &mut mpsc::Receiver<Command>) {
    if let Some(Command::Stop(done) | Command::Close(done)) = commands.recv().await {
        let _ = done.send(());
    }
}

/// The next message of any feed, each in its turn. `None`: a feed has ended.
async fn next_message(feeds: &mut [Feed], turn: &mut usize) -> Option<(String, ConsumerMessage)> {
    std::future::poll_fn(|context| {
        for _ in 0..feeds.len() {
            *turn = (*turn + 1) % feeds.len();
            let feed = &mut feeds[*turn];
            match feed.messages.poll_recv(context) {
                Poll::Ready(Some(message)) => return Poll::Ready(Some((feed.queue.clone(), message))),
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => {}
            }
        }
        Poll::Pending
    })
    .await
}
