//! Publishing: many messages on the way at once, each with its confirmation.
//!
//! One task owns the publishing channel, because delivery tags are counted. It never waits for ever: when nothing is
//! confirmed for long the connection is given up, and everything that waits is answered for.

use std::sync::Arc;
use std::time::Instant;

use amqprs::channel::BasicPublishArguments;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::channel::BrokerChannel;
use super::confirms::{Confirms, InFlight, PublishOutcome, Ticket};
use super::error::BrokerError;
use super::link::Link;
use super::options::BrokerOptions;
use super::properties::Outgoing;
use super::supervisor::Links;
use super::topology::Topology;

/// How many calls of `publish` may wait for their turn.
const MAX_WAITING_JOBS: usize = 64;

/// One call of `publish`.
struct Job {
    messages: Vec<Outgoing>,
    reply: mpsc::UnboundedSender<(usize, PublishOutcome)>,
}

impl Job {
    fn fail(self, error: &BrokerError) {
        for index in 0..self.messages.len() {
            let _ = self.reply.send((index, PublishOutcome::Unconfirmed(error.clone())));
        }
    }
}

/// Where messages are handed in.
#[derive(Debug, Clone)]
pub(super) struct Publisher {
    jobs: mpsc::Sender<Job>,
    links: Links,
}

impl Publisher {
    /// Starts the publishing task. It ends, after what was handed in has been confirmed, when `stop` is cancelled.
    pub(super) fn start(
        options: &BrokerOptions,
        links: Links,
        stop: CancellationToken,
    ) -> (Self, PublisherTask) {
        let (jobs, waiting) = mpsc::channel(MAX_WAITING_JOBS);
        let task = PublisherTask { jobs: waiting, links: links.clone(), options: options.clone(), stop };
        (Self { jobs, links }, task)
    }

    /// See `Broker::publish`.
    pub(super) async fn publish(&self, messages: Vec<Outgoing>) -> Vec<PublishOutcome> {
        let count = messages.len();
        if self.links.current().is_none() {
            return vec![PublishOutcome::Unconfirmed(BrokerError::NotConnected); count];
        }
        let (reply, mut replies) = mpsc::unbounded_channel();
        if self.jobs.send(Job { messages, reply }).await.is_err() {
            return vec![PublishOutcome::Unconfirmed(BrokerError::Closed); count];
        }
        // What is never answered for was cut off with its channel.
        let cut_off = BrokerError::ConnectionLost { reason: "publishing was interrupted".to_owned() };
        let mut outcomes = vec![PublishOutcome::Unconfirmed(cut_off); count];
        while let Some((index, outcome)) = replies.recv().await {
            if let Some(place) = outcomes.get_mut(index) {
                *place = outcome;
            }
        }
        outcomes
    }
}

/// The task that publishes, over all connections that there will be.
pub(super) struct PublisherTask {
    jobs: mpsc::Receiver<Job>,
    links: Links,
    options: BrokerOptions,
    stop: CancellationToken,
}

impl PublisherTask {
    pub(super) async fn run(mut self) {
        let mut backoff = self.options.backoff();
        loop {
            let link = tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                link = self.links.live() => link,
                Some(job) = self.jobs.recv() => {
                    job.fail(&BrokerError::NotConnected);
                    continue;
                }
            };
            let Some(link) = link else { break };
            let failure = match Session::open(&link, &self.options).await {
                Ok(session) => {
                    backoff.reset();
                    match session.run(&mut self.jobs, &self.stop).await {
                        Some(failure) => failure,
                        None => break,
                    }
                }
                Err(failure) => failure,
            };
            self.recover(&link, failure, backoff.next_delay()).await;
        }
        self.jobs.close();
        self.fail_waiting(&BrokerError::Closed);
    }

    /// The channel ended. Where the connection lives, somebody deleted an exchange, most likely: make it again.
    async fn recover(&mut self, link: &Arc<Link>, failure: BrokerError, delay: std::time::Duration) {
        tracing::debug!(action = "rabbitmq_publishing_interrupted", details = %failure, "publishing was interrupted");
        self.fail_waiting(&failure);
        if !link.is_dead() {
            tokio::time::sleep(delay).await;
            let topology = Topology { queue_type: self.options.queue_type };
            if let Err(error) = topology.declare(link).await {
                tracing::debug!(action = "rabbitmq_publishing_interrupted", details = %error, "declaring failed");
            }
        }
    }

    fn fail_waiting(&mut self, error: &BrokerError) {
        while let Ok(job) = self.jobs.try_recv() {
            job.fail(error);
        }
    }
}

