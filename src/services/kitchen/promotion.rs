//! Orders that have waited for so long that they go before all others.
//!
//! RabbitMQ knows priorities alone, and would bring a fed worker ever new orders that are more urgent. So each worker looks when the
//! oldest order of its types is promoted. From then on the slots that messages got are for the promoted, the oldest first, until
//! there are none. A message whose slot was taken so keeps waiting for the next one, unacknowledged: sent back, it would come
//! again at once. The backlog sweep puts the promoted first by itself, and finds those that were recalled or given back.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use daemon::retry::Backoff;
use tokio::sync::watch;

use crate::domain::OrderNumber;
use crate::store::{Claim, ClaimedOrder, KitchenStore, PeerCount, StoreError};

/// How often a worker looks, from the one to the other: late by no more than the first, and soon enough after a time that
/// was foreseen turns out wrong (an order that others would have taken is left, PostgreSQL's clock was set).
const LOOK_PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));
/// All workers together look no more often than each so long: 20 times a second.
const LOOK_SHARE: Duration = Duration::from_millis(50);
/// How often it looks again while PostgreSQL is away: from, to.
const LOOK_RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// Whether promoted orders wait that this worker can cook, as far as it knows.
#[derive(Debug, Default)]
pub(super) struct Promotion(AtomicBool);

impl Promotion {
    /// Claims as many promoted orders as there are slots; none at all, and asks nobody, while none are known of.
    pub(super) async fn claim<S: KitchenStore>(
        &self,
        store: &S,
        claim: &Claim,
        slots: usize,
    ) -> Result<Vec<ClaimedOrder>, StoreError> {
        if !self.0.load(Ordering::Relaxed) {
            return Ok(Vec::new());
        }
        let claimed = store.claim_promoted(claim, i64::try_from(slots).unwrap_or(i64::MAX)).await?;
        self.0.store(claimed.len() == slots, Ordering::Relaxed);
        Ok(claimed)
    }
}

/// Who of those that asked for an order of this number gets which promoted one: whoever asked for it, and else the last ones,
/// whose messages RabbitMQ sent last.
pub(super) fn share_out(promoted: Vec<ClaimedOrder>, asked: &[OrderNumber]) -> Vec<Option<ClaimedOrder>> {
    let mut order: Vec<OrderNumber> = promoted.iter().rev().map(|order| order.number.clone()).collect();
    let mut promoted: HashMap<OrderNumber, ClaimedOrder> =
        promoted.into_iter().map(|order| (order.number.clone(), order)).collect();
    let mut shares: Vec<_> = asked.iter().map(|number| promoted.remove(number)).collect();
    order.retain(|number| promoted.contains_key(number));
    for share in shares.iter_mut().rev().filter(|share| share.is_none()) {
        let Some(number) = order.pop() else { break };
        *share = promoted.remove(&number);
    }
    shares
}

/// Looks for ever.
pub(super) async fn watch<S: KitchenStore>(
    store: S,
    claim: Claim,
    promotion: Arc<Promotion>,
    peers: watch::Receiver<PeerCount>,
) {
    let mut backoff = Backoff::new(LOOK_RETRY.0, LOOK_RETRY.1);
    loop {
        match store.promotion_due(&claim).await {
            Ok(due) => {
                backoff.reset();
                promotion.0.store(due.is_some_and(|due| due.is_zero()), Ordering::Relaxed);
                let living = peers.borrow().living;
                // What is placed from now on is not promoted before.
                tokio::time::sleep(pause(due.unwrap_or(claim.promote_after), living)).await;
            }
            Err(error) => {
                if !error.is_unavailable() {
                    let error: &dyn std::error::Error = &error;
                    tracing::error!(action = "look_failed", error, "looking for the oldest order failed");
                }
                tokio::time::sleep(backoff.next_delay()).await;
                store.wait_up().await;
            }
        }
    }
}

/// Until the next look: when the oldest order is promoted.
fn pause(due: Duration, living: u32) -> Duration {
    let least = LOOK_PAUSE.0.max(LOOK_SHARE.saturating_mul(living));
    due.clamp(least, LOOK_PAUSE.1.max(least))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::OrderType;
    use crate::store::ClaimTimes;

    fn number(n: u32) -> OrderNumber {
        OrderNumber::parse(&format!("ORD_20261122_{n:03}")).unwrap()
    }

    #[test]
    fn whoever_asked_for_a_promoted_order_gets_it_and_the_others_are_for_those_who_asked_last() {
        let promoted = |numbers: &[u32]| {
            let claimed = |n: &u32| ClaimedOrder {
                number: number(*n),
                order_type: OrderType::Takeout,
                attempt: 1,
                request_id: String::new(),
                traceparent: None,
                times: ClaimTimes::default(),
            };
            numbers.iter().map(claimed).collect::<Vec<_>>()
        };
        let asked = [1, 2, 3, 4].map(number);
        for (found, expected) in [
            (vec![], [None, None, None, None]),
            (vec![2], [None, Some(2), None, None]),
            (vec![7], [None, None, None, Some(7)]),
            (vec![7, 4, 8], [None, Some(8), Some(7), Some(4)]),
            (vec![5, 6, 7, 8], [Some(8), Some(7), Some(6), Some(5)]),
        ] {
            let shares = share_out(promoted(&found), &asked);
            let numbers = shares.into_iter().map(|share| share.map(|order| order.number)).collect::<Vec<_>>();
            assert_eq!(numbers, expected.map(|n| n.map(number)), "{found:?}");
        }
    }

    #[test]
    fn a_look_comes_when_the_oldest_order_is_due_and_more_seldom_where_many_look() {
        let s = Duration::from_secs;
        for (due, living, expected) in [
            (s(500), 1, s(10)),
            (s(4), 1, s(4)),
            (s(0), 1, s(1)),
            (s(0), 20, s(1)),
            (s(0), 200, s(10)),
            (s(4), 400, s(20)),
        ] {
            assert_eq!(pause(due, living), expected, "{due:?} {living}");
        }
    }
}
