//! The model of RabbitMQ: queues with priorities, connections that either side may believe in longer than the other,
//! confirmations and acknowledgements that get lost, names that end with a connection. `ports` is how the core sees it.

mod ports;

pub use ports::SimBroker;

use super::tables::Without;
use super::world::{Actor, ProcessId, State, sleep_ms};
use amqp::{BrokerState, Outgoing, Properties, PublishOutcome};
use bytes::Bytes;
use restaurant_system::broker::{NOTIFICATIONS_EXCHANGE, ORDERS_EXCHANGE, kitchen_queue};
use restaurant_system::domain::{OrderNumber, OrderType, Status};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::mpsc;

/// How long a process whose name was taken while it was away asks for it before it gives up.
const RECLAIM_GRACE_MS: i64 = 4_000;

#[derive(Debug, Clone)]
pub struct Message {
    pub id: String,
    pub body: Bytes,
    pub properties: Properties,
    /// Its place in [`OrderType::ALL`].
    pub queue: usize,
    pub priority: u8,
}

impl Message {
    /// The order that it is about.
    fn number(&self) -> Option<OrderNumber> {
        OrderNumber::parse(self.id.rsplit_once('.')?.0).ok()
    }
}

#[derive(Debug, Default)]
pub struct Queue {
    /// Somebody deleted it, and nobody has declared it since.
    pub deleted: bool,
    pub messages: Vec<Arc<Message>>,
}

enum Event {
    Delivery { tag: u64, generation: u64, message: Arc<Message> },
    Interrupted,
    Resumed,
}

struct ConsumerState {
    process: ProcessId,
    queues: Vec<usize>,
    prefetch: usize,
    /// It gets messages.
    active: bool,
    stopped: bool,
    events: mpsc::UnboundedSender<Event>,
    unacked: BTreeMap<u64, Arc<Message>>,
}

/// Which deliveries brought an order to a worker: one of them stays unacknowledged until it is finished.
struct Brought {
    attempt: i32,
    tags: BTreeSet<u64>,
}

#[derive(Default)]
pub struct BrokerModel {
    pub queues: [Queue; 3],
    /// The ids of all messages that ever reached a queue.
    pub routed: BTreeSet<String>,
    /// The ids of all messages that reached a queue since the broker lost its disk last.
    pub known: BTreeSet<String>,
    /// The reconciler's sentinel is there.
    pub has_sentinel: bool,
    /// All order messages that ever arrived, to be repeated.
    pub arrived: Vec<Arc<Message>>,
    pub dead_letters: Vec<Arc<Message>>,
    consumers: Vec<ConsumerState>,
    names: BTreeMap<String, ProcessId>,
    brought: BTreeMap<(ProcessId, OrderNumber), Brought>,
    /// Whose deliveries of what went back to the queue: one of them may still be worked on, and not the next one.
    voided: BTreeSet<(ProcessId, OrderNumber)>,
    next_tag: u64,
}

impl BrokerModel {
    /// Empty, and told everything that there was before.
    pub fn of_long_ago() -> Self {
        Self { has_sentinel: true, ..Self::default() }
    }

    /// Whether no message waits for a worker or is in the hands of one.
    pub fn is_quiet(&self) -> bool {
        self.queues.iter().all(|queue| queue.messages.is_empty())
            && self.consumers.iter().all(|consumer| consumer.unacked.is_empty())
    }

    /// What waits, for messages.
    pub fn waiting(&self) -> Vec<&str> {
        let held = self.consumers.iter().flat_map(|consumer| consumer.unacked.values());
        self.queues.iter().flat_map(|queue| &queue.messages).chain(held).map(|m| m.id.as_str()).collect()
    }
}

