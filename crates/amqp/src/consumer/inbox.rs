//! Between the task that receives and the reader. Bounded by the prefetch, because an interruption empties it.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};

use daemon::sync::locked;
use tokio::sync::Notify;

use super::{ConsumerEvent, Delivery};

#[derive(Debug, Default)]
pub(super) struct Inbox {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    events: VecDeque<ConsumerEvent>,
    ended: bool,
}

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, State> {
        locked(&self.state)
    }

    pub(super) fn push(&self, event: ConsumerEvent) {
        self.lock().events.push_back(event);
        self.changed.notify_one();
    }

    /// Forgets deliveries that are void now, and says so. The reader sees one interruption however many there were.
    pub(super) fn interrupt(&self) {
        let void = {
            let mut state = self.lock();
            let void = std::mem::take(&mut state.events);
            state.events.push_back(ConsumerEvent::Interrupted);
            void
        };
        // Dropped outside of the lock: a delivery's drop does more than nothing.
        for event in void {
            if let ConsumerEvent::Delivery(delivery) = event {
                delivery.forget();
            }
        }
        self.changed.notify_one();
    }

    /// Takes out the deliveries that nobody has seen.
    pub(super) fn take_deliveries(&self) -> Vec<Delivery> {
        let events = std::mem::take(&mut self.lock().events);
        events
            .into_iter()
            .filter_map(|event| match event {
                ConsumerEvent::Delivery(delivery) => Some(delivery),
                _ => None,
            })
            .collect()
    }

    /// Nothing will follow.
    pub(super) fn end(&self) {
        self.lock().ended = true;
        self.changed.notify_one();
    }

    pub(super) async fn next(&self) -> Option<ConsumerEvent> {
        loop {
            {
                let mut state = self.lock();
                if let Some(event) = state.events.pop_front() {
                    return Some(event);
                }
                if state.ended {
                    return None;
                }
            }
            self.changed.notified().await;
        }
    }
}
