//! Follows placed orders until they are ready: by the live stream of all changes, or, where that is not to be had,
//! by asking for some of them at a time.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::client::api::TrackingClient;
use crate::client::error::ClientError;
use crate::client::events::{EventStream, StreamItem};
use crate::domain::Status;

/// How many orders are followed at once; more are placed, but not followed.
const MAX_FOLLOWED: usize = 200_000;
/// How many changes of unknown orders are kept for an answer that is still under way.
const MAX_EARLY: usize = 8192;
/// How many orders are asked for at once, without a stream.
const MAX_POLLS: usize = 32;
/// The stream counts as caught up with the history when it was silent for so long.
const QUIET: Duration = Duration::from_millis(250);
/// How long the history may take before the simulation starts all the same.
const CATCH_UP_LIMIT: Duration = Duration::from_secs(5);

/// A change that matters: the order needs no more following.
#[derive(Debug)]
pub(super) enum OrderChange {
    /// An order was seen in this status.
    Status { order_number: String, status: String, at: Instant },
    /// An order was asked for in vain, or is not done yet.
    Unsettled { order_number: String },
    /// The stream is gone for good.
    StreamLost,
}

#[derive(Debug)]
pub(super) enum Fate {
    /// It was ready, so long after it was sent.
    Ready(Duration),
    Cancelled,
}

/// Memory is bounded by the outstanding orders and the constants above, not by the history of the restaurant.
pub(super) struct Follower {
    tracking: TrackingClient,
    /// When each outstanding order was sent.
    outstanding: HashMap<String, Instant>,
    not_followed: u64,
    early: EarlyChanges,
    changes: mpsc::Receiver<OrderChange>,
    /// Reads the stream; aborted when dropped.
    _reader: JoinSet<()>,
    /// Orders to ask for, in turn; `None` while there is a stream.
    to_ask: Option<VecDeque<String>>,
    polls: JoinSet<OrderChange>,
}

impl Follower {
    /// Opens the stream and lets the history pass.
    pub(super) async fn start(tracking: TrackingClient) -> Self {
        let mut stream = tracking.all_events();
        let to_ask = catch_up(&mut stream).await.is_err().then(VecDeque::new);
        let (sender, changes) = mpsc::channel(1024);
        let mut reader = JoinSet::new();
        if to_ask.is_none() {
            reader.spawn(read_stream(stream, sender));
        }
        Self {
            tracking,
            outstanding: HashMap::new(),
            not_followed: 0,
            early: EarlyChanges::default(),
            changes,
            _reader: reader,
            to_ask,
            polls: JoinSet::new(),
        }
    }

    /// How orders are followed now.
    pub(super) fn manner(&self) -> &'static str {
        if self.to_ask.is_none() { "events" } else { "polling" }
    }

    /// How many placed orders are not settled yet.
    pub(super) fn outstanding(&self) -> usize {
        self.outstanding.len()
    }

    /// How many placed orders are not followed.
    pub(super) fn not_followed(&self) -> u64 {
        self.not_followed
    }

    /// Follows a placed order; tells its fate at once when the stream was quicker than the answer.
    pub(super) fn follow(&mut self, order_number: String, sent_at: Instant) -> Option<Fate> {
        if let Some((status, at)) = self.early.take(&order_number) {
            return fate(&status, at.saturating_duration_since(sent_at));
        }
        if self.outstanding.len() >= MAX_FOLLOWED {
            self.not_followed += 1;
            return None;
        }
        if let Some(to_ask) = &mut self.to_ask {
            to_ask.push_back(order_number.clone());
        }
        self.outstanding.insert(order_number, sent_at);
        None
    }

    /// Waits for the next change. Cancel-safe.
    pub(super) async fn next(&mut self) -> OrderChange {
        tokio::select! {
            Some(change) = self.changes.recv() => change,
            Some(Ok(change)) = self.polls.join_next() => change,
            else => std::future::pending().await,
        }
    }

    /// Takes a change in; tells the fate of the order if it was one of ours.
    pub(super) fn settle(&mut self, change: OrderChange) -> Option<Fate> {
        match change {
            OrderChange::Status { order_number, status, at } => {
                match self.outstanding.remove(&order_number) {
                    Some(sent_at) => fate(&status, at.saturating_duration_since(sent_at)),
                    None => {
                        self.early.keep(order_number, status, at);
                        None
                    }
                }
            }
            OrderChange::Unsettled { order_number } => {
                self.to_ask.get_or_insert_default().push_back(order_number);
                None
            }
            OrderChange::StreamLost => {
                self.to_ask = Some(self.outstanding.keys().cloned().collect());
                None
            }
        }
    }

    /// Asks for the next few orders, where there is no stream.
    pub(super) fn tick(&mut self) {
        let Some(to_ask) = &mut self.to_ask else { return };
        while self.polls.len() < MAX_POLLS
            && let Some(order_number) = to_ask.pop_front()
        {
            let tracking = self.tracking.clone();
            self.polls.spawn(async move {
                match tracking.status(&order_number).await {
                    Ok(answer) if settles(&answer.current_status) => OrderChange::Status {
                        order_number,
                        status: answer.current_status,
                        at: Instant::now(),
                    },
                    Ok(_) | Err(_) => OrderChange::Unsettled { order_number },
                }
            });
        }
    }
}

