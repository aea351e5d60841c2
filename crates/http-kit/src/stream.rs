//! The byte stream of a connection, with the patience that a server should have and no more.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep},
};

use super::{framing, metrics::ConnectionMetrics, places::Place};

/// How long a closed connection is still listened to: while nothing comes, in all, and for how many bytes.
const LINGER_IDLE: Duration = Duration::from_secs(1);
const LINGER: Duration = Duration::from_secs(10);
const LINGER_MAX_BYTES: usize = 16 * 1024 * 1024;

/// A client that is behind has to take this much within the write time-out (1 KiB a second): who takes a byte now and
/// then would have its answer kept for ever.
const PROGRESS_MIN_BYTES: usize = 32 * 1024;

/// A TCP stream that gives up on a client which accepts nothing, and that closes so that the client gets the answer.
///
/// Closing a socket with unread input makes the system send a reset, which can destroy an answer that is still on its
/// way: that of a 413, when the client is still sending its body. So a close sends the end of our side first, and
/// throws away what comes until the client has ended its own, within [`LINGER`].
#[derive(Debug)]
pub(super) struct PatientStream {
    inner: TcpStream,
    write_timeout: Duration,
    place: Arc<Place>,
    metrics: ConnectionMetrics,
    problem_types: &'static str,
    /// What is said in place of hyper's answer to what it cannot read, and how long that one was.
    substitute: Option<(Bytes, usize)>,
    /// What came with the connection has not been read yet.
    is_new: bool,
    /// When to give up: on the client that is behind, or on the one that does not close.
    timer: Option<Pin<Box<Sleep>>>,
    /// What a client that is behind has taken since the timer was set.
    progress_bytes: usize,
    end_sent: bool,
    lingered_bytes: usize,
    linger_until: Option<Instant>,
}

impl PatientStream {
    pub(super) fn new(
        inner: TcpStream,
        write_timeout: Duration,
        place: Arc<Place>,
        metrics: ConnectionMetrics,
        problem_types: &'static str,
    ) -> Self {
        Self {
            inner,
            write_timeout,
            place,
            metrics,
            problem_types,
            substitute: None,
            is_new: true,
            timer: None,
            progress_bytes: 0,
            end_sent: false,
            lingered_bytes: 0,
            linger_until: None,
        }
    }

    /// Passes on the outcome of a write of so many bytes; a client that is behind for too long becomes an error.
    fn watch(
        &mut self,
        cx: &mut Context<'_>,
        offered_bytes: usize,
        outcome: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match &outcome {
            Poll::Ready(Ok(taken_bytes)) => {
                self.place.moved();
                self.progress_bytes += taken_bytes;
                if *taken_bytes >= offered_bytes || self.progress_bytes >= PROGRESS_MIN_BYTES {
                    self.timer = None;
                }
                outcome
            }
            Poll::Ready(Err(_)) => outcome,
            Poll::Pending => {
                self.place.stalled();
                let (timeout, progress_bytes) = (self.write_timeout, &mut self.progress_bytes);
                let timer = self.timer.get_or_insert_with(|| {
                    *progress_bytes = 0;
                    Box::pin(tokio::time::sleep(timeout))
                });
                ready!(timer.as_mut().poll(cx));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }

    /// Where these bytes are the bare answer of hyper to what it cannot read: writes a problem document in their place.
    fn poll_substitute(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Option<Poll<io::Result<usize>>> {
        if self.substitute.is_none() {
            let status = framing::status_of_bare(bytes)?;
            self.metrics.record_unreadable(status);
            let document = framing::document(bytes, status, self.problem_types);
            self.substitute = Some((document, bytes.len()));
        }
        while let Some((document, stands_for_bytes)) = &mut self.substitute {
            if document.is_empty() {
                let stands_for_bytes = *stands_for_bytes;
                self.substitute = None;
                return Some(Poll::Ready(Ok(stands_for_bytes)));
            }
            let outcome = Pin::new(&mut self.inner).poll_write(cx, document);
            let offered_bytes = document.len();
            match self.watch(cx, offered_bytes, outcome) {
                Poll::Ready(Ok(taken_bytes)) => {
                    if let Some((document, _)) = &mut self.substitute {
                        document.advance(taken_bytes);
                    }
                }
                other => return Some(other),
            }
        }
        None
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
        let outcome = Pin::new(&mut self.inner).poll_read(cx, buffer);
        if outcome.is_pending() && std::mem::take(&mut self.is_new) {
            self.place.read_out();
        }
        outcome
    }
}

impl AsyncWrite for PatientStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if let Some(outcome) = self.poll_substitute(cx, bytes) {
            return outcome;
        }
        let outcome = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.watch(cx, bytes.len(), outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let Some(outcome) = parts.first().and_then(|first| self.poll_substitute(cx, first)) {
            return outcome;
        }
        let outcome = Pin::new(&mut self.inner).poll_write_vectored(cx, parts);
        self.watch(cx, parts.iter().map(|part| part.len()).sum(), outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A socket has nothing to flush.
        Pin::new(&mut self.inner).poll_flush(cx)
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
