//! The stream of tickets: all screens tell the same.

use std::time::{Duration, Instant};

use super::Grill;
use crate::support::{Events, TestEnv, blocking, eventually};
use serde_json::json;

const A: &str = "ORD_20261130_001";
const B: &str = "ORD_20261130_002";

#[tokio::test]
async fn a_stream_begins_with_what_is_and_goes_on_with_each_change() {
    let grill = Grill::start().await;
    grill.ticket(A).await;
    let mut stream = Events::open(&grill.http, "/station/events", None).await;
    let first = stream.next().await.unwrap();
    assert_eq!((first.event.as_str(), &first.data["tickets"][0]["order_number"]), ("tickets", &json!(A)));
    assert_eq!(first.data["revision"], first.id);
    grill.does("start", A, 1).await.ok();
    let second = stream.next().await.unwrap();
    assert!(second.data["tickets"][0]["started_at"].is_string() && second.id != first.id);
    // What nobody of this process has done.
    grill.ticket(B).await;
    assert_eq!(stream.next().await.unwrap().data["tickets"].as_array().unwrap().len(), 2);
    drop(stream);
    grill.cancel(A).await;
    let mut again = Events::open(&grill.http, "/station/events", Some(&second.id)).await;
    assert_eq!(again.next().await.unwrap().data["tickets"][0]["status"], "cancelled");
}

#[tokio::test]
async fn two_screens_agree_within_a_second() {
    let grill = Grill::start().await;
    grill.ticket(A).await;
    let mut screens = [
        Events::open(&grill.http, "/station/events", None).await,
        Events::open(&grill.http, "/station/events", None).await,
    ];
    for screen in &mut screens {
        screen.next().await.unwrap();
    }
    for what in ["start", "items/0/done", "items/1/done", "bump", "recall"] {
        let begun = Instant::now();
        let done = grill.does(what, A, 1).await.ok();
        let mut shown = Vec::new();
        for screen in &mut screens {
            let event = screen.next().await.unwrap();
            assert_eq!(event.data["tickets"][0], done, "{what}");
            shown.push(event.id);
        }
        assert_eq!(shown[0], shown[1], "{what}");
        assert!(begun.elapsed() < Duration::from_secs(1), "{what}: {:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn a_screen_is_told_nothing_while_postgresql_is_away_and_the_truth_when_it_is_back() {
    let mut grill = Grill::on(TestEnv::with_own_servers().await).await;
    grill.ticket(A).await;
    let mut screen = Events::open(&grill.http, "/station/events", None).await;
    let first = screen.next().await.unwrap();
    let servers = grill.env.servers.clone();
    blocking(move || servers.postgres.kill()).await;
    let refused = grill.does("bump", A, 1).await;
    refused.problem(503);
    assert!(refused.header("retry-after").parse::<u64>().unwrap() > 0);
    grill.http.get("/station/tickets").await.problem(503);
    let silence = tokio::time::timeout(Duration::from_secs(2), screen.next_whenever()).await;
    assert!(silence.is_err(), "{silence:?}");
    let servers = grill.env.servers.clone();
    blocking(move || servers.postgres.restart()).await.unwrap();
    eventually("the bump is kept", async || grill.does("bump", A, 1).await.status == 200).await;
    let told = screen.next().await.unwrap();
    assert!(told.id != first.id && told.data["tickets"][0]["bumped_at"].is_string(), "{told:?}");
    grill.db = grill.env.connect().await;
    assert!(grill.finish(A).await);
    assert_eq!(screen.next().await.unwrap().data["ready"][0]["order_number"], json!(A));
}
