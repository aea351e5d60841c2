use amqp::BrokerError;
use tokio::sync::watch;

use super::*;

/// An outbox with so many rows at each look, and a RabbitMQ that says the same of all messages.
#[derive(Clone)]
struct FakeServers {
    rows: usize,
    outcome: PublishOutcome,
    state: watch::Receiver<BrokerState>,
    /// When the outbox was looked into. Each look is followed by publishing what was found.
    looks: Arc<std::sync::Mutex<Vec<Instant>>>,
}

struct Rows(Vec<Announcement>);

impl LockedRows for Rows {
    fn announcements(&self) -> &[Announcement] {
        &self.0
    }

    fn locked(&self) -> usize {
        self.0.len()
    }
}

impl OutboxStore for FakeServers {
    type Batch = Rows;

    async fn lock_outbox(&self, _limit: i64, _orders_after: Duration) -> Result<Rows, StoreError> {
        let mut looks = self.looks.lock().unwrap();
        assert!(looks.len() < 1_100, "it goes on without a pause");
        looks.push(Instant::now());
        drop(looks);
        Ok(Rows(vec![Announcement::sample(1); self.rows]))
    }

    async fn confirm_outbox(&self, _batch: Rows, _published: &[i64]) -> Result<(), StoreError> {
        Ok(())
    }
}

impl Publish for FakeServers {
    fn state(&self) -> watch::Receiver<BrokerState> {
        self.state.clone()
    }

    async fn publish(&self, messages: Vec<Outgoing>) -> Vec<PublishOutcome> {
        // The answer comes later: the other loop has its turn meanwhile.
        tokio::time::sleep(Duration::from_millis(1)).await;
        vec![self.outcome.clone(); messages.len()]
    }

    async fn redeclare_topology(&self) -> Result<(), BrokerError> {
        Ok(())
    }
}

/// The looks of a `period` after the first second; something is committed in each of its first `commits` milliseconds.
async fn looks(rows: usize, outcome: PublishOutcome, commits: usize, period: Duration) -> Vec<Instant> {
    let connected = BrokerState::Connected { generation: 1, host: "rabbit".to_owned() };
    let (_link, state) = watch::channel(connected);
    let servers = FakeServers { rows, outcome, state, looks: Arc::default() };
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    let waker = start(servers.clone(), servers.clone(), RelayOwner::OrderService, stop, &tasks);
    tokio::time::sleep(Duration::from_secs(1)).await;
    servers.looks.lock().unwrap().clear();
    let until = Instant::now() + period;
    for _ in 0..commits {
        waker.wake();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    tokio::time::sleep_until(until).await;
    servers.looks.lock().unwrap().clone()
}

#[tokio::test(start_paused = true)]
async fn a_long_backlog_that_is_refused_is_offered_again_with_growing_pauses() {
    let looks = looks(BATCH_CHANGES, PublishOutcome::Nacked, 0, Duration::from_secs(60)).await;
    // Each of the two loops: a few times until the pause is at its longest, then every 2.5 to 5 s.
    assert!((20..=70).contains(&looks.len()), "refused {} times in a minute", looks.len());
}

#[tokio::test(start_paused = true)]
async fn small_batches_that_follow_closely_go_together() {
    let began = Instant::now() + Duration::from_secs(1);
    let looks = looks(FEW_CHANGES - 1, PublishOutcome::Routed, 1_000, Duration::from_secs(1)).await;
    assert!(looks[0] - began < Duration::from_millis(1), "the first one waits: {:?}", looks[0] - began);
    assert!((80..=100).contains(&looks.len()), "{} looks", looks.len());
}

#[tokio::test(start_paused = true)]
async fn batches_of_many_follow_each_other_without_a_pause() {
    let looks = looks(FEW_CHANGES, PublishOutcome::Routed, 1_000, Duration::from_secs(1)).await;
    assert!(looks.len() > 450, "{} looks", looks.len());
}
