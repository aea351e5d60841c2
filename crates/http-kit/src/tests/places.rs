//! Who gives way when places run out.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    task::JoinSet,
    time::{Instant, timeout},
};

use super::*;

/// Far more than it takes, on a machine with other things to do.
const SOON: Duration = Duration::from_secs(10);
const ASK: &str = "GET /things HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

fn limits(connections: usize) -> ServerLimits {
    ServerLimits { connections, connections_per_address: 2 * connections, ..ServerLimits::default() }
}

async fn connect_from(server: &Server, address: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{address}:0").parse().unwrap()).unwrap();
    socket.connect(server.address).await.unwrap()
}

async fn open(server: &Server, text: &str) -> TcpStream {
    let mut stream = connect_from(server, "127.0.0.1").await;
    stream.write_all(text.as_bytes()).await.unwrap();
    stream
}

async fn status_from(server: &Server, address: &str) -> String {
    let mut stream = connect_from(server, address).await;
    stream.write_all(ASK.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    timeout(SOON, stream.read_exact(&mut answer)).await.expect("an answer in time").unwrap();
    String::from_utf8_lossy(&answer[9..]).into_owned()
}

async fn metric(server: &Server, name: &str) -> u64 {
    // Not over a connection that may have had to give way.
    let client = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap();
    let text = client.get(server.url("/metrics")).send().await.unwrap().text().await.unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).unwrap();
    line.parse().unwrap()
}

