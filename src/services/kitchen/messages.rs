//! Orders that come by message.

use std::sync::Arc;
use std::time::Duration;

use amqp::{Consume, Received};
use daemon::telemetry::order_span;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Level};

use super::cook::{Cooked, Worker, WriteFailed, backoff};
use crate::domain::{OrderMessage, OrderNumber, Status};
use crate::services::dead_letters::{dead_letter, dead_letter_at, request_id, too_large, unreadable};
use crate::store::{KitchenStore, Refusal};

/// A message waits so long at most while promoted orders are cooked in its slots. RabbitMQ closes the channel on which a message is
/// not acknowledged for half an hour, and cooking takes its time as well. Then it goes to the end of its priority.
const HELD_BACK_MAX: Duration = Duration::from_mins(10);

/// What is to be done with a delivery.
enum Verdict {
    /// Its work is done, or never was this worker's.
    Acknowledge,
    /// Somebody else is to get it.
    GiveBack,
    /// Nobody can ever process it, for this reason.
    DeadLetter(String),
    /// The same, because there is no such order.
    Unknown(OrderNumber),
}

/// What a message tells.
struct Told {
    number: OrderNumber,
    traceparent: Option<String>,
    message_id: Option<String>,
}

/// Handles one delivery to its end, in one of the worker's `slots`.
pub(super) async fn handle<S: KitchenStore, B: Consume>(
    worker: Arc<Worker<S>>,
    broker: B,
    slots: Arc<Semaphore>,
    stopping: CancellationToken,
    delivery: B::Delivery,
) {
    worker.note_delivery();
    let number = match order_number(&delivery) {
        Ok(number) => number,
        Err(reason) => {
            worker.note_useless();
            return dead_letter(&broker, delivery, &reason).await;
        }
    };
    let span = order_span(&request_id(delivery.properties()), number.as_str());
    let properties = delivery.properties();
    let told = Told {
        number,
        traceparent: properties.traceparent.clone(),
        message_id: properties.message_id.clone(),
    };
    let verdict = process(&worker, &slots, &stopping, told).instrument(span.clone()).await;
    async {
        match verdict {
            // A channel that is gone cannot be told; the message comes again and finds its order done.
            Verdict::Acknowledge => drop(delivery.ack().await),
            Verdict::GiveBack => drop(delivery.give_back().await),
            Verdict::DeadLetter(reason) => dead_letter(&broker, delivery, &reason).await,
            Verdict::Unknown(number) => {
                let level = if worker.unknown.note() { Level::ERROR } else { Level::DEBUG };
                dead_letter_at(level, &broker, delivery, &format!("the database has no order {number}"))
                    .await;
            }
        }
    }
    .instrument(span)
    .await;
}

/// Cooks the order in the first slot that no promoted order needs; in those before it cooks promoted ones.
async fn process<S: KitchenStore>(
    worker: &Worker<S>,
    slots: &Semaphore,
    stopping: &CancellationToken,
    told: Told,
) -> Verdict {
    let came = Instant::now();
    while came.elapsed() < HELD_BACK_MAX {
        if let Some(verdict) = in_next_slot(worker, slots, stopping, &told).await {
            return verdict;
        }
    }
    Verdict::GiveBack
}

/// `None`: another order was cooked in the slot, and this one still waits.
async fn in_next_slot<S: KitchenStore>(
    worker: &Worker<S>,
    slots: &Semaphore,
    stopping: &CancellationToken,
    told: &Told,
) -> Option<Verdict> {
    let number = &told.number;
    let slot = tokio::select! {
        biased;
        () = stopping.cancelled() => return Some(Verdict::GiveBack),
        slot = slots.acquire() => slot,
    };
    // The slots are never closed.
    let Ok(_slot) = slot else { return Some(Verdict::GiveBack) };
    let mut backoff = backoff();
    let claimed = loop {
        if stopping.is_cancelled() {
            return Some(Verdict::GiveBack);
        }
        match worker.claim(number.clone()).await {
            Ok(claimed) => break claimed,
            Err(WriteFailed::Away) => tokio::select! {
                biased;
                () = stopping.cancelled() => {}
                () = worker.database_back(&mut backoff) => {}
            },
            Err(WriteFailed::Refused) => {
                return Some(Verdict::DeadLetter(
                    "the database refuses the claim; see the worker's log".to_owned(),
                ));
            }
        }
    };
    let Some(order) = claimed else {
        return Some(match worker.store.refusal(&worker.claim, number).await {
            Ok(refusal) => refused(worker, number, refusal),
            // PostgreSQL went away in between: the message comes again.
            Err(_) => Verdict::GiveBack,
        });
    };
    worker.note_work();
    let is_own = order.number == *number;
    if let Some(in_hand) = worker.take(&order) {
        if is_own {
            return Some(
                match worker.cook(in_hand.told_by(told.message_id.clone(), told.traceparent.clone())).await {
                    Cooked::Ready | Cooked::Lost | Cooked::LetGo(_) => Verdict::Acknowledge,
                    Cooked::GivenBack | Cooked::Left => Verdict::GiveBack,
                },
            );
        }
        let span = order_span(&order.request_id, order.number.as_str());
        worker.cook(in_hand).instrument(span).await;
    } else if is_own {
        return Some(Verdict::Acknowledge);
    }
    // Meanwhile it may have been cooked as a promoted one, or cancelled.
    match worker.store.refusal(&worker.claim, number).await {
        Ok(Refusal::NotWaiting { status: Status::Received, .. }) | Err(_) => None,
        Ok(refusal) => Some(refused(worker, number, refusal)),
    }
}

/// What to do with the message of an order that was not there to be claimed.
fn refused<S: KitchenStore>(worker: &Worker<S>, number: &OrderNumber, refusal: Refusal) -> Verdict {
    match refusal {
        Refusal::NotWaiting { status, processed_by } => {
            let holder = processed_by.unwrap_or_default();
            tracing::debug!(action = "order_not_waiting", details = %format_args!("{status} {holder}"), "nothing to do");
            Verdict::Acknowledge
        }
        Refusal::Unknown => {
            worker.note_useless();
            Verdict::Unknown(number.clone())
        }
        Refusal::OtherType(order_type) => {
            worker.note_useless();
            Verdict::DeadLetter(format!("order {number} is {order_type}, which this queue is not for"))
        }
    }
}

fn order_number(delivery: &impl Received) -> Result<OrderNumber, String> {
    if let Some(reason) = too_large(delivery.body_bytes()) {
        return Err(reason);
    }
    let message: OrderMessage =
        serde_json::from_slice(delivery.body()).map_err(|e| unreadable("the message is no order", &e))?;
    OrderNumber::parse(&message.order_number).map_err(|e| format!("the message's order_number: {e}"))
}