/// Publishing on one channel.
struct Session {
    channel: BrokerChannel,
    confirms: Arc<Confirms>,
    window: Arc<Semaphore>,
    options: BrokerOptions,
}

impl Session {
    async fn open(link: &Arc<Link>, options: &BrokerOptions) -> Result<Self, BrokerError> {
        let confirms = Arc::new(Confirms::new());
        let channel = BrokerChannel::open_confirming(link, confirms.clone()).await?;
        let window = Arc::new(Semaphore::new(options.publish_window.max(1)));
        Ok(Self { channel, confirms, window, options: options.clone() })
    }

    /// Publishes until the channel ends (the answer says why) or all is done after `stop` (`None`).
    async fn run(self, jobs: &mut mpsc::Receiver<Job>, stop: &CancellationToken) -> Option<BrokerError> {
        let ended = tokio::select! {
            biased;
            () = self.watch() => true,
            () = self.work(jobs, stop) => false,
        };
        if ended {
            let failure = self.channel.failure("publishing");
            // The callback's own end does this too, but a connection that is stuck may take its time to die.
            self.confirms.close(&failure);
            return Some(failure);
        }
        self.channel.close().await;
        None
    }

    /// Ends when the channel has ended, and sees to it that it does when confirmations stay out.
    async fn watch(&self) {
        let patience = self.options.confirm_timeout;
        let mut ticks = interval((patience / 8).max(std::time::Duration::from_millis(10)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = self.channel.ended() => return,
                _ = ticks.tick() => {
                    if self.confirms.is_stalled(patience) {
                        let reason = format!(
                            "no publisher confirm within {} ms; if RabbitMQ runs, look at its memory and disk alarms",
                            patience.as_millis()
                        );
                        self.channel.link().discard(reason);
                    }
                    self.confirms.expire(3 * patience);
                }
            }
        }
    }

    /// Publishes what is handed in; after `stop` what is left of it, until all of it is confirmed.
    async fn work(&self, jobs: &mut mpsc::Receiver<Job>, stop: &CancellationToken) {
        loop {
            tokio::select! {
                biased;
                job = jobs.recv() => match job {
                    Some(job) => self.publish(job).await,
                    None => break,
                },
                () = stop.cancelled() => break,
            }
        }
        // The whole window is free when nothing is on its way.
        let all = u32::try_from(self.options.publish_window.max(1)).unwrap_or(u32::MAX);
        let _ = self.window.acquire_many(all).await;
    }

    async fn publish(&self, job: Job) {
        for (index, message) in job.messages.into_iter().enumerate() {
            let ticket = Ticket { index, reply: job.reply.clone() };
            if let Err(invalid) = message.validate() {
                ticket.answer(PublishOutcome::Invalid(invalid));
                continue;
            }
            // The window is never closed: waiting for it ends by a confirmation or with the session.
            let Ok(permit) = self.window.clone().acquire_owned().await else { return };
            let message_id = message.properties.message_id.clone();
            let message_id = message_id.unwrap_or_else(|| uuid::Uuid::now_v7().to_string());
            let properties = message.properties.to_amqp(&message_id);
            let in_flight =
                InFlight { ticket, message_id, sent_at: Instant::now(), returned: None, _permit: permit };
            if !self.confirms.push(in_flight) {
                continue;
            }
            let mut arguments = BasicPublishArguments::new(&message.exchange, &message.routing_key);
            arguments.mandatory(true);
            // From here on the tag is given away. Only the end of the session, which ends the channel, may cut in.
            if let Some(channel) = self.channel.raw() {
                let _ = channel.basic_publish(properties, message.body.into(), arguments).await;
            }
        }
    }
}
