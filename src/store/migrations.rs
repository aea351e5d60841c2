//! The embedded migrations (`migrations/`), applied under a lock.

use super::error::chain;
use super::{Store, StoreError};

mod embedded {
    refinery::embed_migrations!("migrations");
}

/// Any number will do as long as every version uses the same: "restaurant" in hexadecimal letters.
const MIGRATION_LOCK: i64 = 0x0072_6573_7461_7572;

impl Store {
    /// Applies what is missing of the embedded migrations, and says how many that were. Refinery takes no lock of its
    /// own, and every role may start first: a session lock on the same connection lets one of them through at a time.
    /// A process that dies in here leaves whole migrations behind (each is one transaction) and no lock.
    ///
    /// # Errors
    /// When PostgreSQL is away, or when a migration is refused or was changed after it had been applied.
    pub async fn migrate(&self) -> Result<usize, StoreError> {
        let mut client = self.dedicated_client().await?;
        client.execute("select pg_advisory_lock($1)", &[&MIGRATION_LOCK]).await?;
        // The lock ends with the connection, which is dropped here whatever happens.
        let report = embedded::migrations::runner().run_async(&mut *client).await;
        match report {
            Ok(report) => Ok(report.applied_migrations().len()),
            Err(error) => match self.pinged().await {
                Ok(()) => Err(StoreError::Migration(chain(&error))),
                Err(away) => Err(away),
            },
        }
    }
}
