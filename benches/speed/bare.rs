//! What limits the services, with nothing around it: a publisher, a consumer, an empty handler, a disk.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use amqprs::callbacks::ChannelCallback;
use amqprs::channel::{
    BasicAckArguments, BasicConsumeArguments, BasicPublishArguments, BasicQosArguments, Channel,
    ConfirmSelectArguments, QueueDeclareArguments,
};
use amqprs::connection::{Connection, OpenConnectionArguments};
use amqprs::{Ack, BasicProperties, Cancel, CloseChannel, Nack, Return};
use anyhow::{Context, Result};
use async_trait::async_trait;
use tokio::sync::Semaphore;

use crate::deployment::Section;

/// Messages on their way at once.
const IN_FLIGHT: u32 = 1_024;
/// As many bytes as an order of two items has.
const BODY_BYTES: usize = 300;
const QUEUE: &str = "bare";

/// Messages a second that a durable queue confirms, and then those that it gives away.
pub struct Bare {
    pub published_per_second: f64,
    pub consumed_per_second: f64,
}

/// Publishes so many persistent messages with confirms, and consumes them with multiple acknowledgements.
pub async fn broker(section: &Section<'_>, messages: u32) -> Result<Bare> {
    let port = section.deployment.servers.rabbitmq.amqp_port();
    let mut arguments = OpenConnectionArguments::new("127.0.0.1", port, "guest", "guest");
    arguments.virtual_host(&section.name);
    let connection = Connection::open(&arguments).await?;
    let published_per_second = publish(&connection, messages).await?;
    let consumed_per_second = consume(&connection, messages).await?;
    connection.close().await?;
    Ok(Bare { published_per_second, consumed_per_second })
}

async fn publish(connection: &Connection, messages: u32) -> Result<f64> {
    let channel = connection.open_channel(None).await?;
    let free = Arc::new(Semaphore::new(IN_FLIGHT as usize));
    channel.register_callback(Confirmed { free: Arc::clone(&free), last: 0 }).await?;
    channel.queue_declare(QueueDeclareArguments::durable_client_named(QUEUE)).await?;
    channel.confirm_select(ConfirmSelectArguments::default()).await?;
    let body = vec![b'x'; BODY_BYTES];
    let mut properties = BasicProperties::default();
    properties.with_delivery_mode(2).with_content_type("application/json");
    let mut arguments = BasicPublishArguments::new("", QUEUE);
    arguments.mandatory(true);
    let began = Instant::now();
    for _ in 0..messages {
        free.acquire().await?.forget();
        channel.basic_publish(properties.clone(), body.clone(), arguments.clone()).await?;
    }
    let _all = free.acquire_many(IN_FLIGHT).await?;
    let per_second = f64::from(messages) / began.elapsed().as_secs_f64();
    channel.close().await?;
    Ok(per_second)
}

async fn consume(connection: &Connection, messages: u32) -> Result<f64> {
    const PREFETCH: u16 = 256;
    let channel = connection.open_channel(None).await?;
    channel.basic_qos(BasicQosArguments::new(0, PREFETCH, false)).await?;
    let began = Instant::now();
    let (_, mut deliveries) = channel.basic_consume_rx(BasicConsumeArguments::new(QUEUE, "bare")).await?;
    for number in 1..=messages {
        let message = deliveries.recv().await.context("the consumer was cancelled")?;
        if number % u32::from(PREFETCH / 4) == 0 || number == messages {
            let tag = message.deliver.context("a message without its tag")?.delivery_tag();
            channel.basic_ack(BasicAckArguments::new(tag, true)).await?;
        }
    }
    let per_second = f64::from(messages) / began.elapsed().as_secs_f64();
    channel.close().await?;
    Ok(per_second)
}

/// Frees a place for each confirmation.
struct Confirmed {
    free: Arc<Semaphore>,
    last: u64,
}

#[async_trait]
impl ChannelCallback for Confirmed {
    async fn close(&mut self, _: &Channel, _: CloseChannel) -> Result<(), amqprs::error::Error> {
        Ok(())
    }
    async fn cancel(&mut self, _: &Channel, _: Cancel) -> Result<(), amqprs::error::Error> {
        Ok(())
    }
    async fn flow(&mut self, _: &Channel, active: bool) -> Result<bool, amqprs::error::Error> {
        Ok(active)
    }
    async fn publish_ack(&mut self, _: &Channel, ack: Ack) {
        let confirmed = if ack.mutiple() { ack.delivery_tag() - self.last } else { 1 };
        self.last = self.last.max(ack.delivery_tag());
        self.free.add_permits(usize::try_from(confirmed).unwrap_or_default());
    }
    async fn publish_nack(&mut self, _: &Channel, _: Nack) {}
    async fn publish_return(&mut self, _: &Channel, _: Return, _: BasicProperties, _: Vec<u8>) {}
}

/// A poem server whose handler does nothing; its URL.
pub async fn empty_handler() -> Result<String> {
    use poem::listener::{Acceptor, Listener};
    #[poem::handler]
    fn nothing() -> &'static str {
        "{}"
    }
    let acceptor = poem::listener::TcpListener::bind("127.0.0.1:0").into_acceptor().await?;
    let address =
        acceptor.local_addr().first().and_then(|a| a.as_socket_addr().copied()).context("no address")?;
    tokio::spawn(
        poem::Server::new_with_acceptor(acceptor).run(poem::Route::new().at("/", poem::get(nothing))),
    );
    Ok(format!("http://{address}"))
}

/// How long, in ms, 99 of 100 wait who come at any time for the end of the next flush to begin, while nothing else happens:
/// the p99 that the disk alone would leave to a service that commits what has gathered every few milliseconds.
pub fn flush_wait_p99_ms(dir: &Path, seconds: u64) -> Result<f64> {
    /// What half a dozen orders put into PostgreSQL's log, and how often.
    const BATCH: [u8; 16 << 10] = [b'x'; 16 << 10];
    const PAUSE: Duration = Duration::from_millis(2);
    /// Written before, as PostgreSQL's files are: the file system has nothing to note.
    const BATCHES_IN_FILE: u64 = 1 << 10;
    /// Between two customers.
    const INTERVAL: Duration = Duration::from_micros(100);
    let file = tempfile::tempfile_in(dir)?;
    let write = |file: &File, batch: u64| {
        file.write_all_at(&BATCH, batch % BATCHES_IN_FILE * BATCH.len() as u64).map(|()| batch + 1)
    };
    let mut batch = 0;
    while batch < BATCHES_IN_FILE {
        batch = write(&file, batch)?;
    }
    file.sync_all()?;
    let (began, mut waits, mut comes) = (Instant::now(), Vec::new(), Duration::ZERO);
    while began.elapsed() < Duration::from_secs(seconds) {
        std::thread::sleep(PAUSE);
        batch = write(&file, batch)?;
        let begins = began.elapsed();
        file.sync_data()?;
        let ends = began.elapsed();
        // All who came since the flush before has begun.
        while comes < begins {
            waits.push(ends - comes);
            comes += INTERVAL;
        }
    }
    waits.sort_unstable();
    let p99 = waits.get(waits.len() * 99 / 100).context("no flush has ended")?;
    Ok(p99.as_secs_f64() * 1e3)
}
