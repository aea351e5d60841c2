//! One reader serves all event streams of a process.

use super::{Order, Tracking, advance};
use crate::support::eventually;
use std::time::Duration;

const N: &str = "ORD_20261122_001";
/// Of each kind.
const STREAMS: usize = 100;

/// Transactions of this test's database, as far as the connections have told of them, which they do each second.
async fn transactions(t: &Tracking) -> i64 {
    const SQL: &str =
        "select xact_commit + xact_rollback from pg_stat_database where datname = current_database()";
    t.db.query_one(SQL, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn two_hundred_idle_streams_ask_the_database_no_more_than_one_and_all_are_told() {
    let t = Tracking::start().await;
    Order::new(N).insert(&t.db).await;
    let mut streams = Vec::new();
    for _ in 0..STREAMS {
        for path in ["/events".to_owned(), format!("/orders/{N}/events")] {
            let mut stream = t.events(&path, None).await;
            stream.take(1).await;
            streams.push(stream);
        }
    }
    // What the beginnings have cost is counted late; each stream alone would ask once a second.
    let window = Duration::from_secs(3);
    eventually("the streams cost less than a twentieth of a look each", || async {
        let before = transactions(&t).await;
        tokio::time::sleep(window).await;
        transactions(&t).await - before < 30
    })
    .await;
    for status in ["cooking", "ready", "completed"] {
        advance(&t.db, N, status, "chef_anna").await;
        for stream in &mut streams {
            assert_eq!(stream.take(1).await[0].new_status(), status);
        }
    }
}

#[tokio::test]
async fn the_number_of_streams_is_configured() {
    let t = Tracking::with_config("tracking: {max_event_streams: 2}\n").await;
    Order::new(N).insert(&t.db).await;
    let _all = t.events("/events", None).await;
    let own = t.events(&format!("/orders/{N}/events"), None).await;
    let refused = t.http.get("/events").await;
    assert_eq!(refused.status, 503);
    assert!(refused.headers.contains_key("retry-after"));
    drop(own);
    eventually("a stream that ends makes room", || async {
        t.http.stream("/events").send().await.unwrap().status() == 200
    })
    .await;
}
