//! `GET /workers/status`.

use super::{Tracking, keys, utc};
use crate::support::{Signal, eventually};
use serde_json::{Value, json};

async fn status_of(t: &Tracking, name: &str) -> Value {
    let workers = t.get("/workers/status").await;
    workers
        .as_array()
        .unwrap()
        .iter()
        .find(|w| w["worker_name"] == name)
        .map_or(Value::Null, |w| w["status"].clone())
}

#[tokio::test]
async fn a_worker_has_exactly_its_keys() {
    let t = Tracking::start().await;
    assert_eq!(t.get("/workers/status").await, json!([]));
    let sql = "insert into workers (name, type, status, orders_processed) values
        ('chef_mario', 'dine_in', 'processing', 7), ('chef_anna', 'dine_in,takeout,delivery', 'online', 0)";
    t.db.batch_execute(sql).await.unwrap();
    let workers = t.get("/workers/status").await;
    let workers = workers.as_array().unwrap();
    assert_eq!(workers.len(), 2);
    for worker in workers {
        assert_eq!(keys(worker), ["last_seen", "order_types", "orders_processed", "status", "worker_name"]);
        utc(&worker["last_seen"]);
    }
    assert_eq!(
        (&workers[0]["worker_name"], &workers[1]["worker_name"]),
        (&json!("chef_anna"), &json!("chef_mario"))
    );
    assert_eq!(workers[0]["order_types"], json!(["dine_in", "takeout", "delivery"]));
    assert_eq!(
        (&workers[1]["status"], &workers[1]["orders_processed"], &workers[1]["order_types"]),
        (&json!("processing"), &json!(7), &json!(["dine_in"]))
    );
}

#[tokio::test]
async fn a_worker_is_offline_after_two_of_its_own_intervals_and_not_before() {
    let t = Tracking::start().await;
    let sql = "insert into workers (name, type, status, heartbeat_interval_ms, last_seen) values
        ('fresh', 'takeout', 'online', 30000, now() - interval '50 s'),
        ('busy', 'takeout', 'processing', 30000, now() - interval '50 s'),
        ('lost', 'takeout', 'processing', 30000, now() - interval '60.1 s'),
        ('quick', 'takeout', 'online', 1000, now() - interval '2.1 s'),
        ('gone', 'takeout', 'offline', 30000, now())";
    t.db.batch_execute(sql).await.unwrap();
    for (name, status) in [
        ("fresh", "online"),
        ("busy", "processing"),
        ("lost", "offline"),
        ("quick", "offline"),
        ("gone", "offline"),
    ] {
        assert_eq!(status_of(&t, name).await, status, "{name}");
    }
}

#[tokio::test]
async fn a_real_worker_is_online_until_it_is_killed_or_stopped() {
    let t = Tracking::start().await;
    let worker = |name: &str| {
        t.env.spawn(&[
            "kitchen-worker",
            "--worker-name",
            name,
            "--order-types",
            "takeout,dine_in",
            "--heartbeat-interval",
            "1",
        ])
    };
    let (mut anna, mut mario) = (worker("chef_anna"), worker("chef_mario"));
    for name in ["chef_anna", "chef_mario"] {
        eventually(&format!("{name} is online"), || async { status_of(&t, name).await == "online" }).await;
    }
    anna.kill();
    eventually("the killed one is offline", || async { status_of(&t, "chef_anna").await == "offline" }).await;
    // Where many processes share few cores a beat may be late, so this is no single look.
    eventually("the other one is online", || async { status_of(&t, "chef_mario").await == "online" }).await;
    mario.signal(Signal::SIGTERM);
    assert_eq!(mario.wait_exit().await.code(), Some(0));
    assert_eq!(status_of(&t, "chef_mario").await, "offline");
}
