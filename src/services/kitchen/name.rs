//! A worker's name: how it comes to it, and how it keeps it.
//!
//! Who has a name is said in two places. An exclusive queue in RabbitMQ vanishes with its holder's connection: while there
//! is a connection it tells at once who lives. The `session` of the table of workers is that of the registration that came
//! last: it is the truth, and whoever is told by its heartbeat that it is another's ends.
//!
//! - **RabbitMQ is there**: the queue is taken first, then the name is registered whoever had it. A double is refused by the
//!   queue, within seconds.
//! - **RabbitMQ is away at the start**: the row alone decides. Where nothing was heard for two of its intervals, or its last
//!   word was that it goes, the name is free. Else it is watched: a heartbeat, or another registration, is a living double's,
//!   and this start is refused. The registration is a compare-and-set on what was seen last: of two starts that watch the same
//!   row one registers, and the other is refused.
//! - **RabbitMQ comes back**: who is registered takes the queue. If a double was quicker, that one registers next, and this
//!   one learns it from the heartbeat that follows each refusal. If the double dies before that, its queue is free. If the
//!   double watches the row still, or waits for PostgreSQL, its queue is asked for until it has registered or gone. If the
//!   queue is that of a dead connection, RabbitMQ notices that in time. Only whoever holds the queue for longer than all this
//!   takes, and does not register, is a stranger to this database: then this worker ends.
//! - **The connection of a living worker is lost**, and a double takes the queue meanwhile: the same.

use std::time::Duration;

use amqp::{BrokerState, Consume, NameError, NameHold};
use tokio::sync::watch;
use tokio::time::Instant;
use uuid::Uuid;

use super::cook::Worker;
use super::{KitchenError, KitchenOptions};
use crate::domain::OFFLINE_AFTER_INTERVALS;
use crate::store::{KitchenStore, NameRecord, PeerCount, Registered, StoreError, WorkerRegistration};

/// How long RabbitMQ is waited for before the name is taken without it.
const BROKER_PATIENCE: Duration = Duration::from_secs(3);
/// How often the row of a name is looked at that may be another's: several times in an interval.
const NAME_LOOK: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// The pause before PostgreSQL is asked again: a busy server is not to be asked again at once.
const ASK_AGAIN: Duration = Duration::from_millis(200);
/// The pause before a name is asked for again that RabbitMQ has refused.
const REFUSED_PAUSE: Duration = Duration::from_secs(1);

/// The worker's name in RabbitMQ.
fn queue(options: &KitchenOptions) -> String {
    format!("kitchen_worker.{}", options.name)
}

fn refused(options: &KitchenOptions, source: NameError) -> KitchenError {
    KitchenError::Name { name: options.name.clone(), source }
}

/// Waits for PostgreSQL, takes the name, and registers. The name is `None` where RabbitMQ is away. Until the worker knows
/// the others it takes itself for one of many.
pub(super) async fn enter<S: KitchenStore, B: Consume>(
    options: &KitchenOptions,
    store: &S,
    broker: &B,
    session: Uuid,
) -> Result<(Option<B::Name>, PeerCount), KitchenError> {
    store.note_pressure(true);
    store.prepare().await?;
    let worker = WorkerRegistration {
        name: options.name.clone(),
        session,
        order_types: options.order_types.clone(),
        heartbeat_interval: options.heartbeat_interval,
        capacity: options.prefetch,
        is_manual: options.station.is_some(),
    };
    let queue = queue(options);
    let (held, Registered { released, peers }) = tokio::select! {
        biased;
        held = broker.hold_name(&queue) => {
            let held = held.map_err(|source| refused(options, source))?;
            (Some(held), register(store, &worker).await?)
        }
        registered = register_without_broker(options, store, broker, &worker) => (None, registered?),
    };
    let by = if held.is_some() { "" } else { ", with PostgreSQL alone: RabbitMQ is away" };
    tracing::info!(
        action = "worker_registered",
        details = %format_args!("{}; {released} orders of an earlier start released", described(options)),
        "the worker is registered{by}"
    );
    Ok((held, peers))
}

/// What the worker does, in words.
pub(super) fn described(options: &KitchenOptions) -> String {
    let types: Vec<&str> = options.order_types.iter().map(|t| t.as_str()).collect();
    let by_hand = if options.station.is_some() { ", by hand" } else { "" };
    format!("cooks {}, {} at once{by_hand}", types.join(","), options.prefetch)
}

/// Registers whoever had the name before.
async fn register<S: KitchenStore>(store: &S, worker: &WorkerRegistration) -> Result<Registered, StoreError> {
    loop {
        match store.register_worker(worker).await {
            Err(error) if error.is_unavailable() => wait_for(store).await,
            answer => return answer,
        }
    }
}

/// Not only while PostgreSQL is known to be away.
async fn wait_for<S: KitchenStore>(store: &S) {
    tokio::time::sleep(ASK_AGAIN).await;
    store.wait_up().await;
}

