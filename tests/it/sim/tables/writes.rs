//! `database_writes`, the clock that stands still while nothing is committed (`store/writes.rs`).

use super::{Tables, Worker};
use restaurant_system::domain::{OFFLINE_AFTER_INTERVALS, WorkerState};

/// How long after a start of PostgreSQL nobody counts as lost (`store/kitchen.rs`).
const SERVER_START_GRACE_MS: i64 = 5_000;
/// At most so often it is set.
const TICK_MS: i64 = 500;
/// A longer gap is an outage.
const GAP_MS: i64 = 3_000;
/// For so long after it nobody counts as lost.
const SPARED_MS: i64 = 7_000;

#[derive(Debug, Default)]
pub struct WritesClock {
    pub ticked_at: Option<i64>,
    pub writing_ms: i64,
    pub spared_until: Option<i64>,
}

impl WritesClock {
    pub fn tick(&mut self, now: i64) {
        let Some(ticked_at) = self.ticked_at else {
            self.ticked_at = Some(now);
            return;
        };
        let gap = now - ticked_at;
        if (-TICK_MS..=TICK_MS).contains(&gap) {
            return;
        }
        self.writing_ms += gap.clamp(0, GAP_MS);
        if (-TICK_MS..=GAP_MS).contains(&gap) {
            self.spared_until = self.spared_until.map(|until| until.min(now + SPARED_MS));
        } else {
            self.spared_until = Some(now + SPARED_MS);
        }
        self.ticked_at = Some(now);
    }

    /// Whether a worker that is silent for longer than it may be is none the less not lost.
    fn spares(&self, now: i64, worker: &Worker, silence: i64) -> bool {
        worker.seen_writing_ms.is_some_and(|seen| {
            self.spared_until.is_some_and(|until| until > now) || self.writing_ms - seen <= silence
        })
    }
}

impl Tables {
    /// Whether a worker has a right to what it holds: the rest of `CLAIMABLE`.
    pub(super) fn is_alive(&self, now: i64, name: &str) -> bool {
        self.workers.get(name).is_some_and(|worker| {
            let heard_at = worker.last_seen.max(self.server_started_at + SERVER_START_GRACE_MS);
            let silence = worker.heartbeat_interval_ms * i64::from(OFFLINE_AFTER_INTERVALS);
            worker.state != WorkerState::Offline
                && (heard_at > now - silence || self.writes.spares(now, worker, silence))
        })
    }
}
