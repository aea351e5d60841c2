//! The exchanges, queues and bindings, declared the same by whoever starts first (contract, section 5).

use std::sync::Arc;

use super::channel::{Argument, QueueKind};
use super::error::BrokerError;
use super::link::Link;
use super::names::{
    DEAD_LETTER_EXCHANGE, DEAD_LETTER_QUEUE, NOTIFICATIONS_EXCHANGE, NOTIFICATIONS_QUEUE, ORDERS_EXCHANGE,
    kitchen_queue, kitchen_queues,
};
use super::options::QueueType;
use super::part::{Part, maker};
use super::renewed::RenewedChannel;
use super::troubles::Troubles;
use crate::domain::{OrderType, Priority};

/// All exchanges, with their types.
const EXCHANGES: [(&str, &str); 3] =
    [(ORDERS_EXCHANGE, "topic"), (NOTIFICATIONS_EXCHANGE, "fanout"), (DEAD_LETTER_EXCHANGE, "fanout")];

/// What the names of temporary queues begin with: no subscriber's queue can be called so.
const MOVING_PREFIX: &str = "restaurant_moving.";

/// Subscribers' queues past the first vanish when nobody has used them for a day.
const SLOT_EXPIRES_MS: i32 = 24 * 60 * 60 * 1000;
/// A quorum queue drops a message that was put back too often, from RabbitMQ 4 on after 20 times unless it is told
/// otherwise. Each crash of a consumer puts its messages back, and so does looking at the dead letters. The largest number
/// is understood by every version; "unlimited" (-1) only by RabbitMQ 4.
const UNLIMITED_DELIVERIES: i32 = i32::MAX;

/// A durable queue as it must be declared.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct QueueSpec {
    name: String,
    arguments: Vec<(&'static str, Argument)>,
    exchange: &'static str,
    binding_key: String,
}

/// What this system needs to find on the server, and what it has found otherwise. All clones are one.
#[derive(Debug, Clone)]
pub(super) struct Topology {
    queue_type: QueueType,
    part: Part,
    troubles: Arc<Troubles>,
}

impl Topology {
    pub(super) fn new(queue_type: QueueType, part: Part) -> Self {
        Self { queue_type, part, troubles: Arc::default() }
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
        self.ensure(link, |object| self.part.makes(object)).await
    }

    /// The same where something was found missing, as a message that no queue wanted shows: as far as the account may, what
    /// others make is made and bound too.
    pub(super) async fn mend(&self, link: &Arc<Link>) -> Result<(), BrokerError> {
        self.ensure(link, |_| true).await
    }

