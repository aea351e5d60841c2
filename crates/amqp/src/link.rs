//! One connection, from its opening to its end.
//!
//! The client library never reconnects, may hang for ever, and keeps saying `is_open` after it has broken. So:
//! - every request runs in a task of its own, which is never cancelled: that would wedge the library. What is bounded
//!   is the waiting for it; after a time-out the whole connection is discarded;
//! - the end is noticed by the drop of a callback that lives in the library's reading task, whatever ended it.

use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use amqprs::callbacks::ConnectionCallback;
use amqprs::connection::{Connection, OpenConnectionArguments};
use amqprs::error::Error as AmqpError;
use amqprs::security::SecurityCredentials;
use amqprs::tls::TlsAdaptor;
use amqprs::{Close, channel::Channel};
use async_trait::async_trait;
use daemon::sync::locked;
use daemon::tls::TlsOptions;
use secrecy::ExposeSecret;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::advice::Advice;
use super::error::BrokerError;
use super::options::BrokerOptions;

/// A channel that the server closed keeps its number in the library for ever; past so many the connection is
/// replaced, well before the usual 2,047 are used up.
const MAX_SPENT_CHANNELS: u32 = 500;

/// Why a connection ended that nobody ended in an orderly way. What the client library cannot read looks the same.
const CUT: &str = "it was cut, or the server went silent";

/// How long a connection's end may be noticed after that of a channel, or after the failure of a request.
const DEATH_NOTICE: Duration = Duration::from_millis(500);
/// How long the farewell to the server may take.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(2);

/// A log-in that ends without a word.
const SILENT: &str = "it closed the connection during the log-in";

/// A connection that was open once. Shared by all who use it; the last one to let go closes it.
#[derive(Debug)]
pub(super) struct Link {
    /// Counts up with every connection of this process.
    pub(super) generation: u64,
    /// Where the server is.
    pub(super) address: (String, u16),
    /// The same as `host:port`.
    pub(super) host: String,
    /// What the server says it is: `RabbitMQ 4.0.5`.
    pub(super) server: String,
    connection: Mutex<Option<Guarded>>,
    death: Arc<Death>,
    spent_channels: AtomicU32,
    /// How long one request may take.
    pub(super) operation_timeout: Duration,
    /// What its errors say that can be done.
    pub(super) advice: Advice,
    /// The runtime that the connection lives on: the library spawns tasks when its handles are dropped.
    pub(super) runtime: Handle,
}

/// That and why a connection ended.
#[derive(Debug, Default)]
struct Death {
    happened: CancellationToken,
    reason: OnceLock<String>,
}

impl Death {
    fn cause(&self, reason: impl Into<String>) {
        // The first reason is the cause, what follows are its consequences.
        let _ = self.reason.set(reason.into());
        self.happened.cancel();
    }
}

/// The library's handle, without its `Debug`, which it does not have.
struct Guarded(Connection);

impl std::fmt::Debug for Guarded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connection")
    }
}

impl Link {
    /// Connects to one host and logs in.
    pub(super) async fn open(
        options: &BrokerOptions,
        (host, port): &(String, u16),
        generation: u64,
    ) -> Result<Arc<Self>, BrokerError> {
        let address = format!("{host}:{port}");
        let arguments = open_arguments(options, host, *port)?;
        let mut opening = tokio::spawn(async move { Connection::open(&arguments).await });
        let opened = tokio::time::timeout(options.connect_timeout, &mut opening).await;
        let connection = match opened {
            Ok(Ok(Ok(connection))) => connection,
            Ok(Ok(Err(error))) => {
                let error = explain_open(options, address, &error.to_string());
                return Err(unless_nobody_is_there(error, options, host, *port).await);
            }
            Ok(Err(panic)) => {
                return Err(BrokerError::Unreachable { host: address, reason: panic.to_string() });
            }
            Err(_elapsed) => {
                // Nothing runs on this connection yet but its opening: dropping it closes the socket.
                opening.abort();
                let reason = format!("no answer within {} ms", options.connect_timeout.as_millis());
                return Err(BrokerError::Unreachable { host: address, reason });
            }
        };
        if connection.heartbeat() < 2 {
            let reason = "the server's heartbeat is below 2 s; raise `heartbeat` in rabbitmq.conf".to_owned();
            return Err(BrokerError::Unusable { reason });
        }
        let said = connection.server_properties();
        let server = format!("{} {}", said.product(), said.version());
        let link = Arc::new(Self {
            generation,
            server,
            address: (host.clone(), *port),
            host: address,
            connection: Mutex::new(Some(Guarded(connection.clone()))),
            death: Arc::default(),
            spent_channels: AtomicU32::new(0),
            operation_timeout: options.operation_timeout,
            advice: options.advice,
            runtime: Handle::current(),
        });
        let watcher = Watcher(link.death.clone());
        link.bounded(
            "the connection's callbacks",
            async move { connection.register_callback(watcher).await },
        )
        .await?;
        Ok(link)
    }

