//! Which published message a confirmation belongs to. No I/O: the publisher pushes, the channel's callback settles.
//!
//! The client library does not say which delivery tag a message got: it is the count of messages since the channel
//! was switched to confirming. A confirmation may settle many at once (`multiple`). A message that no queue wanted
//! comes back before its confirmation and is recognized by its `message_id`.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use daemon::sync::locked;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::error::BrokerError;
use super::properties::InvalidMessage;

/// What became of one published message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublishOutcome {
    /// RabbitMQ has it, in one queue at least.
    Routed,
    /// RabbitMQ took it, but no queue wanted it: it is gone. `Broker::redeclare_topology` may help.
    Unroutable {
        /// What the server said.
        reply: String,
    },
    /// RabbitMQ refused to take it. To be published again later.
    Nacked,
    /// It is not known whether RabbitMQ has it. To be published again later.
    Unconfirmed(BrokerError),
    /// It can't be published, now or ever.
    Invalid(InvalidMessage),
}

/// The place of one message in the answer to its publisher.
#[derive(Debug)]
pub(super) struct Ticket {
    pub(super) index: usize,
    pub(super) reply: mpsc::UnboundedSender<(usize, PublishOutcome)>,
}

impl Ticket {
    /// Answers. A publisher that does not wait any more is no concern.
    pub(super) fn answer(self, outcome: PublishOutcome) {
        let _ = self.reply.send((self.index, outcome));
    }
}

/// One message that is on its way.
#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) ticket: Ticket,
    pub(super) message_id: String,
    pub(super) sent_at: Instant,
    /// What the server said when it returned the message.
    pub(super) returned: Option<String>,
    /// Its share of the window, freed with it.
    pub(super) _permit: OwnedSemaphorePermit,
}

/// The server's word on a delivery tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Acked,
    Nacked,
}

/// The messages of one channel that are not confirmed yet.
#[derive(Debug)]
pub(super) struct Confirms {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The tag of the first entry of `slots`.
    first_tag: u64,
    /// By tag; `None` where the answer has been given already.
    slots: VecDeque<Option<InFlight>>,
    last_progress: Instant,
    has_progressed: bool,
    closed: Option<BrokerError>,
}

