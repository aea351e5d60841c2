//! Wake-ups for the readers of the event streams: every status update on RabbitMQ says that there is something to read in
//! the database. A lost or doubled message does no harm, and without RabbitMQ the readers look by themselves.

use amqp::{Broker, BrokerError, ConsumerEvent, Deliveries, Delivery, Received};
use tokio_util::sync::CancellationToken;

use super::board::Room;
use super::event_hub::EventHub;
use crate::broker::NOTIFICATIONS_EXCHANGE;
use crate::domain::{OrderNumber, StatusUpdate};

/// Updates that may be on their way at once: each only wakes a reader, and may be as large as RabbitMQ lets it be.
const FEED_PREFETCH: u16 = 16;

/// Follows the status updates until `stop`.
pub(super) async fn follow(broker: Broker, hub: EventHub, room: Room, stop: CancellationToken) {
    let failed = tokio::select! {
        () = stop.cancelled() => return,
        failed = wake(&broker, &hub, &room) => failed,
    };
    if let Err(error) = failed {
        let error: &dyn std::error::Error = &error;
        tracing::error!(action = "live_feed_failed", error, "live events come from the database alone");
    }
}

/// Wakes readers until there is nothing more to wake them.
async fn wake(broker: &Broker, hub: &EventHub, room: &Room) -> Result<(), BrokerError> {
    let mut consumer = broker.consume_fanout_copy(NOTIFICATIONS_EXCHANGE, FEED_PREFETCH).await?;
    while let Some(event) = consumer.next().await {
        match event {
            ConsumerEvent::Delivery(delivery) => {
                hub.changed(order_of(&delivery).as_ref());
                room.changed();
                delivery.ack().await;
            }
            ConsumerEvent::Interrupted | ConsumerEvent::Resumed => hub.changed(None),
            ConsumerEvent::Failed(error) => return Err(error),
        }
    }
    Ok(())
}

/// The order that an update is about, where it can be told.
fn order_of(delivery: &Delivery) -> Option<OrderNumber> {
    let update: StatusUpdate = serde_json::from_slice(&delivery.body).ok()?;
    update.check().ok()?;
    OrderNumber::parse(&update.order_number).ok()
}
