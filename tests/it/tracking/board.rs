//! The board of the room: which orders are being made, and which can be fetched.

use super::{Order, Tracking, advance, keys, utc};
use crate::support::{Http, eventually};
use serde_json::Value;

/// The numbers of both parts, each by its last digit.
fn shown(board: &Value) -> [String; 2] {
    ["making", "ready"].map(|part| {
        let orders = board[part].as_array().unwrap().iter();
        orders.map(|order| order["order_number"].as_str().unwrap().chars().last().unwrap()).collect()
    })
}

fn number(n: u32) -> String {
    format!("ORD_20261122_00{n}")
}

#[tokio::test]
async fn the_room_sees_numbers_alone_of_what_it_waits_for() {
    let t = Tracking::start().await;
    for n in 1..=9 {
        let order_type = ["takeout", "dine_in"][n as usize % 2];
        let order_type = if n == 7 { "delivery" } else { order_type };
        Order { order_type, ..Order::new(&number(n)) }.insert(&t.db).await;
    }
    for (n, statuses) in [
        (2, &["cooking"][..]),
        (3, &["cooking", "ready"]),
        (4, &["cooking", "ready"]),
        (5, &["cooking", "ready", "completed"]),
        (6, &["cooking", "ready"]),
        (7, &["cooking", "ready"]),
        (8, &["cancelled"]),
    ] {
        for status in statuses {
            advance(&t.db, &number(n), status, "chef_anna").await;
        }
    }
    let past = "update orders set completed_at = case when completed_at is not null then now() - interval '20 min 1 s' end,
            created_at = now() - interval '6 h 1 s' where number = any($1)";
    t.db.execute(past, &[&[number(6), number(9)].as_slice()]).await.unwrap();

    let stranger = Http::new(t.http.url.clone());
    let answer = stranger.get("/board").await;
    let board = answer.ok();
    assert_eq!(shown(&board), ["12", "43"], "{board}");
    assert_eq!(keys(&board), ["making", "ready"]);
    for order in ["making", "ready"].into_iter().flat_map(|part| board[part].as_array().unwrap()) {
        assert_eq!(keys(order), ["order_number", "since"]);
        utc(&order["since"]);
    }
}

#[tokio::test]
async fn a_screen_is_told_the_whole_board_at_once_and_with_each_change() {
    let t = Tracking::start().await;
    Order::new(&number(1)).insert(&t.db).await;
    let mut screens = Vec::new();
    for _ in 0..2 {
        let mut screen = t.events("/board/events", None).await;
        let first = screen.next().await.unwrap();
        assert_eq!((first.event.as_str(), shown(&first.data)), ("board", ["1".to_owned(), String::new()]));
        screens.push(screen);
    }
    // Each change is told once, however often it is looked at.
    for (status, expected) in [("cooking", None), ("ready", Some(["", "1"])), ("completed", Some(["", ""]))] {
        advance(&t.db, &number(1), status, "chef_anna").await;
        let Some(expected) = expected else { continue };
        for screen in &mut screens {
            let event = screen.next().await.unwrap();
            assert_eq!(shown(&event.data), expected, "{status}");
            assert!(!event.id.is_empty());
        }
    }
    drop(screens);
    Order::new(&number(2)).insert(&t.db).await;
    let mut late = t.events("/board/events", None).await;
    assert_eq!(shown(&late.next().await.unwrap().data), ["2", ""], "what was told before is not told again");
}

#[tokio::test]
async fn a_board_is_read_once_for_all_screens_and_not_without_one() {
    let t = Tracking::start().await;
    Order::new(&number(1)).insert(&t.db).await;
    let calls = "select coalesce(sum(idx_scan), 0)::bigint from pg_stat_user_indexes where indexrelname = 'orders_by_rare_status'";
    let scans = async || t.db.query_one(calls, &[]).await.unwrap().get::<_, i64>(0);
    let mut screens = Vec::new();
    for _ in 0..10 {
        let mut screen = t.events("/board/events", None).await;
        screen.next().await.unwrap();
        screens.push(screen);
    }
    eventually("ten screens cost what one does: two scans a second", async || {
        let before = scans().await;
        tokio::time::sleep(std::time::Duration::from_secs(3)).await;
        (1..15).contains(&(scans().await - before))
    })
    .await;
    drop(screens);
    eventually("nobody looks any more", async || {
        let before = scans().await;
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        scans().await == before
    })
    .await;
}
