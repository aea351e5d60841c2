//! A worker's heartbeats: at its interval, and at once when it begins or ends cooking.

use std::sync::Arc;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::cook::{Worker, backoff};
use crate::domain::WorkerState;
use crate::store::{HeartbeatOutcome, KitchenStore, StoreError};

/// Beats until `stop`, or until another start of this name has taken over: then it says so by returning `true`.
pub(super) async fn beat<S: KitchenStore>(
    worker: Arc<Worker<S>>,
    session: Uuid,
    stop: CancellationToken,
) -> bool {
    // The registration was the first beat; the second comes at any time within the interval, so that workers that were
    // started together do not beat, and look, in step for ever.
    let every = worker.options.heartbeat_interval;
    let mut interval = tokio::time::interval_at(Instant::now() + every.mul_f64(fastrand::f64()), every);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut backoff = backoff();
    let mut missed = false;
    loop {
        let regular = tokio::select! {
            biased;
            () = stop.cancelled() => return false,
            _ = interval.tick() => true,
            () = worker.state_changed.notified() => false,
            // A beat that was missed is made up for: two in a row, and this worker counts as lost.
            () = worker.database_back(&mut backoff), if missed => true,
        };
        let state = if worker.is_cooking() { WorkerState::Processing } else { WorkerState::Online };
        match say(&worker, session, state).await {
            Ok(HeartbeatOutcome::Alive { released, peers }) => {
                missed = false;
                backoff.reset();
                worker.note_peers(peers);
                if regular {
                    worker.rounds.notify_waiters();
                }
                tracing::debug!(action = "heartbeat_sent", details = state.as_str(), "heartbeat");
                if released > 0 {
                    tracing::warn!(
                        action = "orders_released",
                        details = released,
                        "claimed without hearing of it, when PostgreSQL went away: they wait again"
                    );
                }
            }
            Ok(HeartbeatOutcome::Replaced) => return true,
            // The store has logged its outage. A worker that is cut off goes on with what it has in hand.
            Err(error) if error.is_unavailable() => missed = true,
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::error!(action = "heartbeat_failed", error, "the heartbeat was refused");
            }
        }
    }
}

pub(super) async fn say<S: KitchenStore>(
    worker: &Worker<S>,
    session: Uuid,
    state: WorkerState,
) -> Result<HeartbeatOutcome, StoreError> {
    worker.store.heartbeat(&worker.options.name, session, state, &worker.in_hand()).await
}
