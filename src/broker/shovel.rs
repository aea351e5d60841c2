//! Moving messages from one queue to another, as they are.

use std::sync::Arc;
use std::time::{Duration, Instant};

use amqprs::channel::{BasicAckArguments, BasicGetArguments, BasicPublishArguments, GetMessage};
use amqprs::{BasicProperties, FieldTable};
use tokio::sync::{Semaphore, mpsc};

use super::channel::BrokerChannel;
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
            && let Some(message) = get(&source, from).await?
        {
            batch.push(message);
        }
        let Some(last) = batch.last().map(|(got, _, _)| got.delivery_tag()) else { break };
        moved += batch.len() as u64;
        publish(&target, &confirms, to, batch, patience).await?;
        let acknowledged = BasicAckArguments::new(last, true);
        let sent = source
            .send("an acknowledgement", |channel| async move { channel.basic_ack(acknowledged).await })
            .await;
        if !sent {
            return Err(source.failure(&format!("queue '{from}'")));
        }
    }
    target.close().await;
    // The server has heard of all acknowledgements after this.
    source.close_surely().await?;
    Ok(moved)
}

async fn get(channel: &BrokerChannel, queue: &str) -> Result<Option<GetMessage>, BrokerError> {
    let arguments = BasicGetArguments::new(queue);
    channel
        .call(&format!("queue '{queue}'"), |channel| async move { channel.basic_get(arguments).await })
        .await
}

/// Publishes these to a queue, and waits until all of them are confirmed to be in it.
async fn publish(
    channel: &BrokerChannel,
    confirms: &Confirms,
    queue: &str,
    messages: Vec<GetMessage>,
    patience: Duration,
) -> Result<(), BrokerError> {
    let (reply, mut outcomes) = mpsc::unbounded_channel();
    let window = Arc::new(Semaphore::new(messages.len()));
    for (index, (_, properties, body)) in messages.into_iter().enumerate() {
        let Ok(permit) = window.clone().try_acquire_owned() else { break };
        let message_id = properties.message_id().cloned().unwrap_or_default();
        let ticket = Ticket { index, reply: reply.clone() };
        let in_flight =
            InFlight { ticket, message_id, sent_at: Instant::now(), returned: None, _permit: permit };
        if confirms.push(in_flight)
            && let Some(channel) = channel.raw()
        {
            let mut arguments = BasicPublishArguments::new("", queue);
            arguments.mandatory(true);
            let _ = channel.basic_publish(without_counts(properties), body, arguments).await;
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

fn without_counts(mut properties: BasicProperties) -> BasicProperties {
    let Some(headers) = properties.headers() else { return properties };
    let mut kept: FieldTable = headers.clone();
    for name in DELIVERY_COUNTS {
        if let Ok(name) = name.try_into() {
            kept.remove(&name);
        }
    }
    properties.with_headers(kept);
    properties
}
