//! A worker's life: start, work, stop.

use std::sync::Arc;
use std::time::Duration;

use amqp::{BrokerError, Consume, ConsumeOptions, ConsumerEvent, Deliveries};
use daemon::shutdown::Shutdown;
use daemon::systemd::{Condition, Heartbeat, ServiceManager};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use uuid::Uuid;

use super::cook::Worker;
use super::{KitchenError, KitchenOptions, by_hand, heartbeat, held, messages, name, promotion, sweep};
use crate::broker::kitchen_queue;
use crate::domain::WorkerState;
use crate::relay::{self, RelayOwner};
use crate::services::servers::{ServerStates, settle};
use crate::store::KitchenStore;

/// How long giving back may take when there is no time left for cooking.
const GIVE_BACK_TIME: Duration = Duration::from_secs(5);

/// Works until it is asked to stop. Claims and finishes are written on the runtime `writing`, which must live as long as this runs.
///
/// # Errors
/// When its name is taken, or a server refuses for good what it needs. PostgreSQL is waited for while it is away; without
/// RabbitMQ it cooks what it finds in the database.
pub async fn run<S: KitchenStore, B: Consume>(
    options: KitchenOptions,
    store: S,
    broker: B,
    shutdown: Shutdown,
    writing: &Handle,
    manager: &ServiceManager,
) -> Result<(), KitchenError> {
    let stopping = shutdown.stopping();
    let session = Uuid::now_v7();
    tracing::info!(action = "service_started", details = %name::described(&options), "the kitchen worker starts");
    let servers = ServerStates::of(Some(store.state()), broker.state());
    let reports = {
        let servers = servers.clone();
        manager.follow(&shutdown, move || servers.condition(""))
    };
    let (mut held, peers) = tokio::select! {
        biased;
        () = stopping.cancelled() => return Ok(()),
        entered = name::enter(&options, &store, &broker, session) => entered?,
    };
    drop(reports);

    let background = TaskTracker::new();
    let relay_stop = CancellationToken::new();
    let relay = relay::start(
        store.clone(),
        broker.clone(),
        RelayOwner::KitchenWorker,
        relay_stop.clone(),
        &background,
    );
    let worker = {
        let _entered = writing.enter();
        Arc::new(Worker::new(options, peers, store, relay, &background))
    };
    worker.note_peers(peers);
    let heartbeat_stop = CancellationToken::new();
    let mut heartbeat = tokio::spawn(heartbeat::beat(Arc::clone(&worker), session, heartbeat_stop.clone()));

    let reports = {
        let (worker, stopping) = (Arc::clone(&worker), stopping.clone());
        manager.follow(&shutdown, move || condition(&worker, &servers, stopping.is_cancelled()))
    };
    manager.ready();
    let outcome = work(&worker, &broker, &mut held, &mut heartbeat, &shutdown, manager.heartbeat()).await;
    drop(reports);
    worker.unknown.tell();

    heartbeat_stop.cancel();
    // A beat that is on its way must not arrive after the last one, and say that this worker is online.
    if !heartbeat.is_finished() {
        let _ = heartbeat.await;
    }
    if !matches!(outcome, Err(KitchenError::Replaced(_))) {
        // Best effort: a worker that cannot say it is found offline by its silence.
        let _ = heartbeat::say(&worker, session, WorkerState::Offline).await;
    }
    relay_stop.cancel();
    drop(worker);
    settle(&background).await;
    outcome
}

/// What the worker does, for its service manager.
fn condition<S: KitchenStore>(worker: &Worker<S>, servers: &ServerStates, is_stopping: bool) -> Condition {
    let (count, done) = (worker.in_hand().len(), worker.done());
    let orders = if count == 1 { "order" } else { "orders" };
    let doing = match (count, is_stopping) {
        (0, _) => format!("waiting for orders, {done} done"),
        (_, false) => format!("cooking {count} {orders}, {done} done"),
        (_, true) => format!("finishing {count} {orders}, {done} done"),
    };
    let finishing = (count > 0).then_some(worker.options.times.stop_timeout + GIVE_BACK_TIME);
    Condition { finishing, ..servers.condition(doing) }
}

