//! `GET /orders/{n}/events` and `GET /events` as a client sees them.

use super::{Order, Tracking, advance, keys, utc};
use crate::support::{Signal, TestEnv, answer, eventually, token_act};
use restaurant_system::domain::OrderNumber;
use restaurant_system::store::StaffOutcome;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const N: &str = "ORD_20261122_001";
const LIFE: [&str; 4] = ["received", "cooking", "ready", "completed"];

async fn whole_life(t: &Tracking, number: &str) {
    Order::new(number).insert(&t.db).await;
    for status in &LIFE[1..] {
        advance(&t.db, number, status, "chef_anna").await;
    }
}

#[tokio::test]
async fn a_recalled_orders_stream_tells_each_attempt_and_ends_when_it_is_completed() {
    let t = Tracking::start().await;
    let number = "ORD_20261122_001";
    Order::new(number).insert(&t.db).await;
    let mut stream = t.events(&format!("/orders/{number}/events"), None).await;
    for status in ["cooking", "ready"] {
        advance(&t.db, number, status, "chef_anna").await;
    }
    let store = t.env.store(Duration::from_secs(10)).await;
    let recalled =
        store.recall_order(&OrderNumber::parse(number).unwrap(), &token_act(), Duration::from_secs(60)).await;
    assert_eq!(recalled.unwrap(), StaffOutcome::Done { from: restaurant_system::domain::Status::Ready });
    for status in ["ready", "completed"] {
        advance(&t.db, number, status, "chef_anna").await;
    }
    let told = stream.until_end().await;
    let statuses: Vec<&str> = told.iter().map(|event| event.new_status()).collect();
    assert_eq!(statuses, ["received", "cooking", "ready", "cooking", "ready", "completed"]);
    assert_eq!(
        (&told[3].data["old_status"], &told[3].data["changed_by"]),
        (&json!("ready"), &json!("staff:api"))
    );
}

#[tokio::test]
async fn the_history_comes_first_then_each_change_until_the_final_status() {
    let t = Tracking::start().await;
    Order::new(N).insert(&t.db).await;
    advance(&t.db, N, "cooking", "chef_anna").await;
    let mut stream = t.events(&format!("/orders/{N}/events"), None).await;
    let mut events = stream.take(2).await;
    for status in ["ready", "completed"] {
        advance(&t.db, N, status, "chef_anna").await;
        events.extend(stream.take(1).await);
    }
    assert_eq!(stream.next().await, None, "it ends after a final status");
    let old = [Value::Null, json!("received"), json!("cooking"), json!("ready")];
    for ((event, status), old) in events.iter().zip(LIFE).zip(old) {
        assert_eq!(event.event, "status");
        assert!(!event.id.is_empty());
        assert_eq!(
            keys(&event.data),
            ["changed_by", "estimated_completion", "new_status", "old_status", "order_number", "timestamp"]
        );
        assert_eq!((event.order(), event.new_status(), &event.data["old_status"]), (N, status, &old));
        utc(&event.data["timestamp"]);
    }
    assert_eq!(events[0].data["changed_by"], "order-service");
    assert_eq!(events[1].data["changed_by"], "chef_anna");
}

#[tokio::test]
async fn it_resumes_behind_every_event_with_no_gap_and_no_repeat() {
    let t = Tracking::start().await;
    whole_life(&t, N).await;
    Order::new("ORD_20261122_002").insert(&t.db).await;
    let path = format!("/orders/{N}/events");
    let whole = t.events(&path, None).await.until_end().await;
    assert_eq!(whole.iter().map(|e| e.new_status()).collect::<Vec<_>>(), LIFE);
    for seen in 1..whole.len() {
        let rest = t.events(&path, Some(&whole[seen - 1].id)).await.until_end().await;
        assert_eq!(rest, whole[seen..]);
    }
    // Behind the last there is nothing, and the browser is told not to come back.
    let last = answer(t.http.request("GET", &path).header("last-event-id", &whole[3].id)).await;
    assert_eq!((last.status, last.text.as_str()), (204, ""));

    let all = t.events("/events?from=start", None).await.take(5).await;
    for seen in 1..all.len() {
        let rest = t.events("/events", Some(&all[seen - 1].id)).await.take(5 - seen).await;
        assert_eq!(rest, all[seen..]);
    }
}

#[tokio::test]
async fn a_cancelled_order_ends_its_stream() {
    let t = Tracking::start().await;
    Order::new(N).insert(&t.db).await;
    let mut stream = t.events(&format!("/orders/{N}/events"), None).await;
    stream.take(1).await;
    advance(&t.db, N, "cancelled", "staff").await;
    let last = stream.until_end().await;
    assert_eq!(last.len(), 1);
    assert_eq!((last[0].new_status(), &last[0].data["old_status"]), ("cancelled", &json!("received")));
}

#[tokio::test]
async fn what_an_order_was_is_what_its_log_says() {
    let t = Tracking::start().await;
    Order::new(N).insert(&t.db).await;
    advance(&t.db, N, "cancelled", "staff").await;
    let otherwise = "update order_status_log set previous_status = 'cooking' where status = 'cancelled'";
    t.db.execute(otherwise, &[]).await.unwrap();
    for path in [format!("/orders/{N}/events"), "/events?from=start".to_owned()] {
        let told = t.events(&path, None).await.take(2).await;
        assert_eq!(
            (&told[0].data["old_status"], &told[1].data["old_status"]),
            (&Value::Null, &json!("cooking"))
        );
    }
}