impl State {
    /// One message arrives, or does not. The answer is what the broker knows; whether the publisher hears it is
    /// another matter.
    fn arrive(&mut self, process: ProcessId, message: &Outgoing) -> PublishOutcome {
        let id = message.properties.message_id.clone().unwrap_or_default();
        self.check_committed(&id);
        if message.exchange == NOTIFICATIONS_EXCHANGE {
            self.note(Some(process), "announces", &id);
            self.broker.known.insert(id.clone());
            self.broker.routed.insert(id);
            return PublishOutcome::Routed;
        }
        assert_eq!(message.exchange, ORDERS_EXCHANGE);
        let order_type = message.routing_key.split('.').nth(1).unwrap();
        let queue = OrderType::ALL.iter().position(|t| t.as_str() == order_type).unwrap();
        if self.broker.queues[queue].deleted {
            return PublishOutcome::Unroutable { reply: "NO_ROUTE".to_owned() };
        }
        self.note(Some(process), "publishes", &id);
        self.broker.known.insert(id.clone());
        self.broker.routed.insert(id.clone());
        let (body, properties) = (message.body.clone(), message.properties.clone());
        let priority = message.properties.priority.unwrap_or_default();
        let message = Arc::new(Message { id, body, properties, queue, priority });
        self.broker.arrived.push(message.clone());
        let odds = self.odds.repeated;
        if self.chance(odds) {
            self.broker.queues[queue].messages.push(message.clone());
        }
        self.broker.queues[queue].messages.push(message);
        self.dispatch();
        PublishOutcome::Routed
    }

    /// What is announced was committed before.
    fn check_committed(&mut self, message_id: &str) {
        let log_id: i64 = message_id.rsplit_once('.').unwrap().1.parse().unwrap();
        if !self.tables.log.iter().any(|row| row.id == log_id) {
            self.violate(format!("{message_id} is announced and was never committed"));
        }
    }

    /// A change is sent only when the one before it has reached the broker, or in front of it.
    pub fn check_order(&mut self, messages: &[Outgoing]) {
        let mut sent = BTreeSet::new();
        for message in messages {
            let id = message.properties.message_id.clone().unwrap_or_default();
            if message.exchange == NOTIFICATIONS_EXCHANGE
                && let Some(before) = self.change_before(&id)
                && !sent.contains(&before)
                && !self.broker.routed.contains(&before)
            {
                self.violate(format!("{id} is announced before {before}"));
            }
            sent.insert(id);
        }
    }

    /// The id of the message about the change before this one.
    fn change_before(&self, message_id: &str) -> Option<String> {
        let (number, log_id) = message_id.rsplit_once('.')?;
        let log_id: i64 = log_id.parse().ok()?;
        let log = &self.tables.log;
        let order_id = log.iter().find(|row| row.id == log_id)?.order_id;
        let changes = log.iter().filter(|row| row.order_id == order_id && row.status != Status::Received);
        let before = changes.map(|row| row.id).filter(|id| *id < log_id).max()?;
        Some(format!("{number}.{before}"))
    }

    /// Hands out what waits, to consumers that may have more.
    pub fn dispatch(&mut self) {
        if self.broker.queues.iter().all(|queue| queue.messages.is_empty()) {
            return;
        }
        let count = self.broker.consumers.len();
        let first = if count > 1 { self.rng.usize(..count) } else { 0 };
        for at in (0..count).map(|n| (first + n) % count) {
            while let Some(message) = self.next_for(at) {
                self.broker.next_tag += 1;
                let tag = self.broker.next_tag;
                let consumer = &mut self.broker.consumers[at];
                let generation = self.processes[consumer.process].generation;
                let process = consumer.process;
                let _ = consumer.events.send(Event::Delivery { tag, generation, message: message.clone() });
                consumer.unacked.insert(tag, message);
                if self.tables.without == Without::AckAfterCommit {
                    self.acknowledge(process, at, tag);
                }
            }
        }
    }

    /// The most urgent message for a consumer, the oldest of them, unless one overtakes it.
    fn next_for(&mut self, consumer: usize) -> Option<Arc<Message>> {
        let consumer = &self.broker.consumers[consumer];
        if !consumer.active || consumer.unacked.len() >= consumer.prefetch {
            return None;
        }
        let ready = consumer.queues.iter().filter(|queue| !self.broker.queues[**queue].messages.is_empty());
        let ready: Vec<usize> = ready.copied().collect();
        let queue = *ready.get(self.rng.usize(..ready.len().max(1)))?;
        let odds = self.odds.overtakes;
        let overtakes = self.chance(odds);
        let messages = &mut self.broker.queues[queue].messages;
        let next = if overtakes {
            self.rng.usize(..messages.len())
        } else {
            let urgent = messages.iter().map(|message| message.priority).max()?;
            messages.iter().position(|message| message.priority == urgent)?
        };
        Some(messages.remove(next))
    }

