//! The backlog sweep: a free worker claims what has waited too long, straight from the database. This one
//! mechanism covers messages that a busy worker holds, lost messages, and dead workers.

use std::sync::Arc;
use std::time::Duration;

use daemon::telemetry::order_span;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use super::cook::Worker;
use crate::store::{KitchenStore, PeerCount};

/// How often a worker sweeps: as often as the grace says, but not so often that it costs something, and often enough to
/// matter.
const SWEEP_PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(2));

/// Sweeps until `stopping`; what it claims is cooked on `tasks`.
///
/// It takes its turn for a slot like a message does: on a day when the messages never end, an order without one is
/// cooked all the same. Where there are no messages at all (RabbitMQ is away, or has lost them) it goes on as fast as
/// slots become free. Where there are many that are no work it waits for no message of an order: that may be behind them.
pub(super) async fn watch<S: KitchenStore>(
    worker: Arc<Worker<S>>,
    slots: Arc<Semaphore>,
    stopping: CancellationToken,
    tasks: TaskTracker,
) {
    let look = worker.options.times.grace.clamp(SWEEP_PAUSE.0, SWEEP_PAUSE.1);
    let mut peers = worker.peers.subscribe();
    let mut found = false;
    let mut deliveries = worker.deliveries();
    let mut looked_at = Instant::now();
    loop {
        let (mut is_round, mut grace) = (false, worker.options.times.grace);
        let fed = worker.deliveries() != deliveries;
        if !found || fed {
            // All workers together, if it is so with each, look no more often than one alone may.
            let earliest = looked_at + SWEEP_PAUSE.0.saturating_mul(peers.borrow().living);
            tokio::select! {
                biased;
                () = stopping.cancelled() => return,
                () = worker.rounds.notified() => is_round = true,
                () = fed_up(&worker, earliest) => grace = Duration::ZERO,
                () = turn_comes(look, fed, &mut peers) => {}
            }
        }
        let turn = tokio::select! {
            biased;
            () = stopping.cancelled() => return,
            turn = Arc::clone(&slots).acquire_owned() => turn,
        };
        // The slots are never closed.
        let Ok(mut taken) = turn else { return };
        let free = u32::try_from(slots.available_permits()).unwrap_or(u32::MAX);
        if let Ok(more) = Arc::clone(&slots).try_acquire_many_owned(free) {
            taken.merge(more);
        }
        deliveries = worker.deliveries();
        looked_at = Instant::now();
        found = claim_overdue(&worker, grace, taken, &tasks).await;
        if is_round {
            // One after the other, over the same connection.
            worker.relay.wake();
        }
    }
}

/// Waits until it is this worker's turn to look.
///
/// Workers look in turn: each pauses as many times longer as there are of them, so that all of them together look about as
/// often as one alone would. One that is `fed` by messages shares with all that live: all of them look now and then, as
/// they have a hand free. One that waits shares with those who wait, since the others may be busy for long. Who does what
/// is known from the last heartbeat. When others have died, frozen or become busy since, nobody looks in their place until
/// this worker's next heartbeat, with which it looks in any case and counts anew, or its own turn. The dead count until two
/// of their intervals are over, but before that there is nothing to take over from them either.
async fn turn_comes(look: Duration, fed: bool, peers: &mut watch::Receiver<PeerCount>) {
    let since = Instant::now();
    // Spread, so that many workers do not look in step.
    let spread = 0.75 + fastrand::f64() / 2.0;
    loop {
        let PeerCount { living, waiting, .. } = *peers.borrow_and_update();
        let pause = look.saturating_mul(if fed { living } else { waiting }).mul_f64(spread);
        tokio::select! {
            biased;
            () = tokio::time::sleep_until(since + pause) => return,
            changed = peers.changed() => if changed.is_err() { return },
        }
    }
}

/// Waits until many messages in a row were no work, and until then.
async fn fed_up<S: KitchenStore>(worker: &Worker<S>, earliest: Instant) {
    worker.fed_up.notified().await;
    tokio::time::sleep_until(earliest).await;
}

/// Claims as many orders as there are slots `taken`, where so many wait. Says whether there were any.
async fn claim_overdue<S: KitchenStore>(
    worker: &Arc<Worker<S>>,
    grace: Duration,
    mut taken: tokio::sync::OwnedSemaphorePermit,
    tasks: &TaskTracker,
) -> bool {
    let limit = i64::try_from(taken.num_permits()).unwrap_or(i64::MAX);
    let claimed = match worker.store.claim_overdue(&worker.claim, grace, limit).await {
        Ok(claimed) => claimed,
        Err(error) => {
            if !error.is_unavailable() {
                let error: &dyn std::error::Error = &error;
                tracing::error!(action = "rail_failed", error, "the backlog sweep failed");
            }
            return false;
        }
    };
    let found = !claimed.is_empty();
    for order in claimed {
        let Some(in_hand) = worker.take(&order) else { continue };
        let slot = taken.split(1);
        let span = order_span(&order.request_id, order.number.as_str());
        let worker = Arc::clone(worker);
        tasks.spawn(
            async move {
                worker.cook(in_hand).await;
                drop(slot);
            }
            .instrument(span),
        );
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_secs(2);

    async fn turns(fed: bool, living: u32, waiting: u32) -> f64 {
        let (_sender, mut peers) = watch::channel(PeerCount { living, waiting, connection_pressure: false });
        let since = Instant::now();
        turn_comes(PAUSE, fed, &mut peers).await;
        since.elapsed().as_secs_f64() / PAUSE.as_secs_f64()
    }

    #[tokio::test(start_paused = true)]
    async fn turns_come_as_many_times_more_seldom_as_workers_share_them() {
        for (fed, living, waiting, shared) in
            [(false, 1, 1, 1.0), (false, 200, 200, 200.0), (false, 200, 1, 1.0), (true, 200, 1, 200.0)]
        {
            let turns = turns(fed, living, waiting).await / shared;
            assert!((0.74..=1.26).contains(&turns), "fed {fed}, {waiting} of {living} wait: {turns}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_that_learns_to_be_the_only_one_left_looks_at_once() {
        let (sender, mut peers) =
            watch::channel(PeerCount { living: 200, waiting: 200, connection_pressure: true });
        let since = Instant::now();
        let learn = async {
            tokio::time::sleep(Duration::from_secs(30)).await;
            sender.send_replace(PeerCount { living: 1, waiting: 1, connection_pressure: false });
        };
        tokio::join!(turn_comes(PAUSE, false, &mut peers), learn);
        assert!(since.elapsed() < Duration::from_secs(31), "{:?}", since.elapsed());
    }
}
