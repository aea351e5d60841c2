//! Looking whether the orders in hand are still this worker's, so that one that staff has cancelled is let go.
//!
//! PostgreSQL is asked, not waited for: LISTEN takes a connection of its own for each worker, and no pooler of transactions
//! passes it on; the notifications' exchange needs RabbitMQ, and a queue for each worker. A worker with nothing in hand asks
//! nothing, and one whose orders are cooked sooner than it looks hardly anything.

use std::sync::Arc;
use std::time::Duration;

use super::cook::{Worker, backoff};
use crate::store::KitchenStore;

/// How often it looks: an order is let go within a second, and half of that is for the answer.
const HELD_POLL: Duration = Duration::from_millis(500);

/// Looks for ever.
pub(super) async fn watch<S: KitchenStore>(worker: Arc<Worker<S>>) {
    let mut backoff = backoff();
    loop {
        if !worker.is_cooking() {
            worker.began.notified().await;
        }
        tokio::time::sleep(HELD_POLL).await;
        let held = worker.held();
        if held.is_empty() {
            continue;
        }
        match worker.store.not_held(&worker.options.name, &held).await {
            Ok(lost) => {
                backoff.reset();
                lost.into_iter().for_each(|lost| worker.let_go(lost));
            }
            Err(error) => {
                if !error.is_unavailable() {
                    let error: &dyn std::error::Error = &error;
                    tracing::error!(action = "look_failed", error, "looking at the orders in hand failed");
                }
                worker.database_back(&mut backoff).await;
            }
        }
    }
}
