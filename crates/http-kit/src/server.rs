//! The server: connections, their limits, and an orderly end.
//!
//! It drives hyper itself rather than through poem's `Server`, which has no deadline for the header of a request (a
//! client that sends a byte a minute keeps its connection for ever), boxes every connection and locks on each read.
//! HTTP/1.1 only: HTTP/2 in the clear is for proxies, and they speak HTTP/1.1.

use std::{
    convert::Infallible,
    io,
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use daemon::systemd::Heartbeat;
use hyper::{
    body::{Body, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use poem::{
    Endpoint,
    http::{self, HeaderValue, header, uri::Scheme},
    web::{LocalAddr, RemoteAddr},
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    address::TrustedProxies,
    answer::Answer,
    app::App,
    framing,
    hosts::AllowedHosts,
    places::{Admission, Place, PlaceLimits, Places, Seat},
    problem::Problem,
    stream::PatientStream,
};

/// Limits of the server. Every one of them has an answer when it is reached.
#[derive(Debug, Clone)]
pub struct ServerLimits {
    /// Open connections. Where there are so many, who keeps the server waiting longest gives way to the next; while all
    /// are in work, the next wait in the system's queue.
    pub connections: usize,
    /// Open connections of one address (of one /64 of IPv6). Beyond them it makes room for itself in the same way; while
    /// all of its own are in work, it is refused.
    pub connections_per_address: usize,
    /// Who holds connections for many, and has no share.
    pub trusted_proxies: TrustedProxies,
    /// The hosts that requests may be for.
    pub allowed_hosts: AllowedHosts,
    /// For the header of a request, and for the next request on an idle connection; then it is closed.
    pub header_timeout: Duration,
    /// The same while all places are taken; it shrinks to this from where half of them are.
    pub header_timeout_when_full: Duration,
    /// Bytes of a request's header; beyond them it is answered with 431.
    pub header_max_bytes: usize,
    /// A client that accepts nothing of its response for this long is cut off.
    pub write_timeout: Duration,
    /// On shutdown: how long requests in work may take; then their connections are cut.
    pub drain_timeout: Duration,
    /// On shutdown: how long a connection without a request is kept, for one that is already on its way.
    pub idle_drain_timeout: Duration,
}

impl ServerLimits {
    fn of_places(&self) -> PlaceLimits {
        PlaceLimits {
            connections: self.connections,
            per_address: self.connections_per_address,
            patience: self.header_timeout,
            patience_when_full: self.header_timeout_when_full,
        }
    }
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            connections: 1024,
            connections_per_address: 512,
            trusted_proxies: TrustedProxies::default(),
            allowed_hosts: AllowedHosts::default(),
            header_timeout: Duration::from_secs(30),
            header_timeout_when_full: Duration::from_secs(2),
            header_max_bytes: 64 * 1024,
            write_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(10),
            idle_drain_timeout: Duration::from_millis(500),
        }
    }
}

/// How often it is looked, while places are scarce, who keeps the server waiting for too long.
const SWEEP: Duration = Duration::from_millis(500);

/// What a client is told to wait whose address has its share in work.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// How soon it is looked again for a place for who has none.
const TRY_AGAIN: Duration = Duration::from_millis(20);

/// The system holds at most this much of an answer for a client that does not read it, and doubles it for its own
/// book-keeping. Left to itself it lets each connection grow to megabytes; 128 KiB are a megabyte a second over 100 ms.
const SEND_BUFFER_BYTES: usize = 64 * 1024;

/// Has a role listen elsewhere.
const PORT_FLAG: &str = "--port";

/// Why the server cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Another program has the port.
    #[error(
        "cannot listen on {address}: the port is in use; end the other program or choose another with {flag}"
    )]
    PortInUse {
        /// `host:port` as asked for.
        address: String,
        /// The flag that changes it.
        flag: &'static str,
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
    heartbeat: Heartbeat,
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
            io::ErrorKind::AddrInUse => ServerError::PortInUse { address: named(), flag: PORT_FLAG },
            _ => ServerError::Listen { address: named(), source },
        };
        let socket = TcpListener::bind((host, port)).await.map_err(error)?;
        Self::of(socket).map_err(error)
    }

    /// The same at once, without a resolver's patience, for a port that `flag` names.
    ///
    /// # Errors
    /// As for [`Self::bind`].
    pub fn bind_for(flag: &'static str, host: IpAddr, port: u16) -> Result<Self, ServerError> {
        let address = SocketAddr::new(host, port);
        let bound = std::net::TcpListener::bind(address).map_err(|source| match source.kind() {
            io::ErrorKind::AddrInUse => ServerError::PortInUse { address: address.to_string(), flag },
            _ => ServerError::Listen { address: address.to_string(), source },
        });
        Self::from_std(bound?)
    }

    /// Takes over a socket that is bound already, one from systemd for instance.
    ///
    /// # Errors
    /// [`ServerError::Listen`] where it is not a listening TCP socket.
    pub fn from_std(socket: std::net::TcpListener) -> Result<Self, ServerError> {
        let error =
            |source| ServerError::Listen { address: "the socket given to the process".to_owned(), source };
        socket.set_nonblocking(true).map_err(error)?;
        TcpListener::from_std(socket).and_then(Self::of).map_err(error)
    }

    fn of(socket: TcpListener) -> io::Result<Self> {
        let address = socket.local_addr()?;
        // The connections inherit it.
        rustix::net::sockopt::set_socket_send_buffer_size(&socket, SEND_BUFFER_BYTES)?;
        Ok(Self { socket, address, heartbeat: Heartbeat::default() })
    }

    /// With a watchdog heartbeat of the loop that accepts connections.
    #[must_use]
    pub fn with_heartbeat(self, heartbeat: Heartbeat) -> Self {
        Self { heartbeat, ..self }
    }

    /// The address that clients connect to, with the true port.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }
}

