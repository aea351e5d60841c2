//! Services that answer what they are told, and remember what they were asked.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{Http, Role, TestEnv, gateway};

/// Both services in one, behind a gateway.
pub struct Stub {
    asked: Arc<Mutex<Vec<String>>>,
    /// Bytes that streams have told.
    pub told: Arc<AtomicUsize>,
    pub gateway: Role,
    pub http: Http,
    _env: TestEnv,
}

impl Stub {
    /// Each request but those for `/healthz` is answered with this; a stream goes on with `more` for ever.
    pub async fn start(answer: &str, more: Option<&'static [u8]>) -> Self {
        let env = TestEnv::new().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (asked, told) = (Arc::<Mutex<Vec<String>>>::default(), Arc::<AtomicUsize>::default());
        let (answer, log, count) = (answer.to_owned(), Arc::clone(&asked), Arc::clone(&told));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, answer.clone(), more, Arc::clone(&log), Arc::clone(&count)));
            }
        });
        let service = Http::new(url);
        let gateway = gateway(&env, &service, &service);
        let http = Http::of(&gateway).await;
        http.wait_ready().await;
        Self { asked, told, gateway, http, _env: env }
    }

    /// The heads of all requests so far, and of the bodies what came with them.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

async fn serve(
    mut stream: TcpStream,
    answer: String,
    more: Option<&'static [u8]>,
    log: Arc<Mutex<Vec<String>>>,
    told: Arc<AtomicUsize>,
) {
    let (mut head, mut buffer) = (String::new(), [0; 4096]);
    while !head.contains("\r\n\r\n") {
        let Ok(count @ 1..) = stream.read(&mut buffer).await else { return };
        head.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
    }
    if head.starts_with("GET /healthz ") {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
        return;
    }
    log.lock().unwrap().push(head);
    let _ = stream.write_all(answer.as_bytes()).await;
    while let Some(more) = more
        && stream.write_all(more).await.is_ok()
    {
        told.fetch_add(more.len(), Ordering::Relaxed);
    }
}