async fn until(server: &Server, name: &str, wanted: impl Fn(u64) -> bool) {
    let deadline = Instant::now() + SOON;
    while !wanted(metric(server, name).await) {
        assert!(Instant::now() < deadline, "{name}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Whether the server closes this connection within a time. What it sends before is thrown away.
async fn is_closed(stream: &mut TcpStream, within: Duration) -> bool {
    let mut scratch = vec![0; 65_536];
    let closed = async { while stream.read(&mut scratch).await.is_ok_and(|length| length > 0) {} };
    timeout(within, closed).await.is_ok()
}

/// Every way to hold a connection that costs nothing.
const HOLDS: [&str; 5] = [
    "",
    "GET /things HTTP/1.1\r\nHos",
    "GET /things HTTP/1.1\r\nHost: x\r\n\r\n",
    "POST /things HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{",
    "GET /docs HTTP/1.1\r\nHost: x\r\n\r\nGET /docs HTTP/1.1\r\nHost: x\r\n\r\nGET /docs HTTP/1.1\r\nHost: x\r\n\r\n",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_client_is_served_while_silent_ones_fight_for_all_places() {
    let server = Arc::new(Server::start_with(limits(64)).await);
    let mut silent = JoinSet::new();
    for n in 0..100 {
        let server = Arc::clone(&server);
        silent.spawn(async move {
            loop {
                let mut stream = open(&server, HOLDS[n % HOLDS.len()]).await;
                // Reads nothing, so that it holds on to an answer as well.
                let mut byte = [0];
                while stream.peek(&mut byte).await.is_ok_and(|length| length > 0) {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    let _ = stream.write_all(b"").await;
                    if stream.try_write(b"x").is_err() {
                        break;
                    }
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
    }
    until(&server, "http_connections_refused_total", |count| count > 50).await;
    for _ in 0..10 {
        assert_eq!(status_from(&server, "127.0.0.1").await, "200");
    }
    silent.shutdown().await;
}

#[tokio::test]
async fn whoever_keeps_the_server_waiting_gives_way() {
    for hold in HOLDS {
        let server = Server::start_with(limits(1)).await;
        let mut holder = open(&server, hold).await;
        // Accepted first, and with all that it has sent read.
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(status_from(&server, "127.0.0.1").await, "200", "{hold:?}");
        assert!(is_closed(&mut holder, SOON).await, "{hold:?}");
    }
}

#[tokio::test]
async fn requests_in_work_and_open_streams_never_give_way() {
    let server = Server::start_with(limits(3)).await;
    let mut stream = open(&server, "GET /events HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let mut begun = [0; 12];
    timeout(SOON, stream.read_exact(&mut begun)).await.expect("events").unwrap();
    let mut in_work = open(&server, "GET /slow/1500 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    until(&server, "http_requests_in_flight", |count| count > 1).await;
    for _ in 0..20 {
        assert_eq!(status_from(&server, "127.0.0.1").await, "200");
    }
    let mut answer = String::new();
    timeout(SOON, in_work.read_to_string(&mut answer)).await.expect("an answer").unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("1500"), "{answer}");
    assert!(!is_closed(&mut stream, Duration::from_millis(300)).await);
}

#[tokio::test]
async fn who_has_its_share_in_work_is_refused_and_others_are_served() {
    let server = Server::start_with(ServerLimits { connections_per_address: 2, ..limits(8) }).await;
    let slow = "GET /slow/60000 HTTP/1.1\r\nHost: x\r\n\r\n";
    let _in_work = [open(&server, slow).await, open(&server, slow).await];
    let mut third = connect_from(&server, "127.0.0.1").await;
    let mut answer = [0; 12];
    let outcome = timeout(SOON, third.read_exact(&mut answer)).await.expect("an answer");
    assert!(outcome.is_err() || answer.ends_with(b"503"), "{answer:?}");
    assert_eq!(status_from(&server, "127.0.0.2").await, "200");
}

#[tokio::test]
async fn who_has_its_share_in_silence_makes_room_for_itself() {
    let server = Server::start_with(ServerLimits { connections_per_address: 2, ..limits(8) }).await;
    let mut other = connect_from(&server, "127.0.0.2").await;
    let mut silent = [open(&server, "").await, open(&server, "").await];
    assert_eq!(status_from(&server, "127.0.0.1").await, "200");
    assert!(is_closed(&mut silent[0], SOON).await);
    assert!(!is_closed(&mut other, Duration::from_millis(100)).await);
}

#[tokio::test]
async fn the_address_that_holds_most_gives_way_first() {
    let server = Server::start_with(limits(4)).await;
    let mut lone = connect_from(&server, "127.0.0.2").await;
    let _many = [open(&server, "").await, open(&server, "").await, open(&server, "").await];
    for _ in 0..5 {
        assert_eq!(status_from(&server, "127.0.0.3").await, "200");
    }
    assert!(!is_closed(&mut lone, Duration::from_millis(100)).await);
}

/// Asks for a stream of events as on behalf of `192.0.2.host`; its status, and the connection, which stays open.
async fn stream_for(server: &Server, from: &str, host: u8) -> (String, TcpStream) {
    let mut stream = connect_from(server, from).await;
    let ask = format!("GET /events HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.{host}\r\n\r\n");
    stream.write_all(ask.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    timeout(SOON, stream.read_exact(&mut answer)).await.expect("an answer").unwrap();
    (String::from_utf8_lossy(&answer[9..]).into_owned(), stream)
}

#[tokio::test]
async fn an_address_has_a_share_of_the_streams_also_behind_a_trusted_proxy() {
    let proxies = ["127.0.0.2/32"].iter().map(|net| net.parse().unwrap()).collect();
    let limits = ServerLimits { trusted_proxies: proxies, ..limits(32) };
    let server = Server::start_with(limits.clone()).await;
    let mut open = Vec::new();
    for _ in 0..5 {
        open.push(stream_for(&server, "127.0.0.2", 1).await);
    }
    assert!(open.iter().all(|(status, _)| status == "200"));
    assert_eq!(stream_for(&server, "127.0.0.2", 1).await.0, "503");
    assert_eq!(stream_for(&server, "127.0.0.2", 2).await.0, "200");
    // Who is no trusted proxy is who it is, whatever it says.
    let server = Server::start_with(limits).await;
    for host in 1..=5 {
        open.push(stream_for(&server, "127.0.0.3", host).await);
        assert_eq!(open.last().unwrap().0, "200");
    }
    assert_eq!(stream_for(&server, "127.0.0.3", 6).await.0, "503");
}

#[tokio::test]
async fn a_proxy_that_is_trusted_has_no_share() {
    let proxies = ["127.0.0.2/32"].iter().map(|net| net.parse().unwrap()).collect();
    let limits = ServerLimits { connections_per_address: 1, trusted_proxies: proxies, ..limits(4) };
    let server = Server::start_with(limits).await;
    let mut first = connect_from(&server, "127.0.0.2").await;
    assert_eq!(status_from(&server, "127.0.0.2").await, "200");
    assert!(!is_closed(&mut first, Duration::from_millis(100)).await);
}

#[tokio::test]
async fn patience_shrinks_as_places_fill() {
    let impatient = ServerLimits { header_timeout_when_full: Duration::from_millis(100), ..limits(4) };
    let server = Server::start_with(impatient).await;
    let mut alone = open(&server, "GET /th").await;
    assert!(!is_closed(&mut alone, Duration::from_secs(1)).await, "there are places");
    let mut more = [open(&server, "").await, open(&server, "").await, open(&server, "").await];
    assert!(is_closed(&mut alone, SOON).await);
    // With half of the places free again, the rest may stay.
    assert!(
        !is_closed(&mut more[2], Duration::from_secs(1)).await
            || metric(&server, "http_connections_open").await <= 2
    );
}

#[tokio::test]
async fn a_client_that_takes_a_little_now_and_then_is_cut_off() {
    let limits = ServerLimits { write_timeout: Duration::from_millis(500), ..limits(8) };
    let server = Server::start_with(limits).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut slow = socket.connect(server.address).await.unwrap();
    slow.write_all(b"GET /docs HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut piece = [0; 1024];
    let deadline = Instant::now() + SOON;
    while slow.read(&mut piece).await.is_ok_and(|length| length > 0) {
        if metric(&server, "http_connections_open").await == 1 {
            return;
        }
        assert!(Instant::now() < deadline, "it is still served");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn the_system_holds_little_of_what_nobody_reads() {
    let server = Server::start().await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut deaf = socket.connect(server.address).await.unwrap();
    deaf.write_all(b"GET /docs HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    // Then all that the system takes has been given to it.
    deaf.readable().await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    server.shutdown.cancel();
    server.task.abort();
    let mut left = Vec::new();
    let _ = timeout(SOON, deaf.read_to_end(&mut left)).await.expect("an end");
    assert!(left.len() < 400_000, "{} bytes", left.len());
}

#[tokio::test]
async fn who_asks_for_the_head_of_the_documents_gets_no_body() {
    let server = Server::start().await;
    for path in ["/docs", "/openapi.json"] {
        let response = server.client.head(server.url(path)).send().await.unwrap();
        assert_eq!(response.status(), 200);
        let length: usize = response.headers()["content-length"].to_str().unwrap().parse().unwrap();
        let packed =
            server.client.get(server.url(path)).header("accept-encoding", "gzip").send().await.unwrap();
        assert_eq!(packed.headers()["content-encoding"], "gzip");
        let tag = packed.headers()["etag"].clone();
        assert!(packed.bytes().await.unwrap().len() < length / 2, "{path}");
        let again = server.client.get(server.url(path)).header("accept-encoding", "gzip");
        let again = again.header("if-none-match", tag).send().await.unwrap();
        assert_eq!(again.status(), 304);
        assert_eq!(server.get(path).await.bytes().await.unwrap().len(), length);
    }
}
