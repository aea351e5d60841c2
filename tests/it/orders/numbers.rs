//! Order numbers: a sequence a day with no gap and no repeat, however many ask at once.

use super::client::{OrderService, spawn};
use crate::support::{Http, TestEnv, answer, eventually, takeout};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// Places so many orders from each of so many clients at once; returns the sequence numbers in the order of arrival.
async fn rush(http: &Http, clients: usize, orders_each: usize) -> Vec<u64> {
    let clients = (0..clients).map(|_| {
        let http = http.clone();
        tokio::spawn(async move {
            let mut sequences = Vec::new();
            for _ in 0..orders_each {
                sequences.push(sequence(&http.place(&takeout()).await));
            }
            sequences
        })
    });
    let mut sequences = Vec::new();
    for client in clients.collect::<Vec<_>>() {
        sequences.extend(client.await.unwrap());
    }
    sequences
}

/// The `NNN` of a number, which must be written as the contract has it.
fn sequence(number: &str) -> u64 {
    let parts: Vec<&str> = number.split('_').collect();
    let [prefix, day, sequence] = parts[..] else { panic!("{number}") };
    let value: u64 = sequence.parse().unwrap();
    assert_eq!((prefix, day.len(), sequence), ("ORD", 8, format!("{value:03}").as_str()), "{number}");
    value
}

fn assert_gapless(sequences: &[u64], count: u64) {
    assert_eq!(sequences.len() as u64, count);
    assert_eq!(sequences.iter().copied().collect::<BTreeSet<_>>(), (1..=count).collect());
}

#[tokio::test]
async fn fifty_connections_at_once_get_numbers_without_gap_or_repeat() {
    let service = OrderService::start().await;
    assert_gapless(&rush(&service.http, 50, 4).await, 200);
}

#[tokio::test]
async fn two_services_share_one_sequence() {
    let env = TestEnv::new().await;
    let ((_one, one), (_two, two)) = tokio::join!(spawn(&env, &[]), spawn(&env, &[]));
    let (a, b) = tokio::join!(rush(&one, 25, 6), rush(&two, 25, 6));
    assert_gapless(&[a, b].concat(), 300);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_thousand_orders_go_through_one_process_and_past_999_a_digit_is_added() {
    let service = OrderService::start().await;
    let started = Instant::now();
    let sequences = rush(&service.http, 50, 100).await;
    assert_gapless(&sequences, 5000);
    assert!(started.elapsed() < Duration::from_secs(100), "{:?}", started.elapsed());
    let database = service.env.connect().await;
    for (sequence, digits) in [("999", 3), ("1000", 4), ("5000", 4)] {
        let sql = "select count(*) from orders where number ~ ('^ORD_[0-9]{8}_' || $1 || '$') and length(split_part(number, '_', 3)) = $2";
        assert_eq!(
            database.query_one(sql, &[&sequence, &digits]).await.unwrap().get::<_, i64>(0),
            1,
            "{sequence}"
        );
    }
    eventually("all are announced", || async {
        database.query_one("select count(*) from outbox", &[]).await.unwrap().get::<_, i64>(0) == 0
    })
    .await;
    service.env.rabbit.wait_for_depth("kitchen_takeout_queue", 5000).await;
    assert_eq!(service.http.post(&takeout()).await.status, 201);
}

#[tokio::test]
async fn refused_requests_among_good_ones_make_no_gap() {
    let service = OrderService::start().await;
    let bad = {
        let http = service.http.clone();
        tokio::spawn(async move {
            for n in 0..100 {
                http.post_text(if n % 2 == 0 { "{" } else { "{}" }).await;
            }
        })
    };
    assert_gapless(&rush(&service.http, 10, 10).await, 100);
    bad.await.unwrap();
}

#[tokio::test]
async fn a_client_that_hangs_up_leaves_a_whole_order_or_none() {
    let service = OrderService::start().await;
    let body = takeout().to_string();
    let request = format!(
        "POST /orders HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    for n in 0..60_usize {
        let mut stream = TcpStream::connect(service.http.address()).await.unwrap();
        // Some hang up within the request, some right behind it, some a little later: while it is committed.
        let sent = if n % 3 == 0 { request.len() - n } else { request.len() };
        stream.write_all(&request.as_bytes()[..sent]).await.unwrap();
        if n % 3 == 2 {
            tokio::time::sleep(Duration::from_micros(200 * n as u64)).await;
        }
        if n % 2 == 0 {
            // A reset rather than an orderly end.
            stream.set_zero_linger().unwrap();
        }
        drop(stream);
    }
    let keyed = service.http.order_request(body).header("idempotency-key", "last");
    assert_eq!(answer(keyed).await.status, 201);
    let database = service.env.connect().await;
    let counts = async || -> (i64, i64, i64, i64, i64) {
        let sql = "select (select count(*) from orders), (select max(last_sequence) from order_counters),
            (select count(*) from order_items), (select count(*) from order_status_log),
            (select count(distinct number) from orders)";
        let row = database.query_one(sql, &[]).await.unwrap();
        (row.get(0), row.get(1), row.get(2), row.get(3), row.get(4))
    };
    eventually("the same count everywhere", || async {
        let (orders, sequence, items, logged, numbers) = counts().await;
        [sequence, items, logged, numbers].iter().all(|count| *count == orders)
    })
    .await;
    let (orders, ..) = counts().await;
    assert!((1..=41).contains(&orders), "{orders} orders of 40 whole requests and one");
    service.env.rabbit.wait_for_depth("kitchen_takeout_queue", orders.try_into().unwrap()).await;
}
