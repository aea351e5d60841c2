//! The server: connections, their limits, and an orderly end.
//!
//! It drives hyper itself rather than through poem's `Server`, which has no deadline for the header of a request (a
//! client that sends a byte a minute keeps its connection for ever), boxes every connection and locks on each read.
//! HTTP/1.1 only: HTTP/2 in the clear is for proxies, and they speak HTTP/1.1.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use poem::{
    Endpoint,
    http::{self, HeaderValue, header, uri::Scheme},
    web::{LocalAddr, RemoteAddr},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use super::stream::PatientStream;
use crate::runtime::systemd::Pulse;

/// Limits of the server. Every one of them has an answer when it is reached.
#[derive(Debug, Clone)]
pub struct ServerLimits {
    /// Open connections; further ones wait in the system's queue.
    pub connections: usize,
    /// For the header of a request, and for the next request on an idle connection; then it is closed.
    pub header_timeout: Duration,
    /// Bytes of a request's header; beyond them it is answered with 431.
    pub header_max_bytes: usize,
    /// A client that accepts nothing of its response for this long is cut off.
    pub write_timeout: Duration,
    /// On shutdown: how long requests in work may take; then their connections are cut.
    pub drain_timeout: Duration,
    /// On shutdown: how long a connection without a request is kept, for one that is already on its way.
    pub idle_drain_timeout: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            connections: 1024,
            header_timeout: Duration::from_secs(30),
            header_max_bytes: 64 * 1024,
            write_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(10),
            idle_drain_timeout: Duration::from_millis(500),
        }
    }
}

/// Why the server cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Another program has the port.
    #[error(
        "cannot listen on {address}: the port is in use; end the other program or choose another with --port"
    )]
    PortInUse {
        /// `host:port` as asked for.
        address: String,
    },
    /// Anything else.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// `host:port` as asked for.
        address: String,
        /// What the system says.
        source: io::Error,
    },
}

/// A bound socket: clients can connect, and wait until it is served.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    pulse: Pulse,
}

impl Listener {
    /// Binds to a host (a name or an address) and a port; port 0 is any free one.
    ///
    /// # Errors
    /// [`ServerError`], which names host and port.
    pub async fn bind(host: &str, port: u16) -> Result<Self, ServerError> {
        let named = || match host.contains(':') {
            true => format!("[{host}]:{port}"),
            false => format!("{host}:{port}"),
        };
        let error = |source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => ServerError::PortInUse { address: named() },
            _ => ServerError::Listen { address: named(), source },
        };
        let socket = TcpListener::bind((host, port)).await.map_err(error)?;
        let address = socket.local_addr().map_err(error)?;
        Ok(Self { socket, address, pulse: Pulse::default() })
    }

    /// Takes over a socket that is bound already, one from systemd for instance.
    ///
    /// # Errors
    /// [`ServerError::Listen`] where it is not a listening TCP socket.
    pub fn from_std(socket: std::net::TcpListener) -> Result<Self, ServerError> {
        let error =
            |source| ServerError::Listen { address: "the socket given to the process".to_owned(), source };
        socket.set_nonblocking(true).map_err(error)?;
        let address = socket.local_addr().map_err(error)?;
        Ok(Self { socket: TcpListener::from_std(socket).map_err(error)?, address, pulse: Pulse::default() })
    }

    /// With a sign of life of the loop that accepts connections.
    #[must_use]
    pub fn with_pulse(self, pulse: Pulse) -> Self {
        Self { pulse, ..self }
    }

    /// The address that clients connect to, with the true port.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }
}

