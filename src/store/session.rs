//! What each connection sets on itself, and what it learns of the server: whoever set the server up may have meant well
//! for other programs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio_postgres::{Client, Error, SimpleQueryMessage};

use super::StoreError;

/// The settings that the promises and the statements rely on, whatever the server, the database or the account has.
/// They are set by a statement: poolers refuse or drop what is sent with the log-in.
///
/// Left alone are `search_path`, which is how an operator says where the tables are, and for whoever writes
/// `default_transaction_read_only`, by which an operator keeps writers away: a connection is refused then, and the log says
/// why.
const SETTINGS: &[(&str, &str)] = &[
    // A compare-and-set waits for the other and then sees what it did; stricter levels refuse one of the two instead.
    ("default_transaction_isolation", "read committed"),
    // Migrations and statements have backslashes in texts.
    ("standard_conforming_strings", "on"),
    ("timezone", "UTC"),
    // How long something may take is said by `statement_timeout` alone.
    ("lock_timeout", "0"),
    // Every statement here reaches its rows by an index. The planner does not know that: its statistics lag behind tables
    // that grow by thousands of rows a second, so it reads whole tables, and compiles the plan first because that is dear.
    ("enable_seqscan", "off"),
    ("enable_bitmapscan", "off"),
    ("enable_mergejoin", "off"),
    ("enable_nestloop", "on"),
    ("enable_indexscan", "on"),
    ("enable_indexonlyscan", "on"),
    ("plan_cache_mode", "auto"),
    ("random_page_cost", "1.1"),
    ("jit", "off"),
];

/// Of one that only reads: whatever it does by mistake is refused. Migrations take it back for themselves.
const READ_ONLY: &str = " set default_transaction_read_only = on;";

/// What is committed is on the disk before it is answered. `remote_apply` is stronger than `on`; all others are weaker.
const SYNCHRONOUS_COMMIT: &str = "
select pg_catalog.set_config('synchronous_commit', case
    when pg_catalog.current_setting('synchronous_commit') = 'remote_apply' then 'remote_apply' else 'on' end, false);";

/// What a session cannot set. Read with the settings, so that it costs no round trip.
const FACTS: &str = "
select pg_catalog.current_setting('fsync') as fsync,
       pg_catalog.current_setting('full_page_writes') as full_page_writes";

/// The part of the durability that is the server's alone, and what its lack means.
const NEEDED_ON: [(&str, &str); 2] = [
    (
        "fsync",
        "fsync is off: orders that were answered with 201 are lost, and the database may be unusable, when the machine of \
         PostgreSQL fails; set fsync = on in its configuration and reload it",
    ),
    (
        "full_page_writes",
        "full_page_writes is off: the database may be unusable when the machine of PostgreSQL fails; set \
         full_page_writes = on in its configuration and reload it",
    ),
];

/// What an operator is told of a pooler that cannot be used.
const POOLED: &str = "a connection pooler gives each transaction another session; set its pool_mode to session for this \
                      database, or connect to PostgreSQL itself";

/// What an operator is told while reads come from a standby.
const STANDBY: &str = "the server is a standby: what is read may be behind its primary";
/// What an operator is told while a role waits for its schema or its rights.
const UNPREPARED: &str = "the schema or the account's rights are not what this version needs: run `restaurant-system migrate` as \
                          the owner of the tables";

/// How PostgreSQL is set up, as far as no session can change it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerSetup {
    /// What an operator should change although it can be used.
    pub warnings: Vec<&'static str>,
    /// Since when it cannot be used because a pooler shares sessions between transactions.
    pub pooled_since: Option<Instant>,
    /// It is a standby, from which this process reads.
    pub is_standby: bool,
    /// It waits for `migrate`, which somebody else has to run.
    pub is_unprepared: bool,
}

impl ServerSetup {
    /// All that an operator should know of.
    pub fn texts(&self) -> Vec<&'static str> {
        let pooled = self.pooled_since.map(|_| POOLED);
        let unprepared = self.is_unprepared.then_some(UNPREPARED);
        let standby = self.is_standby.then_some(STANDBY);
        self.warnings.iter().copied().chain(pooled).chain(unprepared).chain(standby).collect()
    }
}

/// What all connections of a process begin with, and what they found last.
#[derive(Debug)]
pub(super) struct Session {
    /// One simple query.
    sql: String,
    setup: watch::Sender<ServerSetup>,
    /// A connection was cut: what is behind the next one may be another pooler.
    in_doubt: AtomicBool,
}

impl Session {
    /// With the time that one operation may take, and whether any of them writes.
    pub(super) fn new(operation_timeout: Duration, writes: bool) -> Arc<Self> {
        let (setup, _) = watch::channel(ServerSetup::default());
        Arc::new(Self { sql: opening(operation_timeout, writes), setup, in_doubt: AtomicBool::new(false) })
    }