impl Confirms {
    pub(super) fn new() -> Self {
        let state = State {
            first_tag: 1,
            slots: VecDeque::new(),
            last_progress: Instant::now(),
            has_progressed: false,
            closed: None,
        };
        Self { state: Mutex::new(state) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        locked(&self.state)
    }

    /// Notes a message that is about to be sent: it gets the next tag. `false`: the channel has ended, and the
    /// message has been answered for.
    pub(super) fn push(&self, message: InFlight) -> bool {
        let mut state = self.lock();
        if let Some(reason) = &state.closed {
            let outcome = PublishOutcome::Unconfirmed(reason.clone());
            drop(state);
            message.ticket.answer(outcome);
            return false;
        }
        state.slots.push_back(Some(message));
        true
    }

    /// The server confirmed or refused this tag, and with `multiple` all before it (tag 0: all there are).
    pub(super) fn settle(&self, tag: u64, multiple: bool, verdict: Verdict) {
        let mut state = self.lock();
        state.last_progress = Instant::now();
        state.has_progressed = true;
        let last = match tag {
            0 => state.slots.len(),
            tag => {
                usize::try_from((tag + 1).saturating_sub(state.first_tag)).unwrap_or(0).min(state.slots.len())
            }
        };
        let first = if multiple || tag == 0 { 0 } else { last.saturating_sub(1) };
        for slot in state.slots.range_mut(first..last) {
            if let Some(message) = slot.take() {
                let outcome = match (verdict, message.returned) {
                    (Verdict::Nacked, _) => PublishOutcome::Nacked,
                    (Verdict::Acked, Some(reply)) => PublishOutcome::Unroutable { reply },
                    (Verdict::Acked, None) => PublishOutcome::Routed,
                };
                message.ticket.answer(outcome);
            }
        }
        while matches!(state.slots.front(), Some(None)) {
            state.slots.pop_front();
            state.first_tag += 1;
        }
    }

    /// The server returned a message. Of several with one id the oldest is meant: returns come in their order.
    pub(super) fn returned(&self, message_id: &str, reply: &str) {
        let mut state = self.lock();
        let mut waiting = state.slots.iter_mut().flatten();
        if let Some(slot) = waiting.find(|slot| slot.returned.is_none() && slot.message_id == message_id) {
            slot.returned = Some(reply.to_owned());
        }
    }

    /// Whether anything was ever confirmed.
    pub(super) fn has_progressed(&self) -> bool {
        self.lock().has_progressed
    }

    /// Since when messages are waiting and nothing at all was confirmed.
    pub(super) fn silent_since(&self) -> Option<Instant> {
        let state = self.lock();
        let oldest = state.slots.iter().flatten().next();
        oldest.map(|slot| slot.sent_at.max(state.last_progress))
    }

    /// Whether messages are waiting and nothing at all was confirmed for so long.
    pub(super) fn is_stalled(&self, patience: Duration) -> bool {
        self.silent_since().is_some_and(|since| since.elapsed() > patience)
    }

    /// Answers for the messages that have waited so long although others are being confirmed: their queue is stuck.
    pub(super) fn expire(&self, age: Duration) {
        let mut state = self.lock();
        for slot in &mut state.slots {
            match slot {
                Some(message) if message.sent_at.elapsed() <= age => break,
                _ => {}
            }
            if let Some(message) = slot.take() {
                let error = BrokerError::TimedOut { what: "a publisher confirm".to_owned(), after: age };
                message.ticket.answer(PublishOutcome::Unconfirmed(error));
            }
        }
    }

    /// The channel has ended: nothing that waits will be confirmed.
    pub(super) fn close(&self, reason: &BrokerError) {
        let mut state = self.lock();
        state.closed.get_or_insert_with(|| reason.clone());
        for message in std::mem::take(&mut state.slots).into_iter().flatten() {
            message.ticket.answer(PublishOutcome::Unconfirmed(reason.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::Semaphore;

    use super::*;

    struct Fixture {
        confirms: Confirms,
        window: Arc<Semaphore>,
        replies: mpsc::UnboundedReceiver<(usize, PublishOutcome)>,
        reply: mpsc::UnboundedSender<(usize, PublishOutcome)>,
        pushed: usize,
    }

    impl Fixture {
        fn with(messages: usize) -> Self {
            let (reply, replies) = mpsc::unbounded_channel();
            let window = Arc::new(Semaphore::new(100));
            let mut fixture = Self { confirms: Confirms::new(), window, replies, reply, pushed: 0 };
            for n in 0..messages {
                assert!(fixture.push(&format!("m{n}")));
            }
            fixture
        }

        fn push(&mut self, message_id: &str) -> bool {
            let ticket = Ticket { index: self.pushed, reply: self.reply.clone() };
            self.pushed += 1;
            self.confirms.push(InFlight {
                ticket,
                message_id: message_id.to_owned(),
                sent_at: Instant::now(),
                returned: None,
                _permit: self.window.clone().try_acquire_owned().unwrap(),
            })
        }

        fn answers(&mut self) -> Vec<(usize, PublishOutcome)> {
            std::iter::from_fn(|| self.replies.try_recv().ok()).collect()
        }

        fn answered(&mut self) -> Vec<usize> {
            self.answers().into_iter().map(|(index, _)| index).collect()
        }
    }

    #[test]
    fn a_multiple_confirm_settles_all_before_it_and_a_single_one_only_itself() {
        let mut f = Fixture::with(6);
        f.confirms.settle(2, false, Verdict::Acked);
        assert_eq!(f.answered(), [1]);
        f.confirms.settle(4, true, Verdict::Acked);
        assert_eq!(f.answered(), [0, 2, 3]);
        f.confirms.settle(0, true, Verdict::Acked);
        assert_eq!(f.answered(), [4, 5]);
        assert_eq!(f.window.available_permits(), 100);
    }

    #[test]
    fn tags_go_on_counting_after_earlier_ones_were_settled() {
        let mut f = Fixture::with(3);
        f.confirms.settle(3, true, Verdict::Acked);
        f.answers();
        assert!(f.push("m3"));
        f.confirms.settle(4, false, Verdict::Nacked);
        assert_eq!(f.answers(), [(3, PublishOutcome::Nacked)]);
    }

    #[test]
    fn a_tag_that_was_never_given_or_is_settled_already_changes_nothing() {
        let mut f = Fixture::with(2);
        f.confirms.settle(1, false, Verdict::Acked);
        f.confirms.settle(1, false, Verdict::Nacked);
        f.confirms.settle(0, false, Verdict::Acked);
        f.confirms.settle(99, false, Verdict::Acked);
        assert_eq!(f.answers(), [(0, PublishOutcome::Routed), (1, PublishOutcome::Routed)]);
    }

    #[test]
    fn a_returned_message_is_unroutable_and_its_neighbours_are_not() {
        let mut f = Fixture::with(3);
        f.confirms.returned("m1", "NO_ROUTE");
        f.confirms.settle(3, true, Verdict::Acked);
        let unroutable = PublishOutcome::Unroutable { reply: "NO_ROUTE".to_owned() };
        assert_eq!(f.answers(), [(0, PublishOutcome::Routed), (1, unroutable), (2, PublishOutcome::Routed)]);
    }

    #[test]
    fn two_messages_with_one_id_are_returned_in_their_order() {
        let mut f = Fixture::with(0);
        f.push("same");
        f.push("same");
        f.confirms.returned("same", "first");
        f.confirms.settle(1, false, Verdict::Acked);
        f.confirms.settle(2, false, Verdict::Acked);
        assert_eq!(f.answers()[1], (1, PublishOutcome::Routed));
    }

    #[test]
    fn the_end_of_the_channel_answers_for_everything_and_for_what_comes_later() {
        let mut f = Fixture::with(2);
        f.confirms.close(&BrokerError::NotConnected);
        assert!(!f.push("late"));
        let lost = PublishOutcome::Unconfirmed(BrokerError::NotConnected);
        assert_eq!(f.answers(), [(0, lost.clone()), (1, lost.clone()), (2, lost)]);
        assert_eq!(f.window.available_permits(), 100);
    }

    #[test]
    fn silence_is_a_stall_and_a_single_late_one_expires() {
        let mut f = Fixture::with(2);
        assert!(!f.confirms.is_stalled(Duration::from_secs(10)));
        let began = Instant::now();
        while !f.confirms.is_stalled(Duration::from_millis(1)) {
            assert!(began.elapsed() < Duration::from_secs(10), "silence is no stall");
        }
        f.confirms.settle(2, false, Verdict::Acked);
        assert!(!f.confirms.is_stalled(Duration::from_millis(500)));
        f.confirms.expire(Duration::from_millis(1));
        assert_eq!(f.answered(), [1, 0]);
        assert!(!f.confirms.is_stalled(Duration::ZERO));
    }
}
