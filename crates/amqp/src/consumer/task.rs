//! The task that keeps one consumer established and fills its inbox.

use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;

use super::delivery::{ChannelSession, Received};
use super::establish::{Established, Establisher};
use super::inbox::Inbox;
use super::source::Source;
use super::{ConsumeOptions, ConsumerEvent, Delivery};
use crate::channel::{Feed, Message};
use crate::confirms::PublishOutcome;
use crate::declare::Declarer;
use crate::error::BrokerError;
use crate::link::Link;
use crate::options::BrokerOptions;
use crate::properties::Outgoing;
use crate::publisher::Publisher;
use crate::supervisor::Links;
use crate::unreadable;

/// A connection that is cut so soon after consuming began may have been cut by a message. One that lived longer is made
/// again: the message comes at once then.
const EARLY: Duration = Duration::from_secs(2);
/// Between attempts to publish what was taken out.
const PUBLISH_PAUSE: Duration = Duration::from_secs(1);

/// What the reader asks of the task.
#[derive(Debug)]
pub(super) enum Command {
    /// Take nothing new.
    Stop(oneshot::Sender<()>),
    /// After `Stop`: close the channel.
    Close(oneshot::Sender<()>),
}

/// How the time on one channel ended.
enum Ended {
    /// The connection, channel or a queue went.
    Interrupted,
    /// The reader wants no more.
    Done,
}

pub(super) struct ConsumerTask {
    what: Establisher,
    links: Links,
    publisher: Publisher,
    inbox: Arc<Inbox>,
    commands: mpsc::Receiver<Command>,
}

impl ConsumerTask {
    pub(super) fn new(
        options: &BrokerOptions,
        declarer: Declarer,
        links: Links,
        publisher: Publisher,
        source: Source,
        inbox: Arc<Inbox>,
        commands: mpsc::Receiver<Command>,
    ) -> Self {
        let what = Establisher { options: options.clone(), declarer, source };
        Self { what, links, publisher, inbox, commands }
    }

