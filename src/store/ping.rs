//! Asking PostgreSQL whether it is there. For whoever writes, it is there when a write is committed: while commits wait for a
//! synchronous standby, or the disk hangs, everything else is answered as ever.

use std::sync::LazyLock;
use std::time::Duration;

use deadpool_postgres::Object;

use super::StoreError;
use super::convert::first_row;
use super::session::Session;
use super::writes::tick;

/// A server that does not answer within this time is not there.
pub(super) const PING_TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ping {
    /// Whether it is a standby.
    Read,
    /// To commit a write, where there may be no tables yet.
    Write,
    /// To commit a write, and to set the clock of writes with it.
    Tick,
}

/// A ping that waits for its commit goes on waiting on the server when its connection is gone. So no other is written while
/// one has waited for longer than anybody does: each outage costs every process one such connection at most. They are known by
/// the beginning of their text, by which the other processes' are as well.
const STUCK: &str = "/* restaurant-system ping */
with stuck as materialized (
    select from pg_stat_activity
    where usename = current_user and datname = current_database() and pid <> pg_backend_pid() and state = 'active'
      and query like '/* restaurant-system ping */%' and query_start < now() - interval '2 s'
    limit 1
)";
/// A message that no table and nobody gets: only its commit matters. No row where an earlier ping is stuck.
const EMIT: &str = "
select pg_logical_emit_message(true, 'restaurant-system', 'ping') where not exists (select from stuck)";

pub(super) const IS_STANDBY: &str = "select pg_catalog.pg_is_in_recovery() as is_standby";
/// No row where an earlier one is stuck.
pub(super) static WRITE: LazyLock<String> = LazyLock::new(|| format!("{STUCK}{EMIT}"));
static TICK: LazyLock<String> =
    LazyLock::new(|| format!("{STUCK}, {}{EMIT}", tick(" and not exists (select from stuck)")));

/// Whether the server answers on this connection, which is closed if it does not. `false`: it was a kept one that has been
/// cut meanwhile, which says nothing about the server as it is now. Whether it is a standby is noted in `session`.
pub(super) async fn answers(client: Object, ping: Ping, session: &Session) -> Result<bool, StoreError> {
    let is_kept = Object::metrics(&client).recycled.is_some();
    let sql = match ping {
        Ping::Read => IS_STANDBY,
        Ping::Write => &WRITE,
        Ping::Tick => &TICK,
    };
    let error = match tokio::time::timeout(PING_TIMEOUT, client.simple_query(sql)).await {
        Ok(Ok(answer)) => match first_row(&answer) {
            Some(row) => {
                if ping == Ping::Read {
                    session.note_standby(row.get(0) == Some("t"));
                }
                return Ok(true);
            }
            None => Some(no_commit()),
        },
        Ok(Err(error)) => match error.code() {
            // An answer all the same: a full disk (53) is a matter of each statement, and a role may lack a right (42).
            Some(code) if matches!(&code.code()[..2], "53" | "42") => return Ok(true),
            _ if is_kept => None,
            _ => Some(StoreError::from(error)),
        },
        Err(_) if ping == Ping::Read => Some(StoreError::deadline("ping", PING_TIMEOUT)),
        Err(_) => Some(no_commit()),
    };
    drop(Object::take(client));
    error.map_or(Ok(false), Err)
}

fn no_commit() -> StoreError {
    let waited_ms = PING_TIMEOUT.as_millis();
    let reason = format!(
        "a write is not committed within {waited_ms} ms: the server does not answer, a synchronous standby is away, or a disk hangs"
    );
    StoreError::Unavailable { reason }
}
