//! The notification subscriber: one line on standard output for each change, then the acknowledgement.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::broker::messages::StatusUpdate;
use crate::broker::{
    Broker, BrokerError, ConsumeOptions, Consumer, ConsumerEvent, Delivery, named_slot, numbered_slots,
};
use crate::domain::breaks_or_turns_line;
use crate::runtime::outlet::Outlet;
use crate::runtime::shutdown::Shutdown;
use crate::runtime::systemd::{Pulse, ServiceManager};
use crate::runtime::telemetry::order_span;
use crate::services::dead_letters::{bury, unreadable};
use crate::services::servers::Servers;

/// Updates that may be on their way to this subscriber at once.
const PREFETCH: u16 = 64;
/// How long a named queue is waited for that somebody has: the subscriber before may just have crashed.
const IN_USE_GRACE: Duration = Duration::from_secs(3);
/// How long, once asked to stop, a line is waited for that nobody reads: a reader that is only slow is told no update twice.
const STOP_PATIENCE: Duration = Duration::from_secs(2);
/// A line that has waited so long is one that nobody reads, as the status says.
const UNREAD_AFTER: Duration = Duration::from_secs(5);

/// How a subscriber works.
#[derive(Debug, Clone)]
pub struct NotificationOptions {
    /// Take `notifications_queue.NAME`; without a name the first free slot.
    pub name: Option<String>,
}