    async fn ensure(&self, link: &Arc<Link>, is_made: impl Fn(&str) -> bool) -> Result<(), BrokerError> {
        let mut channel = RenewedChannel::on(link);
        let mut awaited = Ok(());
        for (exchange, kind) in EXCHANGES {
            match ensure_exchange(&mut channel, exchange, kind, is_made(exchange)).await {
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
        let kitchen = kitchen_queues();
        let others = [NOTIFICATIONS_QUEUE, DEAD_LETTER_QUEUE].map(str::to_owned);
        for spec in kitchen.iter().chain(&others).filter_map(|name| self.queue(name)) {
            match self.ensure_queue(&mut channel, &spec, is_made(&spec.name)).await {
                Ok(()) => self.troubles.queue_is_there(&spec.name),
                Err(error @ BrokerError::Awaited { .. }) => {
                    awaited = awaited.and(self.needs(&spec.name, error))
                }
                Err(error) if error.is_of_one_object() => self.troubles.queue_missing(&spec.name, &error),
                Err(error) => return Err(error),
            }
        }
        channel.close().await;
        awaited
    }

    /// Passes on that something is awaited, if this process can do nothing without it.
    fn needs(&self, name: &str, error: BrokerError) -> Result<(), BrokerError> {
        if self.part.needs(name) { Err(error) } else { Ok(()) }
    }

    async fn ensure_queue(
        &self,
        channel: &mut RenewedChannel,
        spec: &QueueSpec,
        is_made: bool,
    ) -> Result<(), BrokerError> {
        if !is_made {
            match channel.look_at_queue(&spec.name).await {
                Ok(None) => {}
                Ok(Some(_)) => return Ok(()),
                // In other hands, which is no trouble of this process.
                Err(error) if error.is_of_one_object() => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        spec.declare(channel, &self.troubles).await.map(drop)
    }

    /// Where the messages of a queue are kept while it is made anew; of the same type, and bound like it.
    pub(super) fn temporary(&self, spec: &QueueSpec) -> QueueSpec {
        let name = format!("{MOVING_PREFIX}{}", spec.name);
        QueueSpec { name, arguments: self.queue_type.arguments(), ..spec.clone() }
    }

    /// How this queue is to be declared, if it is one of the system's.
    pub(super) fn queue(&self, name: &str) -> Option<QueueSpec> {
        let (mut arguments, exchange, binding_key) = if let Some(order_type) =
            OrderType::ALL.into_iter().find(|order_type| kitchen_queue(order_type.as_str()) == name)
        {
            let priority = match self.queue_type {
                QueueType::Classic => {
                    vec![("x-max-priority", Argument::Number(Priority::HIGH.value().into()))]
                }
                QueueType::Quorum => Vec::new(),
            };
            (priority, ORDERS_EXCHANGE, format!("kitchen.{order_type}.*"))
        } else if name == DEAD_LETTER_QUEUE {
            (Vec::new(), DEAD_LETTER_EXCHANGE, String::new())
        } else if name == NOTIFICATIONS_QUEUE {
            (Vec::new(), NOTIFICATIONS_EXCHANGE, String::new())
        } else if name.strip_prefix(NOTIFICATIONS_QUEUE).is_some_and(|rest| rest.starts_with('.')) {
            (vec![("x-expires", Argument::Number(SLOT_EXPIRES_MS))], NOTIFICATIONS_EXCHANGE, String::new())
        } else {
            return None;
        };
        arguments.extend(self.queue_type.arguments());
        Some(QueueSpec { name: name.to_owned(), arguments, exchange, binding_key })
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

impl QueueSpec {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn exchange(&self) -> &str {
        self.exchange
    }

    pub(super) fn binding_key(&self) -> &str {
        &self.binding_key
    }

    /// Declares and binds it. One that exists with other arguments is used as it is: a house must not stand still because
    /// a queue is of another type, or of the version before. So is one that the account may not declare.
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
                let found = found.ok_or_else(|| awaited("queue", &self.name))?;
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
fn awaited(kind: &str, name: &str) -> BrokerError {
    BrokerError::Awaited { object: format!("{kind} '{name}'"), maker: maker(name) }
}

/// Declares an exchange, or only looks at one that others make and that is there.
async fn ensure_exchange(
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
                BrokerError::NotFound { .. } => awaited("exchange", exchange),
                error => error,
            })
        }
        declared => declared,
    }
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

    fn queue(queue_type: QueueType, name: &str) -> Option<QueueSpec> {
        Topology::new(queue_type, Part::Operator).queue(name)
    }

    fn keys(spec: &QueueSpec) -> Vec<&str> {
        spec.arguments.iter().map(|(key, _)| *key).collect()
    }

    #[test]
    fn kitchen_queues_have_priorities_and_take_the_orders_of_their_type() {
        let spec = queue(QueueType::Classic, "kitchen_dine_in_queue").unwrap();
        assert_eq!(spec.arguments, [("x-max-priority", Argument::Number(10))]);
        assert_eq!((spec.exchange, spec.binding_key.as_str()), ("orders_topic", "kitchen.dine_in.*"));
    }

    #[test]
    fn classic_queues_carry_no_other_argument_because_other_clients_declare_them_too() {
        assert!(keys(&queue(QueueType::Classic, "notifications_queue").unwrap()).is_empty());
        assert!(keys(&queue(QueueType::Classic, "kitchen_dead_letters").unwrap()).is_empty());
        assert_eq!(keys(&queue(QueueType::Classic, "notifications_queue.7").unwrap()), ["x-expires"]);
    }

    #[test]
    fn quorum_queues_have_no_priorities_and_never_drop_a_message_for_being_delivered_too_often() {
        let unlimited = ("x-delivery-limit", Argument::Number(i32::MAX));
        for name in
            ["kitchen_takeout_queue", "notifications_queue", "notifications_queue.2", "kitchen_dead_letters"]
        {
            let spec = queue(QueueType::Quorum, name).unwrap();
            assert!(spec.arguments.contains(&("x-queue-type", Argument::Text("quorum"))), "{name}");
            assert!(spec.arguments.contains(&unlimited), "{name}");
            assert!(!keys(&spec).contains(&"x-max-priority"), "{name}");
        }
    }

    #[test]
    fn strangers_are_not_declared() {
        for name in ["", "kitchen_sushi_queue", "notifications_queue2", "amq.gen-1"] {
            assert_eq!(queue(QueueType::Classic, name), None, "{name}");
        }
    }
}
