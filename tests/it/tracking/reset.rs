//! A place in a stream that the database does not know: a standby was promoted, or a backup restored.

use super::{Order, Tracking, advance};
use serde_json::json;

const N: &str = "ORD_20261122_001";
const LOST: &str = "ORD_20261122_002";

#[tokio::test]
async fn a_place_ahead_of_the_database_is_said_and_the_stream_begins_anew() {
    for (id, reason) in [("999999999-5", "ahead_of_database"), ("1-77", "unknown_event")] {
        let t = Tracking::start().await;
        Order::new(N).insert(&t.db).await;
        advance(&t.db, N, "cooking", "chef_anna").await;
        let mut all = t.events("/events", Some(id)).await;
        let reset = all.next().await.unwrap();
        assert_eq!((reset.event.as_str(), &reset.data), ("reset", &json!({"reason": reason})));
        assert_eq!(reset.id, "", "the browser forgets its id");
        let told = all.next().await.unwrap();
        assert_eq!((told.order(), told.new_status()), (N, "cooking"), "as it is");
        advance(&t.db, N, "ready", "chef_anna").await;
        assert_eq!(all.next().await.unwrap().new_status(), "ready");

        let mut own = t.events(&format!("/orders/{N}/events"), Some(id)).await;
        let told = own.take(4).await;
        assert_eq!(told[0].event, "reset");
        let statuses: Vec<&str> = told[1..].iter().map(|event| event.new_status()).collect();
        assert_eq!(statuses, ["received", "cooking", "ready"]);

        let mut whole = t.events("/events?from=start", Some(id)).await;
        assert_eq!(whole.next().await.unwrap().event, "reset");
        let told = whole.next().await.unwrap();
        assert_eq!(told.new_status(), "received", "whoever wanted the history gets it again");
    }
}

#[tokio::test]
async fn streams_that_live_when_changes_are_lost_begin_anew() {
    let t = Tracking::start().await;
    Order::new(N).insert(&t.db).await;
    advance(&t.db, N, "cooking", "chef_anna").await;
    let (mut all, mut own) =
        (t.events("/events", None).await, t.events(&format!("/orders/{N}/events"), None).await);
    all.take(1).await;
    own.take(2).await;
    Order::new(LOST).insert(&t.db).await;
    advance(&t.db, N, "ready", "chef_anna").await;
    assert_eq!(all.take(2).await[1].new_status(), "ready");
    own.take(1).await;
    // As after the promotion of a standby that had not received the last two changes.
    t.db.batch_execute("alter table orders disable trigger orders_status_transition").await.unwrap();
    let lost = "delete from orders where number = 'ORD_20261122_002';
        delete from order_status_log where status = 'ready';
        update orders set status = 'cooking', completed_at = null";
    t.db.batch_execute(lost).await.unwrap();
    assert_eq!(all.next().await.unwrap().event, "reset");
    let told = all.next().await.unwrap();
    assert_eq!((told.order(), told.new_status()), (N, "cooking"));
    let told = own.take(3).await;
    assert_eq!(told[0].event, "reset");
    assert_eq!((told[1].new_status(), told[2].new_status()), ("received", "cooking"));
    advance(&t.db, N, "ready", "chef_mario").await;
    assert_eq!(all.next().await.unwrap().data["changed_by"], "chef_mario");
    assert_eq!(own.next().await.unwrap().data["changed_by"], "chef_mario");
    assert_eq!(t.role.logs_of("event_streams_reset").len(), 1);
}
