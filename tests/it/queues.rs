//! `restaurant-system queues`: the type of the queues is changed in a system that takes orders.

use crate::kitchen::kit::{Kit, SHORT_GRACE};
use crate::support::{Http, Role, Signal, TestEnv, eventually, takeout};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const QUEUES: [&str; 6] = [
    "kitchen_dine_in_queue",
    "kitchen_takeout_queue",
    "kitchen_delivery_queue",
    "kitchen_dead_letters",
    "notifications_queue",
    "notifications_queue.kiosk",
];

/// Starts a role that wants quorum queues.
fn quorum(env: &TestEnv, args: &[&str]) -> Role {
    let mut command = env.command(args);
    command.arg("--config").arg(env.config()).args(["--log-format", "json"]);
    command.env("RESTAURANT_RABBITMQ_QUEUE_TYPE", "quorum");
    Role::spawn(&args.join(" "), command)
}

/// Runs `queues …` to its end; its exit code and all that it wrote.
async fn queues(env: &TestEnv, queue_type: &str, args: &[&str]) -> (Option<i32>, String) {
    let mut command = env.command(&["queues"]);
    command.args(args).arg("--config").arg(env.config());
    command.env("RESTAURANT_RABBITMQ_QUEUE_TYPE", queue_type);
    let output = crate::support::blocking(move || command.output().unwrap()).await;
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

async fn stop(mut role: Role) {
    role.signal(Signal::SIGTERM);
    assert_eq!(role.wait_exit().await.code(), Some(0));
}

/// Customers who order and think better of it, until they are told to stop: what subscribers are to be told of.
fn customers(kit: &Kit, until: Arc<AtomicBool>) -> tokio::task::JoinHandle<Vec<String>> {
    let http = kit.http.clone();
    tokio::spawn(async move {
        let mut cancelled = Vec::new();
        while !until.load(Ordering::Relaxed) {
            let number = http.place(&takeout()).await;
            http.change(&number, "cancel").await;
            cancelled.push(number);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        cancelled
    })
}

#[tokio::test]
async fn changing_the_type_of_all_queues_under_load_loses_no_order_no_update_and_no_dead_letter() {
    let mut kit = Kit::with(SHORT_GRACE).await;
    let subscribers = [kit.subscriber(&[]).await, kit.subscriber(&["--name", "kiosk"]).await];
    for n in 1..=5 {
        let letter = json!({"message_id": format!("letter-{n}"), "delivery_mode": 2});
        assert!(kit.env.rabbit.publish("orders_dead_letter", "x", &letter, "{}").await);
    }
    // As the operations manual says: the new configuration first, then those that consume are stopped.
    for subscriber in subscribers {
        stop(subscriber).await;
    }
    kit.orders = quorum(&kit.env, &["order-service", "--port", "0"]);
    kit.http = Http::of(&kit.orders).await;
    kit.orders.wait_for_action("db_connected").await;
    kit.orders.wait_for_action("rabbitmq_queue_differs").await;
    let waiting = kit.place_many("dine_in", 20).await;
    let done = Arc::new(AtomicBool::new(false));
    let load = customers(&kit, Arc::clone(&done));
    kit.env.rabbit.wait_for_depth("kitchen_dine_in_queue", 20).await;

    let (code, text) = queues(&kit.env, "quorum", &["migrate", "--subscriber", "kiosk"]).await;
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("notifications_queue.kiosk: made anew"), "{text}");
    for queue in QUEUES {
        let found = kit.env.rabbit.queue(queue).await.unwrap();
        assert_eq!(found["arguments"]["x-queue-type"], "quorum", "{queue}");
        assert!(kit.env.rabbit.queue(&format!("restaurant_moving.{queue}")).await.is_none(), "{queue}");
    }
    let (code, text) = queues(&kit.env, "quorum", &["migrate", "--subscriber", "kiosk"]).await;
    assert_eq!((code, text.trim()), (Some(0), "all queues are as they should be"));
    done.store(true, Ordering::Relaxed);
    let cancelled = load.await.unwrap();
    assert!(cancelled.len() > 10, "{}", cancelled.len());

    // Every order is announced again to the queue, not only found by a sweep.
    kit.wait_announced().await;
    eventually("the waiting orders in their queue", || async {
        kit.env.rabbit.queue_depth("kitchen_dine_in_queue").await >= 20
    })
    .await;
    let subscribers = [
        quorum(&kit.env, &["notification-subscriber"]),
        quorum(&kit.env, &["notification-subscriber", "--name", "kiosk"]),
    ];
    let chef = ["kitchen-worker", "--worker-name", "chef_anna", "--cook-seconds", "0"];
    let chef = quorum(&kit.env, &chef);
    kit.wait_ready(&waiting).await;
    for subscriber in &subscribers {
        for number in &cancelled {
            let told = format!("order {number}: Status changed from 'received' to 'cancelled'");
            subscriber.wait_for_line(&told, |line| line.contains(&told)).await;
        }
    }
    let letters = kit.env.rabbit.get_messages("kitchen_dead_letters", 10).await;
    let letters: Vec<&Value> = letters.iter().map(|letter| &letter.properties["message_id"]).collect();
    assert_eq!(letters, ["letter-1", "letter-2", "letter-3", "letter-4", "letter-5"]);
    for role in subscribers.into_iter().chain([chef]) {
        stop(role).await;
    }

    // And back.
    let number = kit.place("delivery").await;
    kit.http.change(&number, "cancel").await;
    kit.wait_announced().await;
    let (code, text) = queues(&kit.env, "classic", &["migrate", "--subscriber", "kiosk"]).await;
    assert_eq!(code, Some(0), "{text}");
    let takeout = kit.env.rabbit.queue("kitchen_takeout_queue").await.unwrap();
    assert_eq!(takeout["arguments"], json!({"x-max-priority": 10}));
    let kept = kit.env.rabbit.get_messages("notifications_queue", 10).await;
    assert!(kept.iter().any(|update| update.json()["order_number"] == number.as_str()), "{kept:?}");
}

#[tokio::test]
async fn it_refuses_while_a_queue_is_consumed_and_says_what_to_stop() {
    let kit = Kit::new().await;
    let _chef = kit.working("chef_anna", &["--order-types", "dine_in"]).await;
    kit.env.rabbit.wait_for_consumers("kitchen_dine_in_queue", 1).await;
    let (code, text) = queues(&kit.env, "quorum", &["migrate"]).await;
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("kitchen_dine_in_queue") && text.contains("systemctl stop"), "{text}");
    for queue in &QUEUES[..5] {
        let found = kit.env.rabbit.queue(queue).await.unwrap();
        assert!(found["arguments"]["x-queue-type"].is_null(), "{queue}");
    }
    let (code, text) = queues(&kit.env, "quorum", &["list", "--json"]).await;
    assert_eq!(code, Some(0), "{text}");
    let rows: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&rows[0]["queue"], &rows[0]["state"]), (&json!(QUEUES[0]), &json!("other")));
    assert_eq!(rows[0]["consumers"], 1);
}

#[tokio::test]
async fn without_postgresql_nothing_is_deleted() {
    let kit = Kit::new().await;
    let mut command = kit.env.command(&["queues", "migrate", "--config"]);
    command.arg(kit.env.config()).env("RESTAURANT_RABBITMQ_QUEUE_TYPE", "quorum");
    command.env("RESTAURANT_DATABASE_PORT", "1");
    let output = crate::support::blocking(move || command.output().unwrap()).await;
    assert_eq!(output.status.code(), Some(1));
    let found = kit.env.rabbit.queue("kitchen_takeout_queue").await.unwrap();
    assert_eq!(found["arguments"], json!({"x-max-priority": 10}));
}
