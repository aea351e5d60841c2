//! The notification subscriber: one line on standard output for each change, then the acknowledgement.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use amqp::{Broker, BrokerError, Delivery, Properties, Publish, Received, Slot, SlotEvent, WantedSlot};
use daemon::metrics::Metrics;
use daemon::outlet::Outlet;
use daemon::shutdown::Shutdown;
use daemon::systemd::{Heartbeat, ServiceManager};
use daemon::telemetry::order_span;
use tokio::sync::watch;

use crate::broker::{NOTIFICATIONS_EXCHANGE, wanted_slot};
use crate::domain::StatusUpdate;
use crate::services::consumed::Consumed;
use crate::services::dead_letters::{dead_letter, request_id, too_large, unreadable};
use crate::services::servers::ServerStates;

/// Updates that may be on their way to this subscriber at once: enough that it never waits for the next one, and few while
/// each may be as large as RabbitMQ lets it be.
const SUBSCRIBER_PREFETCH: u16 = 8;
/// How long, once asked to stop, a line is waited for that nobody reads: a reader that is only slow is told no update twice.
const STOP_PATIENCE: Duration = Duration::from_secs(2);
/// A line that has waited so long is one that nobody reads, as the status says.
const UNREAD_AFTER: Duration = Duration::from_secs(5);

#[derive(Debug, Clone)]
pub struct NotificationOptions {
    /// The process's metrics.
    pub metrics: Metrics,
    /// Take `notifications_queue.NAME`, as a standby while another has it; without a name the first free slot.
    pub name: Option<String>,
}

/// Why a subscriber cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum NotificationError {
    #[error("the notifications cannot be consumed: {0}")]
    Consume(#[from] BrokerError),
    #[error("standard output cannot be written: {0}")]
    Output(#[from] io::Error),
}

/// What a subscriber does at the moment, for its service manager.
#[derive(Debug, Default)]
struct Doing {
    told: AtomicU64,
    /// What another has that it waits for.
    stands_by_for: watch::Sender<Option<String>>,
}

impl Doing {
    fn in_words(&self) -> String {
        match &*self.stands_by_for.borrow() {
            Some(queue) => format!("standby: another subscriber has {queue}"),
            None => format!("{} changes told", self.told.load(Ordering::Relaxed)),
        }
    }
}

/// Prints to `stdout` until it is asked to stop. While another subscriber has its queue it waits: that is its job then.
///
/// # Errors
/// When its queue cannot be used whoever has it, or standard output is closed. A server that is away is waited for.
pub async fn run(
    options: NotificationOptions,
    broker: Broker,
    stdout: Arc<Outlet>,
    shutdown: Shutdown,
    manager: &ServiceManager,
) -> Result<(), NotificationError> {
    tracing::info!(
        action = "service_started",
        details = options.name.as_deref().unwrap_or("the first free queue"),
        "the notification subscriber starts"
    );
    let servers = ServerStates::of(None, broker.state());
    let doing = Arc::new(Doing::default());
    let _reports = {
        let (doing, stdout) = (Arc::clone(&doing), Arc::clone(&stdout));
        manager.follow(&shutdown, move || {
            let is_unread = stdout.stuck_for() >= UNREAD_AFTER;
            let unread = if is_unread { "; nobody reads standard output" } else { "" };
            servers.condition(format!("{}{unread}", doing.in_words()))
        })
    };
    let mut subscriber = Subscriber {
        wanted: wanted_slot(options.name.as_deref()),
        broker,
        stdout,
        shutdown,
        manager,
        watchdog: Heartbeat::default(),
        doing,
    };
    let mut before = None;
    while let Some(slot) = subscriber.take(before.as_deref()).await? {
        let queue = slot.queue().to_owned();
        tracing::info!(
            action = "subscribed",
            details = queue,
            "every change of an order is told from now on"
        );
        if !subscriber.tell_all(slot).await? {
            break;
        }
        tracing::warn!(action = "slot_lost", details = queue, "another subscriber has the queue now");
        before = Some(queue);
    }
    Ok(())
}

struct Subscriber<'a> {
    wanted: WantedSlot,
    broker: Broker,
    stdout: Arc<Outlet>,
    shutdown: Shutdown,
    manager: &'a ServiceManager,
    /// While it has a slot; who waits for a reader is not wedged.
    watchdog: Heartbeat,
    doing: Arc<Doing>,
}

