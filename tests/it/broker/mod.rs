//! The RabbitMQ layer against a real server, watched through its HTTP API.

mod alarms;
mod consuming;
mod crash_loops;
mod exclusive;
mod logs;
mod members;
mod outages;
mod publishing;
mod renewal;
mod slots;
mod topology;

use std::time::Duration;

use amqp::{Broker, BrokerOptions, Consumer, ConsumerEvent, Deliveries, Delivery, Outgoing, Properties};
use bytes::Bytes;
use restaurant_system::broker::{NOTIFICATIONS_EXCHANGE, ORDERS_EXCHANGE, order_routing_key};

use super::support::{DEADLINE, TestEnv, eventually};

/// For this test's virtual host, with less patience than in production.
fn options(env: &TestEnv) -> BrokerOptions {
    BrokerOptions {
        heartbeat: Duration::from_secs(2),
        backoff_max: Duration::from_secs(1),
        ..env.broker_options()
    }
}

fn start(options: BrokerOptions) -> Broker {
    Broker::start(options)
}

/// Connected to this test's virtual host.
pub async fn connected(env: &TestEnv) -> Broker {
    let broker = start(options(env));
    within("a connection", broker.wait_connected()).await;
    broker
}

async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, work).await.unwrap_or_else(|_| panic!("{what}: not in time"))
}

fn order(order_type: &str, priority: u8, id: &str) -> Outgoing {
    Outgoing {
        exchange: ORDERS_EXCHANGE.into(),
        routing_key: order_routing_key(order_type, priority),
        body: Bytes::from(format!("{{\"order_number\":\"{id}\"}}")),
        properties: Properties {
            message_id: Some(id.to_owned()),
            priority: Some(priority),
            ..Properties::default()
        },
    }
}

fn update(id: &str) -> Outgoing {
    Outgoing {
        exchange: NOTIFICATIONS_EXCHANGE.into(),
        routing_key: String::new(),
        ..order("takeout", 1, id)
    }
}

fn id(delivery: &Delivery) -> String {
    delivery.properties.message_id.clone().unwrap_or_default()
}

async fn next_event(consumer: &mut Consumer) -> ConsumerEvent {
    within("an event", consumer.next()).await.expect("the consumer goes on")
}

/// The next message, whatever else happens before it.
async fn next_delivery(consumer: &mut Consumer) -> Delivery {
    loop {
        if let ConsumerEvent::Delivery(delivery) = next_event(consumer).await {
            return delivery;
        }
    }
}

/// Waits for an event that the pattern describes, passing over others.
macro_rules! wait_for_event {
    ($consumer:expr, $pattern:pat) => {
        $crate::broker::within(stringify!($pattern), async {
            while !matches!($crate::broker::next_event($consumer).await, $pattern) {}
        })
        .await
    };
}
use wait_for_event;

/// Cuts the connections of this test from the server's side, once the server's statistics know of any.
async fn cut(env: &TestEnv) {
    eventually("a connection to cut", || async { env.rabbit.close_connections().await > 0 }).await;
}

/// Asserts that nothing arrives for a moment.
async fn assert_quiet(consumer: &mut Consumer) {
    let event = tokio::time::timeout(Duration::from_millis(300), consumer.next()).await;
    assert!(event.is_err(), "{event:?} arrived");
}
