//! `restaurant-system queues`: whether the queues on RabbitMQ are as they should be, and making them so.

use std::io::{self, Write};

use amqp::{Broker, BrokerError, QueueReport};
use clap::{Args, Subcommand};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::common::{ConfigArgs, GOODBYE, NotConnected, Usage, broker_options, connected, store_options};
use super::error::CliError;
use super::roles::parse_subscriber_name;
use crate::broker::{DEAD_LETTER_QUEUE, Part, kitchen_queues, named_slot, numbered_slots};
use crate::config::Config;
use crate::store::{ReconcilerStore, Store, StoreError};

/// Subscribers' queues are numbered without gaps, until one of them expires: so many numbers without a queue are the end.
const MAX_GAP: usize = 8;
/// Rows that one statement enters in the outbox.
const ANNOUNCE_PAGE: i64 = 5_000;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  restaurant-system queues list
  restaurant-system queues list --json --subscriber kiosk
  restaurant-system queues migrate --subscriber kiosk --subscriber office

RabbitMQ does not list queues to its clients. These are looked at: the kitchen's three, the dead letters, notifications_queue
and notifications_queue.2, .3 and so on, and those that --subscriber names.

Exit codes: 0 done, 1 a queue in use or a server away, 2 wrong usage, 78 unusable configuration.")]
pub(super) struct QueuesArgs {
    #[command(subcommand)]
    command: QueuesCommand,

    /// Look at the queue notifications_queue.NAME as well (may be repeated)
    #[arg(long, value_name = "NAME", value_parser = parse_subscriber_name, global = true)]
    subscriber: Vec<String>,

    #[command(flatten)]
    config: ConfigArgs,
}

