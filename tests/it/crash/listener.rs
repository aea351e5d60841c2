//! The independent subscriber: reads a queue with a client library of its own and notes what it hears.
//!
//! It uses nothing of the program's own broker layer, which is under test here.

use amqprs::channel::{
    BasicAckArguments, BasicConsumeArguments, BasicQosArguments, Channel, ConsumerMessage,
};
use amqprs::connection::{Connection, OpenConnectionArguments};
use serde_json::Value;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc::UnboundedReceiver;

const PREFETCH: u16 = 200;
/// A step of connecting that takes longer is given up.
const STEP_TIMEOUT: Duration = Duration::from_secs(8);
const RETRY_PAUSE: Duration = Duration::from_millis(300);
/// A connection on which nothing is heard for so long is replaced: the library may not have noticed its end.
const SILENCE: Duration = Duration::from_secs(5);

/// A status update as it was received.
#[derive(Debug, Clone, PartialEq)]
pub struct Heard {
    /// When, in seconds since 1970.
    pub at: f64,
    pub message_id: String,
    pub order_number: String,
    pub old_status: String,
    pub new_status: String,
}

impl Heard {
    /// Whether this is the change it tells of.
    pub fn tells(&self, old_status: &str, new_status: &str) -> bool {
        self.old_status == old_status && self.new_status == new_status
    }
}

/// What was heard so far, in its order, repetitions among it.
pub type Notes = Arc<Mutex<Vec<Heard>>>;

/// Listens for ever, at the brokers in turn.
pub async fn listen(ports: Vec<u16>, vhost: String, queue: &'static str, notes: Notes) {
    for port in ports.into_iter().cycle() {
        // In a task of its own: the library does not bear being cancelled in the middle of a call.
        let connecting = tokio::spawn(connect(port, vhost.clone(), queue));
        if let Ok(Ok(Some((connection, channel, messages)))) =
            tokio::time::timeout(STEP_TIMEOUT, connecting).await
        {
            note_all(&channel, messages, &notes).await;
            tokio::spawn(async move {
                let _ = channel.close().await;
                let _ = connection.close().await;
            });
        }
        tokio::time::sleep(RETRY_PAUSE).await;
    }
}

async fn connect(
    port: u16,
    vhost: String,
    queue: &'static str,
) -> Option<(Connection, Channel, UnboundedReceiver<ConsumerMessage>)> {
    let mut arguments = OpenConnectionArguments::new("127.0.0.1", port, "guest", "guest");
    arguments.virtual_host(&vhost).heartbeat(4);
    let connection = Connection::open(&arguments).await.ok()?;
    let channel = connection.open_channel(None).await.ok()?;
    channel.basic_qos(BasicQosArguments::new(0, PREFETCH, false)).await.ok()?;
    let consume = BasicConsumeArguments::new(queue, "independent").manual_ack(true).exclusive(true).finish();
    // Exclusive, so that a consumer of before cannot take a message out of its order. Where that one is still there,
    // or the queue is yet to be declared, this fails and is tried again.
    let (_, messages) = channel.basic_consume_rx(consume).await.ok()?;
    Some((connection, channel, messages))
}

/// Notes what comes, then acknowledges it: until the consumer ends or nothing is heard any more.
async fn note_all(channel: &Channel, mut messages: UnboundedReceiver<ConsumerMessage>, notes: &Notes) {
    while let Ok(Some(message)) = tokio::time::timeout(SILENCE, messages.recv()).await {
        let Some(heard) = heard(&message) else { continue };
        notes.lock().unwrap().push(heard);
        let Some(deliver) = message.deliver else { continue };
        if channel.basic_ack(BasicAckArguments::new(deliver.delivery_tag(), false)).await.is_err() {
            return;
        }
    }
}

fn heard(message: &ConsumerMessage) -> Option<Heard> {
    let body: Value = serde_json::from_slice(message.content.as_deref()?).ok()?;
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    Some(Heard {
        at: std::time::UNIX_EPOCH.elapsed().ok()?.as_secs_f64(),
        message_id: message.basic_properties.as_ref()?.message_id().cloned().unwrap_or_default(),
        order_number: text("order_number"),
        old_status: text("old_status"),
        new_status: text("new_status"),
    })
}
