//! Looking at PostgreSQL each second, so that no request asks it.

use std::error::Error;
use std::time::Duration;

use daemon::retry::Backoff;
use tokio_util::sync::CancellationToken;

use crate::store::{Store, StoreAccess, StoreError};

/// How often: for so long an order service may go by what another has changed.
const LOOK: Duration = Duration::from_secs(1);
/// How often it is tried to look while PostgreSQL is away: from, to.
const LOOK_RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// Looks until it is stopped. `action` is that of the log line of a look that fails.
pub(super) async fn keep_looking<F>(
    store: Store,
    stop: CancellationToken,
    action: &'static str,
    look: impl Fn() -> F,
) where
    F: Future<Output = Result<(), StoreError>>,
{
    let mut has_failed = false;
    let mut backoff = Backoff::new(LOOK_RETRY.0, LOOK_RETRY.1);
    loop {
        let pause = match look().await {
            Err(error) if error.is_unavailable() => None,
            Err(error) => {
                if !has_failed {
                    let error: &dyn Error = &error;
                    tracing::error!(action, error, "what was known before holds");
                }
                has_failed = true;
                Some(LOOK)
            }
            Ok(()) => {
                has_failed = false;
                backoff.reset();
                Some(LOOK)
            }
        };
        let next_look = async {
            tokio::time::sleep(pause.unwrap_or_else(|| backoff.next_delay())).await;
            store.wait_up().await;
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = next_look => {}
        }
    }
}