    /// A worker has heard that it holds an order which it had claimed for a message.
    pub fn note_claimed(&mut self, process: ProcessId, number: &OrderNumber, attempt: i32) {
        let mut tags = BTreeSet::new();
        let mut at = 0;
        for (index, consumer) in
            self.broker.consumers.iter().enumerate().filter(|(_, c)| c.process == process)
        {
            at = index;
            let about = consumer.unacked.iter().filter(|(_, m)| m.number().as_ref() == Some(number));
            tags.extend(about.map(|(tag, _)| *tag));
        }
        let key = (process, number.clone());
        if !self.broker.voided.contains(&key) {
            self.broker.brought.insert(key, Brought { attempt, tags: tags.clone() });
        }
        if self.tables.without == Without::AckAfterFinish {
            for tag in tags {
                self.acknowledge(process, at, tag);
            }
        }
    }

    /// An acknowledgement arrives. It must come after the commit that it stands for.
    fn acknowledge(&mut self, process: ProcessId, consumer: usize, tag: u64) {
        let Some(message) = self.broker.consumers[consumer].unacked.remove(&tag) else { return };
        self.note(Some(process), "acknowledges", &message.id);
        self.check_acknowledged(process, tag, &message);
        self.dispatch();
    }

    fn check_acknowledged(&mut self, process: ProcessId, tag: u64, message: &Message) {
        let Some((_, order)) = message.number().and_then(|number| self.tables.by_number(&number)) else {
            return;
        };
        let (number, status, attempt) = (order.number.clone(), order.status, order.attempt);
        let in_hand = status == Status::Cooking && order.claimed_at.is_some();
        if status == Status::Received {
            self.violate(format!("{} is acknowledged, and {number} still waits", message.id));
        }
        let Some(brought) = self.broker.brought.get_mut(&(process, number.clone())) else { return };
        if brought.tags.remove(&tag) && brought.tags.is_empty() && brought.attempt == attempt && in_hand {
            self.violate(format!("{} is acknowledged while {number} is being cooked", message.id));
        }
    }

    /// RabbitMQ closes a connection: what was not acknowledged on it goes back, and its name is free.
    pub fn close_server_side(&mut self, process: ProcessId, generation: u64) {
        if self.processes[process].generation != generation || !self.processes[process].server_open {
            return;
        }
        self.note(Some(process), "is disconnected", ());
        self.processes[process].server_open = false;
        self.broker.names.retain(|_, holder| *holder != process);
        self.broker.brought.retain(|(holder, _), _| *holder != process);
        for consumer in self.broker.consumers.iter_mut().filter(|consumer| consumer.process == process) {
            consumer.active = false;
            // Back to where they were: in front of the others.
            for (_, message) in std::mem::take(&mut consumer.unacked).into_iter().rev() {
                self.broker.voided.extend(message.number().map(|number| (process, number)));
                let queue = &mut self.broker.queues[message.queue];
                if !queue.deleted {
                    queue.messages.insert(0, message);
                }
            }
        }
        self.dispatch();
    }

    /// The process notices that its connection is gone.
    pub fn close_client_side(&mut self, process: ProcessId, generation: u64) {
        if self.processes[process].generation != generation || !self.believes_connected(process) {
            return;
        }
        self.note(Some(process), "lost its connection", ());
        for consumer in self.broker.consumers.iter().filter(|consumer| consumer.process == process) {
            let _ = consumer.events.send(Event::Interrupted);
        }
        let since = std::time::Instant::now();
        self.processes[process].link.set(BrokerState::Connecting { since, failure: None });
    }

    fn believes_connected(&self, process: ProcessId) -> bool {
        matches!(self.processes[process].link.state(), BrokerState::Connected { .. })
    }

    /// Whether what a process sends reaches the broker.
    fn is_connected(&self, process: ProcessId) -> bool {
        self.processes[process].server_open && self.believes_connected(process)
    }

