//! A user of RabbitMQ for each role, with the rights that docs/OPERATIONS.md gives it and no others.

use super::kit::MESSAGES_ONLY;
use crate::support::{Event, Events, Http, Role, TestEnv, eventually_ok, takeout};
use amqp::{Broker, BrokerError, BrokerOptions, Outgoing, Properties, PublishOutcome};
use restaurant_system::broker::{Part, wanted_slot};
use serde_json::{Value, json};
use std::sync::Arc;

const PASSWORD: &str = "a password of this test";

/// The arguments of the documented `set_permissions` for this user: to configure, to write and to read.
fn documented_rights(user: &str) -> [String; 3] {
    let document = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/OPERATIONS.md");
    let text = std::fs::read_to_string(document).unwrap();
    let command = format!("set_permissions {user} ");
    let (_, rights) = text.split_once(&command).unwrap_or_else(|| panic!("no {command}"));
    let quoted: Vec<&str> = rights.split('\'').skip(1).step_by(2).take(3).collect();
    [0, 1, 2].map(|n| quoted[n].to_owned())
}

/// Creates the user of a role for this test; its name.
async fn create_user(env: &TestEnv, role: &str) -> String {
    let user = format!("{}_{role}", env.vhost);
    env.rabbit.create_user(&user, PASSWORD, &documented_rights(&format!("restaurant_{role}"))).await;
    user
}

/// Starts a role with a user of its own.
async fn spawn(env: &TestEnv, role: &str, args: &[&str]) -> Role {
    let mut command = env.command(args);
    command.arg("--config").arg(env.config()).args(["--log-format", "json"]);
    command.env("RESTAURANT_RABBITMQ_USER", create_user(env, role).await);
    command.env("RESTAURANT_RABBITMQ_PASSWORD", PASSWORD);
    Role::spawn(&args.join(" "), command)
}

/// The actions of its warnings and errors, but for those about PostgreSQL and the configuration.
fn troubles(role: &Role) -> Vec<String> {
    let is_trouble = |log: &Value| ["WARN", "ERROR"].iter().any(|level| log["level"] == *level);
    let action = |log: Value| log["action"].as_str().unwrap_or_default().to_owned();
    let all = role.logs().into_iter().filter(is_trouble).map(action);
    all.filter(|action| !action.starts_with("db_") && !action.starts_with("configuration_")).collect()
}

#[tokio::test]
async fn an_order_goes_its_way_with_roles_that_have_only_the_rights_that_they_need() {
    let env = TestEnv::new().await;
    env.write_config(MESSAGES_ONLY);
    // Those first that make nothing of what they need.
    let tracking = spawn(&env, "tracking", &["tracking-service", "--port", "0"]).await;
    let subscriber = spawn(&env, "subscriber", &["notification-subscriber"]).await;
    for role in [&tracking, &subscriber] {
        let waits = role.wait_for_action("rabbitmq_waiting_for_maker").await;
        assert_eq!(
            (&waits["level"], &waits["details"]),
            (&json!("WARN"), &json!("exchange 'notifications_fanout'"))
        );
        assert!(waits["message"].as_str().unwrap().contains("the order service"), "{waits}");
    }
    let chef =
        spawn(&env, "kitchen", &["kitchen-worker", "--worker-name", "chef_anna", "--cook-seconds", "0"])
            .await;
    let waits = chef.wait_for_action("rabbitmq_waiting_for_maker").await;
    assert_eq!(waits["details"], "exchange 'orders_topic'");
    let orders = spawn(&env, "order", &["order-service", "--port", "0"]).await;
    for role in [&orders, &chef, &tracking, &subscriber] {
        role.wait_for_action("rabbitmq_connected").await;
    }
    subscriber.wait_for_action("subscribed").await;
    orders.wait_for_action("db_connected").await;

    let mut followed = Events::open(&Http::as_staff(tracking.url().await), "/events", None).await;
    let number = Http::of(&orders).await.place(&takeout()).await;
    let line =
        format!("Notification for order {number}: Status changed from 'cooking' to 'ready' by chef_anna.");
    subscriber.wait_for_line("the order is ready", |found| found == line).await;
    let is_ready = |event: &Event| event.order() == number && event.new_status() == "ready";
    while !is_ready(&followed.next().await.expect("the stream goes on")) {}

    // What nobody can process, in the kitchen and at a subscriber.
    assert!(env.rabbit.publish("orders_topic", "kitchen.takeout.1", &json!({}), "no order").await);
    assert!(env.rabbit.publish("notifications_fanout", "", &json!({}), "no update").await);
    env.rabbit.wait_for_depth("kitchen_dead_letters", 2).await;
    for args in [&["dead-letters", "list", "--json"][..], &["queues", "list", "--json"]] {
        let shown = env.run(args).await;
        assert!(shown.status.success(), "{}", String::from_utf8_lossy(&shown.stderr));
    }

    let waited = "rabbitmq_waiting_for_maker".to_owned();
    let and_buried = [waited.clone(), "message_processing_failed".to_owned()];
    let mut chefs = troubles(&chef);
    // One that looks between the making of two exchanges waits for the second one too.
    chefs.dedup();
    assert_eq!([chefs, troubles(&subscriber)], [and_buried.clone(), and_buried]);
    assert_eq!([troubles(&orders), troubles(&tracking)], [vec![], vec![waited]]);
    assert_eq!(chef.logs_of("rabbitmq_trouble_over").len(), chef.logs_of("rabbitmq_waiting_for_maker").len());
}

