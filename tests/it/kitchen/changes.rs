//! What staff changes under a worker's hands: orders that are cancelled while they are cooked, and those that are recalled.

use super::kit::Kit;
use super::without_rabbitmq::Wire;
use crate::support::{Role, answer, eventually, try_answer};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// A minute.
const SLOW: [&str; 2] = ["--cook-seconds", "60"];
/// How soon a worker lets go of what was cancelled.
const LET_GO: Duration = Duration::from_secs(1);
const TRIES: i64 = 3;

async fn cancel(kit: &Kit, number: &str) {
    let path = format!("/orders/{number}/cancel");
    let request = kit.http.request("POST", &path).bearer_auth(crate::support::STAFF_TOKEN);
    let cancelled = answer(request.json(&json!({"reason": "out of salmon"}))).await;
    assert_eq!((cancelled.status, &cancelled.json()["status"]), (200, &json!("cancelled")), "{cancelled:?}");
}

/// Waits until the worker lets an order go; how long that took, counted from before it was asked for.
async fn let_go(worker: &Role, number: &str, asked: Instant) -> Duration {
    let is_meant = |log: &Value| log["action"] == "order_let_go" && log["order_number"] == *number;
    worker.wait_for_log(&format!("{number} is let go"), is_meant).await;
    asked.elapsed()
}

#[tokio::test]
async fn an_order_that_is_cancelled_is_let_go_within_a_second_and_its_cook_begins_the_next() {
    let kit = Kit::new().await;
    let anna = kit.working("chef_anna", &SLOW).await;
    // The fastest of several: others may have the machine just then.
    let mut fastest = Duration::MAX;
    for _ in 0..TRIES {
        let number = kit.place("takeout").await;
        kit.wait_cooked_by(&number, "chef_anna").await;
        let asked = Instant::now();
        cancel(&kit, &number).await;
        fastest = fastest.min(let_go(&anna, &number, asked).await);
        let last = kit.history(&number).await.pop().unwrap();
        assert_eq!(last, ("cancelled".to_owned(), "staff:api".to_owned()));
    }
    assert!(fastest < LET_GO, "{fastest:?}");
    let sql =
        "select count(*) from order_status_log l where l.status = 'cancelled' and l.notes = 'out of salmon'";
    assert_eq!(kit.db.query_one(sql, &[]).await.unwrap().get::<_, i64>(0), TRIES);
    assert_eq!(kit.worker_row("chef_anna").await.1, 0);
    kit.wait_queues_empty().await;
}

#[tokio::test]
async fn without_rabbitmq_a_cancelled_order_is_let_go_and_a_recalled_one_cooked_again() {
    let kit = Kit::new().await;
    let wire = Wire::of(&kit).await;
    let anna = kit.working("chef_anna", &["--cook-seconds", "0"]).await;
    let recalled = kit.place("takeout").await;
    kit.wait_status(&recalled, "ready").await;
    wire.proxy.cut();
    kit.http.change(&recalled, "recall").await;
    eventually("it is ready again", async || {
        kit.statuses(&recalled).await == ["received", "cooking", "ready", "cooking", "ready"]
    })
    .await;
    drop(anna);
    let mario = kit.working("chef_mario", &SLOW).await;
    let cancelled = kit.place("takeout").await;
    kit.wait_cooked_by(&cancelled, "chef_mario").await;
    let asked = Instant::now();
    cancel(&kit, &cancelled).await;
    let_go(&mario, &cancelled, asked).await;
    assert!(mario.logs_of("rabbitmq_connected").is_empty(), "RabbitMQ was there");
    wire.proxy.restore();
    kit.wait_announced().await;
    kit.wait_queues_empty().await;
}

#[tokio::test]
async fn a_recalled_order_is_cooked_again_by_whoever_is_free_in_a_new_attempt() {
    let kit = Kit::new().await;
    kit.env.rabbit.declare_bound_queue("updates", "notifications_fanout", "").await;
    let anna = kit.working("chef_anna", &[]).await;
    let number = kit.place("takeout").await;
    kit.wait_status(&number, "ready").await;
    // A relay that dies before it has cleared the outbox leaves what was announced to be announced again.
    kit.wait_announced().await;
    drop(anna);
    kit.http.change(&number, "recall").await;
    assert_eq!(kit.status(&number).await, "cooking");
    let recall_again = try_answer(
        kit.http
            .request("POST", &format!("/orders/{number}/recall"))
            .bearer_auth(crate::support::STAFF_TOKEN),
    );
    recall_again.await.unwrap().problem(409);
    let _mario = kit.working("chef_mario", &[]).await;
    kit.wait_status(&number, "ready").await;
    let history = kit.history(&number).await;
    let by: Vec<&str> = history.iter().map(|(_, by)| by.as_str()).collect();
    assert_eq!(by, ["order-service", "chef_anna", "chef_anna", "staff:api", "chef_mario"]);
    assert_eq!(kit.statuses(&number).await, ["received", "cooking", "ready", "cooking", "ready"]);
    let sql = "select string_agg(attempt::text, ' ' order by id), max(notes) from order_status_log";
    let row = kit.db.query_one(sql, &[]).await.unwrap();
    assert_eq!((row.get::<_, &str>(0), row.get::<_, &str>(1)), ("0 1 1 2 3", "recalled; attempt 3"));
    assert_eq!((kit.worker_row("chef_anna").await.1, kit.worker_row("chef_mario").await.1), (1, 1));
    kit.env.rabbit.wait_for_depth("updates", 4).await;
    let told = kit.env.rabbit.take_messages("updates", 4).await;
    let told = told.iter().map(|message| {
        let update = message.json();
        let of = |field: &str| update[field].as_str().unwrap().to_owned();
        format!("{} to {} by {}", of("old_status"), of("new_status"), of("changed_by"))
    });
    let expected = [
        "received to cooking by chef_anna",
        "cooking to ready by chef_anna",
        "ready to cooking by staff:api",
        "cooking to ready by chef_mario",
    ];
    assert_eq!(told.collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn a_worker_of_the_version_before_finishes_an_order_that_was_recalled() {
    let kit = Kit::new().await;
    let anna = kit.working("chef_anna", &[]).await;
    let number = kit.place("takeout").await;
    kit.wait_status(&number, "ready").await;
    drop(anna);
    kit.http.change(&number, "recall").await;
    // As V13 had it: a take-over, and a finish, neither of which knows of an attempt in the log.
    let finish = "
        update orders set processed_by = 'chef_old', attempt = attempt + 1, claimed_at = now();
        with finished as (
            update orders set status = 'ready', completed_at = now() where processed_by = 'chef_old' returning id
        )
        insert into order_status_log (order_id, status, previous_status, changed_by)
        select id, 'ready', 'cooking', 'chef_old' from finished";
    kit.db.batch_execute(finish).await.unwrap();
    let sql = "select string_agg(attempt::text, ' ' order by id) from order_status_log";
    assert_eq!(kit.db.query_one(sql, &[]).await.unwrap().get::<_, &str>(0), "0 1 1 2 3");
    let again =
        "insert into order_status_log (order_id, status, changed_by) select id, 'ready', 'x' from orders";
    let refused = kit.db.execute(again, &[]).await.unwrap_err();
    assert_eq!(refused.as_db_error().unwrap().constraint(), Some("order_status_log_once"));
}
