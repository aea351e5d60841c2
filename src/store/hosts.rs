//! Several hosts of one database: each gets its own time, so that a frozen one does not keep the others from being
//! tried, and the one that writes belong to is chosen (`lineage`). Who only reads makes do with a standby while that one is
//! away, and looks for it again and again.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bytes::Bytes;
use deadpool_postgres::Connect;
use futures_util::stream::{self, FuturesUnordered, StreamExt};
use settings::HostPort;
use tokio::task::JoinHandle;
use tokio_postgres::config::{Host, TargetSessionAttrs};
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{Client, Config, Error, NoTls, Socket};
use tokio_util::io::StreamReader;

use super::convert::first_row;
use super::error::{chain, says_full};
use super::lineage::{
    DO_YOU_TAKE_WRITES, Known, Look, Server, Verdict, WHO_ARE_YOU, decide, decide_for_reader, refusal,
};
use super::session::Session;
use super::wire::Unencrypted;
use daemon::sync::locked;

/// Who reads from a standby looks at all hosts so often: the primary may be back, and a standby that nobody replicates to any
/// more stays where it is.
const STANDBY_LOOK: Duration = Duration::from_secs(10);

/// Connects to the host that was chosen last, as long as it is what it was; chooses anew where it is not.
///
/// tokio-postgres takes a list of hosts as well, but the first that takes writes, which may be an old primary; and its time
/// limit ends with the TCP connection: a server that is paused, or a network that swallows the log-in, would be waited for
/// until the pool gives up, every time anew.
pub(super) struct EachHost<T> {
    /// Each with one host; never empty.
    hosts: Vec<Config>,
    /// How the network is passed, and how a Unix socket.
    ways: (T, Unencrypted),
    timeout: Duration,
    session: Arc<Session>,
    election: Arc<Election>,
    /// Each connection is a look at all hosts.
    looks_anew: bool,
}

/// What all connections of a process know about the hosts.
pub(super) struct Election {
    names: Vec<String>,
    /// A standby is as good as none.
    writes: bool,
    state: Mutex<State>,
    /// One look at all of them at a time; the others wait for what it finds.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    known: Option<Known>,
    /// The host that is used is a standby, which was chosen when all were looked at then.
    standby_since_look: Option<Instant>,
    /// The host to connect to without looking at the others.
    settled: Option<usize>,
    /// The one that was used last.
    last: Option<usize>,
    /// When connections began to go elsewhere.
    switched_at: Option<Instant>,
    /// How often all hosts were looked at.
    rounds: u64,
    /// Why the last look found none.
    failure: Option<(io::ErrorKind, String)>,
    /// Why each host was refused, as it was logged.
    told: Vec<Option<String>>,
}

