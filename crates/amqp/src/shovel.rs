//! Moving messages from one queue to another, as they are.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, mpsc};

use super::channel::{BrokerChannel, Message};
use super::confirms::{Confirms, InFlight, PublishOutcome, Ticket};
use super::error::BrokerError;
use super::link::Link;

/// How many messages are in hand at once: enough for one confirmation to cover many, and few in memory.
const BATCH: usize = 200;
/// What a quorum queue counts in a message's headers; another queue begins anew.
const DELIVERY_COUNTS: [&str; 2] = ["x-delivery-count", "x-acquired-count"];

/// Moves everything that waits in a queue to the end of another one, in its order. A message is acknowledged only when its
/// copy is confirmed: it may be in both queues, never in none. The answer is how many were moved.
pub(super) async fn shovel(
    link: &Arc<Link>,
    from: &str,
    to: &str,
    patience: Duration,
) -> Result<u64, BrokerError> {
    let source = BrokerChannel::open(link).await?;
    let confirms = Arc::new(Confirms::new());
    let target = BrokerChannel::open_confirming(link, confirms.clone()).await?;
    let mut moved = 0;
    loop {
        let mut batch = Vec::new();
        while batch.len() < BATCH
            && let Some((message, _)) = source.get(from, false).await?
        {
            batch.push(message);
        }
        let Some(last) = batch.last().map(|message: &Message| message.tag) else { break };
        moved += batch.len() as u64;
        publish(&target, &confirms, to, batch, patience).await?;
        if !source.ack(last, true).await {
            return Err(source.failure(&format!("queue '{from}'")));
        }
    }
    target.close().await;
    // The server has heard of all acknowledgements after this.
    source.close_surely().await?;
    Ok(moved)
}

/// Publishes these to a queue, and waits until all of them are confirmed to be in it.
async fn publish(
    channel: &BrokerChannel,
    confirms: &Confirms,
    queue: &str,
    messages: Vec<Message>,
    patience: Duration,
) -> Result<(), BrokerError> {
    let (reply, mut outcomes) = mpsc::unbounded_channel();
    let window = Arc::new(Semaphore::new(messages.len()));
    for (index, Message { properties, body, .. }) in messages.into_iter().enumerate() {
        let Ok(permit) = window.clone().try_acquire_owned() else { break };
        let message_id = properties.message_id().unwrap_or_default().to_owned();
        let ticket = Ticket { index, reply: reply.clone() };
        let in_flight =
            InFlight { ticket, message_id, sent_at: Instant::now(), returned: None, _permit: permit };
        if confirms.push(in_flight) {
            channel.publish("", queue, true, properties.without_headers(&DELIVERY_COUNTS), body).await;
        }
    }
    drop(reply);
    let object = format!("queue '{queue}'");
    let all = async {
        while let Some((_, outcome)) = outcomes.recv().await {
            match outcome {
                PublishOutcome::Routed => {}
                PublishOutcome::Unconfirmed(error) => return Err(error),
                PublishOutcome::Unroutable { reply } => {
                    return Err(BrokerError::NotFound { object: object.clone(), reason: reply });
                }
                PublishOutcome::Nacked | PublishOutcome::Invalid(_) => {
                    let reason = "it takes no message".to_owned();
                    return Err(BrokerError::Refused { object: object.clone(), code: 0, reason });
                }
            }
        }
        Ok(())
    };
    tokio::time::timeout(patience, all).await.unwrap_or_else(|_| {
        let what = format!("the confirmation of messages for {object}");
        Err(BrokerError::TimedOut { what, after: patience })
    })
}