/// Serves until `shutdown`; then takes no new connection, finishes the requests in work within
/// [`ServerLimits::drain_timeout`], and returns. Endless responses must watch the same token.
pub async fn serve<E>(mut listener: Listener, endpoint: E, limits: ServerLimits, shutdown: CancellationToken)
where
    E: Endpoint + 'static,
{
    let shared = Arc::new(Shared { endpoint, limits, shutdown, address: LocalAddr(listener.address.into()) });
    let slots = Arc::new(Semaphore::new(shared.limits.connections));
    let mut connections = JoinSet::new();
    let mut failing = false;
    loop {
        let (stream, peer, slot) = tokio::select! {
            biased;
            () = shared.shutdown.cancelled() => break,
            () = listener.pulse.due() => continue,
            accepted = accept(&listener.socket, &slots, &mut failing) => accepted,
        };
        connections.spawn(connection(Arc::clone(&shared), stream, peer, slot));
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(shared.limits.drain_timeout, drained).await.is_err() {
        tracing::warn!(
            action = "connections_cut",
            connections = connections.len(),
            "requests took longer than the stop time; their connections are cut"
        );
        connections.shutdown().await;
    }
}

struct Shared<E> {
    endpoint: E,
    limits: ServerLimits,
    shutdown: CancellationToken,
    address: LocalAddr,
}

/// The next connection, once there is a slot for it. A failure to accept (no file descriptors, mostly) is told once
/// and waited out.
async fn accept(
    socket: &TcpListener,
    slots: &Arc<Semaphore>,
    failing: &mut bool,
) -> (TcpStream, SocketAddr, Option<OwnedSemaphorePermit>) {
    // The semaphore is never closed, so there is always a permit.
    let slot = Arc::clone(slots).acquire_owned().await.ok();
    loop {
        match socket.accept().await {
            Ok((stream, peer)) => {
                *failing = false;
                return (stream, peer, slot);
            }
            Err(error) if is_about_one_connection(&error) => {}
            Err(error) => {
                if !std::mem::replace(failing, true) {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(action = "accept_failed", error, "no connection can be accepted for now");
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

fn is_about_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// One connection until its end.
async fn connection<E: Endpoint>(
    shared: Arc<Shared<E>>,
    stream: TcpStream,
    peer: SocketAddr,
    _slot: Option<OwnedSemaphorePermit>,
) {
    // Without it an answer may wait 40 ms for an acknowledgement. A connection that is gone already says so below.
    let _ = stream.set_nodelay(true);
    let used = AtomicBool::new(false);
    let peer = RemoteAddr(peer.into());
    let service = service_fn(|request: http::Request<Incoming>| {
        used.store(true, Ordering::Relaxed);
        let version = request.version();
        let request = (request, shared.address.clone(), peer.clone(), Scheme::HTTP).into();
        let shared = &shared;
        async move {
            let mut response: http::Response<_> = shared.endpoint.get_response(request).await.into();
            if shared.shutdown.is_cancelled() {
                // To an HTTP/1.0 client hyper would say `keep-alive` as well, unless the answer is HTTP/1.0 itself.
                *response.version_mut() = version;
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response)
        }
    });
    let stream = PatientStream::new(stream, shared.limits.write_timeout);
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(shared.limits.header_timeout)
            .max_buf_size(shared.limits.header_max_bytes.max(8192))
            .serve_connection(TokioIo::new(stream), service)
    );
    tokio::select! {
        // A client that breaks the protocol or goes away is no event of ours.
        _ = connection.as_mut() => return,
        () = shared.shutdown.cancelled() => {}
    }
    // The answer to a request that is already on its way says that the connection closes after it. Closed before that, it
    // would be lost, and its sender could not know whether it was heard.
    if tokio::time::timeout(shared.limits.idle_drain_timeout, connection.as_mut()).await.is_ok() {
        return;
    }
    // This closes a connection that waits for its next request, and lets one with a request in work finish it. One that
    // has not had any request yet would be waited for until its header is overdue.
    connection.as_mut().graceful_shutdown();
    while tokio::time::timeout(shared.limits.idle_drain_timeout, connection.as_mut()).await.is_err() {
        if !used.load(Ordering::Relaxed) {
            return;
        }
    }
}
