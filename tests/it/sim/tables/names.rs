//! The names of workers: who has one, and how it is taken where only the table can say so.

use super::Tables;
use jiff::Timestamp;
use restaurant_system::domain::{OFFLINE_AFTER_INTERVALS, WorkerName, WorkerState};
use restaurant_system::store::{NameRecord, Registered, WorkerRegistration};
use std::time::Duration;

impl Tables {
    /// `Store::name_record`
    pub fn name_record(&self, now: i64, name: &WorkerName) -> Option<NameRecord> {
        let worker = self.workers.get(name.as_str())?;
        let is_offline = worker.state == WorkerState::Offline;
        let silence = worker.heartbeat_interval_ms * i64::from(OFFLINE_AFTER_INTERVALS);
        Some(NameRecord {
            session: Some(worker.session),
            last_seen: Timestamp::from_millisecond(worker.last_seen).unwrap(),
            heartbeat_interval: Duration::from_millis(worker.heartbeat_interval_ms.try_into().unwrap()),
            is_offline,
            is_free: is_offline || worker.last_seen <= now - silence,
        })
    }

    /// `Store::register_worker_over`
    pub fn register_over(
        &mut self,
        now: i64,
        registration: &WorkerRegistration,
        found: Option<&NameRecord>,
    ) -> Option<Registered> {
        let allowed = self.name_record(now, &registration.name).is_none_or(|row| {
            let is_as_found =
                |found: &NameRecord| (found.session, found.last_seen) == (row.session, row.last_seen);
            row.session == Some(registration.session) || found.is_some_and(is_as_found)
        });
        allowed.then(|| self.register(now, registration))
    }
}
