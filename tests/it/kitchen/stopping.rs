//! The end of a worker: what it has in hand is finished or given back.

use super::kit::{Kit, MESSAGES_ONLY, SHORT_GRACE};
use crate::metrics::{metrics_port, value};
use crate::support::{Signal, TestEnv};
use std::net::TcpListener;
use std::time::{Duration, Instant};

#[tokio::test]
async fn an_idle_worker_that_is_asked_to_stop_goes_offline() {
    let kit = Kit::new().await;
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut chef = kit.working("chef_anna", &[]).await;
        chef.signal(signal);
        assert_eq!(chef.wait_exit().await.code(), Some(0));
        assert_eq!(kit.worker_row("chef_anna").await.0, "offline");
        chef.wait_for_action("graceful_shutdown").await;
        chef.wait_for_action("service_stopped").await;
    }
}

#[tokio::test]
async fn a_cooking_worker_that_is_asked_to_stop_finishes_its_order_and_takes_no_other() {
    let kit = Kit::with(MESSAGES_ONLY).await;
    let mut chef = kit.working("chef_anna", &["--cook-seconds", "1"]).await;
    let number = kit.place("takeout").await;
    kit.wait_cooked_by(&number, "chef_anna").await;
    let next = kit.place("takeout").await;
    chef.signal(Signal::SIGTERM);
    assert_eq!(chef.wait_exit().await.code(), Some(0));
    assert_eq!(kit.status(&number).await, "ready");
    assert_eq!(kit.status(&next).await, "received");
    assert_eq!(kit.worker_row("chef_anna").await, ("offline".to_owned(), 1));
    kit.env.rabbit.wait_for_depth("kitchen_takeout_queue", 1).await;
}

#[tokio::test]
async fn an_order_that_cannot_be_finished_in_time_is_given_back_and_taken_at_once() {
    let kit = Kit::with("kitchen:\n  grace_seconds: 0.2\n  stop_seconds: 0.3\n").await;
    let mut anna = kit.working("chef_anna", &["--cook-seconds", "600"]).await;
    let number = kit.place("takeout").await;
    kit.wait_cooked_by(&number, "chef_anna").await;
    let _mario = kit.working("chef_mario", &[]).await;
    let stopped = Instant::now();
    anna.signal(Signal::SIGTERM);
    assert_eq!(anna.wait_exit().await.code(), Some(0));
    kit.wait_status(&number, "ready").await;
    assert!(stopped.elapsed() < Duration::from_secs(10), "{:?}", stopped.elapsed());
    assert_eq!(kit.processed_by(&number).await.as_deref(), Some("chef_mario"));
    assert_eq!(kit.statuses(&number).await, ["received", "cooking", "ready"]);
    assert_eq!(kit.worker_row("chef_anna").await, ("offline".to_owned(), 0));
    anna.wait_for_action("order_given_back").await;
}

#[tokio::test]
async fn a_worker_is_measured_until_its_last_order_is_out_of_its_hands() {
    let kit = Kit::with(SHORT_GRACE).await;
    let mut anna = kit.working("chef_anna", &["--cook-seconds", "600", "--metrics-port", "0"]).await;
    let metrics = metrics_port(&anna).await;
    let number = kit.place("takeout").await;
    kit.wait_cooked_by(&number, "chef_anna").await;
    anna.signal(Signal::SIGTERM);
    anna.wait_for_action("graceful_shutdown").await;
    assert_eq!(value(&metrics, "restaurant_claims_total{result=\"claimed\"}").await, 1.0);
    assert_eq!(metrics.get("/healthz").await.status, 200);
    anna.signal(Signal::SIGTERM);
    assert_eq!(anna.wait_exit().await.code(), Some(0));
}

#[tokio::test]
async fn a_second_signal_gives_the_orders_back_at_once() {
    let kit = Kit::with(SHORT_GRACE).await;
    let mut anna = kit.working("chef_anna", &["--cook-seconds", "600", "--prefetch", "3"]).await;
    let numbers = kit.place_many("takeout", 3).await;
    for number in &numbers {
        kit.wait_cooked_by(number, "chef_anna").await;
    }
    anna.signal(Signal::SIGTERM);
    anna.wait_for_action("graceful_shutdown").await;
    anna.signal(Signal::SIGTERM);
    assert_eq!(anna.wait_exit().await.code(), Some(0));
    assert_eq!(kit.worker_row("chef_anna").await, ("offline".to_owned(), 0));
    let _mario = kit.working("chef_mario", &["--prefetch", "3"]).await;
    kit.wait_ready(&numbers).await;
    assert_eq!(kit.worker_row("chef_mario").await.1, 3);
}

#[tokio::test]
async fn offline_is_a_workers_last_word_however_it_ends_its_cooking() {
    // The end of cooking and the end of the process both want to say something: many ends show the order.
    let kit = Kit::new().await;
    let names: Vec<String> = (0..6).map(|n| format!("chef_{n}")).collect();
    let args = ["--cook-seconds", "0.7", "--order-types", "takeout"];
    let mut chefs: Vec<_> = names.iter().map(|name| kit.worker(name, &args)).collect();
    for chef in &chefs {
        chef.wait_for_action("worker_registered").await;
    }
    // More than they need: one that is quick takes a second one before it is asked to stop.
    kit.place_many("takeout", 30).await;
    for chef in &chefs {
        chef.wait_for_action("order_processing_started").await;
        chef.signal(Signal::SIGTERM);
    }
    for (chef, name) in chefs.iter_mut().zip(&names) {
        assert_eq!(chef.wait_exit().await.code(), Some(0));
        assert_eq!(kit.worker_row(name).await.0, "offline", "{name}");
    }
}

#[tokio::test]
async fn every_role_that_waits_for_servers_that_are_away_stops_when_asked() {
    let env = TestEnv::new().await;
    let (postgres, rabbitmq) = (env.servers.postgres.port(), env.servers.rabbitmq.amqp_port());
    let closed = closed_port();
    for (postgres, rabbitmq) in [(closed, closed), (postgres, closed), (closed, rabbitmq)] {
        let text = format!(
            "database:\n  host: 127.0.0.1\n  port: {postgres}\n  user: restaurant_user\n  password: restaurant_pass\n  \
             database: {}\nrabbitmq:\n  host: 127.0.0.1\n  port: {rabbitmq}\n  user: guest\n  password: guest\n  vhost: {}\n",
            env.database, env.vhost
        );
        std::fs::write(env.config(), text).unwrap();
        let roles: [&[&str]; 4] = [
            &["order-service", "--port", "0"],
            &["tracking-service", "--port", "0"],
            &["kitchen-worker", "--worker-name", "chef_anna"],
            &["notification-subscriber"],
        ];
        let mut roles: Vec<_> = roles.iter().map(|args| env.spawn(args)).collect();
        for role in &roles {
            if rabbitmq == closed {
                role.wait_for_action("rabbitmq_connection_failed").await;
            } else {
                role.wait_for_action("service_started").await;
            }
            role.signal(Signal::SIGTERM);
        }
        for role in &mut roles {
            assert_eq!(role.wait_exit().await.code(), Some(0));
            assert!(role.logs_of("rabbitmq_connection_failed").len() <= 1);
            assert!(role.logs_of("db_connection_failed").len() <= 1);
        }
    }
}

/// A port that nobody listens on.
fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
