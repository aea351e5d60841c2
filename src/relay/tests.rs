use super::*;
use crate::broker::BrokerError;
use crate::domain::{Priority, Status};
use crate::store::StatusAnnouncement;
use std::sync::atomic::AtomicUsize;
use tokio::sync::watch;

/// An outbox that never gets empty, and a RabbitMQ that takes nothing of it.
#[derive(Clone)]
struct Refusing {
    state: watch::Receiver<BrokerState>,
    /// How often it has refused.
    refused: Arc<AtomicUsize>,
}

struct FullBatch(Vec<Announcement>);

fn announcement() -> Announcement {
    let content = AnnouncementContent::Status(StatusAnnouncement {
        status: Status::Cooking,
        changed_by: "chef".to_owned(),
        estimated_completion: None,
    });
    Announcement {
        log_id: 1,
        changed_at: jiff::Timestamp::UNIX_EPOCH,
        number: crate::domain::OrderNumber::parse("ORD_20260101_001").unwrap(),
        priority: Priority::LOW,
        request_id: String::new(),
        traceparent: None,
        content,
    }
}

impl LockedRows for FullBatch {
    fn announcements(&self) -> &[Announcement] {
        &self.0
    }

    fn locked(&self) -> usize {
        BATCH_ROWS
    }
}

impl RelayStore for Refusing {
    type Batch = FullBatch;

    async fn lock_outbox(&self, _limit: i64, _orders_after: Duration) -> Result<FullBatch, StoreError> {
        Ok(FullBatch(vec![announcement()]))
    }

    async fn confirm_outbox(&self, _batch: FullBatch, _published: &[i64]) -> Result<(), StoreError> {
        Ok(())
    }
}

impl RelayBroker for Refusing {
    fn state(&self) -> watch::Receiver<BrokerState> {
        self.state.clone()
    }

    async fn publish(&self, messages: Vec<Outgoing>) -> Vec<PublishOutcome> {
        // Refused is refused later: the other lane has its turn meanwhile.
        tokio::task::yield_now().await;
        assert!(self.refused.fetch_add(1, Ordering::Relaxed) < 1_000, "it goes on without a pause");
        messages.into_iter().map(|_| PublishOutcome::Nacked).collect()
    }

    async fn redeclare_topology(&self) -> Result<(), BrokerError> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_backlog_that_is_refused_is_offered_again_with_growing_pauses() {
    let connected = BrokerState::Connected { generation: 1, host: "rabbit".to_owned() };
    let (_link, state) = watch::channel(connected);
    let refusing = Refusing { state, refused: Arc::default() };
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    let _waker = start(refusing.clone(), refusing.clone(), RelayOwner::OrderService, stop, &tasks);
    tokio::time::sleep(Duration::from_secs(60)).await;
    // Each of the two lanes: some five times until the pause is at its longest, then every 2.5 to 5 s.
    let refused = refusing.refused.load(Ordering::Relaxed);
    assert!((20..=70).contains(&refused), "refused {refused} times in a minute");
}

/// An outbox with so many new rows at each look, and a RabbitMQ that takes them.
#[derive(Clone)]
struct Trickling {
    rows: usize,
    state: watch::Receiver<BrokerState>,
    /// When it was looked into.
    looks: Arc<std::sync::Mutex<Vec<Instant>>>,
}

struct Trickle(Vec<Announcement>);

impl LockedRows for Trickle {
    fn announcements(&self) -> &[Announcement] {
        &self.0
    }

    fn locked(&self) -> usize {
        self.0.len()
    }
}

impl RelayStore for Trickling {
    type Batch = Trickle;

    async fn lock_outbox(&self, _limit: i64, _orders_after: Duration) -> Result<Trickle, StoreError> {
        self.looks.lock().unwrap().push(Instant::now());
        Ok(Trickle(vec![announcement(); self.rows]))
    }

    async fn confirm_outbox(&self, _batch: Trickle, _published: &[i64]) -> Result<(), StoreError> {
        Ok(())
    }
}

impl RelayBroker for Trickling {
    fn state(&self) -> watch::Receiver<BrokerState> {
        self.state.clone()
    }

    async fn publish(&self, messages: Vec<Outgoing>) -> Vec<PublishOutcome> {
        tokio::time::sleep(Duration::from_millis(1)).await;
        vec![PublishOutcome::Routed; messages.len()]
    }

    async fn redeclare_topology(&self) -> Result<(), BrokerError> {
        Ok(())
    }
}

/// The looks of a second in which something is committed each millisecond, after a quiet one.
async fn looks_in_a_second(rows: usize) -> Vec<Instant> {
    let connected = BrokerState::Connected { generation: 1, host: "rabbit".to_owned() };
    let (_link, state) = watch::channel(connected);
    let outbox = Trickling { rows, state, looks: Arc::default() };
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    let waker = start(outbox.clone(), outbox.clone(), RelayOwner::OrderService, stop, &tasks);
    tokio::time::sleep(Duration::from_secs(1)).await;
    outbox.looks.lock().unwrap().clear();
    for _ in 0..1_000 {
        waker.wake();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    outbox.looks.lock().unwrap().clone()
}

#[tokio::test(start_paused = true)]
async fn small_batches_that_follow_closely_go_together() {
    let began = Instant::now() + Duration::from_secs(1);
    let looks = looks_in_a_second(FEW_ROWS - 1).await;
    assert!(looks[0] - began < Duration::from_millis(1), "the first one waits: {:?}", looks[0] - began);
    assert!((150..=200).contains(&looks.len()), "{} looks", looks.len());
}

#[tokio::test(start_paused = true)]
async fn batches_of_many_follow_each_other_without_a_pause() {
    let looks = looks_in_a_second(FEW_ROWS).await;
    assert!(looks.len() > 450, "{} looks", looks.len());
}