impl Election {
    /// Between the hosts of these names, for somebody who writes or only reads.
    pub(super) fn new(hosts: &[HostPort], writes: bool) -> Arc<Self> {
        let names: Vec<String> = hosts.iter().map(ToString::to_string).collect();
        let state = State { told: vec![None; names.len()], ..State::default() };
        Arc::new(Self { names, writes, state: Mutex::new(state), turn: tokio::sync::Mutex::new(()) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        locked(&self.state)
    }

    /// The host that is used does not do: all are looked at before the next connection.
    pub(super) fn reopen(&self) {
        self.state().settled = None;
    }

    /// Whether a connection that was opened then may still go to the host before.
    pub(super) fn is_outdated(&self, opened_at: Instant) -> bool {
        self.state().switched_at.is_some_and(|switched_at| opened_at < switched_at)
    }

    /// Whether to look at all hosts now, because a standby is used, of several, and they were not looked at lately. Says so
    /// once in that time.
    pub(super) fn wants_a_look(&self) -> bool {
        let mut state = self.state();
        let is_due = state.standby_since_look.is_some_and(|looked_at| looked_at.elapsed() >= STANDBY_LOOK);
        if is_due {
            state.standby_since_look = Some(Instant::now());
        }
        is_due
    }

    /// Whether the host that is settled on is what it was.
    fn still_fits(&self, look: &Look) -> bool {
        let mut state = self.state();
        let is_standby = state.standby_since_look.is_some();
        match (look, &mut state.known) {
            (Look::Nameless, None) => true,
            (Look::Is(server), Some(known)) if is_standby => {
                !server.takes_writes && server.cluster == known.cluster
            }
            (Look::Is(server), Some(known)) if server.takes_writes && known.is_continued_by(server) => {
                known.timeline = server.timeline;
                true
            }
            _ => false,
        }
    }

    fn decide(&self, looks: &[Look]) -> Verdict {
        let state = self.state();
        let decide = if self.writes { decide } else { decide_for_reader };
        decide(state.known.as_ref(), state.last, looks, &self.names)
    }

    fn settle(&self, at: usize, looks: &[Look]) {
        let mut state = self.state();
        let state = &mut *state;
        state.rounds += 1;
        let is_standby = matches!(&looks[at], Look::Is(server) if !server.takes_writes);
        state.standby_since_look = is_standby.then(Instant::now);
        let used = match (&looks[at], &state.known) {
            // It may be further than it says.
            (Look::Is(server), Some(known)) if is_standby && server.cluster == known.cluster => {
                Some(Known { cluster: known.cluster.clone(), timeline: known.timeline.max(server.timeline) })
            }
            (Look::Is(server), _) => {
                Some(Known { cluster: server.cluster.clone(), timeline: server.timeline })
            }
            _ => None,
        };
        if state.last.is_some_and(|last| last != at) || state.known.is_some() && state.known != used {
            state.switched_at = Some(Instant::now());
        }
        (state.settled, state.last, state.known) = (Some(at), Some(at), used);
        state.tell_refused(looks, &self.names);
    }

    fn give_up(&self, looks: &[Look], kind: io::ErrorKind, reason: &str) {
        let mut state = self.state();
        let state = &mut *state;
        state.rounds += 1;
        state.settled = None;
        state.failure = Some((kind, reason.to_owned()));
        // The outage may have been logged before, for another reason.
        state.tell_refused(looks, &self.names);
        if let Some(known) = &mut state.known {
            let of_cluster = looks.iter().filter_map(|look| match look {
                Look::Is(server) if server.cluster == known.cluster => Some(server.timeline),
                _ => None,
            });
            known.timeline = of_cluster.fold(known.timeline, i64::max);
        }
    }
}

impl State {
    /// Logs once who takes writes and is not used.
    fn tell_refused(&mut self, looks: &[Look], names: &[String]) {
        let Some(used) = &self.known else { return };
        for ((look, name), told) in looks.iter().zip(names).zip(&mut self.told) {
            let Look::Is(server) = look else { continue };
            let reason = if server.takes_writes { refusal(name, server, used) } else { None };
            if let Some(reason) = &reason
                && *told != Some(reason.clone())
            {
                tracing::error!(
                    action = "db_host_refused",
                    details = reason,
                    "a PostgreSQL server that takes writes is not used"
                );
            }
            *told = reason;
        }
    }
}

/// A connection, and the task that serves it.
type Connected = (Client, JoinHandle<()>);
type Connecting<'a> = Pin<Box<dyn Future<Output = Result<Connected, Error>> + Send + 'a>>;

impl<T> EachHost<T> {
    /// With the configuration of each host, in order, the time that one of them may take, log-in included, and what a
    /// connection begins with. A single host is left to the pool's own limit.
    pub(super) fn new(
        hosts: Vec<Config>,
        ways: (T, Unencrypted),
        timeout: Duration,
        session: &Arc<Session>,
        election: &Arc<Election>,
    ) -> Self {
        let (session, election) = (Arc::clone(session), Arc::clone(election));
        Self { hosts, ways, timeout, session, election, looks_anew: false }
    }

    /// The same, with a look at all hosts for each connection.
    pub(super) fn looking_anew(self) -> Self {
        Self { looks_anew: true, ..self }
    }
}

impl<T> Connect for EachHost<T>
where
    T: MakeTlsConnect<Socket> + Clone + Sync + Send + 'static,
    T::Stream: Sync + Send,
    T::TlsConnect: Sync + Send,
    <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
{
    fn connect(&self, _: &Config) -> Connecting<'_> {
        Box::pin(async move {
            if let [only] = self.hosts.as_slice() {
                return self.connect_to(only).await;
            }
            let (settled, rounds) = {
                let state = self.election.state();
                (state.settled, state.rounds)
            };
            if let Some(at) = settled
                && !self.looks_anew
            {
                match self.meet(at).await {
                    Ok((connected, look)) if self.election.still_fits(&look) => {
                        self.session.open(&connected.0).await?;
                        return Ok(connected);
                    }
                    Err(Missed::Full(error)) => return Err(error),
                    Ok(_) | Err(Missed::Away(..)) => {}
                }
            }
            let _turn = self.election.turn.lock().await;
            if self.looks_anew {
                return self.elect().await;
            }
            let found = {
                let state = self.election.state();
                (state.rounds != rounds).then(|| state.settled.ok_or_else(|| state.failure.clone()))
            };
            match found {
                None => self.elect().await,
                Some(Ok(at)) => self.connect_to(&self.hosts[at]).await,
                Some(Err(failure)) => {
                    let (kind, reason) = failure.unwrap_or((io::ErrorKind::Other, String::new()));
                    fail(kind, reason).await
                }
            }
        })
    }
}

/// Why a host was not met.
enum Missed {
    /// It has no connection left.
    Full(Error),
    /// It does not answer, or not as it should.
    Away(io::ErrorKind, String),
}

impl<T> EachHost<T>
where
    T: MakeTlsConnect<Socket> + Clone + Sync + Send + 'static,
    T::Stream: Sync + Send,
    T::TlsConnect: Sync + Send,
    <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
{
    async fn connect_to(&self, host: &Config) -> Result<Connected, Error> {
        let connected = self.log_in(host).await?;
        self.session.open(&connected.0).await?;
        Ok(connected)
    }

    /// A connection that is not set up yet.
    async fn log_in(&self, host: &Config) -> Result<Connected, Error> {
        match (host.get_hosts(), host.get_ports()) {
            ([Host::Unix(folder)], [port]) => {
                let socket = match self.ways.1.connect_to_socket(folder, *port).await {
                    Ok(socket) => socket,
                    Err((kind, reason)) => return fail(kind, reason).await,
                };
                let (client, connection) = host.connect_raw(socket, NoTls).await?;
                let connected = (client, self.drive(connection));
                let wants_writes = host.get_target_session_attrs() == TargetSessionAttrs::ReadWrite;
                if wants_writes && !takes_writes(&connected.0).await? {
                    return fail(
                        io::ErrorKind::PermissionDenied,
                        "the database does not allow writes".to_owned(),
                    )
                    .await;
                }
                Ok(connected)
            }
            _ => {
                let (client, connection) = host.connect(self.ways.0.clone()).await?;
                Ok((client, self.drive(connection)))
            }
        }
    }

    /// Serves a connection.
    fn drive<C>(&self, connection: C) -> JoinHandle<()>
    where
        C: Future<Output = Result<(), Error>> + Send + 'static,
    {
        let session = Arc::clone(&self.session);
        tokio::spawn(async move {
            // How the connection ends is met by whoever uses it, and told there.
            if connection.await.is_err() {
                session.doubt();
            }
        })
    }

    /// Connects to a host whatever it is, and asks it for that.
    async fn meet(&self, at: usize) -> Result<(Connected, Look), Missed> {
        let mut host = self.hosts[at].clone();
        host.target_session_attrs(TargetSessionAttrs::Any);
        let meeting = async {
            let connected = self.log_in(&host).await?;
            let look = who_is(&connected.0, self.election.writes).await?;
            Ok((connected, look))
        };
        match tokio::time::timeout(self.timeout, meeting).await {
            Ok(Ok(met)) => Ok(met),
            Ok(Err(error)) if says_full(&error) => Err(Missed::Full(error)),
            Ok(Err(error)) => Err(Missed::Away(io::ErrorKind::Other, chain(&error))),
            Err(_) => {
                let reason = format!("no answer within {} ms", self.timeout.as_millis());
                Err(Missed::Away(io::ErrorKind::TimedOut, reason))
            }
        }
    }

    /// Looks at all hosts at once, and connects to the one that writes belong to.
    async fn elect(&self) -> Result<Connected, Error> {
        let count = self.hosts.len();
        let mut looks = vec![Look::Pending; count];
        let mut connections: Vec<Option<Connected>> = (0..count).map(|_| None).collect();
        let (mut full, mut kind) = (None, io::ErrorKind::Other);
        let mut meetings: FuturesUnordered<_> =
            (0..count).map(|at| async move { (at, self.meet(at).await) }).collect();
        while let Some((at, met)) = meetings.next().await {
            looks[at] = match met {
                Ok((connected, look)) => {
                    connections[at] = Some(connected);
                    look
                }
                Err(Missed::Full(error)) => {
                    full = Some(error);
                    Look::Full
                }
                Err(Missed::Away(why, reason)) => {
                    kind = if why == io::ErrorKind::TimedOut { why } else { kind };
                    Look::Away(reason)
                }
            };
            let reason = match self.election.decide(&looks) {
                Verdict::Wait => continue,
                Verdict::Use(at) => match connections[at].take() {
                    Some(connected) => {
                        self.election.settle(at, &looks);
                        self.session.open(&connected.0).await?;
                        return Ok(connected);
                    }
                    None => continue,
                },
                Verdict::Nobody => described(&looks, &self.election.names),
                Verdict::Refuse(reason) => reason,
            };
            self.election.give_up(&looks, kind, &reason);
            // That a server has no connection left says more than that others are standbys.
            return match full {
                Some(error) => Err(error),
                None => fail(kind, reason).await,
            };
        }
        fail(kind, described(&looks, &self.election.names)).await
    }
}

async fn who_is(client: &Client, writes: bool) -> Result<Look, Error> {
    let answer = match client.simple_query(WHO_ARE_YOU).await {
        Ok(answer) => answer,
        // No such function, or not for this role: another server that speaks the same language.
        Err(error) if error.code().is_some_and(|code| code.code().starts_with("42")) => {
            client.simple_query(DO_YOU_TAKE_WRITES).await?
        }
        Err(error) => return Err(error),
    };
    let row = first_row(&answer);
    let text = |column| row.and_then(|row| row.try_get(column).ok().flatten()).unwrap_or_default().to_owned();
    // Who only reads may be kept from writing by its account.
    let takes_writes = if writes { text("takes_writes") == "t" } else { text("is_standby") == "f" };
    Ok(match text("timeline").parse() {
        Ok(timeline) => Look::Is(Server {
            takes_writes,
            cluster: text("cluster"),
            timeline,
            started_at: text("started_at"),
        }),
        Err(_) if takes_writes || !writes => Look::Nameless,
        Err(_) => Look::Away("it takes no writes".to_owned()),
    })
}

/// Whether the server takes writes on this connection.
pub(super) async fn takes_writes(client: &Client) -> Result<bool, Error> {
    let answer = client.simple_query(DO_YOU_TAKE_WRITES).await?;
    Ok(first_row(&answer).is_some_and(|row| row.get(0) == Some("t")))
}

/// What was found where there is nobody to connect to.
fn described(looks: &[Look], names: &[String]) -> String {
    let hosts = looks.iter().zip(names).map(|(look, name)| match look {
        Look::Away(reason) => format!("{name}: {reason}"),
        Look::Full => format!("{name}: it has no connection left"),
        Look::Pending => format!("{name}: not looked at"),
        Look::Is(_) | Look::Nameless => format!("{name}: it takes no writes, being a standby or read-only"),
    });
    hosts.collect::<Vec<_>>().join("; ")
}

/// An error of tokio-postgres with a text of our own: it makes none but those that a connection has had.
async fn fail(kind: io::ErrorKind, reason: String) -> Result<Connected, Error> {
    let failing = StreamReader::new(stream::iter([Err::<Bytes, _>(io::Error::new(kind, reason))]));
    let (client, connection) =
        Config::new().user("nobody").connect_raw(tokio::io::join(failing, tokio::io::sink()), NoTls).await?;
    let driver = tokio::spawn(async move {
        let _ = connection.await;
    });
    Ok((client, driver))
}
