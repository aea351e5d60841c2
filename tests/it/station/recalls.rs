//! Taking a bump back, and having a ready order cooked again.

use std::time::Duration;

use super::{Grill, STATION};
use restaurant_system::store::KitchenStore;
use serde_json::json;

const A: &str = "ORD_20261130_001";

#[tokio::test]
async fn a_bump_that_is_taken_back_makes_nothing_ready_and_the_attempt_goes_on() {
    let grill = Grill::start().await;
    grill.ticket(A).await;
    grill.does("bump", A, 1).await.ok();
    for _ in 0..2 {
        let back = grill.does("recall", A, 1).await.ok();
        assert_eq!((&back["bumped_at"], &back["ready_at"]), (&json!(null), &json!(null)));
        assert_eq!((&back["attempt"], &back["recalled"]), (&json!(1), &json!(false)));
    }
    assert!(!grill.finish(A).await);
    grill.does("bump", A, 1).await.ok();
    assert!(grill.finish(A).await);
    assert_eq!(grill.actions().await, ["bump", "recall", "bump"].map(|what| format!("api {what} {A}")));
}

#[tokio::test]
async fn a_bump_that_is_taken_back_as_it_is_made_ready_is_one_or_the_other() {
    let grill = Grill::start().await;
    let (store, worker) = (grill.env.store(Duration::from_secs(10)).await, STATION.parse().unwrap());
    grill.ticket(A).await;
    let mut attempt = 1;
    for _ in 0..40 {
        grill.does("bump", A, attempt).await.ok();
        let (back, ready) =
            tokio::join!(grill.does("recall", A, attempt), store.finish_bumped(&worker, Duration::ZERO));
        let ticket = back.ok();
        // Out of ready, which it was for a moment; or before it was.
        attempt += i32::try_from(ready.unwrap().len()).unwrap();
        assert_eq!((&ticket["attempt"], &ticket["bumped_at"]), (&json!(attempt), &json!(null)));
        assert_eq!(ticket["status"], "cooking");
    }
}

#[tokio::test]
async fn a_ready_order_is_cooked_again_at_its_station_in_a_new_attempt() {
    let grill = Grill::start().await;
    grill.ticket(A).await;
    grill.does("items/0/done", A, 1).await.ok();
    grill.does("bump", A, 1).await.ok();
    assert!(grill.finish(A).await);
    let again = grill.does("recall", A, 1).await.ok();
    assert_eq!(
        (&again["status"], &again["attempt"], &again["recalled"]),
        (&json!("cooking"), &json!(2), &json!(true))
    );
    assert_eq!((&again["bumped_at"], &again["items"][0]["done"]), (&json!(null), &json!(true)));
    assert_eq!(grill.does("recall", A, 1).await.ok(), again, "a repetition with the old attempt");
    let shown = grill.tickets().await;
    assert_eq!((&shown["tickets"][0], &shown["ready"]), (&again, &json!([])));

    let sql = "select processed_by, claimed_at is not null, estimated_completion > now(), completed_at is null,
            (select string_agg(l.changed_by || ' ' || l.status || ' ' || l.attempt, ', ' order by l.id) from order_status_log l
             where l.order_id = o.id and l.attempt > 1),
            (select count(*) from outbox where order_id = o.id)
        from orders o where number = $1";
    let row = grill.db.query_one(sql, &[&A]).await.unwrap();
    assert_eq!((row.get::<_, &str>(0), row.get::<_, &str>(4)), ("grill", "staff:api cooking 2"));
    assert_eq!([1, 2, 3].map(|column| row.get::<_, bool>(column)), [true; 3], "it is in hand");
    assert_eq!(row.get::<_, i64>(5), 1, "it is announced");
    grill.does("bump", A, 1).await.problem(409);
    grill.does("bump", A, 2).await.ok();
    assert!(grill.finish(A).await);
}

#[tokio::test]
async fn an_order_can_be_recalled_for_so_long_and_not_once_it_is_handed_over() {
    let grill = Grill::start().await;
    grill.ticket(A).await;
    grill.does("bump", A, 1).await.ok();
    assert!(grill.finish(A).await);
    let set =
        async |change: &str| grill.db.batch_execute(&format!("update orders set {change}")).await.unwrap();
    set("completed_at = now() - interval '901 s'").await;
    let late = grill.does("recall", A, 1).await.problem(409);
    assert!(
        late["detail"].as_str().unwrap().contains("ready")
            && late["detail"].as_str().unwrap().contains("15 minutes")
    );
    assert_eq!(grill.tickets().await["ready"], json!([]));
    set("completed_at = now(), status = 'completed'").await;
    let over = grill.does("recall", A, 1).await.problem(409);
    assert_eq!(over["detail"], "the order is completed; only one that is ready can be recalled");
}

#[tokio::test]
async fn what_the_counter_recalls_waits_for_a_worker_and_is_not_at_the_station_meanwhile() {
    let grill = Grill::start().await;
    grill.ticket(A).await;
    grill.does("bump", A, 1).await.ok();
    assert!(grill.finish(A).await);
    let recall =
        "update orders set status = 'cooking', attempt = attempt + 1, claimed_at = null, completed_at = null";
    grill.db.batch_execute(recall).await.unwrap();
    assert_eq!(grill.tickets().await["tickets"], json!([]));
    let problem = grill.does("bump", A, 1).await.problem(409);
    assert_eq!(problem["type"], "urn:restaurant-system:problem:other-attempt");
}