/// A status of a later version settles nothing that this one knows of.
fn settles(status: &str) -> bool {
    status.parse().is_ok_and(Status::is_settled)
}

fn fate(status: &str, after: Duration) -> Option<Fate> {
    let status: Status = status.parse().ok()?;
    status.is_settled().then(|| if status.is_cooked() { Fate::Ready(after) } else { Fate::Cancelled })
}

/// Reads what the stream replays, so that the delay of a long history is not taken for the kitchen's: until there is
/// nothing more, or until what comes has only just happened.
async fn catch_up(stream: &mut EventStream) -> Result<(), ClientError> {
    let limit = Instant::now() + CATCH_UP_LIMIT;
    while Instant::now() < limit {
        match timeout(QUIET, stream.next()).await {
            Err(_) | Ok(Ok(None)) => return Ok(()),
            Ok(Ok(Some(StreamItem::Event(event)))) if is_fresh(event.update.timestamp) => return Ok(()),
            Ok(Ok(Some(_))) => {}
            Ok(Err(error)) => return Err(error),
        }
    }
    Ok(())
}

fn is_fresh(happened_at: Timestamp) -> bool {
    Timestamp::now().duration_since(happened_at) < SignedDuration::from_secs(1)
}

/// Hands on what settles an order, until the stream is lost or nobody listens any more.
async fn read_stream(mut stream: EventStream, changes: mpsc::Sender<OrderChange>) {
    loop {
        let change = match stream.next().await {
            Ok(Some(StreamItem::Event(event))) if settles(&event.update.new_status) => OrderChange::Status {
                order_number: event.update.order_number,
                status: event.update.new_status,
                at: Instant::now(),
            },
            Ok(Some(StreamItem::Event(_) | StreamItem::Connected | StreamItem::Interrupted(_))) => continue,
            // After a reset nobody tells of an order that was settled meanwhile.
            Ok(Some(StreamItem::Reset) | None) | Err(_) => OrderChange::StreamLost,
        };
        let is_last = matches!(change, OrderChange::StreamLost);
        if changes.send(change).await.is_err() || is_last {
            return;
        }
    }
}

/// The latest changes of orders that nobody here knows: others' orders, or ours whose answer is still under way.
#[derive(Default)]
struct EarlyChanges {
    by_number: HashMap<String, (String, Instant)>,
    oldest_first: VecDeque<String>,
}

impl EarlyChanges {
    fn keep(&mut self, order_number: String, status: String, at: Instant) {
        if self.by_number.contains_key(&order_number) {
            return;
        }
        self.by_number.insert(order_number.clone(), (status, at));
        self.oldest_first.push_back(order_number);
        if self.oldest_first.len() > MAX_EARLY
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.by_number.remove(&oldest);
        }
    }

    fn take(&mut self, order_number: &str) -> Option<(String, Instant)> {
        self.by_number.remove(order_number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::OrderClient;
    use crate::client::generator::OrderGenerator;
    use crate::client::stub::Stub;

    #[tokio::test]
    async fn when_the_stream_is_lost_outstanding_orders_are_asked_for() {
        let stub = Stub::start().await;
        let mut follower = Follower::start(TrackingClient::new(stub.url()).unwrap()).await;
        stub.refuse_streams();
        follower.settle(OrderChange::StreamLost);
        let order = OrderGenerator::new(1, 0.0).next_order().request;
        let placed = OrderClient::new(stub.url()).unwrap().place(&order, None).await.unwrap();
        assert!(follower.follow(placed.order.order_number, Instant::now()).is_none());
        let ready = async {
            loop {
                follower.tick();
                let change = follower.next().await;
                if let Some(fate) = follower.settle(change) {
                    return fate;
                }
            }
        };
        let fate = timeout(Duration::from_secs(10), ready).await.unwrap();
        assert!(matches!(fate, Fate::Ready(_)), "{fate:?}");
        assert_eq!((follower.outstanding(), follower.manner()), (0, "polling"));
    }

    #[test]
    fn early_changes_are_kept_once_and_only_the_latest() {
        let (mut early, now) = (EarlyChanges::default(), Instant::now());
        for number in 0..=MAX_EARLY {
            early.keep(number.to_string(), "ready".into(), now);
        }
        early.keep("1".into(), "completed".into(), now);
        assert!(early.take("0").is_none());
        assert_eq!(early.take("1").unwrap().0, "ready");
        assert!(early.take("1").is_none());
        assert_eq!(early.by_number.len(), MAX_EARLY - 1);
    }
}
