//! How connections are treated: limits, slow clients, and the end.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout},
};

use super::*;

const SOON: Duration = Duration::from_secs(5);

async fn connect(server: &Server) -> TcpStream {
    TcpStream::connect(server.address).await.unwrap()
}

/// Sends a text and reads until the server closes.
async fn exchange(mut stream: TcpStream, text: &str) -> String {
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(SOON, stream.read_to_string(&mut answer)).await.expect("the server closes").unwrap();
    answer
}

#[tokio::test]
async fn a_taken_port_is_an_error_that_names_it() {
    let server = Server::start().await;
    let error = Listener::bind("127.0.0.1", server.address.port()).await.unwrap_err();
    assert!(error.to_string().contains(&server.address.to_string()), "{error}");
    let error = Listener::bind("no.such.host.invalid", 80).await.unwrap_err();
    assert!(error.to_string().contains("no.such.host.invalid:80"), "{error}");
}

#[tokio::test]
async fn a_header_that_does_not_end_is_not_awaited_forever() {
    let limits = ServerLimits { header_timeout: Duration::from_millis(200), ..ServerLimits::default() };
    let server = Server::start_with(limits).await;
    let answer = exchange(connect(&server).await, "GET /things HTTP/1.1\r\nHost: x\r\n").await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
}

#[tokio::test]
async fn connections_beyond_the_cap_wait_while_all_are_in_work() {
    let server = Server::start_with(ServerLimits { connections: 2, ..ServerLimits::default() }).await;
    let request = "GET /things HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let (mut first, mut second) = (connect(&server).await, connect(&server).await);
    for stream in [&mut first, &mut second] {
        stream.write_all(b"GET /slow/60000 HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    }
    // For the server to read them in.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut third = connect(&server).await;
    third.write_all(request.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    let early = timeout(Duration::from_millis(300), third.read_exact(&mut answer)).await;
    assert!(early.is_err(), "answered beyond the cap");
    drop(first);
    timeout(SOON, third.read_exact(&mut answer)).await.expect("an answer").unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
}

#[tokio::test]
async fn shutdown_finishes_what_is_in_work_and_takes_nothing_new() {
    let mut server = Server::start().await;
    let url = server.url("/slow/600");
    let client = server.client.clone();
    let in_work = tokio::spawn(async move { client.get(url).send().await.unwrap().text().await.unwrap() });
    let unused = connect(&server).await;
    let metrics = async || server.get("/metrics").await.text().await.unwrap();
    let deadline = Instant::now() + SOON;
    while !metrics().await.contains("http_requests_in_flight 2") {
        assert!(Instant::now() < deadline, "the request is not in work");
    }
    server.shutdown.cancel();
    timeout(SOON, &mut server.task).await.expect("an end before the stop time").unwrap();
    assert_eq!(in_work.await.unwrap(), "600");
    assert!(TcpStream::connect(server.address).await.is_err());
    drop(unused);
}

#[tokio::test]
async fn shutdown_does_not_wait_longer_than_the_stop_time() {
    let limits = ServerLimits { drain_timeout: Duration::from_millis(300), ..ServerLimits::default() };
    let mut server = Server::start_with(limits).await;
    let mut stream = connect(&server).await;
    stream.write_all(b"GET /slow/60000 HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    while !server.get("/metrics").await.text().await.unwrap().contains("http_requests_in_flight 2") {}
    server.shutdown.cancel();
    timeout(SOON, &mut server.task).await.expect("an end after the stop time").unwrap();
}

#[tokio::test]
async fn a_client_that_is_still_sending_gets_the_answer() {
    let server = Server::start().await;
    let mut stream = connect(&server).await;
    let head = "POST /impatient HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut reader, mut writer) = stream.into_split();
    let sender = tokio::spawn(async move {
        for _ in 0..100 {
            if writer.write_all(&[b'x'; 10_000]).await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
    });
    let mut answer = String::new();
    timeout(SOON, reader.read_to_string(&mut answer)).await.expect("an end").unwrap();
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    sender.await.unwrap();
}

#[tokio::test]
async fn a_connection_goes_on_behind_a_body_that_was_not_admitted() {
    let server = Server::start().await;
    server.full.store(true, Ordering::Relaxed);
    let head =
        "POST /things HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n\r\n";
    let body = "x".repeat(60_000);
    let next = "GET /things/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let answers = exchange(connect(&server).await, &format!("{head}{body}{next}")).await;
    assert!(answers.starts_with("HTTP/1.1 503") && answers.contains("HTTP/1.1 200"), "{answers}");
}

#[tokio::test]
async fn shutdown_ends_streams_of_events() {
    let mut server = Server::start().await;
    let mut response = server.get("/events").await;
    response.chunk().await.unwrap().unwrap();
    let started = Instant::now();
    server.shutdown.cancel();
    while response.chunk().await.expect("an orderly end").is_some() {}
    timeout(SOON, &mut server.task).await.expect("an end").unwrap();
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_body_that_stops_coming_is_a_408() {
    let server = Server::start().await;
    let head = "POST /impatient HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{";
    let mut stream = connect(&server).await;
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    timeout(SOON, stream.read_exact(&mut answer)).await.expect("an answer").unwrap();
    assert_eq!(&answer, b"HTTP/1.1 408");
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_cut_off() {
    let limits = ServerLimits { write_timeout: Duration::from_millis(200), ..ServerLimits::default() };
    let server = Server::start_with(limits).await;
    let mut stalled = connect(&server).await;
    // More than fits into the system's buffers.
    stalled.write_all("GET /docs HTTP/1.1\r\nHost: x\r\n\r\n".repeat(50).as_bytes()).await.unwrap();
    let deadline = Instant::now() + SOON;
    while !server.get("/metrics").await.text().await.unwrap().contains("http_connections_open 1\n") {
        assert!(Instant::now() < deadline, "it is not cut off");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_request_that_comes_while_the_server_stops_is_answered_before_its_connection_closes() {
    for (request, kept) in [
        ("GET /things HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200"),
        ("GET /things HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "HTTP/1.0 200"),
    ] {
        let limits = ServerLimits { idle_drain_timeout: Duration::from_secs(30), ..ServerLimits::default() };
        let mut server = Server::start_with(limits).await;
        let mut stream = connect(&server).await;
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        while !answer.ends_with("[7]") {
            let byte = timeout(SOON, stream.read_u8()).await.expect("an answer").unwrap();
            answer.push(byte.into());
        }
        assert!(answer.starts_with(kept), "{answer}");
        server.shutdown.cancel();
        // For the server to close the connection in, which it must not.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let last = exchange(stream, request).await.to_lowercase();
        assert!(last.starts_with(&kept.to_lowercase()), "{last}");
        assert!(last.contains("connection: close\r\n") && !last.contains("keep-alive"), "{last}");
        timeout(SOON, &mut server.task).await.expect("nothing is left to wait for").unwrap();
    }
}
