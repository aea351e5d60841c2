//! A worker at work (contract, section 6).

use super::kit::{Kit, MESSAGES_ONLY, QUEUES};
use crate::support::{eventually, item, takeout, with};
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn an_order_is_cooked_entered_and_its_message_acknowledged() {
    let kit = Kit::with(MESSAGES_ONLY).await;
    let _chef = kit.working("chef_anna", &[]).await;
    let number = kit.place("dine_in").await;
    kit.wait_status(&number, "ready").await;

    let sql = "select processed_by, completed_at is not null and completed_at >= created_at
        and updated_at >= completed_at from orders where number = $1";
    let row = kit.db.query_one(sql, &[&number]).await.unwrap();
    assert_eq!((row.get::<_, &str>(0), row.get::<_, bool>(1)), ("chef_anna", true));
    let history = kit.history(&number).await;
    let steps: Vec<&str> = history.iter().map(|(status, _)| status.as_str()).collect();
    assert_eq!(steps, ["received", "cooking", "ready"]);
    assert!(history[1..].iter().all(|(_, by)| by == "chef_anna"), "{history:?}");
    assert_eq!(kit.worker_row("chef_anna").await.1, 1);
    kit.wait_queues_empty().await;
    assert_eq!(kit.env.rabbit.queue_depth("kitchen_dead_letters").await, 0);
}

#[tokio::test]
async fn orders_placed_before_the_first_worker_ever_started_are_cooked() {
    let kit = Kit::with(MESSAGES_ONLY).await;
    let mut numbers = kit.place_many("dine_in", 3).await;
    numbers.extend(kit.place_many("delivery", 3).await);
    let _chef = kit.worker("chef_anna", &[]);
    kit.wait_ready(&numbers).await;
}

#[tokio::test]
async fn urgent_orders_are_cooked_first() {
    let kit = Kit::with(MESSAGES_ONLY).await;
    let ordinary = kit.place_many("takeout", 4).await;
    let feast = with(&takeout(), "/items", json!([item("Feast", 2, 99.99)]));
    let urgent = kit.http.place(&feast).await;
    kit.wait_announced().await;
    let _chef = kit.worker("chef_anna", &[]);
    kit.wait_ready(&ordinary).await;
    let sql = "select o.number from order_status_log l join orders o on o.id = l.order_id
        where l.status = 'cooking' order by l.id limit 1";
    assert_eq!(kit.db.query_one(sql, &[]).await.unwrap().get::<_, String>(0), urgent);
}

#[tokio::test]
async fn a_second_delivery_of_a_finished_order_changes_nothing() {
    let kit = Kit::new().await;
    let number = kit.place("takeout").await;
    kit.wait_announced().await;
    let message = kit.env.rabbit.get_messages("kitchen_takeout_queue", 1).await.remove(0);
    let chef = kit.working("chef_anna", &["--log-level", "debug"]).await;
    kit.wait_status(&number, "ready").await;
    let before = kit.db.query_one("select md5(o::text) from orders o", &[]).await.unwrap();

    assert!(
        kit.env
            .rabbit
            .publish("orders_topic", &message.routing_key, &message.properties, &message.payload)
            .await
    );
    chef.wait_for_action("order_not_waiting").await;
    kit.wait_queues_empty().await;
    let after = kit.db.query_one("select md5(o::text) from orders o", &[]).await.unwrap();
    assert_eq!(before.get::<_, String>(0), after.get::<_, String>(0));
    assert_eq!(kit.statuses(&number).await, ["received", "cooking", "ready"]);
    assert_eq!(kit.worker_row("chef_anna").await.1, 1);
    assert_eq!(kit.env.rabbit.queue_depth("kitchen_dead_letters").await, 0);
}

#[tokio::test]
async fn many_messages_about_one_order_at_two_workers_cook_it_once() {
    let kit = Kit::new().await;
    let number = kit.place("takeout").await;
    kit.wait_announced().await;
    let message = kit.env.rabbit.get_messages("kitchen_takeout_queue", 1).await.remove(0);
    for _ in 0..19 {
        let key = &message.routing_key;
        kit.env.rabbit.publish("orders_topic", key, &message.properties, &message.payload).await;
    }
    let args = ["--prefetch", "8", "--cook-seconds", "0.3"];
    let _chefs = [kit.worker("chef_anna", &args), kit.worker("chef_mario", &args)];
    kit.wait_status(&number, "ready").await;
    kit.wait_queues_empty().await;
    assert_eq!(kit.statuses(&number).await, ["received", "cooking", "ready"]);
    eventually("both workers wait", || async {
        let sql = "select count(*) from workers where status = 'online'";
        kit.db.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) == 2
    })
    .await;
    assert_eq!(kit.processed_in_all().await, 1);
}

