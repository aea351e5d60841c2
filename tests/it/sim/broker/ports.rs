//! The model of RabbitMQ through the core's ports.

use super::{ConsumerState, Event, Message, queues_named};
use crate::sim::tables::Without;
use crate::sim::world::{Actor, State, sleep_ms};
use amqp::{
    BrokerError, BrokerSentinel, BrokerState, Consume, ConsumeOptions, ConsumerEvent, DeadLettered,
    Deliveries, NameError, NameHold, Outgoing, Properties, Publish, PublishOutcome, Received,
};
use restaurant_system::broker::kitchen_queue;
use restaurant_system::domain::OrderType;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// How long a confirmation is waited for on a connection that is gone.
const CONFIRM_TIMEOUT_MS: i64 = 2_000;
/// How long a name is asked for that somebody has.
const CLAIM_GRACE_MS: i64 = 3_000;
/// Longer than the model takes to notice that a connection is gone.
const DEATH_NOTICE: Duration = Duration::from_secs(5);

/// One process's connection to RabbitMQ.
#[derive(Clone)]
pub struct SimBroker(pub Actor);

impl SimBroker {
    /// A message sets out: what happens to it, and what the publisher hears.
    fn publish_one(&self, state: &mut State, message: &Outgoing) -> PublishOutcome {
        let odds = state.odds;
        let unconfirmed =
            || PublishOutcome::Unconfirmed(BrokerError::ConnectionLost { reason: "simulated".to_owned() });
        let outcome = if !state.is_connected(self.0.process) || state.chance(odds.message_lost) {
            unconfirmed()
        } else if state.chance(odds.nacked) {
            PublishOutcome::Nacked
        } else {
            let arrived = state.arrive(self.0.process, message);
            if state.chance(odds.confirm_lost) { unconfirmed() } else { arrived }
        };
        if state.tables.without == Without::ConfirmWait { PublishOutcome::Routed } else { outcome }
    }
}

impl Publish for SimBroker {
    fn state(&self) -> watch::Receiver<BrokerState> {
        self.0.world.lock().processes[self.0.process].link.follow()
    }

    async fn publish(&self, messages: Vec<Outgoing>) -> Vec<PublishOutcome> {
        self.0.hop().await;
        self.0.world.lock().check_order(&messages);
        let mut outcomes = Vec::with_capacity(messages.len());
        for message in &messages {
            let outcome = self.publish_one(&mut self.0.world.lock(), message);
            outcomes.push(outcome);
            // A process can die with half of it sent.
            self.0.hop().await;
        }
        let cut_off = !self.0.world.lock().is_connected(self.0.process);
        sleep_ms(if cut_off { CONFIRM_TIMEOUT_MS } else { 0 }).await;
        self.0.awake().await;
        outcomes
    }

    async fn redeclare_topology(&self) -> Result<(), BrokerError> {
        self.request(self.connection(), State::declare).await
    }
}

impl SimBroker {
    async fn wait_connected(&self) {
        let mut link = self.state();
        let _ = link.wait_for(|state| matches!(state, BrokerState::Connected { .. })).await;
        self.0.awake().await;
    }

    /// The present connection, or the last one.
    fn connection(&self) -> u64 {
        self.0.world.lock().processes[self.0.process].generation
    }

    /// A request that is made and answered on this connection, or fails.
    async fn request<T>(
        &self,
        connection: u64,
        effect: impl FnOnce(&mut State) -> T,
    ) -> Result<T, BrokerError> {
        self.0.hop().await;
        let answer = if self.connection() == connection {
            let mut state = self.0.world.lock();
            state.is_connected(self.0.process).then(|| effect(&mut state))
        } else {
            None
        };
        self.0.hop().await;
        let lost = self.connection() != connection;
        answer.filter(|_| !lost).ok_or(BrokerError::NotConnected)
    }
}

impl BrokerSentinel for SimBroker {
    async fn has_sentinel(&self, connection: u64) -> Result<bool, BrokerError> {
        self.request(connection, |state| state.broker.has_sentinel).await
    }

    async fn leave_sentinel(&self, connection: u64) -> Result<(), BrokerError> {
        let process = self.0.process;
        self.request(connection, |state| {
            state.note(Some(process), "leaves the sentinel", ());
            state.broker.has_sentinel = true;
        })
        .await
    }
}

impl Consume for SimBroker {
    type Delivery = SimDelivery;
    type Consumer = SimConsumer;
    type Name = SimName;

    fn death_notice(&self) -> Duration {
        DEATH_NOTICE
    }

    async fn hold_name(&self, name: &str) -> Result<SimName, NameError> {
        let mut asked_since = None;
        loop {
            self.wait_connected().await;
            self.0.hop().await;
            {
                let mut state = self.0.world.lock();
                if state.take_name(self.0.process, name) {
                    let (sender, lost) = watch::channel(false);
                    state.processes[self.0.process].held_name = Some((name.to_owned(), sender));
                    return Ok(SimName { lost });
                }
                let now = state.now();
                if state.is_connected(self.0.process)
                    && now - *asked_since.get_or_insert(now) > CLAIM_GRACE_MS
                {
                    return Err(NameError::InUse { name: name.to_owned() });
                }
            }
            sleep_ms(500).await;
        }
    }

