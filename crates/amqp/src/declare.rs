//! Declares the program's exchanges, queues and bindings, the same whoever starts first.

use std::sync::Arc;

use super::channel::{Argument, QueueKind};
use super::error::BrokerError;
use super::link::Link;
use super::options::{BrokerOptions, QueueType};
use super::renewed::RenewedChannel;
use super::topology::{Names, QueueSpec, Topology};
use super::troubles::Troubles;

/// A quorum queue drops a message that was put back too often, from RabbitMQ 4 on after 20 times unless it is told
/// otherwise. Each crash of a consumer puts its messages back, and so does looking at the dead letters. The largest number
/// is understood by every version; "unlimited" (-1) only by RabbitMQ 4.
const UNLIMITED_DELIVERIES: i32 = i32::MAX;

/// A durable queue as it must be declared.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Declaration {
    name: String,
    arguments: Vec<(&'static str, Argument)>,
    exchange: &'static str,
    binding_key: String,
    maker: &'static str,
}

/// Sees to it that the server has the program's topology, and knows what it has found otherwise. All clones are one.
#[derive(Debug, Clone)]
pub(super) struct Declarer {
    queue_type: QueueType,
    topology: Arc<dyn Topology>,
    troubles: Arc<Troubles>,
}

impl Declarer {
    pub(super) fn new(options: &BrokerOptions) -> Self {
        let troubles = Arc::new(Troubles::new(options.advice));
        Self { queue_type: options.queue_type, topology: options.topology.clone(), troubles }
    }

    pub(super) fn names(&self) -> Names {
        self.topology.names()
    }

    /// Whose trouble was met already.
    pub(super) fn troubles(&self) -> &Troubles {
        &self.troubles
    }

    /// Sees to it that everything is there that always exists, one after the other: the client library mixes up answers
    /// otherwise. What others make is looked at, and made only where it is missing.
    ///
    /// What is there otherwise, or in other hands, stops nothing else: it is told of once. An error is the connection's, or
    /// `Awaited`: something that this process needs is missing, and its account may not make it.
    pub(super) async fn declare(&self, link: &Arc<Link>) -> Result<(), BrokerError> {
        self.ensure(link, |object| self.topology.makes(object)).await
    }

    /// The same where something was found missing, as a message that no queue wanted shows: as far as the account may, what
    /// others make is made and bound too.
    pub(super) async fn mend(&self, link: &Arc<Link>) -> Result<(), BrokerError> {
        self.ensure(link, |_| true).await
    }

    async fn ensure(&self, link: &Arc<Link>, is_made: impl Fn(&str) -> bool) -> Result<(), BrokerError> {
        let mut channel = RenewedChannel::on(link);
        let mut awaited = Ok(());
        for (exchange, kind) in self.topology.exchanges() {
            match self.ensure_exchange(&mut channel, exchange, kind, is_made(exchange)).await {
                Ok(()) => self.troubles.exchange_is_well(exchange),
                Err(error @ BrokerError::Awaited { .. }) => {
                    awaited = awaited.and(self.needs(exchange, error))
                }
                Err(error) if error.is_of_one_object() => self.troubles.exchange_unusable(exchange, &error),
                Err(error) => return Err(error),
            }
        }
        // Queues are bound to them.
        awaited?;
        let mut awaited = Ok(());
        for queue in self.topology.queues().into_iter().map(|spec| self.declaration(spec)) {
            match self.ensure_queue(&mut channel, &queue, is_made(&queue.name)).await {
                Ok(()) => self.troubles.queue_is_there(&queue.name),
                Err(error @ BrokerError::Awaited { .. }) => {
                    awaited = awaited.and(self.needs(&queue.name, error))
                }
                Err(error) if error.is_of_one_object() => self.troubles.queue_missing(&queue.name, &error),
                Err(error) => return Err(error),
            }
        }
        channel.close().await;
        awaited
    }

    /// Passes on that something is awaited, if this process can do nothing without it.
    fn needs(&self, name: &str, error: BrokerError) -> Result<(), BrokerError> {
        if self.topology.needs(name) { Err(error) } else { Ok(()) }
    }