/// Registers when RabbitMQ has been away for a moment, and the table says that nobody has the name.
async fn register_without_broker<S: KitchenStore, B: Consume>(
    options: &KitchenOptions,
    store: &S,
    broker: &B,
    worker: &WorkerRegistration,
) -> Result<Registered, KitchenError> {
    away(broker.state()).await;
    let mut first: Option<Option<NameRecord>> = None;
    // When PostgreSQL was back, if it was away: nobody's heart could beat before.
    let mut back: Option<Instant> = None;
    loop {
        let found = match store.name_record(&worker.name).await {
            Err(error) if error.is_unavailable() => {
                wait_for(store).await;
                back = Some(Instant::now());
                continue;
            }
            found => found?,
        };
        if is_anothers(first.get_or_insert_with(|| found.clone()).as_ref(), found.as_ref(), worker.session) {
            return Err(refused(options, NameError::InUse { name: queue(options) }));
        }
        if let Some(waited_for) = found.as_ref().filter(|found| !is_free(found, back)) {
            tokio::time::sleep((waited_for.heartbeat_interval / 4).clamp(NAME_LOOK.0, NAME_LOOK.1)).await;
            continue;
        }
        match store.register_worker_over(worker, found.as_ref()).await {
            Ok(Some(registered)) => return Ok(registered),
            Ok(None) => {}
            Err(error) if error.is_unavailable() => wait_for(store).await,
            Err(error) => return Err(error.into()),
        }
    }
}

/// Waits until there has been no connection to RabbitMQ for a moment.
async fn away(mut state: watch::Receiver<BrokerState>) {
    let is_connected = |state: &BrokerState| matches!(state, BrokerState::Connected { .. });
    while tokio::time::timeout(BROKER_PATIENCE, state.wait_for(is_connected)).await.is_ok() {
        if state.wait_for(|state| !is_connected(state)).await.is_err() {
            std::future::pending().await
        }
    }
}

/// Whether somebody else has given a sign of life between two looks at the row.
fn is_anothers(first: Option<&NameRecord>, found: Option<&NameRecord>, own: Uuid) -> bool {
    let sign = |record: &NameRecord| (record.session, record.last_seen);
    // An own registration whose answer was lost is none, and whoever says that it goes leaves the name.
    found.is_some_and(|found| {
        found.session != Some(own) && !found.is_offline && first.map(sign) != Some(sign(found))
    })
}

/// Whether nothing was heard of the holder for two of its intervals in which it could have said something.
fn is_free(found: &NameRecord, back: Option<Instant>) -> bool {
    let silence = found.heartbeat_interval * OFFLINE_AFTER_INTERVALS;
    found.is_offline || (found.is_free && back.is_none_or(|back| back.elapsed() >= silence))
}

/// Keeps the name in RabbitMQ in `held`, and takes it where it is not held yet or any more. Ends only when that fails for
/// good.
pub(super) async fn keep<S: KitchenStore, B: Consume>(
    worker: &Worker<S>,
    broker: &B,
    held: &mut Option<B::Name>,
) -> KitchenError {
    loop {
        if let Some(held) = held {
            held.lost().await;
        }
        *held = None;
        match take(worker, broker).await {
            Ok(name) => *held = Some(name),
            Err(error) => return error,
        }
        tracing::info!(action = "worker_name_held", "RabbitMQ knows the worker's name");
    }
}

/// Takes the name in RabbitMQ, as the one that is registered.
async fn take<S: KitchenStore, B: Consume>(worker: &Worker<S>, broker: &B) -> Result<B::Name, KitchenError> {
    let options = &worker.options;
    // A double has registered within two of its intervals, which are most probably as long as this worker's; a connection
    // that is dead was noticed.
    let patience = options.heartbeat_interval * OFFLINE_AFTER_INTERVALS + broker.death_notice();
    let mut since: Option<(u64, Instant)> = None;
    loop {
        match broker.hold_name(&queue(options)).await {
            Ok(name) => return Ok(name),
            Err(source @ NameError::InUse { .. }) => {
                // It waited for a connection. What was refused on an earlier one says nothing.
                let BrokerState::Connected { generation, .. } = *broker.state().borrow() else { continue };
                if since.is_none_or(|(connection, _)| connection != generation) {
                    since = Some((generation, Instant::now()));
                }
                if since.is_some_and(|(_, since)| since.elapsed() >= patience) {
                    return Err(refused(options, source));
                }
                tracing::debug!(action = "worker_name_refused", "another has the worker's name in RabbitMQ");
                // If that one is registered by now, this beat is the last.
                worker.state_changed.notify_one();
                tokio::time::sleep(REFUSED_PAUSE).await;
            }
            Err(source) => return Err(refused(options, source)),
        }
    }
}
