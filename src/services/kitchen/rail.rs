//! Looking at the rail itself: a free worker claims what has waited too long, straight from the database. This one
//! mechanism covers messages that a busy worker holds, lost messages, and dead workers.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use super::cook::Kitchen;
use crate::runtime::telemetry::order_span;

/// How often an idle worker looks, at the grace it was given: often enough to matter, seldom enough to cost nothing.
const LOOK: Duration = Duration::from_secs(2);

/// Looks at the rail until `stopping`; what it claims is cooked on `tasks`.
pub(super) async fn watch(
    kitchen: Arc<Kitchen>,
    slots: Arc<Semaphore>,
    stopping: CancellationToken,
    tasks: TaskTracker,
) {
    loop {
        // Spread, so that many workers do not look in step.
        let pause = LOOK.mul_f64(0.75 + fastrand::f64() / 2.0);
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        let free = u32::try_from(slots.available_permits()).unwrap_or(u32::MAX);
        let Ok(taken) = Arc::clone(&slots).try_acquire_many_owned(free) else { continue };
        if free > 0 {
            claim_overdue(&kitchen, taken, i64::from(free), &tasks).await;
        }
    }
}

async fn claim_overdue(
    kitchen: &Arc<Kitchen>,
    mut taken: tokio::sync::OwnedSemaphorePermit,
    limit: i64,
    tasks: &TaskTracker,
) {
    let claimed = match kitchen.store.claim_overdue(&kitchen.claim, kitchen.options.grace, limit).await {
        Ok(claimed) => claimed,
        Err(error) => {
            if !error.is_unavailable() {
                let error: &dyn std::error::Error = &error;
                tracing::error!(action = "rail_failed", error, "looking at the rail failed");
            }
            return;
        }
    };
    for order in claimed {
        let slot = taken.split(1);
        let span = order_span(&order.request_id, order.number.as_str());
        let kitchen = Arc::clone(kitchen);
        tasks.spawn(
            async move {
                kitchen.cook(order).await;
                drop(slot);
            }
            .instrument(span),
        );
    }
}
