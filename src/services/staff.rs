//! Who of the staff it is, alike in every role that is asked: by the session that a login began, or by the one token.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use daemon::metrics::Metrics;
use http_kit::Problem;
use jiff::Timestamp;
use rustls::crypto::ring;
use sha2::{Digest, Sha256};
use tokio::sync::{Semaphore, watch};

use crate::domain::{Right, StaffAccess, StaffAccount, StaffMember};
use crate::http::attempts::{Attempts, Guess, Verdict};
use crate::http::auth::{self, Credentials, OptionalStaffToken, Shown, StaffToken, TokenDigest};
use crate::store::{StaffSession, Store};

/// The bytes of a session's token. Nobody guesses that many.
const TOKEN_BYTES: usize = 32;
/// Passwords that are looked at at once. Each takes a core for some 20 ms, and 19 MiB.
const HASHES_AT_ONCE: usize = 2;
/// How long a login waits for its turn, and what a client is told to wait when that was in vain.
const LOGIN_PATIENCE: Duration = Duration::from_secs(2);
/// How often an open stream asks whether its session is over.
const SESSION_LOOK: Duration = Duration::from_secs(2);

const OFF: &str = "calls for staff are off: neither accounts nor a token are configured; name a file of accounts as \
                   staff.accounts_file in the configuration, or one with a token as staff.token_file";
const OVER: &str = "the session is over: log in again";

/// Knows the staff.
#[derive(Clone)]
pub(super) struct StaffAuth(Arc<Inner>);

struct Inner {
    /// What is configured, as it is now.
    access: watch::Receiver<StaffAccess>,
    store: Store,
    attempts: Attempts,
    hashes: Semaphore,
}

/// A member of the staff, and the session in which the call comes.
struct Caller {
    member: StaffMember,
    /// `None` for the holder of the one token.
    session: Option<TokenDigest>,
}

impl StaffAuth {
    /// Registers `staff_logins_total`, once for each registry.
    pub(super) fn new(access: watch::Receiver<StaffAccess>, store: Store, metrics: &Metrics) -> Self {
        let (attempts, hashes) = (Attempts::new(metrics), Semaphore::new(HASHES_AT_ONCE));
        Self(Arc::new(Inner { access, store, attempts, hashes }))
    }

    /// Whether calls for staff are off.
    pub(super) fn is_off(&self) -> bool {
        self.0.access.borrow().is_off()
    }

    /// For a call that is only for staff.
    ///
    /// # Errors
    /// 403 where nothing is configured or this person lacks the right, 401 where nothing or something wrong is shown, 429 where
    /// the address has shown too much of that, 503 where sessions cannot be looked up.
    pub(super) async fn require(&self, shown: &StaffToken, right: Right) -> Result<StaffMember, Problem> {
        let member = self.require_any(shown).await?;
        if member.may(right) { Ok(member) } else { Err(lacks(&member, right)) }
    }

    /// The same, whatever rights this person has.
    pub(super) async fn require_any(&self, shown: &StaffToken) -> Result<StaffMember, Problem> {
        Ok(self.known(shown).await?.member)
    }

    async fn known(&self, shown: &StaffToken) -> Result<Caller, Problem> {
        if self.is_off() {
            return Err(Problem::forbidden(OFF));
        }
        self.0.know(shown).await?.ok_or_else(auth::nothing_shown)
    }

    /// For a call where staff see more than others: who of them it is. Without any token it is nobody, and so is everybody
    /// where nothing is configured.
    ///
    /// # Errors
    /// 401 where something wrong is shown, 429 where the address has shown too much of that, 503 where sessions cannot be
    /// looked up.
    pub(super) async fn viewer(&self, shown: &OptionalStaffToken) -> Result<Option<StaffMember>, Problem> {
        if self.is_off() {
            return Ok(None);
        }
        Ok(self.0.know(shown).await?.map(|known| known.member))
    }

    /// Waits until what was shown is good no more.
    pub(super) async fn end(self, shown: Shown) {
        let Shown::Token(token) = shown else { return std::future::pending().await };
        loop {
            tokio::time::sleep(SESSION_LOOK).await;
            let access = self.0.access.borrow().clone();
            if access.token_sha256.is_some_and(|expected| token.is(&expected)) {
                continue;
            }
            // While PostgreSQL is away nobody can end a session either.
            if let Ok(session) = self.0.store.staff_session(&token.bytes()).await
                && account_of(&access, &session).is_none()
            {
                return;
            }
        }
    }