/// A connection as this user, when somebody else has made everything.
async fn connected_as(env: &TestEnv, user: &str, part: Part) -> Broker {
    let options = BrokerOptions {
        topology: Arc::new(part),
        user: user.to_owned(),
        password: (if user == "guest" { "guest" } else { PASSWORD }).into(),
        ..env.broker_options()
    };
    let broker = Broker::start(options);
    assert!(broker.wait_connected().await);
    broker
}

#[tokio::test]
async fn whoever_only_tells_of_changes_is_refused_to_publish_orders_and_updates() {
    let env = TestEnv::unmigrated().await;
    connected_as(&env, "guest", Part::Operator).await.close().await;
    for (role, part) in [("tracking", Part::Tracking), ("subscriber", Part::Subscriber)] {
        let user = create_user(&env, role).await;
        for (exchange, routing_key) in [
            ("orders_topic", "kitchen.takeout.1"),
            ("notifications_fanout", ""),
            ("", "kitchen_takeout_queue"),
            ("", "notifications_queue"),
        ] {
            let broker = connected_as(&env, &user, part).await;
            let forged = Outgoing {
                exchange: exchange.into(),
                routing_key: routing_key.to_owned(),
                body: "{}".into(),
                properties: Properties::default(),
            };
            let outcome = broker.publish_one(forged).await;
            assert!(
                matches!(outcome, PublishOutcome::Unconfirmed(BrokerError::NotPermitted { .. })),
                "{role} to '{exchange}': {outcome:?}"
            );
            broker.close().await;
        }
    }
    for queue in ["kitchen_takeout_queue", "notifications_queue"] {
        assert_eq!(env.rabbit.get_messages(queue, 1).await.len(), 0, "{queue}");
    }
}

#[tokio::test]
async fn a_standby_that_may_publish_nothing_takes_over_when_the_slot_is_free() {
    let env = TestEnv::unmigrated().await;
    connected_as(&env, "guest", Part::Operator).await.close().await;
    let user = create_user(&env, "subscriber").await;
    let wanted = wanted_slot(Some("kiosk"));
    let [one, two] = [
        connected_as(&env, &user, Part::Subscriber).await,
        connected_as(&env, &user, Part::Subscriber).await,
    ];
    let held = one.take_slot(&wanted, None, 1, |_| {}).await.unwrap();
    let (standing_by, mut stands_by) = tokio::sync::mpsc::unbounded_channel();
    let waiting = tokio::spawn(async move {
        two.take_slot(&wanted, None, 1, |_| {
            let _ = standing_by.send(());
        })
        .await
        .unwrap()
        .queue()
        .to_owned()
    });
    for _ in 0..3 {
        stands_by.recv().await.unwrap();
    }
    held.close().await;
    let taken = eventually_ok("the standby has the slot", || {
        let is_finished = waiting.is_finished();
        async move { if is_finished { Ok(()) } else { Err("it waits") } }
    });
    taken.await;
    assert_eq!(waiting.await.unwrap(), "notifications_queue.kiosk");
}
