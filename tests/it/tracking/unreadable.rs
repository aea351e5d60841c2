//! Rows as other programs wrote them: what the schema allows is served, and what this version cannot read takes nothing else
//! with it.

use super::{Order, Tracking, advance};
use serde_json::Value;

fn numbers(page: &Value) -> Vec<&str> {
    page["orders"].as_array().unwrap().iter().map(|o| o["order_number"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn an_imported_number_with_more_zeros_is_served_like_any_other() {
    let t = Tracking::start().await;
    let (imported, other) = ("ORD_20250101_0001", "ORD_20250101_001");
    for number in [imported, other] {
        Order::new(number).insert(&t.db).await;
    }
    assert_eq!(numbers(&t.get("/orders").await), [other, imported]);
    assert_eq!(t.get(&format!("/orders/{imported}/status")).await["order_number"], imported);
    let mut stream = t.events("/events?from=start", None).await;
    let told = stream.take(2).await;
    assert_eq!([told[0].order(), told[1].order()], [imported, other]);
}

#[tokio::test]
async fn what_a_later_version_wrote_is_left_out_and_said_and_the_rest_is_served() {
    let t = Tracking::start().await;
    let later = "
        alter table orders drop constraint orders_status_known, disable trigger user;
        alter table order_status_log drop constraint order_status_log_status_known, disable trigger user,
            drop constraint order_status_log_once, alter column attempt set default 0";
    t.db.batch_execute(later).await.unwrap();
    let [first, strange, last] = ["ORD_20261122_001", "ORD_20261122_002", "ORD_20261122_003"];
    for number in [first, strange, last] {
        Order::new(number).insert(&t.db).await;
    }
    let mut stream = t.events("/events", None).await;
    stream.take(3).await;
    // More than one look of the reader, and more than a page of a stream that is behind.
    for _ in 0..600 {
        let log = "insert into order_status_log (order_id, status, changed_by)
            select id, 'garnishing', 'chef_later' from orders where number = $1";
        t.db.execute(log, &[&strange]).await.unwrap();
    }
    advance(&t.db, strange, "garnishing", "chef_later").await;
    advance(&t.db, last, "cooking", "chef_anna").await;
    let told = stream.take(1).await.remove(0);
    assert_eq!((told.order(), told.new_status()), (last, "cooking"));
    let mut whole = t.events("/events?from=start", None).await;
    let whole = whole.take(4).await;
    assert_eq!(whole.iter().map(|event| event.order()).collect::<Vec<_>>(), [first, strange, last, last]);
    // A page ends where its rows end, be they readable or not.
    let page = t.get("/orders?limit=2").await;
    assert_eq!(numbers(&page), [last]);
    let next = t.get(&format!("/orders?limit=2&cursor={}", page["next_cursor"].as_str().unwrap())).await;
    assert_eq!(numbers(&next), [first]);
    assert_eq!(t.get(&format!("/orders/{strange}/history")).await.as_array().unwrap().len(), 1);
    t.problem(&format!("/orders/{strange}/status"), 500).await;
    assert_eq!(t.get(&format!("/orders/{first}/status")).await["current_status"], "received");
    let said = t.role.logs_of("row_unreadable");
    assert!(said.len() == 1 && said[0]["error"]["msg"].as_str().unwrap().contains("garnishing"), "{said:?}");
}
