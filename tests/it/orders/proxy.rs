//! A TCP relay in front of a server: a server that comes later, without starting one.

use tokio::net::{TcpSocket, TcpStream};

/// A port where nobody listens until it is opened.
pub struct Proxy {
    socket: TcpSocket,
}

impl Proxy {
    /// Connections are refused; the port is held, so that nobody else gets it.
    pub fn closed() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        Self { socket }
    }

    /// Where clients connect to.
    pub fn port(&self) -> u16 {
        self.socket.local_addr().unwrap().port()
    }

    /// From now on connections are passed on to this port.
    pub fn open(self, to: u16) {
        let listener = self.socket.listen(64).unwrap();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let Ok(mut server) = TcpStream::connect(("127.0.0.1", to)).await else { return };
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
    }
}
