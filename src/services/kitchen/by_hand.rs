//! What persons do at a worker's station: their bumps become `ready`, and what the station holds is in hand.
//!
//! All of it is in PostgreSQL, which is looked at; whoever has changed something there may say so and is heard at once.
//! So a bump is finished by whichever start of the worker comes first, and an order is in hand however it came to the
//! worker: by its claim, with or without the answer, from an earlier start, or because a person has recalled it.

use std::sync::Arc;
use std::time::Duration;

use daemon::telemetry::order_span;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use super::StationOptions;
use super::cook::{Worker, backoff};
use crate::domain::Status;
use crate::store::{Bumped, KitchenStore, NotHeld, StoreError};

/// How often the station is looked at: a bump is finished so much later at most than its time to take it back is over.
const STATION_POLL: Duration = Duration::from_millis(500);

/// Looks for ever; what is found in the worker's name is held on `tasks`.
pub(super) async fn watch<S: KitchenStore>(
    worker: Arc<Worker<S>>,
    station: StationOptions,
    slots: Arc<Semaphore>,
    tasks: TaskTracker,
) {
    let mut backoff = backoff();
    loop {
        // What was bumped before the process died is in hand before it is finished, and so it is told of like any other.
        let looked = match adopt(&worker, &slots, &tasks).await {
            Ok(()) => finish(&worker, station.times.bump_undo).await,
            Err(error) => Err(error),
        };
        if let Err(error) = looked {
            if !error.is_unavailable() {
                let error: &dyn std::error::Error = &error;
                tracing::error!(action = "station_failed", error, "looking at the station's orders failed");
            }
            worker.database_back(&mut backoff).await;
            continue;
        }
        backoff.reset();
        tokio::select! {
            () = station.look.notified() => {}
            () = tokio::time::sleep(STATION_POLL) => {}
        }
    }
}

/// Finishes what was bumped so long ago.
pub(super) async fn finish<S: KitchenStore>(worker: &Worker<S>, undo: Duration) -> Result<(), StoreError> {
    let finished = worker.store.finish_bumped(&worker.options.name, undo).await?;
    if !finished.is_empty() {
        worker.relay.wake();
    }
    for Bumped { order, estimate_error } in finished {
        if let (Some(station), Some(error)) = (&worker.options.station, estimate_error) {
            station.estimate_errors.note(error);
        }
        worker.let_go(NotHeld { order, became: Status::Ready.as_str().to_owned() });
    }
    Ok(())
}

/// Takes in hand what the worker holds without knowing of it. It may be more than there are slots for: then each of these
/// orders waits for one like a message does, in hand already.
async fn adopt<S: KitchenStore>(
    worker: &Arc<Worker<S>>,
    slots: &Arc<Semaphore>,
    tasks: &TaskTracker,
) -> Result<(), StoreError> {
    for order in worker.store.adopt_orders(&worker.options.name).await? {
        let Some(in_hand) = worker.take(&order) else { continue };
        let span = order_span(&order.request_id, order.number.as_str());
        let (worker, slots) = (Arc::clone(worker), Arc::clone(slots));
        let hold = async move {
            let mut cook = std::pin::pin!(worker.cook(in_hand));
            tokio::select! {
                biased;
                _ = &mut cook => {}
                _slot = slots.acquire() => drop(cook.await),
            }
        };
        tasks.spawn(hold.instrument(span));
    }
    Ok(())
}
