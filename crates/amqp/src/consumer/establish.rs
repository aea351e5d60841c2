//! Establishing a consumer on one channel: of several queues those that can be consumed.

use std::sync::Arc;
use std::time::Duration;

use daemon::retry::Backoff;

use super::delivery::ChannelSession;
use super::source::Source;
use crate::channel::{BrokerChannel, Feed, QueueKind};
use crate::declare::Declarer;
use crate::error::BrokerError;
use crate::link::Link;
use crate::options::{BrokerOptions, QueueType};
use crate::renewed::RenewedChannel;

/// Between looks at what was left out: from, to. Each look that is refused costs a channel number of the connection.
const LEFT_OUT_LOOK_AGAIN: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(300));

/// A consumer at work.
pub(super) struct Established {
    pub(super) session: Arc<ChannelSession>,
    pub(super) feeds: Vec<Feed>,
    /// Queues that cannot be consumed at the moment.
    pub(super) left_out: Vec<String>,
}

/// A failure, and the queue whose it is where it is one queue's.
struct Refused {
    queue: Option<String>,
    error: BrokerError,
}

impl Refused {
    fn of(queue: &str) -> impl FnOnce(BrokerError) -> Self {
        |error| Self { queue: Some(queue.to_owned()), error }
    }
}

impl From<BrokerError> for Refused {
    fn from(error: BrokerError) -> Self {
        Self { queue: None, error }
    }
}

/// What is to be established, and how.
#[derive(Clone)]
pub(super) struct Establisher {
    pub(super) options: BrokerOptions,
    pub(super) declarer: Declarer,
    pub(super) source: Source,
}

impl Establisher {
    /// Consumes all queues, or all but those that are in trouble. `at_start`: not again after an interruption.
    pub(super) async fn establish(
        &self,
        link: &Arc<Link>,
        at_start: bool,
    ) -> Result<Established, BrokerError> {
        let mut left_out = Vec::new();
        loop {
            match self.consume_but(link, &left_out, at_start).await {
                Ok((session, feeds)) => {
                    for feed in &feeds {
                        self.declarer.troubles().queue_is_consumed(&feed.queue);
                    }
                    return Ok(Established { session, feeds, left_out });
                }
                Err(Refused { queue: Some(queue), error }) if self.can_do_without(&queue, &error) => {
                    self.declarer.troubles().queue_not_consumed(&queue, &error);
                    left_out.push(queue);
                }
                Err(Refused { error, .. }) => return Err(error),
            }
        }
    }

    /// Ends when one of these queues, which were left out, can be consumed.
    pub(super) async fn until_usable(self, link: Arc<Link>, left_out: Vec<String>) {
        let mut backoff = Backoff::new(LEFT_OUT_LOOK_AGAIN.0, LEFT_OUT_LOOK_AGAIN.1);
        loop {
            tokio::time::sleep(backoff.next_delay()).await;
            for queue in &left_out {
                if self.is_usable(&link, queue).await {
                    return;
                }
            }
        }
    }

    /// What it is handed meanwhile goes back with the channel.
    async fn is_usable(&self, link: &Arc<Link>, queue: &str) -> bool {
        let looked = async {
            let mut channel = RenewedChannel::on(link);
            self.declare(&mut channel, queue, false).await.map_err(|refused| refused.error)?;
            let channel = channel.into_channel().await?;
            channel.set_prefetch(1, false).await?;
            self.consume(&channel, queue).await?;
            channel.close().await;
            Ok::<(), BrokerError>(())
        };
        looked.await.is_ok()
    }

    /// Whether the others are consumed without this queue.
    fn can_do_without(&self, queue: &str, error: &BrokerError) -> bool {
        let is_own_trouble = error.is_of_one_object() || matches!(error, BrokerError::NotPermitted { .. });
        is_own_trouble && self.source.is_tolerant() && self.declarer.queue(queue).is_some()
    }

    async fn consume_but(
        &self,
        link: &Arc<Link>,
        left_out: &[String],
        at_start: bool,
    ) -> Result<(Arc<ChannelSession>, Vec<Feed>), Refused> {
        let mut channel = RenewedChannel::on(link);
        let (queues, all_as_wanted) = self.prepare_queues(&mut channel, left_out, at_start).await?;
        let channel = channel.into_channel().await?;
        // For a sum over several queues RabbitMQ asks a process of its own about each message. Of a queue that is of
        // another type than it should be it may know no sum, and would end the connection.
        let is_sum = self.options.queue_type == QueueType::Classic && all_as_wanted && queues.len() > 1;
        let sharers = if is_sum { 1 } else { u16::try_from(queues.len()).unwrap_or(u16::MAX).max(1) };
        channel.set_prefetch((self.source.prefetch() / sharers).max(1), is_sum).await?;
        let mut feeds = Vec::with_capacity(queues.len());
        for queue in &queues {
            feeds.push(self.consume(&channel, queue).await.map_err(Refused::of(queue))?);
        }
        Ok((Arc::new(ChannelSession::new(channel, self.options.max_body_bytes)), feeds))
    }

    /// Declares what is to be consumed, and answers with the queues' names and whether all of them are as they should be.
    async fn prepare_queues(
        &self,
        channel: &mut RenewedChannel,
        left_out: &[String],
        at_start: bool,
    ) -> Result<(Vec<String>, bool), Refused> {
        match &self.source {
            Source::Queues(options) => {
                let mut queues = Vec::with_capacity(options.queues.len());
                let mut all_as_wanted = true;
                for queue in options.queues.iter().filter(|queue| !left_out.contains(queue)) {
                    all_as_wanted &= self.declare(channel, queue, at_start).await?;
                    queues.push(queue.clone());
                }
                Ok((queues, all_as_wanted))
            }
            Source::FanoutCopy { exchange, .. } => {
                let channel = channel.get().await?;
                let name = channel.declare_queue("", QueueKind::Exclusive).await?.name;
                channel.bind(&name, exchange, "").await?;
                Ok((vec![name], true))
            }
        }
    }

    /// Declares a queue that is the program's own. The answer is whether it is as it should be.
    async fn declare(
        &self,
        channel: &mut RenewedChannel,
        queue: &str,
        at_start: bool,
    ) -> Result<bool, Refused> {
        let Some(spec) = self.declarer.queue(queue) else { return Ok(true) };
        let declared = spec.declare(channel, self.declarer.troubles()).await.map_err(Refused::of(queue))?;
        // Asked before it is tried: every refusal costs a channel.
        if self.source.heeds_counted(self.options.queue_type, at_start) && declared.consumers > 0 {
            let error = BrokerError::InUse { object: format!("queue '{queue}'") };
            return Err(Refused { queue: Some(queue.to_owned()), error });
        }
        Ok(declared.is_as_wanted)
    }

    async fn consume(&self, channel: &BrokerChannel, queue: &str) -> Result<Feed, BrokerError> {
        let prefix = self.source.consumer_tag_prefix().unwrap_or(self.declarer.names().consumer_tag_prefix);
        let wanted = format!("{prefix}.{queue}");
        // Empty: the server chooses one. It must be unique on its channel only.
        let wanted = if wanted.len() <= 255 { wanted } else { String::new() };
        let exclusive = self.source.is_exclusive(self.options.queue_type);
        channel.consume(queue, &wanted, true, exclusive).await
    }
}
