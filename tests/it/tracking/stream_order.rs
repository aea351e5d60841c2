//! `GET /events` tells of every change exactly once, in whatever order transactions commit.

use super::{Order, Tracking, advance};
use crate::support::DEADLINE;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

#[tokio::test]
async fn a_change_with_a_smaller_id_that_commits_late_is_not_missed() {
    let t = Tracking::start().await;
    let slow = t.env.connect().await;
    let mut stream = t.events("/events", None).await;
    // The first id is drawn and held back; the second is committed.
    slow.batch_execute("begin").await.unwrap();
    Order::new("ORD_20261122_001").insert(&slow).await;
    Order::new("ORD_20261122_002").insert(&t.db).await;
    let mut own = t.events("/orders/ORD_20261122_002/events", None).await;
    assert_eq!(own.take(1).await[0].new_status(), "received", "an order's own stream waits for nobody");
    // Whatever is told before the commit: it must not make the late one a past one.
    let early = tokio::time::timeout(Duration::from_millis(300), stream.next_whenever()).await.ok().flatten();
    slow.batch_execute("commit").await.unwrap();
    let mut told: Vec<_> = early.into_iter().collect();
    while told.len() < 2 {
        told.push(stream.next().await.unwrap());
    }
    let mut orders: Vec<&str> = told.iter().map(|event| event.order()).collect();
    orders.sort_unstable();
    assert_eq!(orders, ["ORD_20261122_001", "ORD_20261122_002"]);
    // And behind the first that was told comes the other, whichever it was.
    let rest = t.events("/events", Some(&told[0].id)).await.take(1).await;
    assert_eq!(rest[0], told[1]);
}

/// Writers whose transactions overlap in every way, against a reader that stays and one that comes anew each time.
#[tokio::test]
async fn with_concurrent_writers_every_reader_sees_every_change_exactly_once() {
    const WRITERS: usize = 6;
    const ORDERS: usize = 12;
    const CHANGES: usize = WRITERS * ORDERS * 3;
    let t = Tracking::start().await;
    let mut writers = Vec::new();
    for writer in 0..WRITERS {
        let db = t.env.connect().await;
        writers.push(tokio::spawn(async move {
            let mut random = fastrand::Rng::with_seed(writer as u64);
            for n in 0..ORDERS {
                let number = format!("ORD_2026112{writer}_{:03}", n + 1);
                for step in ["received", "cooking", "ready"] {
                    db.batch_execute("begin").await.unwrap();
                    match step {
                        "received" => Order::new(&number).insert(&db).await,
                        _ => advance(&db, &number, step, "chef_anna").await,
                    }
                    // The id is drawn: others overtake.
                    tokio::time::sleep(Duration::from_millis(random.u64(0..8))).await;
                    db.batch_execute("commit").await.unwrap();
                }
            }
        }));
    }
    let staying = async { t.events("/events?from=start", None).await.take(CHANGES).await };
    // It looks all the time, while transactions are open on every side of what it has seen.
    let returning = async {
        let mut seen: Vec<crate::support::Event> = Vec::new();
        while seen.len() < CHANGES {
            let last = seen.last().map(|event| event.id.clone());
            let mut stream = t.events("/events?from=start", last.as_deref()).await;
            let moment = Duration::from_millis(10);
            while let Ok(Some(event)) = tokio::time::timeout(moment, stream.next_whenever()).await {
                seen.push(event);
            }
        }
        seen
    };
    let (stayed, returned) =
        tokio::time::timeout(DEADLINE * 2, async { tokio::join!(staying, returning) }).await.unwrap();
    for writer in writers {
        writer.await.unwrap();
    }
    for events in [&stayed, &returned] {
        let ids: HashSet<&str> = events.iter().map(|event| event.id.as_str()).collect();
        assert_eq!(ids.len(), CHANGES, "an id twice");
        let mut lives: HashMap<&str, Vec<&str>> = HashMap::new();
        for event in events {
            lives.entry(event.order()).or_default().push(event.new_status());
        }
        assert_eq!(lives.len(), WRITERS * ORDERS);
        assert!(lives.values().all(|life| life == &["received", "cooking", "ready"]), "{lives:?}");
    }
    assert_eq!(stayed, returned);
}
