//! Workers that start while RabbitMQ is away, or whose names it cannot tell.

use super::kit::Kit;
use crate::broker::connected;
use crate::metrics::{metrics_port, reaches, value};
use crate::support::{Proxy, Role, eventually};
use amqp::Consume;

const BEAT: [&str; 2] = ["--heartbeat-interval", "1"];

/// A wire to RabbitMQ that roles have which are started while it is in the configuration.
pub struct Wire {
    pub proxy: Proxy,
    direct: String,
}

impl Wire {
    pub async fn of(kit: &Kit) -> Self {
        let port = kit.env.servers.rabbitmq.amqp_port();
        let proxy = Proxy::to(port).await;
        let direct = std::fs::read_to_string(kit.env.config()).unwrap();
        let wire = direct.replace(&port.to_string(), &proxy.host().1.to_string());
        let wire = wire.replace("rabbitmq:\n", "rabbitmq:\n  heartbeat_seconds: 2\n");
        std::fs::write(kit.env.config(), wire).unwrap();
        Self { proxy, direct }
    }

    /// Roles that are started from now on have a wire of their own.
    fn leave(&self, kit: &Kit) {
        std::fs::write(kit.env.config(), &self.direct).unwrap();
    }
}

async fn wait_ready_once(kit: &Kit, numbers: &[String]) {
    kit.wait_ready(numbers).await;
    for number in numbers {
        assert_eq!(kit.statuses(number).await, ["received", "cooking", "ready"]);
    }
}

async fn assert_refused(double: &mut Role) {
    assert_eq!(double.wait_exit().await.code(), Some(1), "{:?}", double.output());
    let says_why = |log: &serde_json::Value| {
        log["level"] == "ERROR" && log["error"]["msg"].as_str().is_some_and(|msg| msg.contains("chef_anna"))
    };
    assert!(double.logs().iter().any(says_why), "{:?}", double.output());
}

#[tokio::test]
async fn a_worker_that_starts_without_rabbitmq_cooks_and_takes_its_name_when_it_is_back() {
    let kit = Kit::new().await;
    let wire = Wire::of(&kit).await;
    wire.proxy.cut();
    let numbers = kit.place_many("takeout", 3).await;
    let mut anna = kit.worker("chef_anna", &BEAT);
    wait_ready_once(&kit, &numbers).await;
    assert!(anna.logs_of("rabbitmq_connected").is_empty(), "RabbitMQ was there");

    wire.proxy.restore();
    anna.wait_for_action("worker_name_held").await;
    kit.env.rabbit.wait_for_consumers("kitchen_takeout_queue", 1).await;
    kit.wait_queues_empty().await;
    assert_refused(&mut kit.worker("chef_anna", &BEAT)).await;
    wait_ready_once(&kit, &kit.place_many("takeout", 3).await).await;
    kit.wait_queues_empty().await;
    assert!(anna.is_running());
    assert_eq!(kit.worker_row("chef_anna").await.1, 6);
}

#[tokio::test]
async fn an_outage_is_measured_while_it_lasts_and_counted_when_it_is_over() {
    let kit = Kit::new().await;
    let wire = Wire::of(&kit).await;
    let anna = kit.working("chef_anna", &["--metrics-port", "0"]).await;
    let metrics = metrics_port(&anna).await;
    let (connected, reconnects) = (
        "restaurant_server_connected{server=\"rabbitmq\"}",
        "restaurant_reconnects_total{server=\"rabbitmq\"}",
    );
    reaches(&metrics, connected, 1.0).await;
    assert_eq!(value(&metrics, reconnects).await, 0.0);
    wire.proxy.cut();
    reaches(&metrics, connected, 0.0).await;
    wire.proxy.restore();
    reaches(&metrics, connected, 1.0).await;
    reaches(&metrics, reconnects, 1.0).await;
    assert_eq!(value(&metrics, "restaurant_reconnects_total{server=\"postgresql\"}").await, 0.0);
}

#[tokio::test]
async fn a_double_that_starts_without_rabbitmq_is_refused_by_the_heartbeats_of_the_first() {
    let kit = Kit::new().await;
    let wire = Wire::of(&kit).await;
    wire.proxy.cut();
    let mut anna = kit.working("chef_anna", &BEAT).await;
    let mut double = kit.worker("chef_anna", &BEAT);
    let mut numbers = kit.place_many("takeout", 5).await;
    assert_refused(&mut double).await;
    numbers.extend(kit.place_many("takeout", 5).await);
    wait_ready_once(&kit, &numbers).await;
    wire.proxy.restore();
    anna.wait_for_action("worker_name_held").await;
    let number = kit.place("takeout").await;
    wait_ready_once(&kit, &[number]).await;
    assert!(anna.is_running());
}