#[derive(Debug, Subcommand)]
enum QueuesCommand {
    /// List them, and say which are not as they should be
    #[command(after_help = "\
Example:
  restaurant-system queues list --json")]
    List {
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Make those anew that exist with other arguments, with what is in them
    #[command(after_help = "\
Example:
  restaurant-system queues migrate --subscriber kiosk

For a changed rabbitmq.queue_type, or a version that wants other arguments. Start all roles with the new configuration first:
they use the queues as they are. Then stop those that consume:

  systemctl stop 'kitchen-worker@*' 'notification-subscriber*'

Orders are taken meanwhile, and nothing is lost: messages of the kitchen's queues are announced again from PostgreSQL, those
of subscribers and the dead letters are moved to a temporary queue (restaurant_moving.QUEUE) and back, and may come twice. It
refuses while a queue is consumed. Interrupted at any point, it is finished by running it again.")]
    Migrate,
}

/// Why it was not done, or not wholly.
#[derive(Debug, thiserror::Error)]
enum QueuesError {
    #[error("the queues cannot be used: {0}")]
    Broker(#[from] BrokerError),
    #[error("the queues cannot be used: {0}")]
    NotConnected(#[from] NotConnected),
    #[error(
        "the waiting orders cannot be announced again: {0}; nothing is lost, run it again when PostgreSQL is there"
    )]
    Store(#[from] StoreError),
    #[error(
        "in use: {}; stop what consumes, then run it again: systemctl stop 'kitchen-worker@*' 'notification-subscriber*'",
        .0.join(", ")
    )]
    Busy(Vec<String>),
    #[error("not as they should be, and not to be mended here: {}", .0.join("; "))]
    Left(Vec<String>),
    #[error("cannot write to standard output: {0}")]
    Output(#[from] io::Error),
}

pub(super) async fn run(args: QueuesArgs) -> Result<(), CliError> {
    let config = Config::load(&args.config.sources())?;
    let store =
        Store::new(store_options(&config.database, "queues", Usage::Worker), CancellationToken::new())
            .map_err(CliError::failed)?;
    // No log: standard output is for the answer, and what goes wrong is the answer's own error.
    let broker = Broker::start(broker_options(&config.rabbitmq, Part::Operator, "queues"));
    let done = execute(&broker, &store, args.command, &args.subscriber).await;
    // All that was moved has been confirmed by now.
    let _ = tokio::time::timeout(GOODBYE, broker.close()).await;
    done.map_err(CliError::failed)
}

async fn execute(
    broker: &Broker,
    store: &Store,
    command: QueuesCommand,
    subscribers: &[String],
) -> Result<(), QueuesError> {
    connected(broker).await?;
    let queues = look(broker, subscribers).await?;
    match command {
        QueuesCommand::List { json } => list(&queues, json)?,
        QueuesCommand::Migrate => migrate(broker, store, &queues).await?,
    }
    Ok(())
}

async fn look(broker: &Broker, subscribers: &[String]) -> Result<Vec<QueueReport>, BrokerError> {
    let mut reports = Vec::new();
    let always = kitchen_queues().into_iter().chain([DEAD_LETTER_QUEUE.to_owned()]);
    for name in always.chain(subscribers.iter().map(|name| named_slot(name))) {
        reports.push(broker.look_at_queue(&name).await?);
    }
    let mut gap = 0;
    for name in numbered_slots() {
        let report = broker.look_at_queue(&name).await?;
        gap = if report.found.is_none() && !report.is_to_be_renewed() { gap + 1 } else { 0 };
        if gap > MAX_GAP {
            break;
        }
        if gap == 0 {
            reports.push(report);
        }
    }
    Ok(reports)
}

/// A queue as it is printed.
#[derive(Debug, Serialize)]
struct QueueRow {
    queue: String,
    exists: bool,
    messages: u32,
    consumers: u32,
    /// `right`, `missing`, `other`, `moving` or `unusable`.
    state: &'static str,
    details: Option<String>,
}

impl QueueRow {
    fn of(report: &QueueReport) -> Self {
        let (messages, consumers) = report.found.unwrap_or_default();
        let (state, details) = match (&report.trouble, report.left_over) {
            (_, Some(left)) => ("moving", Some(format!("{left} of its messages are in a temporary queue"))),
            (Some(BrokerError::Conflict { reason, .. }), None) => ("other", Some(reason.clone())),
            (Some(error), None) => ("unusable", Some(error.to_string())),
            (None, None) if report.found.is_none() => ("missing", None),
            (None, None) => ("right", None),
        };
        let (queue, exists) = (report.name.clone(), report.found.is_some());
        Self { queue, exists, messages, consumers, state, details }
    }
}

fn list(queues: &[QueueReport], json: bool) -> Result<(), io::Error> {
    let rows: Vec<QueueRow> = queues.iter().map(QueueRow::of).collect();
    let mut out = io::stdout().lock();
    if json {
        serde_json::to_writer(&mut out, &rows)?;
        return writeln!(out);
    }
    let width = rows.iter().map(|row| row.queue.len()).max().unwrap_or_default().max("queue".len());
    writeln!(out, "{:width$}  messages  consumers  state", "queue")?;
    for QueueRow { queue, messages, consumers, state, details, .. } in rows {
        let details = details.map(|details| format!(": {details}")).unwrap_or_default();
        writeln!(out, "{queue:width$}  {messages:>8}  {consumers:>9}  {state}{details}")?;
    }
    Ok(())
}

/// All that can be refused is refused before anything is changed.
async fn migrate(broker: &Broker, store: &Store, queues: &[QueueReport]) -> Result<(), QueuesError> {
    let busy: Vec<String> = queues.iter().filter(|queue| queue.is_busy()).map(|q| q.name.clone()).collect();
    if !busy.is_empty() {
        return Err(QueuesError::Busy(busy));
    }
    let (kitchen, others): (Vec<&QueueReport>, Vec<_>) = queues
        .iter()
        .filter(|queue| queue.is_to_be_renewed())
        .partition(|queue| kitchen_queues().contains(&queue.name));
    if !kitchen.is_empty() {
        store.ping().await?;
        // Without its schema it could not be told of afterwards either.
        store.outbox_rows(1).await?;
    }
    for queue in &others {
        let moved =
            broker.renew_queue_with_content(&queue.name).await.map_err(|error| busy_or(error, queue))?;
        say(&format!("{}: made anew, {moved} messages kept", queue.name))?;
    }
    for queue in &kitchen {
        broker.renew_queue(&queue.name).await.map_err(|error| busy_or(error, queue))?;
        say(&format!("{}: made anew", queue.name))?;
    }
    if !kitchen.is_empty() {
        let announced = store.announce_waiting(ANNOUNCE_PAGE).await?;
        say(&format!("{announced} waiting orders are announced again"))?;
    }
    let left: Vec<String> = queues
        .iter()
        .filter(|queue| !queue.is_to_be_renewed())
        .filter_map(|queue| queue.trouble.as_ref().map(|error| format!("{}: {error}", queue.name)))
        .collect();
    if !left.is_empty() {
        return Err(QueuesError::Left(left));
    }
    if kitchen.is_empty() && others.is_empty() {
        say("all queues are as they should be")?;
    }
    Ok(())
}

/// A consumer may have come meanwhile.
fn busy_or(error: BrokerError, queue: &QueueReport) -> QueuesError {
    match error {
        BrokerError::InUse { .. } => QueuesError::Busy(vec![queue.name.clone()]),
        error => error.into(),
    }
}

fn say(line: &str) -> Result<(), io::Error> {
    writeln!(io::stdout().lock(), "{line}")
}
