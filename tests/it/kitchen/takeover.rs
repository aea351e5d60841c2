//! Workers that die, or seem to: their orders are taken over, and `ready` is entered once.

use super::kit::{Kit, holds_for};
use crate::support::Signal;
use serde_json::json;
use std::time::{Duration, Instant};

/// Cooks for ever, as far as a test can see.
const SLOW: [&str; 4] = ["--cook-seconds", "600", "--heartbeat-interval", "0.5"];

#[tokio::test]
async fn the_order_of_a_killed_worker_is_taken_over_after_two_heartbeats() {
    let kit = Kit::new().await;
    let mut anna = kit.working("chef_anna", &SLOW).await;
    let number = kit.place("takeout").await;
    kit.wait_cooked_by(&number, "chef_anna").await;
    let mario = kit.working("chef_mario", &["--heartbeat-interval", "0.5"]).await;
    anna.kill();
    kit.wait_status(&number, "ready").await;

    let steps = kit.history(&number).await;
    let steps: Vec<_> = steps[1..].iter().map(|(status, by)| (status.as_str(), by.as_str())).collect();
    assert_eq!(steps, [("cooking", "chef_anna"), ("ready", "chef_mario")]);
    assert_eq!(kit.processed_by(&number).await.as_deref(), Some("chef_mario"));
    assert_eq!((kit.worker_row("chef_anna").await.1, kit.worker_row("chef_mario").await.1), (0, 1));
    let sql = "select extract(epoch from o.completed_at - w.last_seen)::float8 from orders o, workers w
        where w.name = 'chef_anna'";
    let after_s: f64 = kit.db.query_one(sql, &[]).await.unwrap().get(0);
    assert!(after_s >= 1.0, "taken over {after_s} s after the last heartbeat");
    assert_eq!(mario.logs_of("order_processing_started")[0]["order_number"], json!(number));
    kit.wait_queues_empty().await;
}

#[tokio::test]
async fn the_late_finish_of_a_worker_that_was_only_frozen_is_refused() {
    let kit = Kit::new().await;
    let anna = kit.working("chef_anna", &["--cook-seconds", "0.5", "--heartbeat-interval", "0.3"]).await;
    let number = kit.place("takeout").await;
    kit.wait_cooked_by(&number, "chef_anna").await;
    anna.signal(Signal::SIGSTOP);
    // His own heart has time: on a busy machine she would take the order back otherwise.
    let mario = kit.working("chef_mario", &["--cook-seconds", "2.5"]).await;
    kit.wait_cooked_by(&number, "chef_mario").await;
    // She wakes while he cooks it, and has been done for long by her own clock.
    anna.signal(Signal::SIGCONT);
    let refused = anna.wait_for_action("order_lost").await;
    assert_eq!((&refused["order_number"], &refused["level"]), (&json!(number), &json!("WARN")));
    assert!(mario.logs_of("order_completed").is_empty(), "the test was too slow to show anything");

    kit.wait_status(&number, "ready").await;
    let ready = kit.history(&number).await.pop().unwrap();
    assert_eq!(ready, ("ready".to_owned(), "chef_mario".to_owned()));
    assert_eq!(kit.statuses(&number).await, ["received", "cooking", "ready"]);
    assert_eq!((kit.worker_row("chef_anna").await.1, kit.worker_row("chef_mario").await.1), (0, 1));
    kit.wait_queues_empty().await;
    // She goes on as if nothing had been.
    drop(mario);
    let next = kit.place_many("takeout", 2).await;
    kit.wait_ready(&next).await;
}

#[tokio::test]
async fn a_frozen_worker_whose_order_nobody_else_can_cook_finishes_it_when_it_wakes() {
    let kit = Kit::new().await;
    let anna = kit
        .working("chef_anna", &["--cook-seconds", "0.5", "--heartbeat-interval", "0.2", "--prefetch", "4"])
        .await;
    let number = kit.place("takeout").await;
    kit.wait_cooked_by(&number, "chef_anna").await;
    anna.signal(Signal::SIGSTOP);
    holds_for(Duration::from_secs(1), "it is being cooked", || async {
        kit.status(&number).await == "cooking"
    })
    .await;
    anna.signal(Signal::SIGCONT);
    kit.wait_status(&number, "ready").await;
    assert_eq!(anna.logs_of("order_processing_started").len(), 1, "it took the order over from itself");
    assert_eq!(kit.statuses(&number).await, ["received", "cooking", "ready"]);
}

#[tokio::test]
async fn a_worker_started_again_at_once_after_a_kill_has_its_name_and_its_order() {
    let kit = Kit::new().await;
    // At the default heartbeat interval: the order does not come by its being missed.
    let mut first = kit.working("chef_anna", &["--cook-seconds", "600"]).await;
    let number = kit.place("takeout").await;
    kit.wait_cooked_by(&number, "chef_anna").await;
    first.kill();
    let _again = kit.working("chef_anna", &[]).await;
    kit.wait_status(&number, "ready").await;
    assert_eq!(kit.statuses(&number).await, ["received", "cooking", "ready"]);
    assert_eq!(kit.worker_row("chef_anna").await.1, 1);
}

#[tokio::test]
async fn a_living_double_is_refused_and_the_first_is_undisturbed() {
    let kit = Kit::new().await;
    let mut first = kit.working("chef_anna", &["--cook-seconds", "600"]).await;
    let number = kit.place("takeout").await;
    kit.wait_cooked_by(&number, "chef_anna").await;
    let row = "select md5(w::text) from (select session, type, orders_processed from workers) w";
    let before: String = kit.db.query_one(row, &[]).await.unwrap().get(0);

    let started = Instant::now();
    let mut double = kit.worker("chef_anna", &["--order-types", "dine_in"]);
    let status = double.wait_exit().await;
    assert_eq!(status.code(), Some(1));
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
    let errors: Vec<_> = double.logs().into_iter().filter(|log| log["level"] == "ERROR").collect();
    assert!(
        errors.iter().any(|log| log["error"]["msg"].as_str().unwrap().contains("chef_anna")),
        "{errors:?}"
    );

    assert!(first.is_running());
    let after: String = kit.db.query_one(row, &[]).await.unwrap().get(0);
    assert_eq!(before, after);
    assert_eq!(kit.processed_by(&number).await.as_deref(), Some("chef_anna"));
    assert_eq!(kit.worker_row("chef_anna").await.0, "processing");
}

#[tokio::test]
async fn a_worker_that_is_offline_by_its_own_word_is_not_waited_for() {
    let kit = Kit::new().await;
    // Its order is left behind, as by a worker that could not reach PostgreSQL in time.
    let number = kit.place("takeout").await;
    kit.lose_messages().await;
    let sql = "insert into workers (name, type, status) values ('chef_gone', 'takeout', 'offline');
        insert into order_status_log (order_id, status, changed_by) select id, 'cooking', 'chef_gone' from orders;
        update orders set status = 'cooking', processed_by = 'chef_gone', attempt = 1, claimed_at = now()";
    kit.db.batch_execute(sql).await.unwrap();
    let _chef = kit.worker("chef_anna", &[]);
    kit.wait_status(&number, "ready").await;
    assert_eq!(kit.processed_by(&number).await.as_deref(), Some("chef_anna"));
}
