//! A wire that can be cut, and one that can be put on hold without either end noticing.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Through,
    Hold,
    Cut,
}

/// A TCP relay on a port of its own.
pub struct Proxy {
    address: SocketAddr,
    mode: watch::Sender<Mode>,
}

impl Proxy {
    /// Listens on a free port and leads to `port`.
    pub async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (mode, seen) = watch::channel(Mode::Through);
        tokio::spawn(async move {
            while let Ok((inbound, _)) = listener.accept().await {
                if *seen.borrow() == Mode::Cut {
                    continue;
                }
                let Ok(outbound) = TcpStream::connect(("127.0.0.1", port)).await else { continue };
                let ((in_read, in_write), (out_read, out_write)) =
                    (inbound.into_split(), outbound.into_split());
                tokio::spawn(forward(in_read, out_write, seen.clone()));
                tokio::spawn(forward(out_read, in_write, seen.clone()));
            }
        });
        Self { address, mode }
    }

    /// Where it is, as a pair.
    pub fn host(&self) -> (String, u16) {
        (self.address.ip().to_string(), self.address.port())
    }

    /// Where it is, as the URL of an HTTP service.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Ends all connections and refuses new ones.
    pub fn cut(&self) {
        self.mode.send_replace(Mode::Cut);
    }

    /// Keeps connections open and moves nothing.
    pub fn hold(&self) {
        self.mode.send_replace(Mode::Hold);
    }

    /// As at the beginning.
    pub fn restore(&self) {
        self.mode.send_replace(Mode::Through);
    }
}

async fn forward(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    mut mode: watch::Receiver<Mode>,
) {
    let mut buffer = [0; 16 * 1024];
    loop {
        let current = *mode.borrow_and_update();
        tokio::select! {
            changed = mode.changed() => if changed.is_err() { return },
            read = from.read(&mut buffer), if current == Mode::Through => match read {
                Ok(count) if count > 0 && to.write_all(&buffer[..count]).await.is_ok() => {}
                _ => return,
            },
            () = std::future::ready(()), if current == Mode::Cut => return,
        }
    }
}
