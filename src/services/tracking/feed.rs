//! Wake-ups for the readers of the event streams: every status update on RabbitMQ says that there is something to read in
//! the database. A lost or doubled message does no harm, and without RabbitMQ the readers look by themselves.

use tokio_util::sync::CancellationToken;

use super::event_hub::EventHub;
use crate::broker::{Broker, ConsumerEvent, Deliveries, Delivery, Received};
use crate::domain::{OrderNumber, StatusUpdate};

/// Updates that may be on their way at once: each only wakes a reader, and may be as large as RabbitMQ lets it be.
const FEED_PREFETCH: u16 = 16;

/// Follows the status updates until `stop`.
pub(super) async fn follow(broker: Broker, hub: EventHub, stop: CancellationToken) {
    let mut consumer = tokio::select! {
        () = stop.cancelled() => return,
        consumer = broker.consume_fanout_copy(FEED_PREFETCH) => match consumer {
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
                hub.changed(order_of(&delivery).as_ref());
                delivery.ack().await;
            }
            Some(ConsumerEvent::Interrupted | ConsumerEvent::Resumed) => hub.changed(None),
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

/// The order that an update is about, where it can be told.
fn order_of(delivery: &Delivery) -> Option<OrderNumber> {
    let update: StatusUpdate = serde_json::from_slice(&delivery.body).ok()?;
    update.check().ok()?;
    OrderNumber::parse(&update.order_number).ok()
}
