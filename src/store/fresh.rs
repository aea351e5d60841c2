//! What this process has just written and will soon announce, so that it need not be read back.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard};

use super::Announcement;
use daemon::sync::locked;

/// The latest so many are remembered; the others are read from the tables.
const MAX_REMEMBERED: usize = 1_024;

/// Announcements by their row in the outbox. That row alone says whether there is something to announce; what an
/// announcement says never changes, so that what is remembered is what would be read.
#[derive(Default)]
pub(super) struct Fresh(Mutex<Remembered>);

#[derive(Default)]
struct Remembered {
    by_log_id: HashMap<i64, Announcement>,
    /// Oldest first. Some of them are gone already.
    log_ids: VecDeque<i64>,
}

impl Fresh {
    /// Remembers what a transaction has written. Only after its commit.
    pub(super) fn remember(&self, written: impl Iterator<Item = Announcement>) {
        let mut remembered = self.lock();
        for announcement in written {
            remembered.log_ids.push_back(announcement.log_id);
            remembered.by_log_id.insert(announcement.log_id, announcement);
        }
        while remembered.log_ids.len() > MAX_REMEMBERED
            && let Some(oldest) = remembered.log_ids.pop_front()
        {
            remembered.by_log_id.remove(&oldest);
        }
    }

    /// Hands an announcement out, and forgets it.
    pub(super) fn take(&self, log_id: i64) -> Option<Announcement> {
        self.lock().by_log_id.remove(&log_id)
    }

    fn lock(&self) -> MutexGuard<'_, Remembered> {
        // Whole at every panic: an id without its announcement is read from the tables.
        locked(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{OrderNumber, Priority, StatusUpdate};
    use crate::store::AnnouncementContent;
    use jiff::Timestamp;

    fn announcements(log_ids: std::ops::Range<i64>) -> impl Iterator<Item = Announcement> {
        log_ids.map(|log_id| Announcement {
            log_id,
            changed_at: Timestamp::UNIX_EPOCH,
            number: OrderNumber::parse("ORD_20261122_001").unwrap(),
            priority: Priority::from_stored(1),
            request_id: String::new(),
            traceparent: None,
            content: AnnouncementContent::Status(StatusUpdate {
                order_number: "ORD_20261122_001".to_owned(),
                old_status: Some("received".to_owned()),
                new_status: "cooking".to_owned(),
                changed_by: "chef".to_owned(),
                timestamp: jiff::Timestamp::UNIX_EPOCH,
                estimated_completion: None,
            }),
        })
    }

    #[test]
    fn what_is_remembered_is_handed_out_once() {
        let fresh = Fresh::default();
        fresh.remember(announcements(1..3));
        assert_eq!(fresh.take(2).unwrap().log_id, 2);
        assert!(fresh.take(2).is_none());
        assert!(fresh.take(3).is_none());
        assert!(fresh.take(1).is_some());
        assert!(fresh.lock().by_log_id.is_empty());
    }

    #[test]
    fn the_oldest_are_forgotten_when_they_are_too_many() {
        let fresh = Fresh::default();
        let max = MAX_REMEMBERED as i64;
        fresh.remember(announcements(0..max));
        fresh.remember(announcements(max..max + 3));
        assert!(fresh.take(2).is_none());
        assert!(fresh.take(3).is_some());
        assert!(fresh.take(max + 2).is_some());
        assert!(fresh.lock().log_ids.len() <= MAX_REMEMBERED);
    }
}
