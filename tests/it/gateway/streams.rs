//! Streams of events through the gateway.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::stub::Stub;
use crate::support::{Counter, Events, Http, Signal, TestEnv, answer, eventually, gateway, takeout};

#[tokio::test]
async fn a_phone_follows_its_order_and_goes_on_after_a_restart() {
    let env = TestEnv::new().await;
    let mut counter = Counter::start(&env).await;
    let number = counter.orders.place(&takeout()).await;
    let path = format!("/api/orders/{number}/events");
    let mut events = Events::open(&counter.http, &path, None).await;
    let first = events.take(1).await.remove(0);
    assert_eq!((first.order(), first.new_status()), (&*number, "received"));

    counter.tracking.signal(Signal::SIGTERM);
    assert_eq!(events.next().await, None, "the page is to come again");
    counter.tracking.wait_exit().await;
    answer(counter.http.stream(&path)).await.problem(503);
    // Another tracking service takes its place, and another gateway knows it.
    let tracking = env.spawn_with(
        &["tracking-service", "--port", "0"],
        &[("RESTAURANT_HTTP_TRUSTED_PROXIES", "127.0.0.1")],
    );
    let tracks = Http::of(&tracking).await;
    let other = gateway(&env, &counter.orders, &tracks);
    let http = Http::of(&other).await;
    tracks.wait_ready().await;
    http.wait_ready().await;
    counter.orders.change(&number, "cancel").await;
    let by_header = Events::open(&http, &path, Some(&first.id)).await.until_end().await;
    let by_query =
        Events::open(&http, &format!("{path}?last_event_id={}", first.id), None).await.until_end().await;
    assert_eq!(by_header.len(), 1, "{by_header:?}");
    assert_eq!((by_header[0].new_status(), &by_header), ("cancelled", &by_query));
    let over = http.request("GET", &path).header("last-event-id", &by_query[0].id);
    assert_eq!(answer(over).await.status, 204, "nothing comes any more");
}

#[tokio::test]
async fn no_more_streams_than_may_be_and_the_others_are_told_to_wait() {
    let env = TestEnv::new().await;
    env.write_config("gateway: {max_event_streams: 2}\n");
    let counter = Counter::start(&env).await;
    let path = format!("/api/orders/{}/events", counter.orders.place(&takeout()).await);
    let first = Events::open(&counter.http, &path, None).await;
    let _second = Events::open(&counter.http, &path, None).await;
    let refused = answer(counter.http.request("GET", &path)).await;
    refused.problem(503);
    assert_ne!(refused.header("retry-after"), "");
    drop(first);
    eventually("a place is free again", || async {
        counter.http.stream(&path).send().await.unwrap().status() == 200
    })
    .await;
}

#[tokio::test]
async fn a_stream_ends_when_the_gateway_stops() {
    let env = TestEnv::new().await;
    let mut counter = Counter::start(&env).await;
    let path = format!("/api/orders/{}/events", counter.orders.place(&takeout()).await);
    let mut events = Events::open(&counter.http, &path, None).await;
    events.take(1).await;
    counter.gateway.signal(Signal::SIGTERM);
    assert_eq!(events.next().await, None);
    assert_eq!(counter.gateway.wait_exit().await.code(), Some(0));
}

#[tokio::test]
async fn nothing_is_kept_for_a_client_that_reads_nothing() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    let stub = Stub::start(head, Some(&COMMENT)).await;
    let _unread = stub.http.stream("/api/board/events").send().await.unwrap();
    let told = || stub.told.load(Ordering::Relaxed);
    eventually("the service is held up", || async {
        let before = told();
        tokio::time::sleep(Duration::from_millis(500)).await;
        before > 0 && told() == before
    })
    .await;
    assert!(told() < 16 << 20, "more than what the system keeps for two connections: {}", told());
}

/// A kibibyte of a comment, as a chunk.
static COMMENT: [u8; 1031] = {
    let mut chunk = [b':'; 1031];
    chunk[0] = b'4';
    chunk[1] = b'0';
    chunk[2] = b'0';
    chunk[3] = b'\r';
    chunk[4] = b'\n';
    chunk[1029] = b'\r';
    chunk[1030] = b'\n';
    chunk
};
