//! A slot: a queue of which one process at a time has all messages, and beside it a name that only one living process holds.
//!
//! The name decides who has the slot, on every kind of queue. The queue alone cannot: a quorum queue lets several exclusive
//! consumers in on many versions, and counts those of a node that is away. Messages flow only on a connection on which the
//! name is held. Versions of a program may take no name: where a queue has a consumer and nobody has its name, it is
//! theirs, at first.
//!
//! `x-single-active-consumer` is not used: RabbitMQ refuses `basic.get` on such queues, which `unreadable` needs, and the
//! queues that there are have other arguments.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::confirms::PublishOutcome;
use super::consumer::{ConsumeOptions, Consumer, ConsumerEvent, Deliveries, Delivery};
use super::error::BrokerError;
use super::handle::{Broker, Consume};
use super::name::{HeldName, NameError, NameHold};
use super::properties::{Outgoing, Properties};
use super::renewed::RenewedChannel;

/// How often a standby looks whether its slot is free.
const STANDBY_LOOK: Duration = Duration::from_secs(1);
/// How often a standby that can only count a queue's consumers asks for the name itself: those that are counted may be dead.
const ASK_FOR_NAME: Duration = Duration::from_secs(15);
/// Which slot a process wants.
#[derive(Debug, Clone)]
pub enum WantedSlot {
    /// This queue's, however long another has it.
    Of(String),
    /// That of the first of these queues that is free.
    FirstFreeOf(Vec<String>),
}

/// A slot that this process has, until it is lost, closed or dropped.
#[derive(Debug)]
pub struct Slot {
    name: HeldName,
    consumer: Consumer,
}

/// What the holder of a slot meets.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "nearly all events are deliveries")]
pub enum SlotEvent {
    /// A message to be processed, then acknowledged, given back or dead-lettered.
    Delivery(Delivery),
    /// Another has the slot now. The last event.
    Lost,
}

impl Slot {
    /// Its queue.
    pub fn queue(&self) -> &str {
        self.consumer.queue()
    }

    /// The next event. May be cancelled.
    ///
    /// # Errors
    /// When its queue cannot be consumed any more, whoever has it.
    pub async fn next(&mut self) -> Result<SlotEvent, BrokerError> {
        loop {
            let event = tokio::select! {
                biased;
                () = self.name.lost() => return Ok(SlotEvent::Lost),
                event = self.consumer.next() => event,
            };
            match event {
                Some(ConsumerEvent::Delivery(delivery)) => return Ok(SlotEvent::Delivery(delivery)),
                Some(ConsumerEvent::Interrupted | ConsumerEvent::Resumed) => {}
                Some(ConsumerEvent::Failed(BrokerError::InUse { .. })) => return Ok(SlotEvent::Lost),
                Some(ConsumerEvent::Failed(error)) => return Err(error),
                None => return Err(BrokerError::Closed),
            }
        }
    }

    /// Gives the slot back. Acknowledgements made before have reached the server by then.
    pub async fn close(self) {
        self.consumer.close().await;
    }
}