    /// The account of this name and password.
    ///
    /// # Errors
    /// 403 where there are no accounts, 401 where it is not right, 429 where it was wrong too often, 503 where too many log in.
    pub(super) async fn login(
        &self,
        name: &str,
        password: String,
        from: IpAddr,
    ) -> Result<StaffAccount, Problem> {
        let access = self.0.access.borrow().clone();
        let Some(accounts) = &access.accounts else {
            return Err(Problem::forbidden(
                "logins are off: no accounts are configured; name a file of accounts as staff.accounts_file in the \
                 configuration",
            ));
        };
        let asked = access.account(name);
        // A name that nobody has costs the same.
        let Some(compared) = asked.or(accounts.first()) else { return Err(wrong_login()) };
        self.0.wait_over(from)?;
        let turn = tokio::time::timeout(LOGIN_PATIENCE, self.0.hashes.acquire()).await;
        let Ok(Ok(turn)) = turn else {
            return Err(Problem::unavailable(LOGIN_PATIENCE, "too many people log in at once"));
        };
        // It may have failed meanwhile, with other requests.
        self.0.wait_over(from)?;
        let hash = compared.password.clone();
        let is_of = tokio::task::spawn_blocking(move || hash.is_of(&password)).await;
        drop(turn);
        let is_right = is_of.map_err(Problem::internal)? && asked.is_some();
        let who = asked.map(|account| account.name.as_str());
        match (self.0.attempts.judge(Guess::Password, from, is_right, who), asked) {
            (Verdict::Right, Some(account)) => Ok(account.clone()),
            (Verdict::Limited(wait), _) => Err(too_many_passwords(wait)),
            (Verdict::Right | Verdict::Wrong, _) => Err(wrong_login()),
        }
    }

    /// Begins a session of an account whose password was shown. Gives its token, and when it is over at the latest.
    ///
    /// # Errors
    /// 503 where it cannot be kept.
    pub(super) async fn open_session(&self, account: &StaffAccount) -> Result<(String, Timestamp), Problem> {
        let token = URL_SAFE_NO_PAD.encode(random::<TOKEN_BYTES>()?);
        let digest = TokenDigest::of(&token).bytes();
        let expires_at = self.0.store.open_session(&digest, &account.name, &fingerprint(account)).await?;
        tracing::info!(
            action = "staff_login",
            actor = account.name,
            details = account.role.as_str(),
            "somebody of the staff has logged in"
        );
        Ok((token, expires_at))
    }

    /// Ends the session in which a call comes.
    ///
    /// # Errors
    /// As [`Self::require`]; 404 where it comes with the one token.
    pub(super) async fn end_session(&self, shown: &StaffToken) -> Result<(), Problem> {
        let Caller { member, session } = self.known(shown).await?;
        let Some(session) = session else {
            return Err(Problem::not_found("the token of staff.token_file is no session, and does not end"));
        };
        self.0.store.end_session(&session.bytes()).await?;
        tracing::info!(action = "staff_logout", actor = member.name, "somebody of the staff has logged out");
        Ok(())
    }
}

impl Inner {
    /// Who shows this; `None` where nothing is shown.
    async fn know<const REQUIRED: bool>(
        &self,
        shown: &Credentials<REQUIRED>,
    ) -> Result<Option<Caller>, Problem> {
        const WRONG: &str = "the token is not the staff's";
        let token = match shown.shown() {
            Shown::Nothing => return Ok(None),
            Shown::Unusable => return Err(auth::wrong(WRONG)),
            Shown::Token(token) => token,
        };
        let access = self.access.borrow().clone();
        let is_token = access.token_sha256.is_some_and(|expected| token.is(&expected));
        // A session is known however many wrong tokens its address shows: 256 random bits are not guessed, and a kitchen behind
        // one address goes on.
        if !is_token && access.accounts.is_some() {
            let session = self.store.staff_session(&token.bytes()).await?;
            if let Some(account) = account_of(&access, &session) {
                return Ok(Some(Caller { member: account.member(), session: Some(token) }));
            }
            // It is no guess: a screen that was left on shows it again and again.
            if session != StaffSession::Unknown {
                return Err(auth::wrong(OVER));
            }
        }
        match self.attempts.judge(Guess::Token, shown.address(), is_token, None) {
            Verdict::Right => Ok(Some(Caller { member: StaffMember::token_holder(), session: None })),
            Verdict::Wrong => Err(auth::wrong(WRONG)),
            Verdict::Limited(wait) => Err(Problem::too_many_requests(
                wait,
                "too many wrong tokens came from this address; none from it is looked at for now",
            )),
        }
    }

    fn wait_over(&self, from: IpAddr) -> Result<(), Problem> {
        self.attempts.wait(Guess::Password, from).map_or(Ok(()), |wait| Err(too_many_passwords(wait)))
    }
}

/// The account of a live session, if it still has the password with which that began.
fn account_of<'a>(access: &'a StaffAccess, session: &StaffSession) -> Option<&'a StaffAccount> {
    let StaffSession::Live { name, password_sha256 } = session else { return None };
    access.account(name).filter(|account| fingerprint(account)[..] == password_sha256[..])
}

/// By which a session knows that its account has another password.
fn fingerprint(account: &StaffAccount) -> [u8; 32] {
    Sha256::digest(account.password.as_str()).into()
}

/// 403: the role does not have this right.
pub(super) fn lacks(member: &StaffMember, right: Right) -> Problem {
    let role = member.role.map_or("of nobody", |role| role.as_str());
    Problem::forbidden(format!("the role {role} may not {}", right.what()))
}

fn wrong_login() -> Problem {
    auth::wrong("the name or the password is wrong")
}

fn too_many_passwords(wait: Duration) -> Problem {
    Problem::too_many_requests(
        wait,
        "too many logins from this address have failed; none from it is looked at for now",
    )
}

/// What nobody has had before.
pub(super) fn random<const BYTES: usize>() -> Result<[u8; BYTES], Problem> {
    let mut bytes = [0; BYTES];
    let filled = ring::default_provider().secure_random.fill(&mut bytes);
    filled.map_err(|_| Problem::internal("the system has no random numbers"))?;
    Ok(bytes)
}
