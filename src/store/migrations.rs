//! The embedded migrations (`migrations/`), applied under a lock.

use std::collections::HashMap;
use std::error::Error;

use tokio_postgres::error::SqlState;

use super::error::chain;
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

/// A migration takes as long as the tables are large. Only for others' locks it waits no longer than any statement does:
/// whoever comes meanwhile would have to wait behind it.
const UNHURRIED: &str = "
select set_config('lock_timeout', current_setting('statement_timeout'), false);
set statement_timeout = 0;
set idle_in_transaction_session_timeout = 0";

const APPLIED: &str = "select version, checksum from refinery_schema_history";

impl Store {
    /// Applies what is missing of the embedded migrations, and says how many that were. Refinery takes no lock of its
    /// own, and every role may start first: a session lock on the same connection lets one of them through at a time.
    /// A process that dies in here leaves whole migrations behind (each is one transaction) and no lock.
    ///
    /// The tables of the original system are taken over with what they hold (`V3__original_tables.sql`).
    ///
    /// Where nothing is missing nothing is written, so a role may log in as somebody who may not change the schema,
    /// and a schema that a later version has brought further is left to this one as it is.
    ///
    /// # Errors
    /// When PostgreSQL is away, a pooler or the database's encoding is none to work with, or when a migration is refused
    /// or was changed after it had been applied.
    pub async fn migrate(&self) -> Result<usize, StoreError> {
        let client = self.connection().await?;
        let is_missing_some = async {
            self.refuse_shared_sessions(&client).await?;
            refuse_other_encodings(&client).await?;
            is_missing_some(&client).await
        };
        match is_missing_some.await {
            Ok(true) => {}
            Ok(false) => return Ok(0),
            Err(error) => {
                client.close();
                return Err(error);
            }
        }
        let mut client = client.detach();
        client.execute("select pg_advisory_lock($1)", &[&MIGRATION_LOCK]).await?;
        client.batch_execute(UNHURRIED).await?;
        client.batch_execute(PUT_ORIGINAL_ASIDE).await?;
        // The lock ends with the connection, which is dropped here whatever happens.
        let report = embedded::migrations::runner().run_async(&mut *client).await;
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

/// Whether an embedded migration is not applied, or was applied as another one.
async fn is_missing_some(client: &tokio_postgres::Client) -> Result<bool, StoreError> {
    let row = client.query_one("select to_regclass('refinery_schema_history') is null", &[]).await?;
    if row.try_get(0)? {
        return Ok(true);
    }
    let mut applied = HashMap::new();
    for row in client.query(APPLIED, &[]).await? {
        applied.insert(row.try_get::<_, i32>(0)?, row.try_get::<_, String>(1)?);
    }
    let runner = embedded::migrations::runner();
    Ok(runner.get_migrations().iter().any(|migration| {
        applied.get(&migration.version()).is_none_or(|checksum| *checksum != migration.checksum().to_string())
    }))
}