/// Why a subscriber cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum NotificationError {
    /// Its queue cannot be consumed.
    #[error("the notifications cannot be consumed: {0}")]
    Consume(#[from] BrokerError),
    /// Nobody reads what it prints.
    #[error("standard output cannot be written: {0}")]
    Output(#[from] io::Error),
}

/// Prints to `stdout` until it is asked to stop.
///
/// # Errors
/// When its queue is in use, or standard output is closed. A server that is away is waited for.
pub async fn run(
    options: NotificationOptions,
    broker: Broker,
    stdout: Arc<Outlet>,
    shutdown: Shutdown,
    manager: &ServiceManager,
) -> Result<(), NotificationError> {
    let stopping = shutdown.stopping();
    tracing::info!(
        action = "service_started",
        details = options.name.as_deref().unwrap_or("the first free queue"),
        "the notification subscriber starts"
    );
    let servers = Servers::of(None, broker.state());
    let told = Arc::new(AtomicU64::new(0));
    let _reports = {
        let (told, stdout) = (Arc::clone(&told), Arc::clone(&stdout));
        manager.follow(&shutdown, move || {
            let is_unread = stdout.stuck_for() >= UNREAD_AFTER;
            let unread = if is_unread { "; nobody reads standard output" } else { "" };
            servers.condition(format!("{} changes told{unread}", told.load(Ordering::Relaxed)))
        })
    };
    let mut consumer = tokio::select! {
        biased;
        () = stopping.cancelled() => return Ok(()),
        consumer = subscribe(&options, &broker) => consumer?,
    };
    tracing::info!(
        action = "subscribed",
        details = consumer.queue(),
        "every change of an order is told from now on"
    );
    manager.ready();
    let mut teller = Teller { broker, stdout, shutdown, pulse: manager.pulse(), told };
    loop {
        let event = tokio::select! {
            biased;
            () = stopping.cancelled() => break,
            () = teller.pulse.due() => continue,
            event = consumer.next() => event,
        };
        match event {
            Some(ConsumerEvent::Delivery(delivery)) => teller.tell(delivery).await?,
            Some(ConsumerEvent::Interrupted | ConsumerEvent::Resumed) => {}
            Some(ConsumerEvent::Failed(error)) => return Err(error.into()),
            None => return Err(BrokerError::Closed.into()),
        }
    }
    consumer.close().await;
    Ok(())
}

async fn subscribe(options: &NotificationOptions, broker: &Broker) -> Result<Consumer, BrokerError> {
    match &options.name {
        Some(name) => {
            let consume = ConsumeOptions::new([named_slot(name)], PREFETCH).exclusive();
            broker.consume(consume.waiting_for_queue(IN_USE_GRACE)).await
        }
        None => {
            let consume = ConsumeOptions::new(Vec::<String>::new(), PREFETCH);
            broker.consume_first_free(numbered_slots(), &consume).await
        }
    }
}

/// What it takes to tell.
struct Teller {
    broker: Broker,
    stdout: Arc<Outlet>,
    shutdown: Shutdown,
    /// Who waits for a reader is not wedged.
    pulse: Pulse,
    told: Arc<AtomicU64>,
}

impl Teller {
    /// Prints one update, then acknowledges it. Killed in between, it is printed again: never not at all.
    async fn tell(&mut self, delivery: Delivery) -> Result<(), io::Error> {
        let update: StatusUpdate = match serde_json::from_slice(&delivery.body) {
            Ok(update) => update,
            Err(error) => {
                bury(&self.broker, delivery, &unreadable("the message is no status update", &error)).await;
                return Ok(());
            }
        };
        if !self.print(&line(&update)).await? {
            // With its end the subscriber gives back all that it has not told.
            return Ok(());
        }
        self.told.fetch_add(1, Ordering::Relaxed);
        let request_id = delivery.properties.correlation_id.as_deref().unwrap_or_default();
        order_span(request_id, &update.order_number).in_scope(|| {
            tracing::info!(action = "notification_received", details = %update.new_status, "an order has changed");
        });
        delivery.ack().await;
        Ok(())
    }

    /// Whether the line is out: it waits for its reader until the subscriber has to end.
    async fn print(&mut self, line: &str) -> Result<bool, io::Error> {
        // One write for the line and its end: other processes may share the pipe.
        let printed = self.stdout.print(format!("{line}\n").into_bytes());
        let patience = patience_ends(&self.shutdown);
        tokio::pin!(printed, patience);
        loop {
            tokio::select! {
                biased;
                printed = &mut printed => return printed.map(|()| true),
                () = &mut patience => return Ok(false),
                () = self.pulse.due() => {}
            }
        }
    }
}

/// Ends [`STOP_PATIENCE`] after the request to stop, or with the request to hurry.
async fn patience_ends(shutdown: &Shutdown) {
    let (stopping, hurry) = (shutdown.stopping(), shutdown.hurry());
    stopping.cancelled().await;
    let _ = tokio::time::timeout(STOP_PATIENCE, hurry.cancelled()).await;
}

/// The line of the contract, section 7. Whoever wrote the message, it stays one line.
fn line(update: &StatusUpdate) -> String {
    let StatusUpdate { order_number, old_status, new_status, changed_by, .. } = update;
    let old_status = old_status.as_deref().unwrap_or("none");
    let line = format!(
        "Notification for order {order_number}: Status changed from '{old_status}' to '{new_status}' by {changed_by}."
    );
    line.chars().map(|c| if breaks_or_turns_line(c) { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update(changed_by: &str) -> StatusUpdate {
        StatusUpdate {
            order_number: "ORD_20261122_001".to_owned(),
            old_status: Some("received".to_owned()),
            new_status: "cooking".to_owned(),
            changed_by: changed_by.to_owned(),
            timestamp: jiff::Timestamp::UNIX_EPOCH,
            estimated_completion: None,
        }
    }

    #[test]
    fn the_line_is_the_originals() {
        assert_eq!(
            line(&update("chef_mario")),
            "Notification for order ORD_20261122_001: Status changed from 'received' to 'cooking' by chef_mario."
        );
    }

    #[tokio::test(start_paused = true)]
    async fn patience_ends_after_its_time_and_with_a_second_request_at_once() {
        let began = tokio::time::Instant::now();
        let shutdown = Shutdown::new();
        shutdown.trigger("test");
        patience_ends(&shutdown).await;
        assert_eq!(began.elapsed().as_secs(), STOP_PATIENCE.as_secs());
        shutdown.trigger("test");
        let again = tokio::time::Instant::now();
        patience_ends(&shutdown).await;
        assert_eq!(again.elapsed(), Duration::ZERO);
    }

    #[test]
    fn a_foreign_message_cannot_forge_a_second_line() {
        for c in ['\n', '\u{2028}', '\u{202e}'] {
            assert!(!line(&update(&format!("x{c}Notification for order"))).contains(c), "{c:?}");
        }
    }
}
