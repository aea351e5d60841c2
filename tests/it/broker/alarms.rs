//! A server that takes no messages, because its memory or disk is nearly used up. Its alarm concerns everybody who uses it,
//! so these tests have a server of their own.

use std::time::Duration;

use amqp::{BrokerError, Consume, ConsumeOptions, NameHold, Publish, PublishOutcome, Received};
use serde_json::Value;

use super::logs::Logs;
use super::{id, next_delivery, options, order, start, within};
use crate::support::{Http, Role, TestEnv, blocking, dine_in, eventually};

const TAKEOUT: &str = "kitchen_takeout_queue";

async fn set_memory_limit(env: &TestEnv, limit: &'static str) {
    let servers = env.servers.clone();
    let arguments = ["set_vm_memory_high_watermark", "absolute", limit];
    blocking(move || servers.rabbitmq.control(&arguments)).await.unwrap();
}

/// The order service says how things stand and since when, and goes on; the kitchen finds the order by a sweep.
async fn takes_and_cooks_orders(env: &TestEnv, orders: &Role) {
    let http = Http::of(orders).await;
    let ready = http.wait_check(200, "rabbitmq", "blocked").await;
    assert_eq!(ready["status"], "ready");
    let since = ready["checks"]["rabbitmq"]["since"].as_str().unwrap();
    assert!(since.parse::<jiff::Timestamp>().unwrap() <= jiff::Timestamp::now(), "{since}");
    http.place(&dine_in()).await;
    let client = env.connect().await;
    eventually("the order being ready", || async {
        let row = client.query_one("select status from orders", &[]).await.unwrap();
        row.get::<_, String>(0) == "ready"
    })
    .await;
}

/// On connections that are made under the alarm, of which RabbitMQ takes the first message.
async fn the_doctor_says_so(env: &TestEnv) {
    let config = env.config().display().to_string();
    let page = env.run(&["doctor", "--json", "--config", &config]).await.stdout;
    let page: Value = serde_json::from_slice(&page).unwrap();
    let line = page["checks"].as_array().unwrap().iter().find(|check| check["name"] == "rabbitmq").unwrap();
    assert_eq!(line["state"], "problem", "{page}");
    assert!(line["summary"].as_str().unwrap().contains("alarm"), "{page}");
}

#[tokio::test]
async fn under_an_alarm_everything_but_publishing_goes_on_over_the_same_connection() {
    let env = TestEnv::with_own_servers().await;
    let (logs, _guard) = Logs::collect();
    let mut options = options(&env);
    options.alarm_probe = Some(Duration::from_millis(500));
    let broker = start(options.clone());
    (options.alarm_probe, options.confirm_timeout) = (None, Duration::from_secs(2));
    let worker = start(options);
    let mut consumer = within("a consumer", worker.consume(ConsumeOptions::new([TAKEOUT], 1))).await.unwrap();
    let before = (0..3).map(|n| order("takeout", 1, &n.to_string())).collect();
    assert!(worker.publish(before).await.iter().all(|outcome| *outcome == PublishOutcome::Routed));
    let in_hand = next_delivery(&mut consumer).await;
    let name = worker.hold_name("kitchen_worker.chef_anna").await.unwrap();

    let orders = env.spawn(&["order-service", "--port", "0"]);
    let chef = ["kitchen-worker", "--worker-name", "chef_luigi", "--cook-seconds", "0"];
    let chef = env.spawn(&[&chef[..], &["--order-types", "dine_in"]].concat());
    chef.wait_for_action("worker_registered").await;

    set_memory_limit(&env, "1MB").await;
    // One finds out although it publishes nothing, the other by publishing.
    within("the alarm", broker.blocked().wait_for(Option::is_some)).await.unwrap();
    assert!(broker.is_connected());
    let outcome = within("the outcome", worker.publish_one(order("takeout", 1, "late"))).await;
    assert!(matches!(outcome, PublishOutcome::Unconfirmed(_)), "{outcome:?}");
    within("the alarm", worker.blocked().wait_for(Option::is_some)).await.unwrap();
    let refused = PublishOutcome::Unconfirmed(BrokerError::Blocked);
    assert_eq!(within("the answer", worker.publish_one(order("takeout", 1, "later"))).await, refused);
    assert!(in_hand.ack().await);
    for _ in 1..3 {
        assert!(next_delivery(&mut consumer).await.ack().await);
    }
    assert!(worker.redeclare_topology().await.is_ok());
    takes_and_cooks_orders(&env, &orders).await;
    // Longer than the confirmations that stay out are waited for.
    tokio::join!(tokio::time::sleep(Duration::from_secs(5)), the_doctor_says_so(&env));
    assert_eq!(logs.of("rabbitmq_blocked").len(), 2, "one of each: {:?}", logs.all());
    assert!(logs.of("rabbitmq_connection_failed").is_empty(), "{:?}", logs.all());
    assert!(tokio::time::timeout(Duration::from_millis(100), name.lost()).await.is_err());

    for role in [&orders, &chef] {
        role.wait_for_action("rabbitmq_blocked").await;
        assert_eq!(role.logs_of("rabbitmq_blocked").len(), 1, "{:?}", role.output());
        assert!(role.logs_of("rabbitmq_connection_failed").is_empty(), "{:?}", role.output());
    }

    set_memory_limit(&env, "1GB").await;
    for broker in [&broker, &worker] {
        within("its end", broker.blocked().wait_for(Option::is_none)).await.unwrap();
    }
    assert_eq!(logs.of("rabbitmq_unblocked").len(), 2, "{:?}", logs.all());
    assert_eq!(worker.publish_one(order("takeout", 1, "after")).await, PublishOutcome::Routed);
    let client = env.connect().await;
    eventually("everything being announced", || async {
        let row = client.query_one("select count(*) from outbox", &[]).await.unwrap();
        row.get::<_, i64>(0) == 0
    })
    .await;
    let (_, ready) = Http::of(&orders).await.readiness().await;
    assert_eq!(ready["checks"]["rabbitmq"]["status"], "up");
    // What was not confirmed may have been taken all the same, once there was room.
    within("the order", async {
        loop {
            let delivery = next_delivery(&mut consumer).await;
            let id = id(&delivery);
            delivery.ack().await;
            if id == "after" {
                break;
            }
        }
    })
    .await;
    assert!(logs.of("rabbitmq_connection_failed").is_empty(), "{:?}", logs.all());
}