    /// Ends when the connection has ended or was given up.
    pub(super) async fn dead(&self) {
        self.death.happened.cancelled().await;
    }

    pub(super) fn is_dead(&self) -> bool {
        self.death.happened.is_cancelled()
    }

    /// Whether it ended without a word from either side, were it a moment after what was seen of it.
    pub(super) async fn was_cut(&self) -> bool {
        let _ = tokio::time::timeout(DEATH_NOTICE, self.dead()).await;
        self.death.reason.get().is_some_and(|reason| reason == CUT)
    }

    /// The loss as an error.
    pub(super) fn lost(&self) -> BrokerError {
        let reason = self.death.reason.get().cloned();
        BrokerError::ConnectionLost { reason: reason.unwrap_or_else(|| "it ended".to_owned()) }
    }

    /// The library's own view. It says `true` for long after a connection has broken, never `false` too early.
    pub(super) fn claims_to_be_open(&self) -> bool {
        self.connection().is_some_and(|connection| connection.is_open())
    }

    /// Gives the connection up: it is not trusted any more. Everybody who uses it learns it at once.
    pub(super) fn discard(&self, reason: impl Into<String>) {
        self.death.cause(reason);
        self.let_go();
    }

    /// A channel has been closed by the server, and its number with it.
    pub(super) fn count_spent_channel(&self) {
        if self.spent_channels.fetch_add(1, Ordering::Relaxed) == MAX_SPENT_CHANNELS {
            self.discard(format!("the server closed {MAX_SPENT_CHANNELS} channels of it"));
        }
    }

    /// Closes it in an orderly way, or at least soon.
    pub(super) async fn close(&self) {
        let _ = self.death.reason.set("this process closed it".to_owned());
        let taken = locked(&self.connection).take();
        if let Some(Guarded(connection)) = taken {
            let closing = tokio::spawn(connection.close());
            let _ = tokio::time::timeout(GOODBYE_TIMEOUT, closing).await;
        }
        self.death.happened.cancel();
    }

    /// Opens a channel on it.
    pub(super) async fn open_channel(self: &Arc<Self>) -> Result<Channel, BrokerError> {
        let connection = self.connection().ok_or_else(|| self.lost())?;
        self.bounded("a channel", async move { connection.open_channel(None).await }).await
    }

    /// Runs one request of the library, uncancelled, and waits for it until the connection dies or the time is up.
    pub(super) async fn bounded<T: Send + 'static>(
        &self,
        what: &str,
        request: impl Future<Output = Result<T, AmqpError>> + Send + 'static,
    ) -> Result<T, BrokerError> {
        let task = tokio::spawn(request);
        tokio::select! {
            biased;
            answer = task => match answer {
                Ok(Ok(value)) => Ok(value),
                Ok(Err(_)) if self.is_dead() => Err(self.lost()),
                Ok(Err(error)) => Err(BrokerError::ConnectionLost { reason: error.to_string() }),
                Err(panic) => {
                    self.discard(format!("the client failed at {what}: {panic}"));
                    Err(self.lost())
                }
            },
            () = self.dead() => Err(self.lost()),
            () = tokio::time::sleep(self.operation_timeout) => {
                self.discard(format!("no answer to {what} within {} ms", self.operation_timeout.as_millis()));
                Err(BrokerError::TimedOut { what: what.to_owned(), after: self.operation_timeout })
            }
        }
    }

    /// Whether the server answers a request within this time. Unlike other requests a late answer is no reason to give
    /// the connection up.
    pub(super) async fn answers(&self, within: Duration) -> bool {
        let connection = self.connection().filter(|_| !self.is_dead());
        let Some(connection) = connection else { return false };
        // Not cancelled: the channel is closed when the answer comes after all.
        let asked = tokio::spawn(async move { connection.open_channel(None).await.is_ok() });
        matches!(tokio::time::timeout(within, asked).await, Ok(Ok(true)))
    }

    fn connection(&self) -> Option<Connection> {
        let connection = locked(&self.connection);
        connection.as_ref().map(|Guarded(connection)| connection.clone())
    }

    fn let_go(&self) {
        let _runtime = self.runtime.enter();
        drop(locked(&self.connection).take());
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.let_go();
    }
}

/// Lives in the library's reading task and dies with it, even when that panics.
struct Watcher(Arc<Death>);

impl Drop for Watcher {
    fn drop(&mut self) {
        self.0.cause(CUT);
    }
}

#[async_trait]
impl ConnectionCallback for Watcher {
    async fn close(&mut self, _: &Connection, close: Close) -> Result<(), AmqpError> {
        self.0.cause(format!("the server closed it: {} (code {})", close.reply_text(), close.reply_code()));
        Ok(())
    }

    async fn blocked(&mut self, _: &Connection, _: String) {}

    async fn unblocked(&mut self, _: &Connection) {}

    async fn secret_updated(&mut self, _: &Connection) {}
}

