//! What a consumer is to consume.

use super::ConsumeOptions;
use crate::options::QueueType;

/// Where the messages come from.
#[derive(Debug, Clone)]
pub(crate) enum Source {
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

    /// Whether nobody else may consume it, as RabbitMQ sees it.
    pub(super) fn is_exclusive(&self, queue_type: QueueType) -> bool {
        matches!(self, Source::Queues(options) if options.exclusive && !options.is_held_by_name(queue_type))
    }

    /// Whether another consumer of the queue means that it is in use. Where a name decides, who was here before may be
    /// counted still.
    pub(super) fn heeds_counted(&self, queue_type: QueueType, at_start: bool) -> bool {
        matches!(self, Source::Queues(options) if options.exclusive
            && !(options.is_held_by_name(queue_type) && (options.ignores_counted || !at_start)))
    }

    pub(super) fn is_tolerant(&self) -> bool {
        matches!(self, Source::Queues(options) if options.tolerant)
    }

    pub(super) fn consumer_tag_prefix(&self) -> Option<&str> {
        match self {
            Source::Queues(options) => options.consumer_tag_prefix.as_deref(),
            Source::FanoutCopy { .. } => Some("copy"),
        }
    }

    pub(super) fn prefetch(&self) -> u16 {
        match self {
            Source::Queues(options) => options.prefetch.max(1),
            Source::FanoutCopy { prefetch, .. } => (*prefetch).max(1),
        }
    }
}
