//! The stream of tickets: all screens tell the same.

use std::time::{Duration, Instant};

use super::Grill;
use crate::support::Events;
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
