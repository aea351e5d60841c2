//! Wake-ups for the readers of the event streams: every status update on RabbitMQ says that there is something to read in
//! the database. A lost or doubled message does no harm, and without RabbitMQ the readers look by themselves.

use tokio_util::sync::CancellationToken;

use super::journal::Journal;
use crate::broker::messages::StatusUpdate;
use crate::broker::{Broker, ConsumerEvent};
use crate::domain::OrderNumber;

const PREFETCH: u16 = 256;

/// Follows the status updates until `stop`.
pub(super) async fn follow(broker: Broker, journal: Journal, stop: CancellationToken) {
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
                journal.changed(order_of(&delivery.body).as_ref());
                delivery.ack().await;
            }
            Some(ConsumerEvent::Interrupted | ConsumerEvent::Resumed) => journal.changed(None),
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
fn order_of(body: &[u8]) -> Option<OrderNumber> {
    let update: StatusUpdate = serde_json::from_slice(body).ok()?;
    OrderNumber::parse(&update.order_number).ok()
}
