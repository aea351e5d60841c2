//! The staff's sessions, and what they did.

use std::time::Duration;

use jiff::Timestamp;
use tokio_postgres::Row;

use super::convert::{get, millis};
use super::pressure::Connection;
use super::readable::readable;
use super::{Store, StoreError};
use crate::domain::{SESSION_IDLE, SESSION_MAX, StaffMember, StaffRole};

/// A session in use is renewed so often: a screen asks every few seconds, and each renewal is a write.
const RENEW: Duration = Duration::from_secs(60);
/// So long a session that is over is told from a token that never was one.
const REMEMBER: Duration = Duration::from_secs(48 * 60 * 60);

/// What there is to say of a token's session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StaffSession {
    /// It is this account's, for as long as that has this password.
    Live {
        /// The account's name.
        name: String,
        /// The SHA-256 of its password hash.
        password_sha256: Vec<u8>,
    },
    /// It was one; or it may be one that this standby has not heard of yet.
    Over,
    /// There never was one.
    Unknown,
}

/// What a member of the staff does to an order, as it is kept.
#[derive(Debug, Clone, Copy)]
pub struct StaffAct<'a> {
    /// Who does it.
    pub by: &'a StaffMember,
    /// What it is: `cancel`.
    pub action: &'a str,
    /// What there is to remark.
    pub detail: Option<&'a str>,
    /// The request that asked for it.
    pub request_id: &'a str,
}

/// What somebody of the staff did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaffActionRecord {
    /// Its place in the list, for keyset pagination.
    pub id: i64,
    /// When.
    pub acted_at: Timestamp,
    /// The account, or the holder of the token.
    pub name: String,
    /// What the account was for then; `None` for the holder of the token.
    pub role: Option<StaffRole>,
    /// What it was: `cancel`.
    pub action: String,
    /// To which order.
    pub order_number: Option<String>,
    /// What there is to remark.
    pub detail: Option<String>,
    /// The request that asked for it.
    pub request_id: String,
}

impl Store {
    /// Begins a session of an account. Says when it is over at the latest.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn open_session(
        &self,
        token_sha256: &[u8; 32],
        name: &str,
        password_sha256: &[u8; 32],
    ) -> Result<Timestamp, StoreError> {
        const SQL: &str =
            "insert into staff_sessions (token_sha256, name, password_sha256) values ($1, $2, $3)
            returning created_at + make_interval(secs => $4::bigint / 1000.0) as expires_at";
        self.run("beginning a session", async |client| {
            let statement = client.prepare_cached(SQL).await?;
            let (token, password) = (&token_sha256[..], &password_sha256[..]);
            let row = client.query_one(&statement, &[&token, &name, &password, &millis(SESSION_MAX)]).await?;
            get(&row, "expires_at")
        })
        .await
    }

    /// Whose session a token is, which is used by this. On a standby it is not renewed.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn staff_session(&self, token_sha256: &[u8; 32]) -> Result<StaffSession, StoreError> {
        const SQL: &str = "
            select s.name, s.password_sha256, pg_is_in_recovery() as is_standby,
                   s.ended_at is null and s.last_used_at > now() - make_interval(secs => $2::bigint / 1000.0)
                       and s.created_at > now() - make_interval(secs => $3::bigint / 1000.0) as is_live,
                   s.last_used_at < now() - make_interval(secs => $4::bigint / 1000.0) as is_stale
            from (select) as one left join staff_sessions s on s.token_sha256 = $1";
        let token = &token_sha256[..];
        self.run("looking for a session", async |client| {
            let statement = client.prepare_cached(SQL).await?;
            let bounds = [SESSION_IDLE, SESSION_MAX, RENEW].map(millis);
            let row = client.query_one(&statement, &[&token, &bounds[0], &bounds[1], &bounds[2]]).await?;
            let is_standby: bool = get(&row, "is_standby")?;
            match get::<Option<bool>>(&row, "is_live")? {
                Some(true) => {}
                Some(false) => return Ok(StaffSession::Over),
                None if is_standby => return Ok(StaffSession::Over),
                None => return Ok(StaffSession::Unknown),
            }
            if get(&row, "is_stale")?
                && !is_standby
                && let Err(error) = renew(client, token).await
            {
                // It is live all the same, and the next call tries again.
                let error: &dyn std::error::Error = &error;
                tracing::debug!(
                    action = "session_not_renewed",
                    error,
                    "a session in use could not be renewed"
                );
            }
            Ok(StaffSession::Live {
                name: get(&row, "name")?,
                password_sha256: get(&row, "password_sha256")?,
            })
        })
        .await
    }

    /// Ends a session that is not over.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn end_session(&self, token_sha256: &[u8; 32]) -> Result<(), StoreError> {
        const SQL: &str =
            "update staff_sessions set ended_at = now() where token_sha256 = $1 and ended_at is null";
        self.run("ending a session", async |client| {
            let statement = client.prepare_cached(SQL).await?;
            client.execute(&statement, &[&&token_sha256[..]]).await?;
            Ok(())
        })
        .await
    }

    /// Forgets sessions that have been over for long. Says how many.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn forget_sessions(&self) -> Result<u64, StoreError> {
        const SQL: &str = "delete from staff_sessions where created_at < now() - make_interval(secs => $1::bigint / 1000.0)";
        self.run("forgetting sessions", async |client| Ok(client.execute(SQL, &[&millis(REMEMBER)]).await?))
            .await
    }

    /// What the staff did before the action with this id, the latest first, and the `before_id` of the next page.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn staff_actions(
        &self,
        before_id: Option<i64>,
        limit: u16,
    ) -> Result<(Vec<StaffActionRecord>, Option<i64>), StoreError> {
        const SQL: &str = "select id, acted_at, name, role, action, order_number, detail, request_id
            from staff_actions where id < $1 order by id desc limit $2";
        let before_id = before_id.unwrap_or(i64::MAX);
        let page = usize::from(limit);
        self.run("listing what the staff did", async |client| {
            let statement = client.prepare_cached(SQL).await?;
            // One more tells whether there is a next page.
            let rows = client.query(&statement, &[&before_id, &(i64::from(limit) + 1)]).await?;
            let last = rows.get(page).and_then(|_| rows[..page].last());
            let next_before_id = last.map(|row| get(row, "id")).transpose()?;
            Ok((readable(rows.iter().take(page), action), next_before_id))
        })
        .await
    }
}

/// Notes that a session is used. A service that only reads has connections that do, unless they are told otherwise.
async fn renew(client: &mut Connection, token: &[u8]) -> Result<(), tokio_postgres::Error> {
    const SQL: &str = "update staff_sessions set last_used_at = now() where token_sha256 = $1";
    let renewal = client.build_transaction().read_only(false).start().await?;
    renewal.execute(SQL, &[&token]).await?;
    renewal.commit().await
}

fn action(row: &Row) -> Result<StaffActionRecord, StoreError> {
    let role: Option<String> = get(row, "role")?;
    Ok(StaffActionRecord {
        id: get(row, "id")?,
        acted_at: get(row, "acted_at")?,
        name: get(row, "name")?,
        // One that this version does not know is shown as none.
        role: role.and_then(|role| role.parse().ok()),
        action: get(row, "action")?,
        order_number: get(row, "order_number")?,
        detail: get(row, "detail")?,
        request_id: get(row, "request_id")?,
    })
}
