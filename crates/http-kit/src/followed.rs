//! A stream that another service tells, over a connection of its own and with little memory: a process passes on thousands.
//!
//! A client of HTTP/1.1 keeps buffers of some 10 KiB for each connection. A request of HTTP/1.0 is answered with a body that ends
//! with the connection, so what follows the head is passed on as it is, and nothing is kept while nothing comes.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use poem::http::{Request, Response};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, Sleep},
};

/// So much is read at once: a few events.
const READ_BYTES: usize = 2 * 1024;
/// The system keeps about so much of what is not passed on yet. Left to itself it grows to megabytes.
const RECEIVE_BUFFER_BYTES: usize = 16 * 1024;
/// The head of an answer is smaller: our services' have some 500 bytes and ten lines.
const HEAD_MAX_BYTES: usize = 8 * 1024;
const HEAD_MAX_LINES: usize = 32;

/// The body of an answer, with the connection that it comes over. It is an error where nothing comes for too long.
#[derive(Debug)]
pub struct Followed {
    /// What came with the head.
    first: Bytes,
    stream: TcpStream,
    silence: Duration,
    silent: Pin<Box<Sleep>>,
}

/// Asks another service, and gives its answer as soon as its head has come. Dropping the body closes the connection.
///
/// # Errors
/// What the system or the other service does wrong. There is no limit in time before the head has come.
pub async fn follow(
    address: (&str, u16),
    request: &Request<()>,
    silence: Duration,
) -> io::Result<Response<Followed>> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    rustix::net::sockopt::set_socket_recv_buffer_size(&stream, RECEIVE_BUFFER_BYTES)?;
    stream.write_all(&written(request)).await?;
    let mut head = BytesMut::with_capacity(READ_BYTES);
    loop {
        if stream.read_buf(&mut head).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some((answer, length)) = read_head(&head)? {
            let first = Bytes::copy_from_slice(&head[length..]);
            let silent = Box::pin(tokio::time::sleep(silence));
            return Ok(answer.map(|()| Followed { first, stream, silence, silent }));
        }
        if head.len() > HEAD_MAX_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
    }
}

/// The request as it is sent.
fn written(request: &Request<()>) -> Vec<u8> {
    let mut text = format!("{} {} HTTP/1.0\r\n", request.method(), request.uri()).into_bytes();
    for (name, value) in request.headers() {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            text.extend_from_slice(part);
        }
    }
    text.extend_from_slice(b"\r\n");
    text
}

/// The head of an answer and its length; `None` while a part of it is missing.
fn read_head(bytes: &[u8]) -> io::Result<Option<(Response<()>, usize)>> {
    let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
    let mut lines = [httparse::EMPTY_HEADER; HEAD_MAX_LINES];
    let mut head = httparse::Response::new(&mut lines);
    let httparse::Status::Complete(length) = head.parse(bytes).map_err(invalid)? else { return Ok(None) };
    let mut answer = Response::builder().status(head.code.unwrap_or_default());
    for line in head.headers {
        answer = answer.header(line.name, line.value);
    }
    Ok(Some((answer.body(()).map_err(io::Error::other)?, length)))
}

impl Stream for Followed {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if !this.first.is_empty() {
            return Poll::Ready(Some(Ok(std::mem::take(&mut this.first))));
        }
        loop {
            if this.stream.poll_read_ready(cx)?.is_pending() {
                ready!(this.silent.as_mut().poll(cx));
                return Poll::Ready(Some(Err(io::ErrorKind::TimedOut.into())));
            }
            // There is a buffer only while there is something in it.
            let mut piece = BytesMut::with_capacity(READ_BYTES);
            match this.stream.try_read_buf(&mut piece) {
                Ok(0) => return Poll::Ready(None),
                Ok(_) => {
                    this.silent.as_mut().reset(Instant::now() + this.silence);
                    return Poll::Ready(Some(Ok(piece.freeze())));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::StreamExt;
    use tokio::net::TcpListener;

    /// What a service answers that writes these pieces and then closes, or goes on saying nothing.
    async fn answered(pieces: &'static [&'static str], closes: bool) -> io::Result<Response<Followed>> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = BytesMut::new();
            while !asked.ends_with(b"\r\n\r\n") {
                stream.read_buf(&mut asked).await.unwrap();
            }
            assert_eq!(asked, "GET /events?from=start HTTP/1.0\r\nhost: x:1\r\n\r\n");
            for piece in pieces {
                stream.write_all(piece.as_bytes()).await.unwrap();
                tokio::task::yield_now().await;
            }
            if !closes {
                std::future::pending::<()>().await;
            }
        });
        let request = Request::get("/events?from=start").header("host", "x:1").body(()).unwrap();
        follow(("127.0.0.1", port), &request, Duration::from_millis(200)).await
    }

    #[tokio::test]
    async fn what_is_told_comes_until_the_connection_is_closed() {
        let answer =
            answered(&["HTTP/1.1 200 OK\r\nx-a: ", "1\r\n\r\nfirst", " second"], true).await.unwrap();
        assert_eq!((answer.status().as_u16(), &answer.headers()["x-a"]), (200, &"1".parse().unwrap()));
        let pieces: Vec<_> = answer.into_body().map(Result::unwrap).collect().await;
        assert_eq!(pieces.concat(), b"first second");
    }

    #[tokio::test]
    async fn nothing_for_too_long_is_an_error() {
        let answer = answered(&["HTTP/1.0 404 Not Found\r\n\r\n", "a"], false).await.unwrap();
        assert_eq!(answer.status().as_u16(), 404);
        let mut body = answer.into_body();
        assert_eq!(body.next().await.unwrap().unwrap(), "a");
        assert_eq!(body.next().await.unwrap().unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn what_is_no_answer_is_an_error() {
        let kind = |answer: io::Result<Response<Followed>>| answer.unwrap_err().kind();
        assert_eq!(kind(answered(&["HTTP/1.1 200 OK\r\n"], true).await), io::ErrorKind::UnexpectedEof);
        assert_eq!(kind(answered(&["SSH-2.0-x\r\n\r\n"], false).await), io::ErrorKind::InvalidData);
    }
}