    /// Keeps the consumer until its reader or the broker is gone.
    pub(super) async fn run(mut self, established: oneshot::Sender<Result<(), BrokerError>>) {
        let mut first = Some(established);
        let mut backoff = self.what.options.backoff();
        // Since when somebody else has had our queue.
        let mut in_use_since: Option<Instant> = None;
        while let Some(link) = self.next_link().await {
            match self.what.establish(&link, first.is_some()).await {
                Ok(Established { session, feeds, left_out }) => {
                    in_use_since = None;
                    let established_at = Instant::now();
                    match first.take() {
                        Some(first) => drop(first.send(Ok(()))),
                        None => self.inbox.push(ConsumerEvent::Resumed),
                    }
                    if matches!(self.pump(&session, feeds, left_out).await, Ended::Done) {
                        break;
                    }
                    self.inbox.interrupt();
                    session.channel.close().await;
                    let Some(removed) = self.remove_unreadable(&link, established_at.elapsed()).await else {
                        break;
                    };
                    if removed > 0 || established_at.elapsed() > self.what.options.backoff_max {
                        backoff.reset();
                    }
                }
                // Messages come before the server's word that they will.
                Err(error) if error.is_connection_gone() => {
                    match self.remove_unreadable(&link, Duration::ZERO).await {
                        Some(0) => {}
                        Some(_) => backoff.reset(),
                        None => break,
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
                    self.tell_why_it_waits(&error);
                }
            }
            if !self.pause(backoff.next_delay()).await {
                break;
            }
        }
        self.inbox.end();
    }

    /// Where a connection is cut as soon as messages come, one of these may be what the client library cannot read: takes
    /// out all that are there, and says how many they were. `None`: the reader has gone.
    async fn remove_unreadable(&mut self, link: &Link, lived: Duration) -> Option<usize> {
        let was_cut = link.was_cut().await;
        let Source::Queues(ConsumeOptions { queues, .. }) = &self.what.source else { return Some(0) };
        if !was_cut || lived >= EARLY {
            return Some(0);
        }
        let (options, queues) = (self.what.options.clone(), queues.clone());
        let (taken, to_publish) = mpsc::unbounded_channel();
        // Tasks of their own: what was taken out must not be forgotten because the reader goes.
        let removing = tokio::spawn(async move {
            let mut removed = 0;
            for queue in queues {
                match unreadable::remove(&options, &queue, &taken).await {
                    Ok(count) => removed += count,
                    Err(error) => tracing::debug!(
                        action = "rabbitmq_search_failed", details = %error, "a queue could not be looked through"
                    ),
                }
            }
            removed
        });
        let dead_letters = self.what.declarer.names().dead_letter_exchange;
        tokio::spawn(publish_all_surely(
            self.links.clone(),
            self.publisher.clone(),
            to_publish,
            dead_letters,
        ));
        tokio::select! {
            biased;
            () = until_asked_to_end(&mut self.commands) => None,
            removed = removing => Some(removed.unwrap_or_default()),
        }
    }

    /// A queue in use is waited for, for a while; everything else wants somebody who repairs it.
    fn tell_why_it_waits(&self, error: &BrokerError) {
        if matches!(error, BrokerError::InUse { .. }) {
            tracing::debug!(action = "rabbitmq_consumer_waits", details = %error, "consuming must wait");
        } else {
            self.what.declarer.troubles().queue_not_consumed(&self.what.source.first_queue(), error);
        }
    }

    /// A failure that is no lost connection: whether to wait no longer. At the start it is told at once. Later only a queue in
    /// use for long ends the consumer: the rest may be repaired by somebody.
    fn gives_up(&self, error: &BrokerError, since: Instant, at_start: bool) -> bool {
        let in_use = matches!(error, BrokerError::InUse { .. });
        at_start || in_use && since.elapsed() >= self.what.options.reclaim_grace()
    }

    /// Waits for a connection, unless the reader goes.
    async fn next_link(&mut self) -> Option<Arc<Link>> {
        tokio::select! {
            biased;
            () = until_asked_to_end(&mut self.commands) => None,
            link = usable(&mut self.links, &self.what.source) => link,
        }
    }

    /// Waits before the next try. `false`: the reader has gone.
    async fn pause(&mut self, delay: Duration) -> bool {
        tokio::select! {
            () = until_asked_to_end(&mut self.commands) => false,
            () = tokio::time::sleep(delay) => true,
        }
    }

    /// Moves messages into the inbox until something ends it.
    async fn pump(
        &mut self,
        session: &Arc<ChannelSession>,
        mut feeds: Vec<Feed>,
        left_out: Vec<String>,
    ) -> Ended {
        let mut turn = 0;
        let looks = (!left_out.is_empty()).then(|| {
            let looking = self.what.clone().until_usable(session.channel.link.clone(), left_out);
            AbortOnDropHandle::new(tokio::spawn(looking))
        });
        let mut usable = std::pin::pin!(async move {
            match looks {
                Some(looks) => drop(looks.await),
                None => std::future::pending().await,
            }
        });
        loop {
            tokio::select! {
                command = self.commands.recv() => {
                    self.stop(session, &mut feeds).await;
                    return self.wind_down(session, command).await;
                }
                () = session.channel.ended() => return Ended::Interrupted,
                // What was left out is taken in again.
                () = &mut usable => return Ended::Interrupted,
                received = next_message(&mut feeds, &mut turn) => match received {
                    Some((queue, message)) => self.deliver(session, &queue, message).await,
                    // Its queue was deleted, or moved.
                    None => return Ended::Interrupted,
                },
            }
        }
    }

    async fn deliver(&self, session: &Arc<ChannelSession>, queue: &str, message: Message) {
        session.arrived(message.tag).await;
        self.inbox.push(ConsumerEvent::Delivery(Delivery::new(queue, message, session)));
    }

    /// Ends the flow and gives back what nobody has seen.
    async fn stop(&self, session: &Arc<ChannelSession>, feeds: &mut Vec<Feed>) {
        for feed in feeds.iter() {
            session.channel.cancel(feed).await;
        }
        for feed in feeds.iter_mut() {
            // A cancelled feed ends after its last message; that of a dead channel may not.
            loop {
                tokio::select! {
                    biased;
                    received = feed.next() => match received {
                        Some(message) => self.deliver(session, &feed.queue, message).await,
                        None => break,
                    },
                    () = session.channel.ended() => break,
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
    async fn wind_down(&mut self, session: &Arc<ChannelSession>, command: Option<Command>) -> Ended {
        let mut command = command;
        while let Some(asked) = command {
            match asked {
                Command::Stop(done) => {
                    let _ = done.send(());
                }
                Command::Close(done) => {
                    session.channel.close().await;
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

/// Publishes these messages, however long it takes.
async fn publish_all_surely(
    mut links: Links,
    publisher: Publisher,
    mut messages: mpsc::UnboundedReceiver<Outgoing>,
    dead_letter_exchange: &'static str,
) {
    while let Some(mut message) = messages.recv().await {
        while links.live().await.is_some() {
            match publisher.publish(vec![message.clone()]).await.pop() {
                Some(PublishOutcome::Routed | PublishOutcome::Invalid(_)) => break,
                Some(PublishOutcome::Unconfirmed(BrokerError::NotPermitted { .. }))
                    if message.exchange.is_empty() =>
                {
                    message = unreadable::misplaced(dead_letter_exchange, message);
                }
                _ => {}
            }
            tokio::time::sleep(PUBLISH_PAUSE).await;
        }
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
async fn next_message(feeds: &mut [Feed], turn: &mut usize) -> Option<(String, Message)> {
    std::future::poll_fn(|context| {
        for _ in 0..feeds.len() {
            *turn = (*turn + 1) % feeds.len();
            let feed = &mut feeds[*turn];
            match feed.poll_next(context) {
                Poll::Ready(Some(message)) => return Poll::Ready(Some((feed.queue.clone(), message))),
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => {}
            }
        }
        Poll::Pending
    })
    .await
}
