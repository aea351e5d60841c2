//! `GET /orders/{n}/status` and `/history`.

use super::{Order, Tracking, advance, keys, utc};
use crate::support::{TestEnv, answer, blocking, eventually};
use serde_json::{Value, json};
use std::sync::Arc;

const N: &str = "ORD_20261122_001";

#[tokio::test]
async fn the_status_has_exactly_its_keys_and_their_types_in_every_status() {
    let t = Tracking::start().await;
    Order::new(N).insert(&t.db).await;
    for (status, by) in [
        ("received", Value::Null),
        ("cooking", json!("chef_anna")),
        ("ready", json!("chef_anna")),
        ("completed", json!("chef_anna")),
    ] {
        if status != "received" {
            advance(&t.db, N, status, "chef_anna").await;
        }
        let answer = t.get(&format!("/orders/{N}/status")).await;
        assert_eq!(
            keys(&answer),
            [
                "current_status",
                "estimated_completion",
                "order_number",
                "orders_ahead",
                "processed_by",
                "updated_at"
            ]
        );
        assert_eq!(answer["orders_ahead"], if status == "received" { json!(0) } else { Value::Null });
        assert_eq!(answer["order_number"], N);
        assert_eq!(answer["current_status"], status);
        assert_eq!(answer["processed_by"], by);
        let age = utc(&answer["updated_at"]).duration_until(jiff::Timestamp::now());
        assert!(age.as_secs().abs() < 60, "{answer}");
    }
}

#[tokio::test]
async fn the_history_is_oldest_first_with_notes_only_where_there_are_any() {
    let t = Tracking::start().await;
    Order::new(N).insert(&t.db).await;
    advance(&t.db, N, "cooking", "chef_anna").await;
    advance(&t.db, N, "ready", "chef_mario").await;
    t.db.execute("update order_status_log set notes = 'taken over' where status = 'ready'", &[])
        .await
        .unwrap();
    let history = t.get(&format!("/orders/{N}/history")).await;
    let steps = history.as_array().unwrap();
    let told: Vec<_> =
        steps.iter().map(|step| (step["status"].clone(), step["changed_by"].clone())).collect();
    assert_eq!(
        told,
        [("received", "order-service"), ("cooking", "chef_anna"), ("ready", "chef_mario")]
            .map(|(status, by)| (json!(status), json!(by)))
    );
    assert_eq!(keys(&steps[0]), ["changed_by", "status", "timestamp"]);
    assert_eq!(keys(&steps[2]), ["changed_by", "notes", "status", "timestamp"]);
    assert_eq!(steps[2]["notes"], "taken over");
    let times: Vec<_> = steps.iter().map(|step| utc(&step["timestamp"])).collect();
    assert!(times.is_sorted(), "{times:?}");
}

#[tokio::test]
async fn what_names_no_order_is_not_found_on_every_route() {
    let t = Tracking::start().await;
    let bad = [
        "ORD_20261122_001",
        "ORD_20261122_9999999999",
        "ord_20261122_001",
        "ORD_20261122_01",
        "ORD_20261122_0001",
        "ORD_20261122_99999999999999999999999",
        "nonsense",
        "%00",
        "%FF",
        "%27%20or%201=1--",
        "..%2F..%2Fetc%2Fpasswd",
        "💥",
    ];
    for number in bad {
        for route in ["status", "history", "events"] {
            let problem = t.problem(&format!("/orders/{number}/{route}"), 404).await;
            assert_eq!(problem["type"], "urn:restaurant-system:problem:not-found", "{number}");
        }
    }
    assert_eq!(t.role.logs_of("request_failed"), [] as [Value; 0]);
}

/// Requests that come at once are answered by one reading: each gets its own order, or its own 404.
#[tokio::test]
async fn many_who_ask_at_once_each_get_their_own_order() {
    let t = Tracking::start().await;
    for n in 1..=9 {
        Order::new(&format!("ORD_20261122_00{n}")).insert(&t.db).await;
    }
    let asked = (0..300).map(async |n| {
        let number = format!("ORD_20261122_0{:02}", n % 12 + 1);
        let path = format!("/orders/{number}/status");
        if n % 12 < 9 {
            assert_eq!(t.get(&path).await["order_number"], number.as_str());
        } else {
            let detail = t.problem(&path, 404).await["detail"].clone();
            assert_eq!(detail, format!("there is no order {number}"));
        }
    });
    futures_util::future::join_all(asked).await;
}

#[tokio::test]
async fn an_unchanged_status_is_answered_with_304_and_a_changed_one_is_not() {
    let t = Tracking::start().await;
    Order::new(N).insert(&t.db).await;
    let path = format!("/orders/{N}/status");
    let first = t.http.get(&path).await;
    let tag = first.header("etag").to_owned();
    assert!(tag.starts_with('"') && tag.ends_with('"') && tag.len() > 2, "{tag}");
    let ask = async |value: String| answer(t.http.request("GET", &path).header("if-none-match", value)).await;
    for same in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".to_owned()] {
        let answer = ask(same.clone()).await;
        assert_eq!(answer.status, 304, "{same}");
        assert_eq!((answer.header("etag"), answer.text.as_str()), (tag.as_str(), ""));
    }
    assert_eq!(ask("\"other\"".to_owned()).await.status, 200);
    advance(&t.db, N, "cooking", "chef_anna").await;
    let changed = ask(tag.clone()).await;
    assert_ne!(changed.header("etag"), tag);
    assert_eq!(changed.ok()["current_status"], "cooking");
}

#[tokio::test]
async fn it_only_reads() {
    let t = Tracking::start().await;
    Order::new(N).insert(&t.db).await;
    for path in [
        "/orders",
        "/workers/status",
        "/events",
        &format!("/orders/{N}/status"),
        &format!("/orders/{N}/events"),
    ] {
        for method in ["POST", "PUT", "DELETE", "PATCH"] {
            let answer = answer(t.http.request(method, path).body("{}")).await;
            answer.problem(405);
            assert!(answer.header("allow").contains("GET"), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn postgresql_away_is_a_503_for_all_who_ask_until_it_is_back() {
    let t = Tracking::in_env(TestEnv::with_own_servers().await).await;
    Order::new(N).insert(&t.db).await;
    let path = format!("/orders/{N}/status");
    t.get(&path).await;
    let servers = Arc::clone(&t.env.servers);
    blocking(move || servers.postgres.kill()).await;
    let away = async || {
        let answer = t.http.get(&path).await;
        assert_eq!((answer.status, answer.header("retry-after")), (503, "2"));
    };
    futures_util::future::join_all((0..20).map(|_| away())).await;
    let servers = Arc::clone(&t.env.servers);
    blocking(move || servers.postgres.restart()).await.unwrap();
    eventually("the status to be told again", async || t.http.get(&path).await.status == 200).await;
    assert_eq!(t.role.logs_of("request_failed"), [] as [Value; 0]);
}