/// Serves until `shutdown`; then takes no new connection, finishes the requests in work within
/// [`ServerLimits::drain_timeout`], and returns. Endless responses must watch the same token.
pub async fn serve(mut listener: Listener, app: App, limits: ServerLimits, shutdown: CancellationToken) {
    let places = Places::new(&limits.of_places(), app.connection_metrics());
    let app = app.with_allowed_hosts(limits.allowed_hosts.clone());
    let shared = Arc::new(Shared { app, limits, shutdown, address: LocalAddr(listener.address.into()) });
    let mut connections = JoinSet::new();
    let mut failing = false;
    let mut accepted = None;
    let mut next_sweep = Instant::now();
    loop {
        tokio::select! {
            biased;
            () = shared.shutdown.cancelled() => break,
            () = listener.heartbeat.due() => continue,
            () = tokio::time::sleep_until(next_sweep), if places.are_scarce() => {
                places.sweep();
                next_sweep = Instant::now() + SWEEP;
            }
            connection = accept(&listener.socket, &mut failing), if accepted.is_none() => {
                accepted = Some(connection);
            }
            () = places.changed(), if accepted.is_some() => {}
            () = tokio::time::sleep(TRY_AGAIN), if accepted.is_some() => {}
        }
        if let Some(connection) = accepted.take() {
            if places.are_scarce() {
                // What has come on the others is read first: nobody is sent away whose request is here already.
                tokio::task::yield_now().await;
                tokio::task::yield_now().await;
            }
            accepted = admit(&shared, &places, &mut connections, connection);
        }
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

/// Serves a connection if there is a place for it; where it has to wait for one it is given back.
fn admit(
    shared: &Arc<Shared>,
    places: &Arc<Places>,
    connections: &mut JoinSet<()>,
    (stream, address): (TcpStream, SocketAddr),
) -> Option<(TcpStream, SocketAddr)> {
    let peer = Peer { address, is_proxy: shared.limits.trusted_proxies.contains(address.ip()) };
    match places.admit(address, peer.is_proxy) {
        Admission::Seat(seat) => {
            let id = seat.id();
            let task = connections.spawn(connection(Arc::clone(shared), stream, peer, seat));
            places.served_by(id, task);
            None
        }
        Admission::Refused => {
            refuse(&stream, shared.app.problem_types());
            None
        }
        Admission::Full => Some((stream, address)),
    }
}

struct Shared {
    app: App,
    limits: ServerLimits,
    shutdown: CancellationToken,
    address: LocalAddr,
}

/// Who is at the other end.
#[derive(Clone, Copy)]
struct Peer {
    address: SocketAddr,
    /// Its word on its clients' addresses is taken.
    is_proxy: bool,
}

/// The next connection. A failure to accept (no file descriptors, mostly) is told once and waited out.
async fn accept(socket: &TcpListener, failing: &mut bool) -> (TcpStream, SocketAddr) {
    loop {
        match socket.accept().await {
            Ok(accepted) => {
                *failing = false;
                return accepted;
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

/// Tells a client whose address has its share in work to come again, if it is quick enough to hear it.
fn refuse(stream: &TcpStream, problem_types: &str) {
    let problem = Problem::unavailable(
        RETRY_AFTER,
        "your address has as many requests in work as it may; try again in a moment",
    );
    let _ = stream.try_write(&framing::refusal(&problem, problem_types));
}

/// One connection until its end.
async fn connection(shared: Arc<Shared>, stream: TcpStream, peer: Peer, seat: Seat) {
    // Without it an answer may wait 40 ms for an acknowledgement. A connection that is gone already says so below.
    let _ = stream.set_nodelay(true);
    let used = AtomicBool::new(false);
    let service = service_fn(|request| {
        used.store(true, Ordering::Relaxed);
        let (shared, place) = (&shared, seat.place());
        async move { Ok::<_, Infallible>(shared.answer(request, peer, place).await) }
    });
    let stream = PatientStream::new(
        stream,
        shared.limits.write_timeout,
        Arc::clone(seat.place()),
        seat.metrics().clone(),
        shared.app.problem_types(),
    );
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

impl Shared {
    async fn answer(
        &self,
        mut request: http::Request<Incoming>,
        peer: Peer,
        place: &Arc<Place>,
    ) -> http::Response<Answer<impl Body<Data = Bytes, Error = io::Error> + Unpin + use<>>> {
        if !request.body().is_end_stream() {
            // It is the client's turn until its body is here as well; who reads that says so.
            place.wait();
            request.extensions_mut().insert(Arc::clone(place));
        } else if !place.serve() {
            // The connection is being cut.
            std::future::pending::<()>().await;
        }
        let version = request.version();
        let client = self.client_of(&request, peer);
        let request = (request, self.address.clone(), client, Scheme::HTTP).into();
        let mut response: http::Response<_> = self.app.get_response(request).await.into();
        if self.shutdown.is_cancelled() {
            // To an HTTP/1.0 client hyper would say `keep-alive` as well, unless the answer is HTTP/1.0 itself.
            *response.version_mut() = version;
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response.map(|body| Answer::new(body, Arc::clone(place)))
    }

    /// The address that a request counts for: the peer's, or the one that a trusted proxy names.
    fn client_of(&self, request: &http::Request<Incoming>, peer: Peer) -> RemoteAddr {
        match peer.is_proxy {
            true => {
                let client = self.limits.trusted_proxies.client(request.headers(), peer.address.ip());
                RemoteAddr(SocketAddr::new(client, 0).into())
            }
            false => RemoteAddr(peer.address.into()),
        }
    }
}
