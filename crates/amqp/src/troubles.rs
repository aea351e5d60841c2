//! Queues and exchanges that are not as they should be. One line when a trouble is met, however often it is met again, and
//! one when it is over.

use std::collections::BTreeSet;
use std::sync::Mutex;

use daemon::sync::locked;

use super::advice::Advice;
use super::error::BrokerError;

/// What was told already.
#[derive(Debug)]
pub(super) struct Troubles {
    told: Mutex<BTreeSet<(TroubleKind, String)>>,
    advice: Advice,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum TroubleKind {
    /// A queue with other arguments, in use.
    Differs,
    /// A queue that could not be made, or not be bound.
    Missing,
    /// A queue that cannot be consumed.
    NotConsumed,
    /// An exchange that does not do what it should.
    Exchange,
    /// A quorum queue with fewer members than it could have.
    UnderReplicated,
    /// The management API does not say how many members queues have.
    MembersUnknown,
    /// No queue confirms what is published, although the server answers.
    NotConfirmed,
    /// What another process is to make.
    Awaited,
}

impl Troubles {
    pub(super) fn new(advice: Advice) -> Self {
        Self { told: Mutex::default(), advice }
    }

    /// It exists with other arguments, and is used as it is.
    pub(super) fn queue_differs(&self, queue: &str, error: &BrokerError) {
        if self.is_news(TroubleKind::Differs, queue) {
            let error: &dyn std::error::Error = error;
            tracing::warn!(
                action = "rabbitmq_queue_differs",
                error,
                details = queue,
                "a queue has other arguments than it should have; it is used as it is"
            );
        }
    }

    /// It could not be declared and bound.
    pub(super) fn queue_missing(&self, queue: &str, error: &BrokerError) {
        if self.is_news(TroubleKind::Missing, queue) {
            let error: &dyn std::error::Error = error;
            tracing::error!(
                action = "rabbitmq_queue_unusable",
                error,
                details = queue,
                "a queue cannot be declared; everything else goes on"
            );
        }
    }

    /// It cannot be consumed.
    pub(super) fn queue_not_consumed(&self, queue: &str, error: &BrokerError) {
        if self.is_news(TroubleKind::NotConsumed, queue) {
            let error: &dyn std::error::Error = error;
            tracing::error!(
                action = "rabbitmq_queue_unusable",
                error,
                details = queue,
                "a queue cannot be consumed; {}",
                self.advice.not_consumed
            );
        }
    }

    /// It exists as another type.
    pub(super) fn exchange_unusable(&self, exchange: &str, error: &BrokerError) {
        if self.is_news(TroubleKind::Exchange, exchange) {
            let error: &dyn std::error::Error = error;
            tracing::error!(
                action = "rabbitmq_exchange_unusable",
                error,
                details = exchange,
                "an exchange is of another type; what is published there may reach no queue"
            );
        }
    }

    /// The server answers, and confirms nothing.
    pub(super) fn not_confirmed(&self, error: &BrokerError) {
        if self.is_news(TroubleKind::NotConfirmed, "") {
            let error: &dyn std::error::Error = error;
            tracing::error!(
                action = "rabbitmq_publish_unconfirmed",
                error,
                "RabbitMQ answers but confirms no message; a quorum queue may have lost its majority"
            );
        }
    }

    /// These are all the quorum queues with fewer members than they could have: how many, of how many.
    pub(super) fn queues_are_under_replicated(&self, queues: &[(String, usize, usize)]) {
        self.is_over(TroubleKind::MembersUnknown, "");
        for (queue, members, wanted) in queues {
            if self.is_news(TroubleKind::UnderReplicated, queue) {
                tracing::warn!(
                    action = "rabbitmq_queue_members",
                    details = queue,
                    "a quorum queue has {members} of {wanted} members and is lost or stands still with a node; run \
                     `rabbitmq-queues grow NODE all` for each node without one"
                );
            }
        }
        let told = self.told_of(TroubleKind::UnderReplicated);
        for queue in told.iter().filter(|told| !queues.iter().any(|(queue, ..)| queue == *told)) {
            self.is_over(TroubleKind::UnderReplicated, queue);
        }
    }

    /// Nobody says how many members the queues have.
    pub(super) fn members_unknown(&self, error: &(dyn std::error::Error + 'static)) {
        if self.is_news(TroubleKind::MembersUnknown, "") {
            tracing::warn!(
                action = "rabbitmq_queue_members",
                error,
                "the members of quorum queues are not known"
            );
        }
    }

    /// It is missing, this process needs it, and another makes it.
    pub(super) fn is_awaited(&self, object: &str, maker: &str) {
        if self.is_news(TroubleKind::Awaited, object) {
            tracing::warn!(
                action = "rabbitmq_waiting_for_maker",
                details = object,
                "{object} does not exist on RabbitMQ, and this user may not make it: waiting until {maker} does"
            );
        }
    }

    /// All is there.
    pub(super) fn nothing_is_awaited(&self) {
        for object in self.told_of(TroubleKind::Awaited) {
            self.is_over(TroubleKind::Awaited, &object);
        }
    }

    /// It has the arguments that it should have.
    pub(super) fn queue_is_as_wanted(&self, queue: &str) {
        self.is_over(TroubleKind::Differs, queue);
    }

    /// It is declared and bound, with whatever arguments.
    pub(super) fn queue_is_there(&self, queue: &str) {
        self.is_over(TroubleKind::Missing, queue);
    }

    /// It is consumed.
    pub(super) fn queue_is_consumed(&self, queue: &str) {
        self.is_over(TroubleKind::NotConsumed, queue);
    }

    /// It is of the right type.
    pub(super) fn exchange_is_well(&self, exchange: &str) {
        self.is_over(TroubleKind::Exchange, exchange);
    }

    /// Messages are confirmed.
    pub(super) fn is_confirmed(&self) {
        self.is_over(TroubleKind::NotConfirmed, "");
    }

    fn is_news(&self, kind: TroubleKind, object: &str) -> bool {
        // Whole at every panic.
        locked(&self.told).insert((kind, object.to_owned()))
    }

    fn told_of(&self, kind: TroubleKind) -> Vec<String> {
        let told = locked(&self.told);
        told.iter().filter(|(of, _)| *of == kind).map(|(_, object)| object.clone()).collect()
    }

    fn is_over(&self, kind: TroubleKind, object: &str) {
        let mut told = locked(&self.told);
        if !told.is_empty() && told.remove(&(kind, object.to_owned())) {
            tracing::info!(action = "rabbitmq_trouble_over", details = object, "it is as it should be again");
        }
    }
}