impl Subscriber<'_> {
    /// Takes a slot, as a standby until it is free; `before` is the one that was lost. `None`: asked to stop.
    async fn take(&self, before: Option<&str>) -> Result<Option<Slot>, BrokerError> {
        let on_standby = |queue: &str| {
            if self.doing.stands_by_for.send_replace(Some(queue.to_owned())).is_none() {
                let message = "another subscriber has the queue; this one waits until it is free";
                tracing::info!(action = "standby", details = queue, "{message}");
                self.manager.ready();
            }
        };
        let taken = tokio::select! {
            biased;
            () = self.shutdown.stopping().cancelled_owned() => return Ok(None),
            taken = self.broker.take_slot(&self.wanted, before, SUBSCRIBER_PREFETCH, on_standby) => taken,
        };
        let slot = taken?;
        self.doing.stands_by_for.send_replace(None);
        self.manager.ready();
        Ok(Some(slot))
    }

    /// Tells what comes by this slot. Whether it was lost; else this process has been asked to stop.
    async fn tell_all(&mut self, mut slot: Slot) -> Result<bool, NotificationError> {
        let stopping = self.shutdown.stopping();
        self.watchdog = self.manager.heartbeat();
        let was_lost = loop {
            let event = tokio::select! {
                biased;
                () = stopping.cancelled() => break false,
                () = self.watchdog.due() => continue,
                event = slot.next() => event?,
            };
            match event {
                SlotEvent::Delivery(delivery) => self.tell(delivery).await?,
                SlotEvent::Lost => break true,
            }
        };
        self.watchdog = Heartbeat::default();
        slot.close().await;
        Ok(was_lost)
    }

    /// Prints one update, then acknowledges it. Killed in between, it is printed again: never not at all.
    async fn tell(&mut self, delivery: Delivery) -> Result<(), io::Error> {
        let trace = consumed(&delivery.properties).span(|| NOTIFICATIONS_EXCHANGE.to_owned());
        let update = match read(&delivery) {
            Ok(update) => update,
            Err(reason) => {
                dead_letter(&self.broker, delivery, &reason).await;
                return Ok(());
            }
        };
        if !self.print(&line(&update)).await? {
            // With its end the subscriber gives back all that it has not told.
            return Ok(());
        }
        self.doing.told.fetch_add(1, Ordering::Relaxed);
        order_span(&request_id(&delivery.properties), &update.order_number).in_scope(|| {
            tracing::info!(
                action = "notification_received",
                details = %update.new_status,
                trace_id = trace.trace_id(),
                "an order has changed"
            );
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
                () = self.watchdog.due() => {}
            }
        }
    }
}

fn consumed(properties: &Properties) -> Consumed {
    Consumed {
        traceparent: properties.traceparent.clone(),
        message_id: properties.message_id.clone(),
        request_id: request_id(properties),
    }
}

/// Ends [`STOP_PATIENCE`] after the request to stop, or with the request to hurry.
async fn patience_ends(shutdown: &Shutdown) {
    let (stopping, hurry) = (shutdown.stopping(), shutdown.hurry());
    stopping.cancelled().await;
    let _ = tokio::time::timeout(STOP_PATIENCE, hurry.cancelled()).await;
}

/// The update of a message, or why it is none. What it says is printed and logged, so that it must be one in all of its
/// texts.
fn read(delivery: &Delivery) -> Result<StatusUpdate, String> {
    const NO_UPDATE: &str = "the message is no status update";
    if let Some(reason) = too_large(delivery.body_bytes) {
        return Err(reason);
    }
    let update: StatusUpdate =
        serde_json::from_slice(&delivery.body).map_err(|error| unreadable(NO_UPDATE, &error))?;
    update.check().map_err(|reason| format!("{NO_UPDATE}: {reason}"))?;
    Ok(update)
}

/// The line of the contract, section 7.
fn line(update: &StatusUpdate) -> String {
    let StatusUpdate { order_number, old_status, new_status, changed_by, .. } = update;
    let old_status = old_status.as_deref().unwrap_or("none");
    format!(
        "Notification for order {order_number}: Status changed from '{old_status}' to '{new_status}' by {changed_by}."
    )
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
}