    async fn consume(&self, options: ConsumeOptions) -> Result<SimConsumer, BrokerError> {
        loop {
            self.wait_connected().await;
            self.0.hop().await;
            let mut state = self.0.world.lock();
            if state.is_connected(self.0.process) {
                let (events, received) = mpsc::unbounded_channel();
                let index = state.broker.consumers.len();
                state.broker.consumers.push(ConsumerState {
                    process: self.0.process,
                    queues: queues_named(&options.queues),
                    prefetch: usize::from(options.prefetch),
                    active: true,
                    stopped: false,
                    events,
                    unacked: BTreeMap::new(),
                });
                state.dispatch();
                return Ok(SimConsumer { actor: self.0.clone(), index, received });
            }
        }
    }

    async fn has_room_for_dead_letter(&self) -> bool {
        true
    }

    async fn dead_letter(&self, delivery: SimDelivery, reason: &str) -> DeadLettered {
        self.0.hop().await;
        let outcome = {
            let mut state = self.0.world.lock();
            state.note(Some(self.0.process), "dead-letters", (&delivery.message.id, reason));
            let odds = state.odds.message_lost;
            let moved = state.is_connected(self.0.process) && !state.chance(odds);
            let held = delivery.take(&mut state);
            match held {
                Some(message) if moved => state.broker.dead_letters.push(message),
                Some(message) => state.put_back(message),
                None => {}
            }
            state.dispatch();
            if moved { DeadLettered::Moved } else { DeadLettered::GivenBack(PublishOutcome::Nacked) }
        };
        self.0.hop().await;
        outcome
    }
}

impl State {
    /// A message is in its queue again, in front of the others.
    fn put_back(&mut self, message: Arc<Message>) {
        let queue = &mut self.broker.queues[message.queue];
        if !queue.deleted {
            queue.messages.insert(0, message);
        }
        self.dispatch();
    }
}

/// A name in RabbitMQ.
pub struct SimName {
    lost: watch::Receiver<bool>,
}

impl NameHold for SimName {
    async fn lost(&self) {
        let mut lost = self.lost.clone();
        if lost.wait_for(|lost| *lost).await.is_err() {
            std::future::pending().await
        }
    }
}

/// A consumer of the kitchen's queues.
pub struct SimConsumer {
    actor: Actor,
    index: usize,
    received: mpsc::UnboundedReceiver<Event>,
}

impl Deliveries<SimDelivery> for SimConsumer {
    async fn next(&mut self) -> Option<ConsumerEvent<SimDelivery>> {
        loop {
            self.actor.hop().await;
            match self.received.recv().await? {
                Event::Interrupted => return Some(ConsumerEvent::Interrupted),
                Event::Resumed => return Some(ConsumerEvent::Resumed),
                Event::Delivery { tag, generation, message } => {
                    // What is void before it is read is never shown.
                    if self.actor.world.lock().processes[self.actor.process].generation == generation {
                        let (actor, consumer) = (self.actor.clone(), self.index);
                        let queue = kitchen_queue(OrderType::ALL[message.queue].as_str());
                        return Some(ConsumerEvent::Delivery(SimDelivery {
                            actor,
                            consumer,
                            tag,
                            queue,
                            message,
                        }));
                    }
                }
            }
        }
    }

    async fn stop(&mut self) {
        self.actor.hop().await;
        let mut unread = Vec::new();
        {
            let mut state = self.actor.world.lock();
            state.broker.consumers[self.index].active = false;
            state.broker.consumers[self.index].stopped = true;
            while let Ok(event) = self.received.try_recv() {
                if let Event::Delivery { tag, .. } = event {
                    unread.extend(state.broker.consumers[self.index].unacked.remove(&tag));
                }
            }
            for message in unread.drain(..).rev() {
                state.put_back(message);
            }
        }
        self.actor.hop().await;
    }
}

/// A message in a worker's hands.
pub struct SimDelivery {
    actor: Actor,
    consumer: usize,
    tag: u64,
    queue: String,
    message: Arc<Message>,
}

impl SimDelivery {
    /// Takes it out of the hands of the consumer; `None` where it is void.
    fn take(&self, state: &mut State) -> Option<Arc<Message>> {
        state.broker.consumers[self.consumer].unacked.remove(&self.tag)
    }
}

impl Received for SimDelivery {
    fn queue(&self) -> &str {
        &self.queue
    }

    fn body(&self) -> &[u8] {
        &self.message.body
    }

    fn body_bytes(&self) -> usize {
        self.message.body.len()
    }

    fn properties(&self) -> &Properties {
        &self.message.properties
    }

    async fn ack(self) -> bool {
        self.actor.hop().await;
        let valid = {
            let mut state = self.actor.world.lock();
            let connected = state.is_connected(self.actor.process);
            if connected {
                state.acknowledge(self.actor.process, self.consumer, self.tag);
            }
            connected
        };
        self.actor.awake().await;
        valid
    }

    async fn give_back(self) -> bool {
        self.actor.hop().await;
        let valid = {
            let mut state = self.actor.world.lock();
            let held = self.take(&mut state);
            let valid = held.is_some();
            if let Some(message) = held {
                state.note(Some(self.actor.process), "gives back the message", &message.id);
                state.put_back(message);
            }
            valid
        };
        self.actor.awake().await;
        valid
    }
}