    fn connect(&mut self, process: ProcessId) {
        self.processes[process].generation += 1;
        self.processes[process].server_open = true;
        let generation = self.processes[process].generation;
        self.note(Some(process), "connects", generation);
        self.declare();
        let connected = BrokerState::Connected { generation, host: "rabbit:5672".to_owned() };
        self.processes[process].link.set(connected);
        for consumer in self.broker.consumers.iter_mut().filter(|c| c.process == process && !c.stopped) {
            consumer.active = true;
            let _ = consumer.events.send(Event::Resumed);
        }
        self.dispatch();
    }

    /// Every queue is there again.
    pub fn declare(&mut self) {
        for queue in &mut self.broker.queues {
            queue.deleted = false;
        }
    }

    /// Somebody deletes a queue with all that waits in it. Its consumers get nothing until they are established anew.
    pub fn delete_queue(&mut self, queue: usize) {
        self.note(None, "a queue is deleted", queue);
        self.broker.queues[queue] = Queue { deleted: true, messages: Vec::new() };
        for consumer in &mut self.broker.consumers {
            let (process, deleted) = (consumer.process, |message: &Message| message.queue == queue);
            let void = consumer.unacked.extract_if(.., |_, message| deleted(message));
            self.broker.voided.extend(void.filter_map(|(_, message)| Some((process, message.number()?))));
        }
        self.dispatch();
    }

    /// RabbitMQ is restarted, with or without its disk, and is away until then.
    pub fn restart_broker(&mut self, wiped: bool, back_at: i64) {
        self.note(None, "the broker restarts", wiped);
        for process in 0..self.processes.len() {
            let generation = self.processes[process].generation;
            self.close_server_side(process, generation);
            self.close_client_side(process, generation);
        }
        if wiped {
            self.broker.has_sentinel = false;
            self.broker.known.clear();
            for queue in &mut self.broker.queues {
                queue.messages.clear();
            }
        }
        self.broker_down_until = back_at;
    }

    /// A message that nobody has sent is in a queue: an old one again, or one that makes no sense.
    pub fn inject(&mut self, poison: bool) {
        let message = if poison {
            let queue = self.rng.usize(..3);
            let (body, properties) = (Bytes::from_static(b"{\"order\":"), Properties::default());
            Arc::new(Message { id: "poison".to_owned(), body, properties, queue, priority: 10 })
        } else {
            if self.broker.arrived.is_empty() {
                return;
            }
            let at = self.rng.usize(..self.broker.arrived.len());
            self.broker.arrived[at].clone()
        };
        if !self.broker.queues[message.queue].deleted {
            self.note(None, "a message comes from nowhere", &message.id);
            self.broker.queues[message.queue].messages.push(message);
            self.dispatch();
        }
    }

    /// Takes a name for a process, or finds that it has it.
    fn take_name(&mut self, process: ProcessId, name: &str) -> bool {
        self.processes[process].server_open
            && *self.broker.names.entry(name.to_owned()).or_insert(process) == process
    }
}

/// Keeps a process connected as long as it lives, and its name with it.
pub async fn keep_connected(actor: Actor) {
    let process = actor.process;
    let mut link = actor.world.lock().processes[process].link.follow();
    loop {
        actor.awake().await;
        let pause = {
            let mut state = actor.world.lock();
            let back = state.broker_down_until.max(state.processes[process].broker_cut_until);
            let away = (back - state.now()).max(0);
            away + state.rng.i64(10..500)
        };
        sleep_ms(pause).await;
        let held = {
            let mut state = actor.world.lock();
            let lives = state.processes[process].alive;
            if !lives || !state.can_connect(process) || state.processes[process].server_open {
                continue;
            }
            state.connect(process);
            state.processes[process].held_name.clone()
        };
        let reclaim = async {
            if let Some((name, lost)) = held {
                let since = actor.world.lock().now();
                while !actor.world.lock().take_name(process, &name) {
                    if actor.world.lock().now() - since > RECLAIM_GRACE_MS {
                        lost.send_replace(true);
                        break;
                    }
                    sleep_ms(1_000).await;
                }
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            biased;
            _ = link.wait_for(|state| !matches!(state, BrokerState::Connected { .. })) => {}
            () = reclaim => {}
        }
    }
}

/// The queues of these names.
fn queues_named(names: &[String]) -> Vec<usize> {
    let is_named = |queue: &usize| names.contains(&kitchen_queue(OrderType::ALL[*queue].as_str()));
    (0..OrderType::ALL.len()).filter(is_named).collect()
}
