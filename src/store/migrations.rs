//! The embedded migrations (`migrations/`), applied under a lock.

use std::collections::HashMap;
use std::error::Error;

use tokio_postgres::error::SqlState;

use super::error::chain;
use super::hosts::takes_writes;
use super::restored::{self, Cluster};
use super::rights::{self, AccountRights};
use super::{Store, StoreError};

mod embedded {
    refinery::embed_migrations!("migrations");
}

/// Any number will do as long as every version uses the same: "restaurant" in hexadecimal letters.
const MIGRATION_LOCK: i64 = 0x0072_6573_7461_7572;

/// The original system's tables have the names of ours and fewer columns and rules. Where they are and no migration
/// was ever applied, they are put aside as they are; `V3__original_tables.sql` takes over what they hold.
const PUT_ORIGINAL_ASIDE: &str = "
do $$
declare
    original constant text[] := array['orders', 'order_items', 'order_status_log', 'workers'];
    name text;
begin
    if to_regclass('refinery_schema_history') is not null
       or exists (select from unnest(original) as t (name) where to_regclass(t.name) is null) then
        return;
    end if;
    create schema original_system;
    foreach name in array original loop
        execute format('alter table %I set schema original_system', name);
    end loop;
end $$";

/// Whoever waits for another's migrations, or goes through whole tables, is not stuck; and who only reads otherwise writes here,
/// unless the account may not.
const UNHURRIED: &str = "set statement_timeout = 0; set idle_in_transaction_session_timeout = 0;
                         reset default_transaction_read_only";

/// Why an account that may migrate cannot do it where it is.
const NO_WRITES: &str =
    "this server takes no writes: it is a standby, or read-only for the account; do it at the primary";

const APPLIED: &str = "select version, checksum from refinery_schema_history";

impl Store {
    /// Applies what is missing of the embedded migrations, and says how many that were. Refinery takes no lock of its
    /// own, and every role may start first: a session lock on the same connection lets one of them through at a time.
    /// A process that dies in here leaves whole migrations behind (each is one transaction) and no lock.
    ///
    /// The tables of the original system are taken over with what they hold (`V3__original_tables.sql`).
    ///
    /// A database that was restored from another cluster is made one of its own (`store/restored.rs`).
    ///
    /// Where nothing is missing nothing is written, so a role may log in as somebody who may not change the schema,
    /// and a schema that a later version has brought further is left to this one as it is. A standby is never written to.
    ///
    /// Whoever owns the tables also grants the roles' groups what they lack, after the migrations (`store/rights.rs`).
    ///
    /// # Errors
    /// When PostgreSQL is away, a pooler or the database's encoding is none to work with, or when a migration is refused
    /// or was changed after it had been applied. [`StoreError::Unprepared`] where somebody else has to do it, or elsewhere: the
    /// server takes no writes.
    pub async fn migrate(&self) -> Result<usize, StoreError> {
        let client = self.connection().await?;
        let task = async {
            self.refuse_shared_sessions(&client).await?;
            refuse_other_encodings(&client).await?;
            task(&client).await
        };
        let task = match task.await {
            Ok(Task::Nothing) if is_settled(&client).await => return Ok(0),
            Ok(task) => task,
            Err(error) => {
                client.close();
                return Err(error);
            }
        };
        let mut client = client.detach();
        client.batch_execute(UNHURRIED).await?;
        if !takes_writes(&client).await? {
            return match task {
                Task::Nothing => leave_unsettled(&client).await,
                Task::Migrate | Task::Grant => {
                    Err(AccountRights::of(&client).await?.awaits(NO_WRITES.to_owned()))
                }
            };
        }
        // The lock ends with the connection, which is dropped here whatever happens.
        client.execute("select pg_advisory_lock($1)", &[&MIGRATION_LOCK]).await?;
        let applied = if task == Task::Migrate { self.apply(&mut client).await? } else { 0 };
        settle(&client).await?;
        if task != Task::Nothing {
            rights::grant(&client).await?;
        }
        Ok(applied)
    }

    async fn apply(&self, client: &mut tokio_postgres::Client) -> Result<usize, StoreError> {
        // For others' locks on a table it waits no longer than any statement does: all that come later wait behind it.
        let patience_ms = self.inner.options.server.operation_timeout.as_millis();
        client.batch_execute(&format!("set lock_timeout = {patience_ms}")).await?;
        client.batch_execute(PUT_ORIGINAL_ASIDE).await?;
        let report = embedded::migrations::runner().run_async(client).await;
        match report {
            Ok(report) => Ok(report.applied_migrations().len()),
            Err(error) if is_locked_out(&error) => Err(StoreError::Unavailable { reason: chain(&error) }),
            Err(error) => match self.pinged().await {
                Ok(()) => Err(StoreError::Migration(chain(&error))),
                Err(away) => Err(away),
            },
        }
    }
}