/// Cooks until asked to stop, then finishes or gives back what is in hand.
async fn work<S: KitchenStore, B: Consume>(
    worker: &Arc<Worker<S>>,
    broker: &B,
    held: &mut Option<B::Name>,
    heartbeat: &mut JoinHandle<bool>,
    shutdown: &Shutdown,
    watchdog: Heartbeat,
) -> Result<(), KitchenError> {
    let slots = Arc::new(Semaphore::new(usize::from(worker.options.prefetch)));
    let stopping = CancellationToken::new();
    let cooks = TaskTracker::new();
    cooks.spawn(sweep::watch(Arc::clone(worker), Arc::clone(&slots), stopping.clone(), cooks.clone()));
    let _watch = AbortOnDropHandle::new(tokio::spawn(held::watch(Arc::clone(worker))));
    let by_hand = worker.options.station.clone().map(|station| {
        let watch = by_hand::watch(Arc::clone(worker), station, Arc::clone(&slots), cooks.clone());
        AbortOnDropHandle::new(tokio::spawn(watch))
    });
    let _promotion = AbortOnDropHandle::new(tokio::spawn(promotion::watch(
        worker.store.clone(),
        worker.claim.clone(),
        Arc::clone(&worker.promotion),
        worker.peers.subscribe(),
    )));

    let handle = |delivery| {
        let (worker, broker) = (Arc::clone(worker), broker.clone());
        cooks.spawn(messages::handle(worker, broker, Arc::clone(&slots), stopping.clone(), delivery));
    };
    let mut consumer = None;
    let outcome = tokio::select! {
        biased;
        ended = end(worker, broker, held, heartbeat, shutdown) => ended,
        failed = consume(&worker.options, broker, &mut consumer, watchdog, handle) => Err(failed),
    };
    stopping.cancel();
    cooks.close();
    drop(by_hand);
    if outcome.is_err() {
        worker.give_back.cancel();
    }
    let no_more = async {
        if let Some(consumer) = &mut consumer {
            consumer.stop().await;
        }
    };
    // Together: a broker that does not answer must not take the time of the orders in hand.
    tokio::join!(no_more, finish_or_give_back(worker, &cooks, shutdown));
    outcome
}

/// Ends when the worker has to: it was asked to, or its name is another's now.
async fn end<S: KitchenStore, B: Consume>(
    worker: &Worker<S>,
    broker: &B,
    held: &mut Option<B::Name>,
    heartbeat: &mut JoinHandle<bool>,
    shutdown: &Shutdown,
) -> Result<(), KitchenError> {
    tokio::select! {
        biased;
        () = shutdown.stopping().cancelled_owned() => Ok(()),
        // The heart only stops by itself when another has the name.
        _ = heartbeat => Err(KitchenError::Replaced(worker.options.name.clone())),
        refused = name::keep(worker, broker, held) => Err(refused),
    }
}

/// Hands every delivery to `handle`; `consumer` is there to be stopped once it is established. Ends only by failing.
async fn consume<B: Consume>(
    options: &KitchenOptions,
    broker: &B,
    consumer: &mut Option<B::Consumer>,
    mut watchdog: Heartbeat,
    handle: impl Fn(B::Delivery),
) -> KitchenError {
    let queues = options.order_types.iter().map(|t| kitchen_queue(t.as_str()));
    let consume = ConsumeOptions::new(queues, options.prefetch).tolerant().tagged(options.name.as_str());
    let consumer = match broker.consume(consume).await {
        Ok(established) => consumer.insert(established),
        Err(error) => return error.into(),
    };
    loop {
        let event = tokio::select! {
            () = watchdog.due() => continue,
            event = consumer.next() => event,
        };
        match event {
            Some(ConsumerEvent::Delivery(delivery)) => handle(delivery),
            // What was delivered before comes again and finds its order in hand.
            Some(ConsumerEvent::Interrupted | ConsumerEvent::Resumed) => {}
            Some(ConsumerEvent::Failed(error)) => return error.into(),
            None => return BrokerError::Closed.into(),
        }
    }
}

/// Lets the orders in hand be finished within the stop time, unless there is a hurry; gives the rest back. A station does not
/// wait for persons: what they have bumped is ready now.
async fn finish_or_give_back<S: KitchenStore>(worker: &Worker<S>, cooks: &TaskTracker, shutdown: &Shutdown) {
    let hurry = shutdown.hurry();
    if worker.claim.is_manual && !worker.give_back.is_cancelled() {
        // Best effort: the bumps are kept, for whoever has the orders next.
        let _ = tokio::time::timeout(GIVE_BACK_TIME, by_hand::finish(worker, Duration::ZERO)).await;
        worker.give_back.cancel();
    }
    tokio::select! {
        biased;
        () = cooks.wait() => return,
        () = worker.give_back.cancelled() => {}
        () = hurry.cancelled() => {}
        () = tokio::time::sleep(worker.options.times.stop_timeout) => {}
    }
    worker.give_back.cancel();
    // Killed off or not, what is left then is taken over when the heartbeat is missed.
    let _ = tokio::time::timeout(GIVE_BACK_TIME, cooks.wait()).await;
}
