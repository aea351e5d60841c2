//! Wake-ups for the event streams: every status update on RabbitMQ says that there is something to read in the
//! database. A lost or doubled message does no harm, and without RabbitMQ the streams look by themselves.

use std::sync::Arc;

use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use crate::broker::messages::StatusUpdate;
use crate::broker::{Broker, ConsumerEvent};

/// Wake-ups that a slow stream may leave unread; it then reads as if all orders had changed.
const BACKLOG: usize = 1024;
const PREFETCH: u16 = 256;

/// What may have changed.
#[derive(Debug, Clone)]
pub(super) enum Wake {
    /// This order.
    Order(Arc<str>),
    /// Any.
    Anything,
}

/// Hands wake-ups to the streams.
#[derive(Debug, Clone)]
pub(super) struct Feed(broadcast::Sender<Wake>);

/// One stream's share of the wake-ups.
pub(super) struct Wakes(broadcast::Receiver<Wake>);

impl Feed {
    pub(super) fn new() -> Self {
        Self(broadcast::channel(BACKLOG).0)
    }

    pub(super) fn subscribe(&self) -> Wakes {
        Wakes(self.0.subscribe())
    }

    /// Follows the status updates until `stop`.
    pub(super) async fn follow(self, broker: Broker, stop: CancellationToken) {
        let mut consumer = tokio::select! {
            () = stop.cancelled() => return,
            consumer = broker.consume_fanout_copy(PREFETCH) => match consumer {
                Ok(consumer) => consumer,
                Err(error) => {
                    let error: &dyn std::error::Error = &error;
                    tracing::error!(action = "live_feed_failed", error, "live events come from the database alone");
                    return;
                }
            }
        };
        loop {
            let event = tokio::select! {
                () = stop.cancelled() => return,
                event = consumer.next() => event,
            };
            match event {
                Some(ConsumerEvent::Delivery(delivery)) => {
                    let wake = serde_json::from_slice::<StatusUpdate>(&delivery.body)
                        .map_or(Wake::Anything, |update| Wake::Order(update.order_number.into()));
                    // Nobody may be listening.
                    let _ = self.0.send(wake);
                    delivery.ack().await;
                }
                Some(ConsumerEvent::Interrupted | ConsumerEvent::Resumed) => {
                    let _ = self.0.send(Wake::Anything);
                }
                Some(ConsumerEvent::Failed(error)) => {
                    let error: &dyn std::error::Error = &error;
                    tracing::error!(
                        action = "live_feed_failed",
                        error,
                        "live events come from the database alone"
                    );
                    return;
                }
                None => return,
            }
        }
    }
}

impl Wakes {
    /// Waits for a wake-up that may concern `order`, or any where that is `None`.
    pub(super) async fn wait(&mut self, order: Option<&str>) {
        loop {
            match self.0.recv().await {
                Ok(Wake::Order(changed)) if order.is_some_and(|order| order != &*changed) => {}
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => return,
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}
