//! A connection without TLS, over which the password is told to nobody: whoever listens at the server's port may ask for
//! it in clear, or for its MD5 hash, which serves as well as the password does. SCRAM proves that one knows the password, and that
//! the server does. tokio-postgres answers all of them, so what the server asks for is looked at before it sees that.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, ready as ready_or_pending};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};

/// What a server asks for when somebody logs in, by the protocol's numbers.
const LOGGED_IN: u32 = 0;
const CLEAR_TEXT: u32 = 3;
const MD5: u32 = 5;
const SASL: u32 = 10;

/// In place of an encryption: hands the connection on as it is, but for the password. It has to be used with
/// `SslNegotiation::Direct`, which tells the server nothing of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unencrypted {
    /// Whether there is a password at all.
    pub(super) has_password: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> MakeTlsConnect<S> for Unencrypted {
    type Stream = Guarded<S>;
    type TlsConnect = Self;
    type Error = Infallible;

    fn make_tls_connect(&mut self, _: &str) -> Result<Self, Infallible> {
        Ok(*self)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> TlsConnect<S> for Unencrypted {
    type Stream = Guarded<S>;
    type Error = Infallible;
    type Future = Ready<Result<Guarded<S>, Infallible>>;

    fn connect(self, stream: S) -> Self::Future {
        ready(Ok(self.guard(stream)))
    }
}

impl Unencrypted {
    fn guard<S>(self, stream: S) -> Guarded<S> {
        Guarded { stream, log_in: LogIn { has_password: self.has_password, ..LogIn::default() } }
    }

    /// Connects to the Unix socket in this folder, which tokio-postgres does without such a guard only.
    ///
    /// # Errors
    /// With the socket's name.
    pub(super) async fn connect_to_socket(
        self,
        folder: &Path,
        port: u16,
    ) -> Result<Guarded<UnixStream>, (io::ErrorKind, String)> {
        let socket = folder.join(format!(".s.PGSQL.{port}"));
        match UnixStream::connect(&socket).await {
            Ok(stream) => Ok(self.guard(stream)),
            Err(error) => Err((error.kind(), format!("cannot connect to {}: {error}", socket.display()))),
        }
    }
}

/// A connection on which a question for the password is an error.
pub(super) struct Guarded<S> {
    stream: S,
    log_in: LogIn,
}

/// How far the log-in has come: the server's messages so far were looked at. Each is a letter, its length without the
/// letter, and what it says, which for a question (`R`) begins with a number.
#[derive(Default)]
struct LogIn {
    has_password: bool,
    is_over: bool,
    /// The message's beginning, as far as it is there.
    beginning: [u8; 9],
    filled: usize,
    /// So much of it is of no interest any more.
    rest: usize,
}

impl LogIn {
    /// Looks at what the server sends next.
    ///
    /// # Errors
    /// It asks for what it is not told.
    fn look_at(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !self.is_over && !bytes.is_empty() {
            if self.rest > 0 {
                let passed = self.rest.min(bytes.len());
                self.rest -= passed;
                bytes = &bytes[passed..];
                continue;
            }
            self.beginning[self.filled] = bytes[0];
            self.filled += 1;
            bytes = &bytes[1..];
            let [kind, a, b, c, d, question @ ..] = self.beginning;
            let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
            let is_question = kind == b'R' && length >= 8;
            match self.filled {
                5 if !is_question => (self.filled, self.rest) = (0, length.saturating_sub(4)),
                9 => {
                    self.judge(u32::from_be_bytes(question))?;
                    (self.filled, self.rest) = (0, length - 8);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn judge(&mut self, question: u32) -> io::Result<()> {
        let what = match question {
            LOGGED_IN => {
                self.is_over = true;
                return Ok(());
            }
            CLEAR_TEXT | MD5 | SASL if !self.has_password => {
                return Err(io::Error::other(
                    "the server asks for a password, and none is configured: set database.password_file, or have pg_hba.conf \
                     ask for `peer` on this socket",
                ));
            }
            CLEAR_TEXT => "the password in clear text",
            MD5 => "the password's MD5 hash",
            _ => return Ok(()),
        };
        Err(io::Error::other(format!(
            "the server asks for {what} over a connection without TLS, and is not told it: have pg_hba.conf ask for \
             scram-sha-256, and set the account's password anew with password_encryption = scram-sha-256; or set database.tls"
        )))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { stream, log_in } = &mut *self;
        let before = buf.filled().len();
        ready_or_pending!(Pin::new(stream).poll_read(cx, buf))?;
        let looked_at = log_in.look_at(&buf.filled()[before..]);
        if looked_at.is_err() {
            // The question itself is not passed on.
            buf.set_filled(before);
        }
        Poll::Ready(looked_at)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream for Guarded<S> {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTICE: &[u8] = b"N\0\0\0\x08\0\0\0\x03";
    const SCRAM: &[u8] = b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0";
    const OK: &[u8] = b"R\0\0\0\x08\0\0\0\0";
    const ASKS_IN_CLEAR: &[u8] = b"R\0\0\0\x08\0\0\0\x03";
    const ASKS_FOR_MD5: &[u8] = b"R\0\0\0\x0c\0\0\0\x05salt";

    /// What is said of these messages, whole and byte by byte.
    fn said_of(messages: &[&[u8]], has_password: bool) -> Option<String> {
        let bytes = messages.concat();
        let start = || LogIn { has_password, ..LogIn::default() };
        let (mut whole, mut bytewise) = (start(), start());
        let said = |looked_at: io::Result<()>| looked_at.err().map(|error| error.to_string());
        let whole = said(whole.look_at(&bytes));
        let bytewise = said(bytes.chunks(1).try_for_each(|byte| bytewise.look_at(byte)));
        assert_eq!(whole, bytewise);
        whole
    }

    #[test]
    fn scram_is_answered_and_what_comes_after_the_log_in_is_of_no_interest() {
        assert_eq!(said_of(&[SCRAM, OK, ASKS_IN_CLEAR], true), None);
        assert_eq!(said_of(&[NOTICE, OK], false), None, "trust and peer ask for nothing");
    }

    #[test]
    fn a_password_is_not_told_wherever_the_question_stands() {
        for (question, what) in [(ASKS_IN_CLEAR, "clear text"), (ASKS_FOR_MD5, "MD5")] {
            for before in [&[][..], &[NOTICE], &[SCRAM, NOTICE]] {
                let said = said_of(&[before, &[question]].concat(), true).unwrap_or_default();
                assert!(said.contains(what) && said.contains("scram-sha-256"), "{said}");
            }
        }
    }

    #[test]
    fn who_has_no_password_is_told_where_to_put_one() {
        for question in [ASKS_IN_CLEAR, ASKS_FOR_MD5, SCRAM] {
            let said = said_of(&[question], false).unwrap_or_default();
            assert!(said.contains("none is configured") && said.contains("peer"), "{said}");
        }
    }
}