fn open_arguments(
    options: &BrokerOptions,
    host: &str,
    port: u16,
) -> Result<OpenConnectionArguments, BrokerError> {
    if options.vhost.len() > 255 {
        return Err(BrokerError::Unusable { reason: "rabbitmq.vhost is longer than 255 bytes".to_owned() });
    }
    // The library joins host and port with a colon: an IPv6 address needs its brackets.
    let joinable =
        if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host.to_owned() };
    let mut arguments = OpenConnectionArguments::default();
    arguments
        .host(&joinable)
        .port(port)
        .virtual_host(&options.vhost)
        .connection_name(&options.connection_name)
        .heartbeat(options.heartbeat_s())
        .credentials(SecurityCredentials::new_plain(&options.user, options.password.expose_secret()));
    if let Some(tls) = &options.tls {
        arguments.tls_adaptor(adaptor(tls, host)?);
    }
    Ok(arguments)
}

fn adaptor(options: &TlsOptions, host: &str) -> Result<TlsAdaptor, BrokerError> {
    let config = options
        .client_config()
        .map_err(|error| BrokerError::Unusable { reason: format!("rabbitmq.tls.ca_file: {error}") })?;
    Ok(TlsAdaptor::new(Arc::new(config).into(), host.to_owned()))
}

/// Tells a server that is away from one that does not want us. RabbitMQ answers a wrong password by closing the
/// connection without a word to clients that, like this library, do not announce that they understand the word.
fn explain_open(options: &BrokerOptions, host: String, text: &str) -> BrokerError {
    let silent = ["peer shutdown", "connection interrupted", "reset by peer", "Broken pipe"];
    let silent = silent.iter().any(|sign| text.contains(sign));
    let refusal = reply_text(text).or_else(|| silent.then(|| SILENT.to_owned()));
    match refusal {
        Some(reason) => BrokerError::LoginRefused {
            host,
            user: options.user.clone(),
            vhost: options.vhost.clone(),
            reason,
        },
        None => {
            let reason = text.trim_start_matches("AMQP network error: network io error: ").to_owned();
            BrokerError::Unreachable { host, reason }
        }
    }
}

/// A connection that is closed without a word may have been closed by a proxy that has no server behind it, or by
/// something that is no RabbitMQ: a server greets before anybody has to log in. What is encrypted is not asked again.
async fn unless_nobody_is_there(
    error: BrokerError,
    options: &BrokerOptions,
    host: &str,
    port: u16,
) -> BrokerError {
    match error {
        BrokerError::LoginRefused { host: address, reason, .. }
            if reason == SILENT
                && options.tls.is_none()
                && !is_greeted((host, port), options.connect_timeout).await =>
        {
            let reason =
                "it closed the connection before the AMQP handshake; is RabbitMQ behind that proxy or port?";
            BrokerError::Unreachable { host: address, reason: reason.to_owned() }
        }
        error => error,
    }
}

/// Whether a server answers the protocol header with the first frame of AMQP 0-9-1, which is of type 1.
async fn is_greeted(address: (&str, u16), within: Duration) -> bool {
    let greeting = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(b"AMQP\x00\x00\x09\x01").await?;
        stream.read_u8().await
    };
    matches!(tokio::time::timeout(within, greeting).await, Ok(Ok(1)))
}

/// The server's words out of the debug form of its `close` frame, which is all that the library hands out.
fn reply_text(debug: &str) -> Option<String> {
    let (_, after) = debug.split_once("reply_text: ")?;
    let (_, quoted) = after.split_once('"')?;
    let (text, _) = quoted.split_once('"')?;
    Some(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::tests::Jobs;

    fn explain(text: &str) -> BrokerError {
        explain_open(&BrokerOptions::new(Arc::new(Jobs)), "h:1".to_owned(), text)
    }

    #[test]
    fn a_refused_connection_is_told_from_a_refused_log_in() {
        let away = explain("AMQP network error: network io error: Connection refused (os error 111)");
        assert!(
            matches!(&away, BrokerError::Unreachable { reason, .. } if reason.starts_with("Connection refused"))
        );
        for text in ["peer shutdown", "network io error: Connection reset by peer (os error 104)"] {
            let refused = explain(&format!("AMQP network error: {text}"));
            assert!(matches!(refused, BrokerError::LoginRefused { .. }), "{refused}");
        }
    }

    #[test]
    fn the_servers_words_are_found_in_a_debug_text() {
        let text = r#"failed to open connection, reason: Close(MethodHeader { class_id: 10, method_id: 50 }, Close { reply_code: 530, reply_text: ShortStr(36, "NOT_ALLOWED - vhost nowhere not found"), class_id: 10, method_id: 40 })"#;
        let refused = explain(text).to_string();
        assert!(refused.contains("NOT_ALLOWED - vhost nowhere not found"), "{refused}");
        assert!(refused.contains("rabbitmq.vhost"), "{refused}");
    }
}
