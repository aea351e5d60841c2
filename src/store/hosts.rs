//! Several hosts of one database: each gets its own time, so that a frozen one does not keep the others from being
//! tried.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use deadpool_postgres::Connect;
use tokio::task::JoinHandle;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{Client, Config, Error, Socket};

use super::session::Session;
use super::sharing::says_full;

/// Connects to the first host that answers as it should, beginning with the one that did so last.
///
/// tokio-postgres does the same with a list of hosts, but its time limit ends with the TCP connection: a server that
/// is paused, or a network that swallows the log-in, would be waited for until the pool gives up, every time anew.
pub(super) struct EachHost<T> {
    /// Each with one host; never empty.
    hosts: Vec<Config>,
    tls: T,
    timeout: Duration,
    session: Arc<Session>,
    /// The host that was connected to last.
    last: AtomicUsize,
}

impl<T> EachHost<T> {
    /// With the configuration of each host, in order, the time that one of them may take, log-in included, and what a
    /// connection begins with. The last that is tried is left to the pool's own limit.
    pub(super) fn new(hosts: Vec<Config>, tls: T, timeout: Duration, session: Arc<Session>) -> Self {
        Self { hosts, tls, timeout, session, last: AtomicUsize::new(0) }
    }
}

type Connecting<'a> = Pin<Box<dyn Future<Output = Result<(Client, JoinHandle<()>), Error>> + Send + 'a>>;

impl<T> Connect for EachHost<T>
where
    T: MakeTlsConnect<Socket> + Clone + Sync + Send + 'static,
    T::Stream: Sync + Send,
    T::TlsConnect: Sync + Send,
    <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
{
    fn connect(&self, _: &Config) -> Connecting<'_> {
        Box::pin(async move {
            let count = self.hosts.len().max(1);
            let first = self.last.load(Ordering::Relaxed);
            let mut full = None;
            for at in (0..count.saturating_sub(1)).map(|n| (first + n) % count) {
                match tokio::time::timeout(self.timeout, self.connect_to(at)).await {
                    Ok(Ok(connected)) => return Ok(connected),
                    Ok(Err(error)) if says_full(&error) => full = Some(error),
                    Ok(Err(_)) | Err(_) => {}
                }
            }
            // That the primary has no connection left says more than that a standby is none.
            self.connect_to((first + count - 1) % count).await.map_err(|error| full.unwrap_or(error))
        })
    }
}

impl<T> EachHost<T>
where
    T: MakeTlsConnect<Socket> + Clone + Sync + Send + 'static,
    T::Stream: Sync + Send,
    T::TlsConnect: Sync + Send,
    <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
{
    async fn connect_to(&self, at: usize) -> Result<(Client, JoinHandle<()>), Error> {
        let (client, connection) = self.hosts[at].connect(self.tls.clone()).await?;
        let session = Arc::clone(&self.session);
        let driver = tokio::spawn(async move {
            // How the connection ends is met by whoever uses it, and told there.
            if connection.await.is_err() {
                session.doubt();
            }
        });
        self.session.open(&client).await?;
        self.last.store(at, Ordering::Relaxed);
        Ok((client, driver))
    }
}
