//! Publishing on one channel of a connection that is there for nothing else.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::channel::BrokerChannel;
use super::confirms::{Confirms, InFlight, PublishOutcome, Ticket};
use super::declare::Declarer;
use super::error::BrokerError;
use super::link::Link;
use super::options::BrokerOptions;
use super::properties::{Outgoing, Properties};

/// How long a server that is not stuck may take to answer a small request, or to confirm a small message.
pub(super) const PROBE_ANSWER: Duration = Duration::from_secs(2);
/// Nothing confirmed for so long is looked into, or for half of `confirm_timeout` where that is shorter.
const SUSPICIOUS_SILENCE: Duration = Duration::from_secs(2);

/// One call of `publish`.
pub(super) struct Job {
    pub(super) messages: Vec<Outgoing>,
    pub(super) reply: mpsc::UnboundedSender<(usize, PublishOutcome)>,
}

impl Job {
    pub(super) fn fail(self, error: &BrokerError) {
        for index in 0..self.messages.len() {
            let _ = self.reply.send((index, PublishOutcome::Unconfirmed(error.clone())));
        }
    }
}

/// One connection with its publishing channel.
pub(super) struct PublishSession {
    /// The connection that everything else is on.
    main: Arc<Link>,
    link: Arc<Link>,
    channel: BrokerChannel,
    confirms: Arc<Confirms>,
    window: Arc<Semaphore>,
    options: BrokerOptions,
    declarer: Declarer,
    silent_since: OnceLock<Instant>,
}

impl PublishSession {
    /// Connects to the host that `main` is connected to.
    pub(super) async fn open(
        main: &Arc<Link>,
        options: &BrokerOptions,
        declarer: &Declarer,
    ) -> Result<Self, BrokerError> {
        let mut options = options.clone();
        options.connection_name.push_str(" (publishing)");
        let link = Link::open(&options, &main.address, main.generation).await?;
        let confirms = Arc::new(Confirms::new());
        let channel = BrokerChannel::open_confirming(&link, confirms.clone()).await?;
        let window = Arc::new(Semaphore::new(options.publish_window.max(1)));
        let (main, declarer, silent_since) = (main.clone(), declarer.clone(), OnceLock::new());
        Ok(Self { main, link, channel, confirms, window, options, declarer, silent_since })
    }

    /// Publishes `first` and what follows until the session ends (the answer says why) or all is done after `stop`
    /// (`None`).
    pub(super) async fn run(
        &self,
        first: Option<Job>,
        jobs: &mut mpsc::Receiver<Job>,
        stop: &CancellationToken,
    ) -> Option<BrokerError> {
        let failure = tokio::select! {
            biased;
            failure = self.watch() => Some(failure),
            () = self.work(first, jobs, stop) => None,
        };
        if let Some(failure) = failure {
            return Some(self.end(failure));
        }
        self.channel.close().await;
        self.link.close().await;
        None
    }

    /// Gives the connection up, and answers for what was not confirmed.
    pub(super) fn end(&self, failure: BrokerError) -> BrokerError {
        self.link.discard(failure.to_string());
        // The callback's own end does this too, but a connection that is stuck may take its time to die.
        self.confirms.close(&failure);
        failure
    }

    /// Ends when its connection, or the other one, has ended.
    pub(super) async fn ended(&self) {
        tokio::select! {
            () = self.channel.ended() => {}
            () = self.main.dead() => {}
        }
    }

    /// Why it has ended.
    pub(super) fn failure(&self) -> BrokerError {
        if self.main.is_dead() { self.main.lost() } else { self.channel.failure("publishing") }
    }

    /// Since when nothing was confirmed, where it has ended for that.
    pub(super) fn silent_since(&self) -> Option<Instant> {
        self.silent_since.get().copied()
    }

