//! How many dead letters there may be. Whoever may publish could fill the server's disk with messages that nobody can process:
//! the letters wait for a person.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::link::Link;
use super::options::BrokerOptions;
use super::renewed::RenewedChannel;

/// So long the number of letters is believed.
const BELIEVED_FOR: Duration = Duration::from_secs(1);
/// It is looked at again when this part of the room that there was may be used up: others dead-letter as well.
const SHARE_OF_ROOM: u32 = 8;
/// And after so many in any case.
const UNSEEN_MAX: u32 = 100;
/// How often it is told how many were dropped.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// What is known of the room.
#[derive(Debug, Default)]
pub(super) struct DeadBound(tokio::sync::Mutex<Room>);

#[derive(Debug, Default)]
struct Room {
    looked_at: Option<Instant>,
    /// How many may come before the next look.
    unseen: u32,
    is_full: bool,
    /// Since it was told last.
    dropped: u64,
    told_at: Option<Instant>,
}

impl DeadBound {
    /// Whether one more letter fits, as of a moment ago. One that does not is counted as dropped.
    pub(super) async fn has_room(&self, link: Option<Arc<Link>>, options: &BrokerOptions) -> bool {
        let queue = options.topology.names().dead_letter_queue;
        let mut room = self.0.lock().await;
        let is_believed = room.looked_at.is_some_and(|at| at.elapsed() < BELIEVED_FOR);
        if (!is_believed || room.unseen == 0)
            && let Some(link) = link
            && let Some(letters) = count_letters(&link, queue).await
        {
            room.note(letters, options.max_dead_letters);
        }
        room.unseen = room.unseen.saturating_sub(1);
        if room.is_full {
            room.drop_one(queue, options);
        }
        !room.is_full
    }
}

/// `None`: it cannot be told, or there is no such queue, which whoever publishes to it finds out.
pub(super) async fn count_letters(link: &Arc<Link>, queue: &str) -> Option<u32> {
    let mut channel = RenewedChannel::on(link);
    let found = channel.look_at_queue(queue).await;
    channel.close().await;
    found.ok()?.map(|found| found.messages)
}

impl Room {
    fn note(&mut self, letters: u32, max: u32) {
        self.looked_at = Some(Instant::now());
        let was_full = std::mem::replace(&mut self.is_full, letters >= max);
        let share = (max.saturating_sub(letters) / SHARE_OF_ROOM).clamp(1, UNSEEN_MAX);
        // Whether a few too many are dropped does not matter.
        self.unseen = if self.is_full { UNSEEN_MAX } else { share };
        if was_full && !self.is_full {
            tracing::warn!(
                action = "dead_letters_have_room",
                dropped = std::mem::take(&mut self.dropped),
                "there is room for dead letters again"
            );
            self.told_at = None;
        }
    }

    fn drop_one(&mut self, queue: &str, options: &BrokerOptions) {
        self.dropped += 1;
        if self.told_at.is_some_and(|at| at.elapsed() < TOLD_EVERY) {
            return;
        }
        self.told_at = Some(Instant::now());
        tracing::error!(
            action = "dead_letters_full",
            dropped = std::mem::take(&mut self.dropped),
            details = queue,
            "there are {} dead letters, as many as there may be (rabbitmq.max_dead_letters): messages that nobody can \
             process are dropped until there is room; {}",
            options.max_dead_letters,
            options.advice.dead_letters_full
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_is_looked_at_the_more_often_the_less_room_there_is() {
        let mut room = Room::default();
        for (letters, unseen, is_full) in
            [(0, 100, false), (9_920, 10, false), (9_999, 1, false), (10_000, 100, true)]
        {
            room.note(letters, 10_000);
            assert_eq!((room.unseen, room.is_full), (unseen, is_full), "{letters}");
        }
    }
}