    async fn ensure_queue(
        &self,
        channel: &mut RenewedChannel,
        queue: &Declaration,
        is_made: bool,
    ) -> Result<(), BrokerError> {
        if !is_made {
            match channel.look_at_queue(&queue.name).await {
                Ok(None) => {}
                Ok(Some(_)) => return Ok(()),
                // In other hands, which is no trouble of this process.
                Err(error) if error.is_of_one_object() => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        queue.declare(channel, &self.troubles).await.map(drop)
    }

    /// Declares an exchange, or only looks at one that others make and that is there.
    async fn ensure_exchange(
        &self,
        channel: &mut RenewedChannel,
        exchange: &str,
        kind: &str,
        is_made: bool,
    ) -> Result<(), BrokerError> {
        if !is_made {
            match declare_exchange(channel, exchange, kind, true).await {
                Err(BrokerError::NotFound { .. }) => {}
                found => return found,
            }
        }
        match declare_exchange(channel, exchange, kind, false).await {
            Err(BrokerError::NotPermitted { .. }) => {
                declare_exchange(channel, exchange, kind, true).await.map_err(|error| match error {
                    BrokerError::NotFound { .. } => {
                        awaited("exchange", exchange, self.topology.maker(exchange))
                    }
                    error => error,
                })
            }
            declared => declared,
        }
    }

    /// Where the messages of a queue are kept while it is made anew; of the same type, and bound like it.
    pub(super) fn temporary(&self, queue: &Declaration) -> Declaration {
        let name = format!("{}{}", self.names().moving_prefix, queue.name);
        Declaration { name, arguments: self.queue_type.arguments(), ..queue.clone() }
    }

    /// How this queue is to be declared, if it is one of the program's.
    pub(super) fn queue(&self, name: &str) -> Option<Declaration> {
        self.topology.queue(name).map(|spec| self.declaration(spec))
    }

    fn declaration(&self, spec: QueueSpec) -> Declaration {
        let QueueSpec { name, exchange, binding_key, max_priority, expires } = spec;
        let mut arguments = Vec::new();
        if let Some(priority) = max_priority
            && self.queue_type == QueueType::Classic
        {
            arguments.push(("x-max-priority", Argument::Number(priority.into())));
        }
        if let Some(expires) = expires {
            let expires_ms = i32::try_from(expires.as_millis()).unwrap_or(i32::MAX);
            arguments.push(("x-expires", Argument::Number(expires_ms)));
        }
        arguments.extend(self.queue_type.arguments());
        let maker = self.topology.maker(&name);
        Declaration { name, arguments, exchange, binding_key, maker }
    }
}

impl QueueType {
    /// What every queue of this type that must lose nothing is declared with.
    fn arguments(self) -> Vec<(&'static str, Argument)> {
        match self {
            Self::Classic => Vec::new(),
            Self::Quorum => vec![
                ("x-queue-type", Argument::Text("quorum")),
                ("x-delivery-limit", Argument::Number(UNLIMITED_DELIVERIES)),
            ],
        }
    }
}

/// A queue that can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Declared {
    /// How many consumers it has.
    pub(super) consumers: u32,
    /// Whether it has the arguments that it should have.
    pub(super) is_as_wanted: bool,
}

impl Declaration {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn exchange(&self) -> &str {
        self.exchange
    }

    pub(super) fn binding_key(&self) -> &str {
        &self.binding_key
    }

    /// Declares and binds it. One that exists with other arguments is used as it is: a program must not stand still
    /// because a queue is of another type, or of the version before. So is one that the account may not declare.
    pub(super) async fn declare(
        &self,
        channel: &mut RenewedChannel,
        troubles: &Troubles,
    ) -> Result<Declared, BrokerError> {
        let declared = match self.declare_exactly(channel).await {
            Ok(consumers) => {
                troubles.queue_is_as_wanted(&self.name);
                Declared { consumers, is_as_wanted: true }
            }
            Err(conflict @ BrokerError::Conflict { .. }) => {
                let consumers = match channel.look_at_queue(&self.name).await? {
                    Some(found) => found.consumers,
                    // It is the arguments that the server does not take.
                    None => return Err(conflict),
                };
                troubles.queue_differs(&self.name, &conflict);
                Declared { consumers, is_as_wanted: false }
            }
            Err(BrokerError::NotPermitted { .. }) => {
                // Whoever made it has bound it.
                let found = channel.look_at_queue(&self.name).await?;
                let found = found.ok_or_else(|| awaited("queue", &self.name, self.maker))?;
                return Ok(Declared { consumers: found.consumers, is_as_wanted: true });
            }
            Err(error) => return Err(error),
        };
        self.bind(channel).await?;
        Ok(declared)
    }

    /// Declares it without binding it; the answer is how many consumers it has.
    pub(super) async fn declare_exactly(&self, channel: &mut RenewedChannel) -> Result<u32, BrokerError> {
        let kind = QueueKind::Durable(&self.arguments);
        let declared = channel.get().await?.declare_queue(&self.name, kind).await;
        channel.renew_after(declared).map(|found| found.consumers)
    }

    /// Binds it to its exchange.
    pub(super) async fn bind(&self, channel: &mut RenewedChannel) -> Result<(), BrokerError> {
        let bound = channel.get().await?.bind(&self.name, self.exchange, &self.binding_key).await;
        channel.renew_after(bound)
    }
}

/// Something is missing that the account may not make.
fn awaited(kind: &str, name: &str, maker: &'static str) -> BrokerError {
    BrokerError::Awaited { object: format!("{kind} '{name}'"), maker }
}

async fn declare_exchange(
    channel: &mut RenewedChannel,
    exchange: &str,
    kind: &str,
    only_look: bool,
) -> Result<(), BrokerError> {
    let declared = channel.get().await?.declare_exchange(exchange, kind, only_look).await;
    channel.renew_after(declared)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::tests::Jobs;

    fn arguments(queue_type: QueueType, name: &str) -> Vec<(&'static str, Argument)> {
        let options = BrokerOptions { queue_type, ..BrokerOptions::new(Arc::new(Jobs)) };
        Declarer::new(&options).queue(name).unwrap().arguments
    }

    #[test]
    fn classic_queues_carry_no_other_argument_because_other_clients_declare_them_too() {
        let priority = ("x-max-priority", Argument::Number(10));
        assert_eq!(arguments(QueueType::Classic, "jobs"), [priority]);
        assert_eq!(arguments(QueueType::Classic, "jobs_dead"), []);
        assert_eq!(arguments(QueueType::Classic, "jobs_seen.7"), [("x-expires", Argument::Number(60_000))]);
    }

    #[test]
    fn quorum_queues_have_no_priorities_and_never_drop_a_message_for_being_delivered_too_often() {
        for name in ["jobs", "jobs_dead", "jobs_seen.7"] {
            let arguments = arguments(QueueType::Quorum, name);
            assert!(arguments.contains(&("x-queue-type", Argument::Text("quorum"))), "{name}");
            assert!(arguments.contains(&("x-delivery-limit", Argument::Number(i32::MAX))), "{name}");
            assert!(arguments.iter().all(|(key, _)| *key != "x-max-priority"), "{name}");
        }
    }
}