#[tokio::test]
async fn every_client_gets_everything() {
    let t = Tracking::start().await;
    Order::new(N).insert(&t.db).await;
    let mut streams = Vec::new();
    for _ in 0..5 {
        streams.push(t.events(&format!("/orders/{N}/events"), None).await);
    }
    for status in &LIFE[1..] {
        advance(&t.db, N, status, "chef_anna").await;
    }
    for stream in &mut streams {
        let events = stream.until_end().await;
        assert_eq!(events.iter().map(|e| e.new_status()).collect::<Vec<_>>(), LIFE);
    }
}

#[tokio::test]
async fn an_id_that_was_never_given_is_refused() {
    let t = Tracking::start().await;
    Order::new(N).insert(&t.db).await;
    for id in ["x", "1", "1-", "-1", "1-2-3", "99999999999999999999-1", "1.5-1"] {
        for path in ["/events".to_owned(), format!("/orders/{N}/events")] {
            let by_header = answer(t.http.request("GET", &path).header("last-event-id", id)).await;
            let problem = by_header.problem(400);
            assert!(problem["detail"].as_str().unwrap().contains("Last-Event-ID"), "{problem}");
            t.problem(&format!("{path}?last_event_id={id}"), 400).await;
        }
    }
}

#[tokio::test]
async fn what_is_passed_over_of_an_id_would_be_told_again_so_it_is_refused() {
    let t = Tracking::start().await;
    Order::new(N).insert(&t.db).await;
    for path in ["/events".to_owned(), format!("/orders/{N}/events")] {
        let ask = async |ids: &[&[u8]]| {
            let request = t.http.stream(&path);
            let value = |id: &[u8]| reqwest::header::HeaderValue::from_bytes(id).unwrap();
            let request = ids.iter().fold(request, |request, id| request.header("last-event-id", value(id)));
            request.send().await.unwrap().status()
        };
        assert_eq!(ask(&[b"822-4\xff"]).await, 400, "{path}");
        assert_eq!(ask(&[b"822-46", b"822-47"]).await, 400, "{path}");
        // A browser that was told an empty id has none.
        assert_eq!(ask(&[b""]).await, 200, "{path}");
    }
}

#[tokio::test]
async fn without_rabbitmq_the_database_alone_feeds_the_streams() {
    let env = TestEnv::new().await;
    env.edit_config(|text| text.replace(&env.servers.rabbitmq.amqp_port().to_string(), "1"));
    let t = Tracking::in_env(env).await;
    let ready = t.get("/readyz").await;
    assert_eq!((&ready["status"], &ready["checks"]["rabbitmq"]["status"]), (&json!("ready"), &json!("down")));
    Order::new(N).insert(&t.db).await;
    let (mut one, mut all) =
        (t.events(&format!("/orders/{N}/events"), None).await, t.events("/events", None).await);
    one.take(1).await;
    all.take(1).await;
    for status in &LIFE[1..] {
        advance(&t.db, N, status, "chef_anna").await;
        assert_eq!(one.take(1).await[0].new_status(), *status);
        assert_eq!(all.take(1).await[0].new_status(), *status);
    }
    assert_eq!(one.next().await, None);
}

#[tokio::test]
async fn a_stop_of_the_service_ends_the_streams_at_once() {
    let mut t = Tracking::start().await;
    Order::new(N).insert(&t.db).await;
    let (mut one, mut all) =
        (t.events(&format!("/orders/{N}/events"), None).await, t.events("/events", None).await);
    one.take(1).await;
    all.take(1).await;
    let asked = Instant::now();
    t.role.signal(Signal::SIGTERM);
    assert_eq!((one.next().await, all.next().await), (None, None));
    assert_eq!(t.role.wait_exit().await.code(), Some(0));
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    assert_eq!(t.role.logs_of("connections_cut"), [] as [Value; 0]);
}

#[tokio::test]
async fn status_updates_wake_the_streams_also_after_a_cut_connection() {
    let t = Tracking::start().await;
    t.role.wait_for_action("rabbitmq_connected").await;
    let listens = async || {
        let path = "exchanges/{vhost}/notifications_fanout/bindings/source";
        let bindings = t.env.rabbit.get(path).await.unwrap_or_default();
        let queues: Vec<&str> = bindings
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|each| each["destination"].as_str())
            .collect();
        queues.iter().filter(|queue| **queue != "notifications_queue").count()
    };
    eventually("a queue of its own is bound", || async { listens().await == 1 }).await;
    // The broker's list of connections lags behind.
    eventually("a connection is cut", || async { t.env.rabbit.close_connections().await > 0 }).await;
    t.role.wait_for_action("reconnected").await;
    eventually("one queue is bound again, and the one of before is gone", || async { listens().await == 1 })
        .await;
    assert!(t.role.logs_of("live_feed_failed").is_empty());
}
