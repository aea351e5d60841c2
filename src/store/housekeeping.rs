//! What is thrown away in time.

use std::time::Duration;

use super::convert::millis;
use super::{Store, StoreError};

/// So many rows go in one statement: a long delete would hold locks and delay others.
const BATCH: i64 = 5_000;

impl Store {
    /// Forgets idempotency keys that are older than `age`, a bounded number of them. Says how many.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn forget_idempotency_keys(&self, age: Duration) -> Result<u64, StoreError> {
        const SQL: &str = "delete from idempotency_keys where key in (
            select key from idempotency_keys where created_at < now() - make_interval(secs => $1::bigint / 1000.0)
            order by created_at limit $2 for update skip locked)";
        self.run("forgetting idempotency keys", async |client| {
            Ok(client.execute(SQL, &[&millis(age), &BATCH]).await?)
        })
        .await
    }
}
