//! What can go wrong with PostgreSQL, seen from above.

use std::time::Duration;

use deadpool_postgres::{PoolError, TimeoutType};
use tokio_postgres::error::{DbError, SqlState};

/// A failure of the store. Its text is for logs, never for the outside.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// PostgreSQL cannot be reached, does not answer in time, or has no room on its disk: try again later.
    /// Whether the effect happened is unknown; every effect is safe to try again.
    #[error("PostgreSQL is not available: {reason}")]
    Unavailable {
        /// The whole chain of causes in one line.
        reason: String,
    },
    /// All connections, of this process or of the server, stayed in use: try again later. Nothing happened.
    #[error("no connection to PostgreSQL became free in time: {reason}")]
    Busy {
        /// What was waited for.
        reason: String,
    },
    /// A connection pooler is in between, and shares sessions between transactions: try again when an operator has changed
    /// that. Nothing happened.
    #[error(
        "PostgreSQL cannot be used through a connection pooler whose pool_mode is not session (docs/OPERATIONS.md, \
         \"Connection poolers\"): {reason}"
    )]
    Pooled {
        /// By what it was noticed.
        reason: String,
    },
    /// The database cannot hold every text.
    #[error(
        "the database's encoding is {found}, and has to be UTF8: create another one with `create database … owner … encoding \
         'UTF8' locale 'C.UTF-8' template template0`, and restore there what pg_dump gives of this one (docs/OPERATIONS.md, \
         \"The database's encoding\")"
    )]
    Encoding { found: String },
    /// The schema or an account's rights are not yet what this version needs, and the account may not change that: try again
    /// when `migrate` has run. Nothing happened.
    #[error(
        "the schema is not ready for the account {account}, which may not change it: run `restaurant-system migrate` as the \
         owner of the tables ({lacking})"
    )]
    Unprepared { account: String, lacking: String },
    /// PostgreSQL refused the statement: a bug, or a database that is not ours.
    #[error("PostgreSQL refused the statement: {reason}")]
    Refused {
        /// The whole chain of causes in one line.
        reason: String,
    },
    /// A stored value is none that this program knows: the schema is newer, or somebody changed it by hand.
    #[error("the database holds a value that this version does not know: {0}")]
    Unknown(String),
    /// The embedded migrations could not be applied.
    #[error("the database migrations failed: {0}")]
    Migration(String),
}

impl StoreError {
    /// Whether trying again later can help.
    pub fn is_unavailable(&self) -> bool {
        matches!(
            self,
            Self::Unavailable { .. } | Self::Busy { .. } | Self::Pooled { .. } | Self::Unprepared { .. }
        )
    }

    pub(super) fn deadline(operation: &str, after: Duration) -> Self {
        Self::Unavailable { reason: format!("{operation} took longer than {} ms", after.as_millis()) }
    }
}

impl From<tokio_postgres::Error> for StoreError {
    fn from(error: tokio_postgres::Error) -> Self {
        let reason = chain(&error);
        match error.code() {
            Some(code) if is_of_another_session(code, &error) => Self::Pooled { reason },
            Some(code) if !is_passing(code) => Self::Refused { reason },
            Some(_) if says_full(&error) => Self::Busy { reason },
            Some(_) => Self::Unavailable { reason },
            // Without an SQLSTATE it is the connection, or a value that does not convert; a closed connection must
            // never be taken for a refusal, and a conversion fails in tests already.
            None => Self::Unavailable { reason },
        }
    }
}

impl From<PoolError> for StoreError {
    fn from(error: PoolError) -> Self {
        let reason = chain(&error);
        match error {
            PoolError::Timeout(TimeoutType::Wait) => Self::Busy { reason },
            error if is_full(&error) => Self::Busy { reason },
            _ => Self::Unavailable { reason },
        }
    }
}

/// Whether the server has answered, and that it takes no more connections, of this role or at all.
pub(super) fn is_full(error: &PoolError) -> bool {
    matches!(error, PoolError::Backend(error) if says_full(error))
}

/// See [`is_full`].
pub(super) fn says_full(error: &tokio_postgres::Error) -> bool {
    error.code() == Some(&SqlState::TOO_MANY_CONNECTIONS)
}

/// Conditions that pass by themselves or by an operator's hand, after which the same statement succeeds.
fn is_passing(code: &SqlState) -> bool {
    let class = &code.code()[..2];
    // 08 connection, 53 resources (disk full, too many connections), 57 operator (shutdown, cancelled), 58 system,
    // 40 rolled back (deadlock, serialization), 55 lock not available, 28 the password that an operator is fixing,
    // 3D the database that is yet to be created, 25006 a standby that is not promoted yet.
    matches!(class, "08" | "53" | "57" | "58" | "40" | "55" | "28" | "3D") || code.code() == "25006"
}

/// What was prepared on this connection is not there, or what was not is: statements are prepared under names that are
/// given once. Or PgBouncer, where each statement is for itself, refuses transactions; it has no code of its own for that.
fn is_of_another_session(code: &SqlState, error: &tokio_postgres::Error) -> bool {
    let says_mode = || error.as_db_error().is_some_and(|error| error.message().contains("pooling mode"));
    *code == SqlState::INVALID_SQL_STATEMENT_NAME
        || *code == SqlState::DUPLICATE_PSTATEMENT
        || (*code == SqlState::PROTOCOL_VIOLATION && says_mode())
}

/// `Display` of PostgreSQL errors says only "db error": the causes are what matters. The detail of what PostgreSQL says is left
/// out: it may show a whole row, with a name, an address and a token in it.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&match cause.downcast_ref::<DbError>() {
            Some(said) => format!("{}: {}", said.severity(), said.message()),
            None => cause.to_string(),
        });
        source = cause.source();
    }
    text
}
