//! What this process has just written and will soon announce, so that it need not be read back.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;

use super::Announcement;
use daemon::sync::locked;

/// The latest so many are remembered; the others are read from the tables.
const MAX_REMEMBERED: usize = 1_024;

/// Announcements by their row in the outbox. That row alone says whether there is something to announce; what an
/// announcement says never changes, so that what is remembered is what would be read.
#[derive(Default)]
pub(super) struct AnnouncementCache(Mutex<Remembered>);

#[derive(Default)]
struct Remembered {
    by_log_id: HashMap<i64, Announcement>,
    /// Oldest first. Some of them are gone already.
    log_ids: VecDeque<i64>,
}

impl AnnouncementCache {
    /// Remembers what a transaction has written. Only after its commit.
    pub(super) fn remember(&self, written: impl Iterator<Item = Announcement>) {
        let mut remembered = locked(&self.0);
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

    /// Hands an announcement out, and forgets it. After a panic an id may be without its announcement, which is read from the
    /// tables then.
    pub(super) fn take(&self, log_id: i64) -> Option<Announcement> {
        locked(&self.0).by_log_id.remove(&log_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn announcements(log_ids: std::ops::Range<i64>) -> impl Iterator<Item = Announcement> {
        log_ids.map(Announcement::sample)
    }

    #[test]
    fn what_is_remembered_is_handed_out_once() {
        let cache = AnnouncementCache::default();
        cache.remember(announcements(1..3));
        assert_eq!(cache.take(2).unwrap().log_id, 2);
        assert!(cache.take(2).is_none());
        assert!(cache.take(3).is_none());
        assert!(cache.take(1).is_some());
        assert!(locked(&cache.0).by_log_id.is_empty());
    }

    #[test]
    fn the_oldest_are_forgotten_when_they_are_too_many() {
        let cache = AnnouncementCache::default();
        let max = MAX_REMEMBERED as i64;
        cache.remember(announcements(0..max));
        cache.remember(announcements(max..max + 3));
        assert!(cache.take(2).is_none());
        assert!(cache.take(3).is_some());
        assert!(cache.take(max + 2).is_some());
        assert!(locked(&cache.0).log_ids.len() <= MAX_REMEMBERED);
    }
}
