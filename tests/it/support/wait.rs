//! Waiting for conditions, always with a deadline.

use std::fmt::Debug;
use std::future::Future;
use std::time::{Duration, Instant};

/// How long a test waits for something that should happen soon; generous, since it only costs when a test fails.
pub const DEADLINE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);

/// Waits until `condition` holds, and fails the test after [`DEADLINE`], saying `what` did not happen.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    eventually_ok(what, || {
        let holds = condition();
        async move { if holds.await { Ok(()) } else { Err("not yet") } }
    })
    .await;
}

/// Waits until `attempt` gives `Ok` and returns its value; fails the test after [`DEADLINE`] with the last `Err`.
pub async fn eventually_ok<T, E: Debug, F: Future<Output = Result<T, E>>>(
    what: &str,
    mut attempt: impl FnMut() -> F,
) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        match attempt().await {
            Ok(value) => return value,
            Err(error) if Instant::now() > deadline => panic!("{what}: not within {DEADLINE:?}: {error:?}"),
            Err(_) => tokio::time::sleep(POLL).await,
        }
    }
}

/// Runs what blocks (everything about servers does) without holding up the test's other tasks.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("the blocking work panicked")
}
