//! Servers that go and come back while the kitchen works. Each test has servers of its own: as much as fits in one.

use super::kit::{Kit, SHORT_GRACE};
use crate::support::{Role, Signal, TestEnv, blocking, eventually};
use std::sync::Arc;
use std::time::Duration;

#[tokio::test]
async fn the_kitchen_survives_the_loss_of_each_server() {
    let env = TestEnv::with_own_servers().await;
    env.write_config(SHORT_GRACE);
    let mut kit = Kit::on(env).await;
    let subscriber = kit.subscriber(&[]).await;
    let tracking = kit.env.spawn(&["tracking-service", "--port", "0"]);
    // Nobody cooks deliveries yet.
    let types = "dine_in,takeout";
    let beat = ["--heartbeat-interval", "1", "--cook-seconds", "1.5", "--order-types", types];
    let anna = kit.working("chef_anna", &beat).await;

    postgres_away_while_cooking(&mut kit, &anna).await;
    for role in [&kit.orders, &anna, &tracking] {
        role.wait_for_log("that PostgreSQL is back", |log| {
            log["action"] == "reconnected" && log["details"] == "postgresql"
        })
        .await;
        assert_eq!(role.logs_of("db_connection_failed").len(), 1, "{:?}", role.output());
        assert_eq!(role.logs_of("reconnected").len(), 1, "{:?}", role.output());
    }

    let _luigi = kit.working("chef_luigi", &["--prefetch", "8", "--order-types", types]).await;
    let mut numbers = rabbitmq_away(&kit).await;
    for role in [&kit.orders, &anna, &tracking, &subscriber] {
        role.wait_for_log("that RabbitMQ is back", |log| {
            log["action"] == "reconnected" && log["details"] == "rabbitmq"
        })
        .await;
        assert_eq!(role.logs_of("rabbitmq_connection_failed").len(), 1, "{:?}", role.output());
    }
    numbers.extend(rabbitmq_wiped(&kit).await);
    let _late = kit.worker("chef_late", &[]);
    kit.wait_ready(&numbers).await;
    kit.wait_announced().await;
    for number in &numbers {
        let ready = format!("Notification for order {number}: Status changed from 'cooking' to 'ready' by ");
        subscriber.wait_for_line(&ready, |line| line.starts_with(&ready)).await;
        assert_eq!(kit.statuses(number).await, ["received", "cooking", "ready"]);
    }
    kit.wait_queues_empty().await;
    assert_eq!(kit.env.rabbit.queue_depth("kitchen_dead_letters").await, 0);
}

/// The worker finishes what it had in hand, though everybody's heartbeat is old, and another worker sweeps.
async fn postgres_away_while_cooking(kit: &mut Kit, anna: &Role) {
    let number = kit.place("takeout").await;
    kit.wait_cooked_by(&number, "chef_anna").await;
    let frozen = ["--cook-seconds", "600", "--heartbeat-interval", "2"];
    let frozen = kit.working("chef_frozen", &frozen).await;
    // What chef_anna does not cook: she must not be the one who takes it over.
    let held = kit.place("delivery").await;
    kit.wait_cooked_by(&held, "chef_frozen").await;
    frozen.signal(Signal::SIGSTOP);
    let _mario = kit.working("chef_mario", &["--heartbeat-interval", "0.3"]).await;
    let servers = Arc::clone(&kit.env.servers);
    blocking(move || {
        servers.postgres.kill();
        // Longer than anybody may be silent, and than the cooking takes: the length of the outage.
        std::thread::sleep(Duration::from_secs(3));
        servers.postgres.restart().unwrap();
    })
    .await;
    kit.db = kit.env.connect().await;
    kit.wait_status(&number, "ready").await;
    assert_eq!(kit.processed_by(&number).await.as_deref(), Some("chef_anna"));
    assert_eq!(anna.logs_of("order_processing_started").len(), 1);
    assert_eq!(kit.statuses(&number).await, ["received", "cooking", "ready"]);
    // Who is silent since the start of PostgreSQL has 5 s and two intervals from there.
    eventually("another one cooks it", || async {
        kit.processed_by(&held).await.as_deref() != Some("chef_frozen")
    })
    .await;
    let sql = "select extract(epoch from claimed_at - pg_postmaster_start_time())::float8 from orders where number = $1";
    let after_s: f64 = kit.db.query_one(sql, &[&held]).await.unwrap().get(0);
    assert!(after_s >= 9.0, "taken over {after_s} s after the start");
}

/// Orders are taken and cooked while RabbitMQ is away; the updates follow when it is back.
async fn rabbitmq_away(kit: &Kit) -> Vec<String> {
    let before = kit.place("takeout").await;
    kit.wait_status(&before, "ready").await;
    let servers = Arc::clone(&kit.env.servers);
    blocking(move || servers.rabbitmq.kill()).await;
    let mut numbers = kit.place_many("takeout", 5).await;
    numbers.extend(kit.place_many("dine_in", 5).await);
    kit.wait_ready(&numbers).await;
    let servers = Arc::clone(&kit.env.servers);
    blocking(move || servers.rabbitmq.restart()).await.unwrap();
    numbers.push(kit.place("takeout").await);
    numbers.push(before);
    kit.wait_ready(&numbers).await;
    kit.wait_announced().await;
    numbers
}

/// What lay in the broker's queues is gone, and the queues as well.
async fn rabbitmq_wiped(kit: &Kit) -> Vec<String> {
    kit.env.rabbit.wait_for_depth("notifications_queue", 0).await;
    let servers = Arc::clone(&kit.env.servers);
    let numbers = kit.place_many("delivery", 20).await;
    blocking(move || servers.rabbitmq.wipe()).await.unwrap();
    eventually("the queues are declared again", || async {
        kit.env.rabbit.queue("kitchen_delivery_queue").await.is_some()
    })
    .await;
    numbers
}