#[tokio::test]
async fn of_two_that_start_together_without_rabbitmq_one_works() {
    let kit = Kit::new().await;
    let wire = Wire::of(&kit).await;
    wire.proxy.cut();
    let mut both = [kit.worker("chef_anna", &BEAT), kit.worker("chef_anna", &BEAT)];
    let numbers = kit.place_many("takeout", 5).await;
    eventually("one of them ends", || std::future::ready(both.iter_mut().any(|worker| !worker.is_running())))
        .await;
    let [mut anna, mut double] = both;
    if !anna.is_running() {
        std::mem::swap(&mut anna, &mut double);
    }
    assert_refused(&mut double).await;
    wire.proxy.restore();
    anna.wait_for_action("worker_name_held").await;
    let more = kit.place_many("takeout", 5).await;
    wait_ready_once(&kit, &numbers).await;
    wait_ready_once(&kit, &more).await;
    assert!(anna.is_running());
}

#[tokio::test]
async fn a_worker_that_was_killed_starts_again_without_rabbitmq_after_two_of_its_intervals() {
    let kit = Kit::new().await;
    let wire = Wire::of(&kit).await;
    wire.proxy.cut();
    let mut first = kit.working("chef_anna", &["--cook-seconds", "600", "--heartbeat-interval", "1"]).await;
    let number = kit.place("takeout").await;
    kit.wait_cooked_by(&number, "chef_anna").await;
    first.kill();
    let again = kit.working("chef_anna", &BEAT).await;
    wait_ready_once(&kit, &[number]).await;
    let registered = again.wait_for_action("worker_registered").await;
    assert!(registered["details"].as_str().unwrap().contains("1 orders"), "{registered}");
}

#[tokio::test]
async fn a_double_that_takes_the_name_while_the_first_is_cut_off_from_rabbitmq_replaces_it() {
    let kit = Kit::new().await;
    let wire = Wire::of(&kit).await;
    let mut anna = kit.working("chef_anna", &BEAT).await;
    wire.proxy.cut();
    wire.leave(&kit);
    let mut double = kit.working("chef_anna", &BEAT).await;
    assert_refused(&mut anna).await;
    wire.proxy.restore();
    wait_ready_once(&kit, &kit.place_many("takeout", 5).await).await;
    assert!(double.is_running());
}

#[tokio::test]
async fn who_is_registered_goes_on_while_its_name_is_refused_and_takes_it_when_it_is_free() {
    let kit = Kit::new().await;
    let wire = Wire::of(&kit).await;
    wire.proxy.cut();
    let mut anna = kit.working("chef_anna", &BEAT).await;
    // Whose start has got so far, and dies before it registers.
    let broker = connected(&kit.env).await;
    let held = broker.hold_name("kitchen_worker.chef_anna").await.unwrap();
    wire.proxy.restore();
    anna.wait_for_action("rabbitmq_connected").await;
    wait_ready_once(&kit, &kit.place_many("takeout", 3).await).await;
    assert!(anna.logs_of("worker_name_held").is_empty());
    drop(held);
    anna.wait_for_action("worker_name_held").await;
    assert!(anna.is_running());
}

/// A cut cable: the process is killed on this side, and RabbitMQ hears nothing of it.
#[tokio::test]
async fn a_worker_whose_connection_is_half_open_is_back_within_the_tries_of_its_unit() {
    let kit = Kit::new().await;
    let wire = Wire::of(&kit).await;
    let mut anna = kit.working("chef_anna", &[]).await;
    wire.proxy.hold();
    anna.kill();
    wire.leave(&kit);
    let mut tries = 0;
    let _again = loop {
        tries += 1;
        let mut again = kit.worker("chef_anna", &[]);
        eventually("it is refused or works", || {
            std::future::ready(!again.is_running() || !again.logs_of("worker_registered").is_empty())
        })
        .await;
        if again.is_running() {
            break again;
        }
        assert_refused(&mut again).await;
    };
    // The heartbeat is a fifth of what is usual.
    assert!((2..=4).contains(&tries), "{tries} tries");
    let number = kit.place("takeout").await;
    wait_ready_once(&kit, &[number]).await;
}