#[tokio::test]
async fn a_specialised_worker_leaves_other_types_alone() {
    let kit = Kit::new().await;
    let _chef = kit.working("chef_mario", &["--order-types", "dine_in,takeout"]).await;
    let foreign = kit.place("delivery").await;
    let own = [kit.place("dine_in").await, kit.place("takeout").await];
    kit.wait_ready(&own).await;
    kit.env.rabbit.wait_for_depth("kitchen_delivery_queue", 1).await;
    // A queue that nobody ever touched may have no figures yet.
    let queue = kit.env.rabbit.queue("kitchen_delivery_queue").await.unwrap();
    assert_eq!(queue["consumers"].as_u64().unwrap_or_default(), 0);
    assert_eq!(kit.status(&foreign).await, "received");
    let types = kit.db.query_one("select type from workers", &[]).await.unwrap();
    assert_eq!(types.get::<_, &str>(0), "dine_in,takeout");
}

#[tokio::test]
async fn a_worker_cooks_as_many_orders_at_once_as_its_prefetch_says() {
    let kit = Kit::with(MESSAGES_ONLY).await;
    let numbers = kit.place_many("takeout", 4).await;
    kit.wait_announced().await;
    let _chef = kit.worker("chef_anna", &["--prefetch", "3", "--cook-seconds", "60"]);
    let cooking = || async {
        let sql = "select count(*) from orders where status = 'cooking'";
        kit.db.query_one(sql, &[]).await.unwrap().get::<_, i64>(0)
    };
    eventually("three are cooked", || async { cooking().await == 3 }).await;
    let depths = kit.env.rabbit.queue(QUEUES[1]).await.unwrap();
    assert!(depths["messages_unacknowledged"].as_u64() <= Some(3), "{depths}");
    super::kit::holds_for(Duration::from_millis(500), "no more than three", || async {
        cooking().await == 3
    })
    .await;
    assert_eq!(numbers.len(), 4);
}

#[tokio::test]
async fn a_worker_is_processing_while_it_cooks_and_its_heart_goes_on() {
    let kit = Kit::new().await;
    let chef = kit.working("chef_anna", &["--cook-seconds", "1.2", "--heartbeat-interval", "0.2"]).await;
    kit.wait_worker("chef_anna", "online").await;
    let number = kit.place("takeout").await;
    kit.wait_worker("chef_anna", "processing").await;
    let beats = std::cell::RefCell::new(std::collections::BTreeSet::new());
    eventually("it is ready", || async {
        let sql = "select w.last_seen, o.status from workers w, orders o";
        let row = kit.db.query_one(sql, &[]).await.unwrap();
        if row.get::<_, &str>(1) == "cooking" {
            beats.borrow_mut().insert(row.get::<_, jiff::Timestamp>(0));
        }
        row.get::<_, &str>(1) == "ready"
    })
    .await;
    let beats = beats.into_inner();
    assert!(beats.len() >= 3, "{beats:?}");
    kit.wait_worker("chef_anna", "online").await;
    assert_eq!(kit.worker_row("chef_anna").await.1, 1);
    let done = chef.logs_of("order_completed").remove(0);
    assert_eq!((&done["order_number"], &done["worker_name"]), (&json!(number), &json!("chef_anna")));
    assert!((1200..5000).contains(&done["duration_ms"].as_u64().unwrap()), "{done}");
}

#[tokio::test]
async fn a_worker_with_nothing_to_cook_uses_no_processor() {
    let kit = Kit::with("").await;
    let chef = kit.working("chef_anna", &["--order-types", "dine_in", "--prefetch", "8"]).await;
    // Orders wait, but none that it may cook.
    kit.place_many("takeout", 5).await;
    kit.wait_announced().await;
    let window = Duration::from_secs(5);
    let before = processor_ticks(chef.pid());
    // Not a wait for something: the length of the measurement.
    tokio::time::sleep(window).await;
    let used = Duration::from_millis(10 * (processor_ticks(chef.pid()) - before));
    let limit = window.mul_f64(0.02);
    assert!(used <= limit, "{used:?} of {window:?}");
}

/// User and system time of a process so far, in hundredths of a second.
fn processor_ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    // Counted from the state, which is field 3: utime is 14, stime 15.
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[tokio::test]
async fn one_request_id_follows_an_order_through_all_services() {
    let kit = Kit::new().await;
    let chef = kit.working("chef_anna", &[]).await;
    let subscriber = kit.subscriber(&[]).await;
    let number = kit.http.place_with(&takeout(), &[("x-request-id", "one-id-for-all")]).await;
    let line = |action: &'static str, log: &serde_json::Value| {
        log["action"] == action && log["order_number"] == json!(number)
    };
    let logs = [
        kit.orders.wait_for_log("order_received", |log| line("order_received", log)).await,
        kit.orders.wait_for_log("order_published", |log| line("order_published", log)).await,
        chef.wait_for_log("started", |log| line("order_processing_started", log)).await,
        chef.wait_for_log("completed", |log| line("order_completed", log)).await,
        subscriber.wait_for_log("notified", |log| line("notification_received", log)).await,
    ];
    for log in logs {
        assert_eq!(log["request_id"], "one-id-for-all", "{log}");
    }
}