    /// Sets up a connection that has just logged in: one round trip.
    pub(super) async fn open(&self, client: &Client) -> Result<(), Error> {
        let answer = client.simple_query(&self.sql).await?;
        let has = |row: &SimpleQueryMessage, setting: &str, value: &str| match row {
            SimpleQueryMessage::Row(row) => row.try_get(setting).is_ok_and(|found| found == Some(value)),
            _ => false,
        };
        let found = NEEDED_ON.iter().filter(|(setting, _)| answer.iter().any(|row| has(row, setting, "off")));
        self.note(found.map(|(_, warning)| *warning).collect());
        Ok(())
    }

    pub(super) fn setup(&self) -> watch::Receiver<ServerSetup> {
        self.setup.subscribe()
    }

    /// Logs what is new.
    fn note(&self, found: Vec<&'static str>) {
        self.setup.send_if_modified(|setup| {
            for warning in found.iter().filter(|warning| !setup.warnings.contains(warning)) {
                tracing::warn!(
                    action = "db_not_durable",
                    details = warning,
                    "PostgreSQL may lose what it has answered for"
                );
            }
            let is_other = setup.warnings != found;
            setup.warnings = found;
            is_other
        });
    }

    /// That connections are none to rely on, until [`Self::note_sessions`]. Said once.
    pub(super) fn note_pooler(&self, refused: &StoreError) {
        self.setup.send_if_modified(|setup| {
            let is_new = setup.pooled_since.is_none();
            if is_new {
                setup.pooled_since = Some(Instant::now());
                tracing::error!(
                    action = "db_pooler_refused",
                    error = refused as &dyn std::error::Error,
                    details = POOLED,
                    "PostgreSQL cannot be used through this pooler; trying again until it can"
                );
            }
            is_new
        });
    }

    /// Whether reads come from a standby. Said when it changes.
    pub(super) fn note_standby(&self, is_standby: bool) {
        self.setup.send_if_modified(|setup| {
            let is_other = std::mem::replace(&mut setup.is_standby, is_standby) != is_standby;
            match is_standby {
                _ if !is_other => {}
                true => tracing::warn!(
                    action = "db_standby_used",
                    details = STANDBY,
                    "reading from a standby of PostgreSQL"
                ),
                false => {
                    tracing::info!(action = "db_primary_used", "reading from a PostgreSQL that is no standby")
                }
            }
            is_other
        });
    }

    /// That the schema is not ready for this account, until [`Self::note_prepared`]. Said once.
    pub(super) fn note_unprepared(&self, lacking: &StoreError) {
        self.setup.send_if_modified(|setup| {
            let is_new = !std::mem::replace(&mut setup.is_unprepared, true);
            if is_new {
                tracing::warn!(
                    action = "schema_awaited",
                    error = lacking as &dyn std::error::Error,
                    "waiting for `restaurant-system migrate`, run as the owner of the tables"
                );
            }
            is_new
        });
    }

    /// That the schema is what this version needs.
    pub(super) fn note_prepared(&self) {
        self.setup.send_if_modified(|setup| std::mem::take(&mut setup.is_unprepared));
    }

    /// That each connection is a session.
    pub(super) fn note_sessions(&self) {
        self.setup.send_if_modified(|setup| setup.pooled_since.take().is_some());
    }

    /// Whether connections are none to rely on.
    pub(super) fn is_pooled(&self) -> bool {
        self.setup.borrow().pooled_since.is_some()
    }

    /// That it is to be looked at again.
    pub(super) fn doubt(&self) {
        self.in_doubt.store(true, Ordering::Relaxed);
    }

    /// Whether it is to be looked at again; that was said since the last time, or a pooler is known.
    pub(super) fn is_in_doubt(&self) -> bool {
        self.in_doubt.swap(false, Ordering::Relaxed) || self.is_pooled()
    }
}

fn opening(operation_timeout: Duration, writes: bool) -> String {
    // The server gives up a little before this side does, so that the reason comes from the one who knows it.
    let timeout_ms = operation_timeout.mul_f64(0.9).as_millis();
    let mut sql = format!(
        "set statement_timeout = {timeout_ms}; set idle_in_transaction_session_timeout = {timeout_ms};"
    );
    for (name, value) in SETTINGS {
        sql.push_str(&format!(" set {name} = '{value}';"));
    }
    if !writes {
        sql.push_str(READ_ONLY);
    }
    sql.push_str(SYNCHRONOUS_COMMIT);
    sql.push_str(FACTS);
    sql
}
