//! The byte stream of a connection, with the patience that a server should have and no more.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep},
};

/// How long a closed connection is still listened to: while nothing comes, in all, and for how many bytes.
const LINGER_IDLE: Duration = Duration::from_secs(1);
const LINGER: Duration = Duration::from_secs(10);
const LINGER_MAX_BYTES: usize = 16 * 1024 * 1024;

/// A TCP stream that gives up on a client which accepts nothing, and that closes so that the client gets the answer.
///
/// Closing a socket with unread input makes the system send a reset, which can destroy an answer that is still on its
/// way: that of a 413, when the client is still sending its body. So a close sends the end of our side first, and
/// throws away what comes until the client has ended its own, within [`LINGER`].
#[derive(Debug)]
pub(super) struct PatientStream {
    inner: TcpStream,
    write_timeout: Duration,
    /// When to give up: on the write that is stuck, or on the client that does not close.
    timer: Option<Pin<Box<Sleep>>>,
    end_sent: bool,
    lingered_bytes: usize,
    linger_until: Option<Instant>,
}

impl PatientStream {
    pub(super) fn new(inner: TcpStream, write_timeout: Duration) -> Self {
        Self { inner, write_timeout, timer: None, end_sent: false, lingered_bytes: 0, linger_until: None }
    }

    /// Passes on the outcome of a write; one that is pending for too long becomes an error.
    fn watch<T>(&mut self, cx: &mut Context<'_>, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.timer = None;
            return outcome;
        }
        let timeout = self.write_timeout;
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut scratch = [0; 4096];
        let until = *self.linger_until.get_or_insert_with(|| Instant::now() + LINGER);
        while self.lingered_bytes < LINGER_MAX_BYTES && Instant::now() < until {
            let mut buffer = ReadBuf::new(&mut scratch);
            match Pin::new(&mut self.inner).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    self.lingered_bytes += buffer.filled().len();
                    self.timer = None;
                }
                Poll::Ready(_) => return Poll::Ready(Ok(())),
                Poll::Pending => {
                    let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(LINGER_IDLE)));
                    ready!(timer.as_mut().poll(cx));
                    return Poll::Ready(Ok(()));
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for PatientStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl AsyncWrite for PatientStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.watch(cx, outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.inner).poll_write_vectored(cx, parts);
        self.watch(cx, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.inner).poll_flush(cx);
        self.watch(cx, outcome)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.end_sent {
            ready!(Pin::new(&mut self.inner).poll_shutdown(cx))?;
            self.end_sent = true;
            self.timer = None;
        }
        self.poll_linger(cx)
    }
}
