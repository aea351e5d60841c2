//! Whether a connection is a session: behind a pooler that is set up for other programs, each transaction or statement
//! may be served by another one.

use deadpool_postgres::Object;
use tokio_postgres::Client;
use uuid::Uuid;

use super::convert::first_row;
use super::error::is_full;
use super::{Store, StoreError};

/// One may be lucky: a pooler with other customers may hand out the right session.
const ROUNDS: usize = 2;
/// So often the other connection looks for the mark, for a pooler that gives out its sessions in turn.
const LOOKS: usize = 8;
/// A setting of ours, which nobody else knows.
const MARK: &str = "restaurant.session";

impl Store {
    /// Refuses a pooler that shares sessions between transactions. Statements are prepared once for a connection,
    /// migrations hold a lock of their session, and what [`super::session`] sets must hold for whatever comes later.
    ///
    /// # Errors
    /// [`StoreError::Pooled`], or PostgreSQL is away.
    pub(super) async fn refuse_shared_sessions(&self, one: &Client) -> Result<(), StoreError> {
        let other = match self.inner.probe.get().await {
            Ok(other) => other,
            // It is PostgreSQL that says so, and no pooler.
            Err(error) if is_full(&error) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let limit = self.inner.options.server.operation_timeout;
        let outcome = tokio::time::timeout(limit, is_shared(one, &other)).await;
        let outcome = outcome.unwrap_or_else(|_| Err(StoreError::deadline("looking for a pooler", limit)));
        let refused = match outcome {
            Ok(false) => {
                self.inner.session.note_sessions();
                return Ok(());
            }
            Ok(true) => StoreError::Pooled { reason: "two connections were given one session".to_owned() },
            Err(error) => error,
        };
        // In a transaction still, or of no use any more.
        drop(Object::take(other));
        Err(refused)
    }

    /// Whether what is there can be used; a pooler may have been started with other settings. Where nothing is there, that
    /// is for the ping to say, if `is_down` does not say it already.
    pub(super) async fn has_sessions(&self, is_down: bool) -> bool {
        if let Err(error) = self.pinged().await {
            self.inner.session.doubt();
            let is_busy = matches!(error, StoreError::Busy { .. });
            if !is_busy {
                // It answers and commits nothing: another may have been promoted since.
                self.inner.election.reopen();
            }
            return !is_down || is_busy;
        }
        let found = match self.connection().await {
            Ok(client) => {
                let found = self.refuse_shared_sessions(&client).await;
                if found.is_err() {
                    client.close();
                }
                found
            }
            Err(error) => Err(error.into()),
        };
        match found {
            Ok(()) => true,
            Err(error @ StoreError::Pooled { .. }) => {
                self.inner.session.note_pooler(&error);
                false
            }
            Err(_) => {
                self.inner.session.doubt();
                true
            }
        }
    }
}

/// Marks the one, and looks for the mark on the other; then also while that is in a transaction, from which no pooler can take
/// the session away. Simple queries all: prepared ones need what is to be found out.
async fn is_shared(one: &Client, other: &Client) -> Result<bool, StoreError> {
    for _ in 0..ROUNDS {
        let mark = Uuid::new_v4().to_string();
        one.simple_query(&format!("select pg_catalog.set_config('{MARK}', '{mark}', false)")).await?;
        for _ in 0..LOOKS {
            if mark_of(other).await?.as_deref() == Some(&mark) {
                return Ok(true);
            }
        }
        other.batch_execute("begin").await?;
        if mark_of(other).await?.as_deref() == Some(&mark) || mark_of(one).await?.as_deref() != Some(&mark) {
            return Ok(true);
        }
        other.batch_execute("rollback").await?;
    }
    Ok(false)
}

async fn mark_of(client: &Client) -> Result<Option<String>, StoreError> {
    let answer = client.simple_query(&format!("select pg_catalog.current_setting('{MARK}', true)")).await?;
    Ok(first_row(&answer).and_then(|row| row.get(0)).map(str::to_owned))
}
