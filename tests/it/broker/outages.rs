//! The server goes away in every way there is, and comes back.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use amqp::{
    Broker, BrokerError, BrokerState, Consume, ConsumeOptions, ConsumerEvent, Publish, PublishOutcome,
    Received,
};
use secrecy::SecretString;

use super::logs::Logs;
use super::{connected, id, next_delivery, options, order, start, update, wait_for_event, within};
use crate::support::{Proxy, TestEnv, blocking, eventually};

const TAKEOUT: &str = "kitchen_takeout_queue";

#[tokio::test]
async fn killed_restarted_and_frozen_the_server_is_found_again_with_one_line_each() {
    let env = TestEnv::with_own_servers().await;
    let (logs, _guard) = Logs::collect();
    let mut options = options(&env);
    (options.confirm_timeout, options.operation_timeout) = (Duration::from_secs(3), Duration::from_secs(3));
    let broker = start(options);
    within("a connection", broker.wait_connected()).await;
    assert_eq!(logs.of("rabbitmq_connected").len(), 1);
    let mut consumer = broker.consume(ConsumeOptions::new([TAKEOUT], 10)).await.unwrap();
    assert_eq!(broker.publish_one(order("takeout", 1, "before")).await, PublishOutcome::Routed);
    let in_hand = next_delivery(&mut consumer).await;

    // Killed, while a batch is on its way.
    let batch = (0..5_000).map(|n| order("dine_in", 1, &n.to_string())).collect();
    let publishing = tokio::spawn({
        let broker = broker.clone();
        async move { broker.publish(batch).await }
    });
    tokio::task::yield_now().await;
    let servers = env.servers.clone();
    blocking(move || servers.rabbitmq.kill()).await;
    let outcomes = within("the batch's outcomes", publishing).await.unwrap();
    assert_eq!(outcomes.len(), 5_000);
    let sane =
        |outcome: &PublishOutcome| matches!(outcome, PublishOutcome::Routed | PublishOutcome::Unconfirmed(_));
    assert!(outcomes.iter().all(sane));
    wait_for_event!(&mut consumer, ConsumerEvent::Interrupted);
    assert!(!in_hand.ack().await);
    assert!(matches!(*broker.state().borrow(), BrokerState::Connecting { .. }));
    let servers = env.servers.clone();
    blocking(move || servers.rabbitmq.restart()).await.unwrap();
    within("the connection", broker.wait_connected()).await;
    let again = next_delivery(&mut consumer).await;
    assert_eq!((id(&again).as_str(), again.redelivered), ("before", true));
    assert!(again.ack().await);
    assert_eq!(logs.of("rabbitmq_connection_failed").len(), 1, "{:?}", logs.all());
    assert_eq!(logs.of("reconnected").len(), 1, "{:?}", logs.all());

    // The server has heard of the acknowledgement, which would be lost otherwise.
    env.rabbit.wait_for_depth(TAKEOUT, 0).await;
    // Frozen: connections stay open and nothing answers.
    env.servers.rabbitmq.pause().unwrap();
    let began = Instant::now();
    let outcome = within("the outcome", broker.publish_one(update("frozen"))).await;
    assert!(matches!(outcome, PublishOutcome::Unconfirmed(_)), "{outcome:?}");
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    eventually("the outage being noticed", || async { !broker.is_connected() }).await;
    env.servers.rabbitmq.resume().unwrap();
    within("the connection", broker.wait_connected()).await;
    // The server may yet drop what was connected while it was frozen.
    eventually("publishing", || async {
        broker.publish_one(order("takeout", 1, "after")).await == PublishOutcome::Routed
    })
    .await;
    assert_eq!(id(&next_delivery(&mut consumer).await), "after");
    assert_eq!(logs.of("rabbitmq_connection_failed").len(), 2, "{:?}", logs.all());
    assert_eq!(logs.of("reconnected").len(), 2, "{:?}", logs.all());
    assert_eq!(logs.of("rabbitmq_connected").len(), 1);

    // Its disk is lost: the topology is made again.
    let servers = env.servers.clone();
    blocking(move || {
        servers.rabbitmq.kill();
        servers.rabbitmq.wipe().unwrap();
        servers.rabbitmq.restart().unwrap();
    })
    .await;
    within("the connection", broker.wait_connected()).await;
    eventually("publishing", || async {
        broker.publish_one(order("takeout", 1, "wiped")).await == PublishOutcome::Routed
    })
    .await;
    assert_eq!(id(&next_delivery(&mut consumer).await), "wiped");
}

#[tokio::test]
async fn a_wire_that_goes_silent_is_noticed_by_the_heartbeat() {
    let env = TestEnv::unmigrated().await;
    let proxy = Proxy::to(env.servers.rabbitmq.amqp_port()).await;
    let mut options = options(&env);
    (options.hosts, options.connect_timeout) = (vec![proxy.host()], Duration::from_secs(1));
    let broker = start(options);
    let mut consumer = within("a consumer", broker.consume(ConsumeOptions::new([TAKEOUT], 1))).await.unwrap();
    proxy.hold();
    let began = Instant::now();
    wait_for_event!(&mut consumer, ConsumerEvent::Interrupted);
    assert!(began.elapsed() < Duration::from_secs(7), "{:?}", began.elapsed());
    proxy.restore();
    wait_for_event!(&mut consumer, ConsumerEvent::Resumed);
}