    /// Ends when the session has, and sees to it that it does when confirmations stay out.
    async fn watch(&self) -> BrokerError {
        let patience = self.options.confirm_timeout;
        let suspicious = SUSPICIOUS_SILENCE.min(patience / 2);
        let mut ticks = interval((patience / 8).clamp(Duration::from_millis(10), Duration::from_secs(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = self.ended() => return self.failure(),
                _ = ticks.tick() => {}
            }
            if self.confirms.has_progressed() {
                self.declarer.troubles().is_confirmed();
            }
            if self.confirms.is_stalled(suspicious)
                && let Some(failure) = self.look_into_silence(suspicious).await
            {
                return failure;
            }
            self.confirms.expire(3 * patience);
        }
    }

    /// Nothing is confirmed. A server under an alarm reads nothing from this connection, but answers on the other one; one
    /// that answers here has a queue that takes nothing; one that answers nowhere is stuck, or the wire is.
    async fn look_into_silence(&self, suspicious: Duration) -> Option<BrokerError> {
        let patience = self.options.confirm_timeout;
        let (here, there) = tokio::join!(self.link.answers(PROBE_ANSWER), self.main.answers(PROBE_ANSWER));
        match (here, there) {
            (false, true) if self.confirms.is_stalled(suspicious) => {
                let _ = self.silent_since.set(self.confirms.silent_since().unwrap_or_else(Instant::now));
                Some(BrokerError::Blocked)
            }
            (true, _) if self.confirms.is_stalled(patience) => {
                let what = "a publisher confirm".to_owned();
                let failure = BrokerError::TimedOut { what, after: patience };
                self.declarer.troubles().not_confirmed(&failure);
                Some(failure)
            }
            (false, false) if self.confirms.is_stalled(patience) => {
                self.main.discard(format!("no publisher confirm within {} ms", patience.as_millis()));
                Some(self.main.lost())
            }
            _ => None,
        }
    }

    /// Publishes what is handed in; after `stop` what is left of it, until all of it is confirmed.
    async fn work(&self, first: Option<Job>, jobs: &mut mpsc::Receiver<Job>, stop: &CancellationToken) {
        if let Some(job) = first {
            self.publish(job).await;
        }
        loop {
            tokio::select! {
                biased;
                job = jobs.recv() => match job {
                    Some(job) => self.publish(job).await,
                    None => break,
                },
                () = stop.cancelled() => break,
                () = self.idle() => self.probe(mpsc::unbounded_channel().0).await,
            }
        }
        // The whole window is free when nothing is on its way.
        let all = u32::try_from(self.options.publish_window.max(1)).unwrap_or(u32::MAX);
        let _ = self.window.acquire_many(all).await;
    }

    /// Ends when nothing was published for as long as somebody may be mistaken about an alarm.
    async fn idle(&self) {
        match self.options.alarm_probe {
            Some(pause) => tokio::time::sleep(pause).await,
            None => std::future::pending().await,
        }
    }

    async fn publish(&self, job: Job) {
        for (index, message) in job.messages.into_iter().enumerate() {
            let ticket = Ticket { index, reply: job.reply.clone() };
            if let Err(invalid) = message.validate() {
                ticket.answer(PublishOutcome::Invalid(invalid));
                continue;
            }
            if !self.send(message, ticket, true).await {
                return;
            }
        }
    }

    /// Publishes a message that goes nowhere; its outcome shows whether the server takes any. Under an alarm the server
    /// reads no more from a connection once it has seen the first frame of a message: one without a body would be complete.
    pub(super) async fn probe(&self, reply: mpsc::UnboundedSender<(usize, PublishOutcome)>) {
        let message = Outgoing {
            exchange: "".into(),
            routing_key: self.declarer.names().alarm_probe.to_owned(),
            body: Bytes::from_static(b"?"),
            properties: Properties::default(),
        };
        self.send(message, Ticket { index: 0, reply }, false).await;
    }

    /// Publishes one message as soon as the window has room for it. `false`: the session has ended.
    async fn send(&self, message: Outgoing, ticket: Ticket, mandatory: bool) -> bool {
        // The window is never closed: waiting for it ends by a confirmation or with the session.
        let Ok(permit) = self.window.clone().acquire_owned().await else { return false };
        let message_id = message.properties.message_id.clone();
        let message_id = message_id.unwrap_or_else(|| uuid::Uuid::now_v7().to_string());
        let properties = message.properties.to_amqp(&message_id);
        let in_flight =
            InFlight { ticket, message_id, sent_at: Instant::now(), returned: None, _permit: permit };
        if self.confirms.push(in_flight) {
            let Outgoing { exchange, routing_key, body, .. } = message;
            // From here on the tag is given away. Only the end of the session, which ends the channel, may cut in.
            self.channel.publish(&exchange, &routing_key, mandatory, properties, body.into()).await;
        }
        true
    }
}
