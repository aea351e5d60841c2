//! A worker's life: start, work, stop.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::cook::Kitchen;
use super::{KitchenError, KitchenOptions, heartbeat, messages, rail};
use crate::broker::{Broker, BrokerError, ConsumeOptions, Consumer, ConsumerEvent, HeldName, kitchen_queue};
use crate::domain::WorkerState;
use crate::relay;
use crate::runtime::shutdown::Shutdown;
use crate::services::servers::settle;
use crate::store::{Store, WorkerRegistration};

/// How long giving back may take when there is no time left for cooking.
const GIVE_BACK_TIME: Duration = Duration::from_secs(5);

/// Works until it is asked to stop.
///
/// # Errors
/// When its name is taken, or a server refuses for good what it needs. A server that is away is waited for.
pub async fn run(
    options: KitchenOptions,
    store: Store,
    broker: Broker,
    shutdown: Shutdown,
) -> Result<(), KitchenError> {
    let stopping = shutdown.stopping();
    let session = Uuid::now_v7();
    let held = tokio::select! {
        biased;
        () = stopping.cancelled() => return Ok(()),
        held = enter(&options, &store, &broker, session) => held?,
    };

    let background = TaskTracker::new();
    let relay_stop = CancellationToken::new();
    let relay =
        relay::start(store.clone(), broker.clone(), "kitchen-worker", relay_stop.clone(), &background);
    let kitchen = Arc::new(Kitchen::new(options, store, relay, &background));
    let heartbeat_stop = CancellationToken::new();
    let heartbeat = tokio::spawn(heartbeat::beat(Arc::clone(&kitchen), session, heartbeat_stop.clone()));

    let outcome = work(&kitchen, &broker, &held, heartbeat, &shutdown).await;

    heartbeat_stop.cancel();
    if !matches!(outcome, Err(KitchenError::Replaced(_))) {
        // Best effort: a worker that cannot say it is found offline by its silence.
        let _ = kitchen.store.heartbeat(&kitchen.options.name, session, WorkerState::Offline).await;
    }
    relay_stop.cancel();
    drop(kitchen);
    settle(&background).await;
    outcome
}

/// Waits for the servers, takes the name, and registers.
async fn enter(
    options: &KitchenOptions,
    store: &Store,
    broker: &Broker,
    session: Uuid,
) -> Result<HeldName, KitchenError> {
    let (prepared, _) = tokio::join!(store.prepare(), broker.wait_connected());
    prepared?;
    let held = broker
        .hold_name(&format!("kitchen_worker.{}", options.name))
        .await
        .map_err(|source| KitchenError::Name { name: options.name.clone(), source })?;
    let registration = WorkerRegistration {
        name: options.name.clone(),
        session,
        order_types: options.order_types.clone(),
        heartbeat_interval: options.heartbeat_interval,
        capacity: options.prefetch,
    };
    let released = loop {
        match store.register_worker(&registration).await {
            Ok(released) => break released,
            Err(error) if error.is_unavailable() => {
                // Not only while it is known to be away: a busy server is asked again, but not at once.
                tokio::time::sleep(Duration::from_millis(200)).await;
                store.wait_up().await;
            }
            Err(error) => return Err(error.into()),
        }
    };
    let types: Vec<&str> = options.order_types.iter().map(|t| t.as_str()).collect();
    tracing::info!(
        action = "worker_registered",
        details = %format_args!("cooks {}, {} at once; {released} orders of an earlier start released", types.join(","), options.prefetch),
        "the worker is registered"
    );
    Ok(held)
}

/// Cooks until asked to stop, then finishes or gives back what is in hand.
async fn work(
    kitchen: &Arc<Kitchen>,
    broker: &Broker,
    held: &HeldName,
    mut heartbeat: tokio::task::JoinHandle<bool>,
    shutdown: &Shutdown,
) -> Result<(), KitchenError> {
    let options = &kitchen.options;
    let slots = Arc::new(Semaphore::new(usize::from(options.prefetch)));
    let stopping = CancellationToken::new();
    let cooks = TaskTracker::new();
    cooks.spawn(rail::watch(Arc::clone(kitchen), Arc::clone(&slots), stopping.clone(), cooks.clone()));

    let asked = shutdown.stopping();
    let mut consumer = consumer(broker, options).await?;
    let outcome = loop {
        tokio::select! {
            biased;
            () = asked.cancelled() => break Ok(()),
            () = held.lost() => break Err(KitchenError::Replaced(options.name.clone())),
            replaced = &mut heartbeat => {
                if replaced.unwrap_or(true) {
                    break Err(KitchenError::Replaced(options.name.clone()));
                }
            }
            event = consumer.next() => match event {
                Some(ConsumerEvent::Delivery(delivery)) => {
                    let handling = messages::handle(
                        Arc::clone(kitchen), broker.clone(), Arc::clone(&slots), stopping.clone(), delivery,
                    );
                    cooks.spawn(handling);
                }
                // What was delivered before comes again and finds its order in hand.
                Some(ConsumerEvent::Interrupted | ConsumerEvent::Resumed) => {}
                Some(ConsumerEvent::Failed(error)) => break Err(error.into()),
                None => break Err(BrokerError::Closed.into()),
            },
        }
    };
    stopping.cancel();
    consumer.stop().await;
    cooks.close();
    if outcome.is_err() {
        kitchen.give_back.cancel();
    }
    finish_or_give_back(kitchen, &cooks, shutdown).await;
    outcome
}

async fn consumer(broker: &Broker, options: &KitchenOptions) -> Result<Consumer, KitchenError> {
    let queues = options.order_types.iter().map(|t| kitchen_queue(t.as_str()));
    let consume = ConsumeOptions::new(queues, options.prefetch).tagged(options.name.as_str());
    Ok(broker.consume(consume).await?)
}

/// Lets the orders in hand be finished within the stop time, unless there is a hurry; gives the rest back.
async fn finish_or_give_back(kitchen: &Kitchen, cooks: &TaskTracker, shutdown: &Shutdown) {
    let hurry = shutdown.hurry();
    tokio::select! {
        () = cooks.wait() => return,
        () = kitchen.give_back.cancelled() => {}
        () = hurry.cancelled() => {}
        () = tokio::time::sleep(kitchen.options.stop_timeout) => {}
    }
    kitchen.give_back.cancel();
    // Killed off or not, what is left then is taken over when the heartbeat is missed.
    let _ = tokio::time::timeout(GIVE_BACK_TIME, cooks.wait()).await;
}