#[tokio::test]
async fn the_next_host_is_tried_when_the_first_is_away() {
    let env = TestEnv::unmigrated().await;
    let mut options = options(&env);
    options.hosts.insert(0, ("127.0.0.1".to_owned(), 1));
    let (logs, _guard) = Logs::collect();
    let broker = start(options);
    within("a connection", broker.wait_connected()).await;
    assert!(logs.of("rabbitmq_connection_failed").is_empty(), "{:?}", logs.all());
}

#[tokio::test]
async fn processes_spread_over_the_hosts_and_say_which_one_they_are_on() {
    let env = TestEnv::unmigrated().await;
    let (one, two) = (
        Proxy::to(env.servers.rabbitmq.amqp_port()).await,
        Proxy::to(env.servers.rabbitmq.amqp_port()).await,
    );
    let mut options = options(&env);
    options.hosts = vec![one.host(), two.host()];
    let host = |broker: &Broker| match &*broker.state().borrow() {
        BrokerState::Connected { host, .. } => host.clone(),
        state => panic!("{state:?}"),
    };
    let (logs, _guard) = Logs::collect();
    let mut hosts = BTreeSet::new();
    // All on one host has a probability of 1 in 2 to the 39.
    for _ in 0..40 {
        let broker = start(options.clone());
        within("a connection", broker.wait_connected()).await;
        hosts.insert(host(&broker));
        if hosts.len() == 2 {
            break;
        }
    }
    assert_eq!(hosts.len(), 2, "{hosts:?}");
    let broker = start(options);
    within("a connection", broker.wait_connected()).await;
    let before = host(&broker);
    let [from, to] = if before.ends_with(&one.host().1.to_string()) { [&one, &two] } else { [&two, &one] };
    from.cut();
    let moved = |state: &BrokerState| matches!(state, BrokerState::Connected { generation: 2, .. });
    within("the next host", broker.state().wait_for(moved)).await.unwrap();
    let to = format!("{}:{}", to.host().0, to.host().1);
    eventually("the log saying where", || async {
        logs.of("reconnected").iter().any(|line| line.contains(&to))
    })
    .await;
    assert!(logs.of("rabbitmq_connected").iter().any(|line| line.contains(&before)), "{:?}", logs.all());
}

#[tokio::test]
async fn a_proxy_without_a_server_behind_it_is_no_refused_log_in() {
    let env = TestEnv::unmigrated().await;
    let proxy = Proxy::to(env.servers.rabbitmq.amqp_port()).await;
    proxy.cut();
    let mut options = options(&env);
    options.hosts = vec![proxy.host()];
    let (logs, _guard) = Logs::collect();
    let _broker = start(options);
    eventually("the failure being logged", || async { !logs.of("rabbitmq_connection_failed").is_empty() })
        .await;
    let line = logs.of("rabbitmq_connection_failed").remove(0);
    assert!(line.contains("before the AMQP handshake") && !line.contains("password"), "{line}");
}

#[tokio::test]
async fn a_broker_that_is_away_at_the_start_is_waited_for() {
    let env = TestEnv::unmigrated().await;
    let proxy = Proxy::to(env.servers.rabbitmq.amqp_port()).await;
    proxy.cut();
    let mut options = options(&env);
    options.hosts = vec![proxy.host()];
    let (logs, _guard) = Logs::collect();
    let broker = start(options);
    let consuming = tokio::spawn({
        let broker = broker.clone();
        async move { broker.consume(ConsumeOptions::new([TAKEOUT], 1)).await }
    });
    eventually("the outage being logged", || async { !logs.of("rabbitmq_connection_failed").is_empty() })
        .await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    proxy.restore();
    within("the consumer", consuming).await.unwrap().unwrap();
    // The connection is handed out before it is logged.
    eventually("the connection being logged", || async { !logs.of("rabbitmq_connected").is_empty() }).await;
    assert_eq!(logs.of("rabbitmq_connection_failed").len(), 1, "{:?}", logs.all());
    assert_eq!(logs.of("rabbitmq_connected").len(), 1, "{:?}", logs.all());
    assert_eq!(logs.of("reconnected").len(), 1, "{:?}", logs.all());
}

#[tokio::test]
async fn a_refused_log_in_says_what_to_check_and_never_the_password() {
    let env = TestEnv::unmigrated().await;
    let mut wrong_password = options(&env);
    wrong_password.password = SecretString::from("hunter2");
    let mut wrong_vhost = options(&env);
    wrong_vhost.vhost = "nowhere".to_owned();
    for (options, setting) in
        [(wrong_password, "rabbitmq.password"), (wrong_vhost, "vhost nowhere not found")]
    {
        let (logs, _guard) = Logs::collect();
        let broker = start(options);
        eventually("the refusal being logged", || async {
            !logs.of("rabbitmq_connection_failed").is_empty()
        })
        .await;
        let line = logs.of("rabbitmq_connection_failed").remove(0);
        assert!(line.contains(setting) && !line.contains("hunter2"), "{line}");
        assert!(!broker.is_connected());
    }
}

#[tokio::test]
async fn a_connection_that_is_not_trusted_can_be_given_up() {
    let env = TestEnv::unmigrated().await;
    let broker = connected(&env).await;
    broker.discard(7, "not the current one");
    assert!(broker.is_connected());
    broker.discard(1, "a test does not trust it");
    assert_eq!(broker.redeclare_topology().await, Err(BrokerError::NotConnected));
    let mut state = broker.state();
    let second = |state: &BrokerState| matches!(state, BrokerState::Connected { generation: 2, .. });
    within("the next connection", state.wait_for(second)).await.unwrap();
}
