//! Publishing: many messages on the way at once, each with its confirmation.
//!
//! One task owns the publishing channel, because delivery tags are counted. It never waits for ever: when nothing is
//! confirmed for long the connection is given up, and everything that waits is answered for.
//!
//! Publishing has a connection of its own, to the same host, from the first message on. Under a memory or disk alarm
//! RabbitMQ reads nothing any more from a connection that publishes: acknowledgements and names must not be on it.

use std::sync::Arc;
use std::time::Instant;

use daemon::retry::Backoff;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::alarm::Alarm;
use super::confirms::PublishOutcome;
use super::declare::Declarer;
use super::error::BrokerError;
use super::link::Link;
use super::options::BrokerOptions;
use super::properties::Outgoing;
use super::publishing::{Job, PROBE_ANSWER, PublishSession};
use super::supervisor::Links;

/// How many calls of `publish` may wait for their turn.
const MAX_WAITING_JOBS: usize = 64;

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
        declarer: Declarer,
        links: Links,
        stop: CancellationToken,
    ) -> (Self, PublisherTask) {
        let (jobs, waiting) = mpsc::channel(MAX_WAITING_JOBS);
        let task = PublisherTask {
            jobs: waiting,
            links: links.clone(),
            declarer,
            options: options.clone(),
            alarm: Alarm::new(options.advice.blocked),
            suspected: None,
            stop,
        };
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
    declarer: Declarer,
    options: BrokerOptions,
    alarm: Alarm,
    /// Since when the server has been suspected to take nothing because of an alarm.
    suspected: Option<Instant>,
    stop: CancellationToken,
}

impl PublisherTask {
    /// Since when the server takes no messages because of an alarm.
    pub(super) fn blocked(&self) -> watch::Receiver<Option<Instant>> {
        self.alarm.subscribe()
    }

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
            let at_once = self.is_needed_at_once();
            let first = tokio::select! {
                biased;
                job = self.jobs.recv() => match job {
                    Some(job) => Some(job),
                    None => break,
                },
                () = self.stop.cancelled() => break,
                () = link.dead() => continue,
                () = std::future::ready(()), if at_once => None,
            };
            match self.publish_beside(&link, first, &mut backoff).await {
                Some(failure) => self.recover(&link, failure, backoff.next_delay()).await,
                None => break,
            }
        }
        self.jobs.close();
        self.fail_waiting(&BrokerError::Closed);
    }

    /// Who publishes nothing needs no connection for it, unless somebody wants to know how things stand.
    fn is_needed_at_once(&self) -> bool {
        self.options.alarm_probe.is_some() || self.suspected.is_some()
    }

    /// Publishes over a connection of its own until that ends (the answer says why) or all is done after `stop` (`None`).
    async fn publish_beside(
        &mut self,
        link: &Arc<Link>,
        first: Option<Job>,
        backoff: &mut Backoff,
    ) -> Option<BrokerError> {
        let session = match PublishSession::open(link, &self.options, &self.declarer).await {
            Ok(session) => session,
            Err(failure) => {
                if let Some(job) = first {
                    job.fail(&failure);
                }
                link.discard(format!("there is no second connection for publishing: {failure}"));
                return Some(failure);
            }
        };
        let failure = match self.wait_for_room(&session, first).await {
            Ok(first) => {
                backoff.reset();
                session.run(first, &mut self.jobs, &self.stop).await?
            }
            Err(failure) => session.end(failure?),
        };
        match &failure {
            BrokerError::Blocked => self.suspected = session.silent_since(),
            BrokerError::NotPermitted { reason, .. } if reason.contains("default") => {
                tracing::debug!(action = "rabbitmq_probe_refused", details = %failure, "alarms are noticed late");
                (self.options.alarm_probe, self.suspected) = (None, None);
                self.alarm.is_over();
            }
            _ => {}
        }
        Some(failure)
    }

    /// Where an alarm is suspected: waits until the server takes a message again, and answers for what is handed in
    /// meanwhile. The failure is the session's; none where it is time to stop.
    async fn wait_for_room(
        &mut self,
        session: &PublishSession,
        mut first: Option<Job>,
    ) -> Result<Option<Job>, Option<BrokerError>> {
        let Some(since) = self.suspected else { return Ok(first) };
        let (reply, mut answer) = mpsc::unbounded_channel();
        session.probe(reply).await;
        let mut late = std::pin::pin!(tokio::time::sleep(PROBE_ANSWER));
        loop {
            if self.alarm.is_on()
                && let Some(job) = first.take()
            {
                job.fail(&BrokerError::Blocked);
            }
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return Err(None),
                () = session.ended() => return Err(Some(session.failure())),
                outcome = answer.recv() => match outcome {
                    Some((_, PublishOutcome::Unconfirmed(failure))) => return Err(Some(failure)),
                    _ => {
                        self.suspected = None;
                        self.alarm.is_over();
                        return Ok(first);
                    }
                },
                () = &mut late, if !self.alarm.is_on() => self.alarm.is_on_since(since),
                Some(job) = self.jobs.recv(), if self.alarm.is_on() => job.fail(&BrokerError::Blocked),
            }
        }
    }

    /// Publishing ended. Where the connection lives, somebody deleted an exchange, most likely: make it again.
    async fn recover(&mut self, link: &Arc<Link>, failure: BrokerError, delay: std::time::Duration) {
        tracing::debug!(action = "rabbitmq_publishing_interrupted", details = %failure, "publishing was interrupted");
        self.fail_waiting(&failure);
        // What the account may not do it may not do afterwards either.
        let is_refused = matches!(failure, BrokerError::Blocked | BrokerError::NotPermitted { .. });
        if !link.is_dead() && !is_refused {
            tokio::time::sleep(delay).await;
            if let Err(error) = self.declarer.mend(link).await {
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