impl Broker {
    /// Takes a slot, waiting for it as long as another has it, and for a connection as long as there is none. `on_standby`
    /// is told, each time, which queue that is. May be cancelled.
    ///
    /// Who had the slot `before` and lost it is given it back if it is free again soon: its queue may hold what nobody else
    /// tells, and its holder may be this process's own connection to a node that is gone.
    ///
    /// # Errors
    /// `NotPermitted`, `Conflict` or `Refused` by the server, `Closed` at the broker's end; never `InUse`.
    pub async fn take_slot(
        &self,
        wanted: &WantedSlot,
        before: Option<&str>,
        prefetch: u16,
        mut on_standby: impl FnMut(&str),
    ) -> Result<Slot, BrokerError> {
        let began = Instant::now();
        let before = before.map(str::to_owned);
        let mut is_first_try = true;
        let mut looks = Looks { may_knock: true, asked_at: Instant::now(), asks: false };
        loop {
            looks.begin();
            let is_early = began.elapsed() < self.shared.options.node_patience;
            let tried: &[String] = match (wanted, before.as_ref().filter(|_| is_early)) {
                (WantedSlot::Of(queue), _) => std::slice::from_ref(queue),
                (WantedSlot::FirstFreeOf(_), Some(before)) => std::slice::from_ref(before),
                (WantedSlot::FirstFreeOf(queues), None) => queues,
            };
            for queue in tried {
                let name = format!("{}{queue}", self.names().slot_prefix);
                // The first try does without the question: a server that takes no messages would not answer it.
                let is_free = is_first_try || !self.is_held(&name, queue, &mut looks).await;
                is_first_try = false;
                // Who had the queue, or wants no other and has waited, is not kept from it by consumers that are dead.
                let is_its_own =
                    before.as_ref() == Some(queue) || matches!(wanted, WantedSlot::Of(_)) && !is_early;
                if is_free && let Some(slot) = self.try_slot(&name, queue, prefetch, is_its_own).await? {
                    return Ok(slot);
                }
            }
            on_standby(if let [queue] = tried { queue } else { "every queue" });
            tokio::time::sleep(STANDBY_LOOK).await;
        }
    }

    /// One try. `None`: somebody has it.
    async fn try_slot(
        &self,
        name: &str,
        queue: &str,
        prefetch: u16,
        is_its_own: bool,
    ) -> Result<Option<Slot>, BrokerError> {
        let name = match self.hold_name_within(name, Duration::ZERO).await {
            Ok(name) => name,
            Err(NameError::InUse { .. }) => return Ok(None),
            Err(NameError::Invalid { reason, .. }) => {
                return Err(BrokerError::Unusable { reason: reason.to_owned() });
            }
            Err(NameError::Broker { source, .. }) => return Err(source),
        };
        let options = ConsumeOptions::new([queue], prefetch).exclusive().with_name(&name);
        let consumer = tokio::select! {
            biased;
            () = name.lost() => return Ok(None),
            consumer = self.consume(options.ignoring_counted(is_its_own)) => consumer,
        };
        match consumer {
            Ok(consumer) => Ok(Some(Slot { name, consumer })),
            // By a process that takes no name with its queue, or by a connection that is dead and still counted.
            Err(BrokerError::InUse { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether somebody holds this name, as far as it can be told. To ask for the name itself costs a channel each time
    /// that it is refused; a message to its queue, which the holder ignores, costs nothing. An account that may not publish
    /// it has the consumers of the slot counted.
    async fn is_held(&self, name: &str, queue: &str, looks: &mut Looks) -> bool {
        if looks.may_knock {
            let knock = Outgoing {
                exchange: "".into(),
                routing_key: name.to_owned(),
                body: Bytes::new(),
                properties: Properties::default(),
            };
            match self.publish_one(knock).await {
                PublishOutcome::Unconfirmed(BrokerError::NotPermitted { .. }) => looks.may_knock = false,
                outcome => return outcome == PublishOutcome::Routed,
            }
        }
        !looks.asks && self.is_consumed(queue).await
    }

    async fn is_consumed(&self, queue: &str) -> bool {
        let Ok(link) = self.link() else { return false };
        let mut channel = RenewedChannel::on(&link);
        let found = channel.look_at_queue(queue).await;
        channel.close().await;
        matches!(found, Ok(Some(found)) if found.consumers > 0)
    }
}

/// How a standby looks whether a slot is free.
struct Looks {
    /// Whether its account may publish to the names' queues.
    may_knock: bool,
    /// When it last asked for the names themselves.
    asked_at: Instant,
    /// Whether it does so now, where it may not knock.
    asks: bool,
}

impl Looks {
    /// One look at all slots that are wanted.
    fn begin(&mut self) {
        self.asks = self.asked_at.elapsed() >= ASK_FOR_NAME;
        if self.asks {
            self.asked_at = Instant::now();
        }
    }
}