/// Whether somebody else's lock was waited for too long; a later try may succeed.
fn is_locked_out(error: &(dyn Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error: &&(dyn Error + 'static)| (*error).source())
        .filter_map(|error| error.downcast_ref::<tokio_postgres::Error>())
        .any(|error| error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE))
}

/// A database that counts bytes, or knows some letters only, refuses or cuts what people are called and eat.
async fn refuse_other_encodings(client: &tokio_postgres::Client) -> Result<(), StoreError> {
    let row = client.query_one("select current_setting('server_encoding')", &[]).await?;
    let found: String = row.try_get(0)?;
    if found == "UTF8" { Ok(()) } else { Err(StoreError::Encoding { found }) }
}

/// Whether there is nothing to settle, or nothing that this role may know of.
async fn is_settled(client: &tokio_postgres::Client) -> bool {
    match restored::cluster_of(client).await {
        Ok(cluster) => cluster == Cluster::Known,
        Err(error) => restored::is_forbidden(&error),
    }
}

/// Settles what was restored from another cluster, where this role may. A role that may not leaves it to the next that
/// may, and goes on: the event streams alone depend on it.
async fn settle(client: &tokio_postgres::Client) -> Result<(), StoreError> {
    match restored::settle(client).await {
        Ok(_) => Ok(()),
        Err(error) if restored::is_forbidden(&error) => {
            tell_unsettled(Some(&error));
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// Leaves what was restored to the primary, and says so; that a cluster is to be noted alone is nothing to be told.
async fn leave_unsettled(client: &tokio_postgres::Client) -> Result<usize, StoreError> {
    if matches!(restored::cluster_of(client).await?, Cluster::Other(_)) {
        tell_unsettled(None);
    }
    Ok(0)
}

fn tell_unsettled(error: Option<&tokio_postgres::Error>) {
    let error = error.map(|error| error as &dyn std::error::Error);
    tracing::warn!(
        action = "restored_database_unsettled",
        error,
        "the database comes from another cluster, and this user may not settle it: run `migrate` as its owner"
    );
}

/// What there is to do for this account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Task {
    Nothing,
    /// Migrations are missing.
    Migrate,
    /// They are not; rights are.
    Grant,
}

/// Looks what is missing, and whether this account may do it.
async fn task(client: &tokio_postgres::Client) -> Result<Task, StoreError> {
    let account = AccountRights::of(client).await?;
    match lacking_migrations(client, &account).await? {
        Some(_) if account.may_migrate => return Ok(Task::Migrate),
        Some(lacking) => return Err(account.awaits(lacking)),
        None => {}
    }
    let missing = rights::missing(client).await?;
    match missing.first() {
        None => Ok(Task::Nothing),
        Some(_) if account.may_migrate => Ok(Task::Grant),
        Some(first) => {
            let others = missing.len() - 1;
            Err(account.awaits(format!("`{first}` and {others} others are to be granted")))
        }
    }
}

/// What the schema has, as far as this account may know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Schema {
    /// All that this version brings; the number is that of the last migration that was applied, and whether a later version
    /// has brought it.
    Fit { version: i32, is_later: bool },
    /// Not all; says what first.
    Lacks(String),
}

/// How the schema stands to the embedded migrations, and to what the account needs. Nothing is changed.
pub(super) async fn schema_of(client: &tokio_postgres::Client) -> Result<Schema, StoreError> {
    let account = AccountRights::of(client).await?;
    if let Some(lacking) = lacking_migrations(client, &account).await? {
        return Ok(Schema::Lacks(lacking));
    }
    if let Some(first) = rights::missing(client).await?.first() {
        return Ok(Schema::Lacks(format!("`{first}` is to be granted")));
    }
    let row = client.query_one("select max(version) from refinery_schema_history", &[]).await?;
    let version: i32 = row.try_get(0)?;
    let runner = embedded::migrations::runner();
    Ok(Schema::Fit { version, is_later: runner.get_migrations().iter().all(|own| own.version() < version) })
}

async fn lacking_migrations(
    client: &tokio_postgres::Client,
    account: &AccountRights,
) -> Result<Option<String>, StoreError> {
    match (account.has_history, account.reads_history) {
        (false, _) => Ok(Some("no migration is applied".to_owned())),
        (true, false) => Ok(Some("it may not read refinery_schema_history".to_owned())),
        (true, true) => missing_migrations(client).await,
    }
}

/// Which embedded migrations are not applied, or were applied as others.
async fn missing_migrations(client: &tokio_postgres::Client) -> Result<Option<String>, StoreError> {
    let mut applied = HashMap::new();
    for row in client.query(APPLIED, &[]).await? {
        applied.insert(row.try_get::<_, i32>(0)?, row.try_get::<_, String>(1)?);
    }
    let runner = embedded::migrations::runner();
    let is_missing = |migration: &&refinery::Migration| {
        applied.get(&migration.version()).is_none_or(|checksum| *checksum != migration.checksum().to_string())
    };
    let first = runner.get_migrations().iter().filter(is_missing).min_by_key(|migration| migration.version());
    Ok(first.map(|migration| format!("{migration} is not applied, or is another one")))
}
