//! Orders that are followed one by one: each is read once for all its streams, and those that changed at the same time
//! together. Their streams read nothing themselves.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use daemon::sync::locked;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::rendered_event::RenderedEvent;
use crate::domain::OrderNumber;
use crate::store::{EventCursor, Reach, Store, StoreError};

/// Orders that one statement reads.
const PAGE_ORDERS: usize = 128;
/// While PostgreSQL is away, or a standby behind, how often it is asked again.
const READ_RETRY_PAUSE: Duration = Duration::from_secs(1);

/// All that happened to an order, oldest first; nothing where there is no such order any more.
pub(super) type OrderEvents = Arc<[RenderedEvent]>;

/// Reads the orders that are followed, and hands them to their streams.
#[derive(Clone, Default)]
pub(super) struct FollowedOrders(Arc<FollowedState>);

#[derive(Default)]
struct FollowedState {
    orders: Mutex<Orders>,
    changed: Notify,
}

#[derive(Default)]
struct Orders {
    followed: HashMap<OrderNumber, Followed>,
    /// Those of them that are to be read.
    changed: HashSet<OrderNumber>,
    /// How many readings have begun.
    readings: u64,
    /// How far the hub has read: what is up to there, it does not tell again.
    passed: EventCursor,
}

#[derive(Default)]
struct Followed {
    streams: usize,
    known: watch::Sender<Known>,
}

/// What is known of an order.
#[derive(Default)]
struct Known {
    life: OrderEvents,
    /// How far the server had come that this was read from.
    reach: Reach,
    /// The reading that it comes from; 0 before the first.
    reading: u64,
}

/// One stream's look at its order.
pub(super) struct OrderSubscription {
    followed_orders: FollowedOrders,
    number: OrderNumber,
    known: watch::Receiver<Known>,
    /// The first reading that began after this stream, whose client may have been told of what an earlier one did not see.
    first_reading: u64,
}

impl FollowedOrders {
    /// Follows an order from now on. It is read, however lately it was read for somebody else.
    pub(super) fn follow(&self, number: OrderNumber) -> OrderSubscription {
        let mut orders = self.orders();
        let first_reading = orders.readings + 1;
        let followed = orders.followed.entry(number.clone()).or_default();
        followed.streams += 1;
        let known = followed.known.subscribe();
        orders.changed.insert(number.clone());
        self.0.changed.notify_one();
        OrderSubscription { followed_orders: self.clone(), number, known, first_reading }
    }

    pub(super) fn is_followed(&self) -> bool {
        !self.orders().followed.is_empty()
    }

    /// Says that this order has changed.
    pub(super) fn changed(&self, number: &OrderNumber) {
        let mut orders = self.orders();
        if orders.followed.contains_key(number) {
            orders.changed.insert(number.clone());
            self.0.changed.notify_one();
        }
    }

    /// Says that this happened to an order, which may have been read since.
    pub(super) fn happened(&self, number: &OrderNumber, at: EventCursor) {
        let is_new = |followed: &Followed| {
            followed.known.borrow().life.last().is_none_or(|last| at.is_later_of_order(last.cursor))
        };
        if self.orders().followed.get(number).is_some_and(is_new) {
            self.changed(number);
        }
    }

    /// Says that the hub goes on behind this place. An order that is read from a standby which is not there yet is read
    /// again.
    pub(super) fn passed(&self, place: EventCursor) {
        self.orders().passed = place;
    }

    /// Says that any of them may have changed.
    pub(super) fn any_changed(&self) {
        let mut orders = self.orders();
        let Orders { followed, changed, .. } = &mut *orders;
        changed.extend(followed.keys().cloned());
        self.0.changed.notify_one();
    }

    /// Reads what has changed until `stop`.
    pub(super) async fn serve(self, store: Store, stop: CancellationToken) {
        let reading = async {
            loop {
                let (reading, numbers) = self.take();
                if numbers.is_empty() {
                    self.0.changed.notified().await;
                } else if !self.read(&store, reading, &numbers).await.unwrap_or(false) {
                    // The store tells of its outage itself; the streams stay open meanwhile.
                    numbers.iter().for_each(|number| self.changed(number));
                    tokio::time::sleep(READ_RETRY_PAUSE).await;
                }
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = reading => {}
        }
    }

    /// Up to a page of the orders that changed.
    fn take(&self) -> (u64, Vec<OrderNumber>) {
        let mut orders = self.orders();
        orders.readings += 1;
        let numbers: Vec<_> = orders.changed.iter().take(PAGE_ORDERS).cloned().collect();
        for number in &numbers {
            orders.changed.remove(number);
        }
        (orders.readings, numbers)
    }

    /// Says whether nothing can be missing that the hub has passed.
    async fn read(&self, store: &Store, reading: u64, numbers: &[OrderNumber]) -> Result<bool, StoreError> {
        let (events, reach) = store.events_of_orders(numbers).await?;
        let mut lives: HashMap<&OrderNumber, Vec<RenderedEvent>> =
            numbers.iter().map(|number| (number, Vec::new())).collect();
        for event in &events {
            lives.entry(&event.number).or_default().push(RenderedEvent::new(event));
        }
        let orders = self.orders();
        for (number, life) in lives {
            if let Some(followed) = orders.followed.get(number) {
                followed.known.send_replace(Known { life: life.into(), reach, reading });
            }
        }
        Ok(!reach.may_come_to(orders.passed))
    }

    /// Nothing is left half done while it is held.
    fn orders(&self) -> MutexGuard<'_, Orders> {
        locked(&self.0.orders)
    }
}

impl OrderSubscription {
    /// What is known of the order, once it was read for this stream.
    pub(super) fn life(&mut self) -> Option<OrderEvents> {
        let known = self.known.borrow_and_update();
        (known.reading >= self.first_reading).then(|| OrderEvents::clone(&known.life))
    }

    /// Whether the change at this place, which is not known of the order, may come yet.
    pub(super) fn may_come_to(&self, cursor: EventCursor) -> bool {
        self.known.borrow().reach.may_come_to(cursor)
    }

    /// Waits until it was read (again).
    pub(super) async fn read_again(&mut self) {
        // The sender is there for as long as this is.
        let _ = self.known.changed().await;
    }
}

impl Drop for OrderSubscription {
    fn drop(&mut self) {
        let mut orders = self.followed_orders.orders();
        let is_last = orders.followed.get_mut(&self.number).is_some_and(|followed| {
            followed.streams -= 1;
            followed.streams == 0
        });
        if is_last {
            orders.followed.remove(&self.number);
            orders.changed.remove(&self.number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_forgotten_with_its_last_stream() {
        let followed_orders = FollowedOrders::default();
        let numbers: Vec<_> = OrderNumber::parse("ORD_20261122_001").into_iter().collect();
        let [number] = &numbers[..] else { panic!("no number") };
        let (first, second) =
            (followed_orders.follow(number.clone()), followed_orders.follow(number.clone()));
        assert_eq!(followed_orders.take().1, numbers, "read once for both");
        drop(first);
        assert!(followed_orders.is_followed());
        followed_orders.changed(number);
        drop(second);
        assert!(!followed_orders.is_followed());
        assert!(followed_orders.take().1.is_empty(), "nobody would read it");
    }
}
