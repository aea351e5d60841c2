//! What estimates are made from, read once for many requests, for the roles that tell one.
//!
//! Reading the kitchen costs the more the longer its queue is. Therefore requests share a picture of each type's kitchen,
//! and the readings have a budget: a share of the time, of which some is saved up. While it lasts each request sees the
//! kitchen as it is when it asks. In a rush, a picture is used until its reading is paid for: milliseconds for a short
//! queue.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::domain::{CookTimes, OrderType, Priority};
use crate::store::{KitchenPicture, OrderStatus, Store, StoreError};

/// A reading is paid for with so many times the time that it took: reading takes 1/20 of the time.
const READING_PRICE: u32 = 20;
/// No picture is used for longer, whatever it cost.
const MAX_AGE: Duration = Duration::from_millis(500);
/// How far readings may be ahead of what is paid: a quiet time saves this up, 200 ms of reading.
const CREDIT: Duration = Duration::from_secs(4);

/// How long each type cooks, for estimates where nothing was measured yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnmeasuredTimes {
    pub auto: CookTimes,
    /// Where persons say what is ready.
    pub manual: CookTimes,
}

impl UnmeasuredTimes {
    fn of(&self, order_type: OrderType, is_manual: bool) -> Duration {
        if is_manual { self.manual.of(order_type) } else { self.auto.of(order_type) }
    }
}

/// The kitchens of all types.
pub(super) struct KitchenPictures {
    store: Store,
    unmeasured: UnmeasuredTimes,
    /// From when on a waiting order goes before all that have waited for less.
    promote_after: Duration,
    dine_in: Mutex<CachedPicture>,
    takeout: Mutex<CachedPicture>,
    delivery: Mutex<CachedPicture>,
}

/// The picture of a type's kitchen as it was last read.
#[derive(Default)]
struct CachedPicture(Option<Reading>);

struct Reading {
    /// A failure is for those alone who asked before it was known.
    outcome: Result<KitchenPicture, Arc<StoreError>>,
    started: Instant,
    ended: Instant,
    /// When all readings so far are paid for.
    paid: Instant,
}

/// What there is ahead of one order.
#[derive(Debug)]
pub(super) struct Ahead {
    /// How many orders go before it.
    pub(super) orders: u64,
    /// How long it takes from `now` until it is ready; `None` while nobody who can cook it is online.
    pub(super) wait: Option<Duration>,
    /// By PostgreSQL's clock, as all times of orders are: this process's may be wrong.
    pub(super) now: Timestamp,
}

impl KitchenPictures {
    pub(super) fn new(store: Store, unmeasured: UnmeasuredTimes, promote_after: Duration) -> Self {
        let (dine_in, takeout, delivery) = Default::default();
        Self { store, unmeasured, promote_after, dine_in, takeout, delivery }
    }

    /// What there is ahead of an order.
    pub(super) async fn ahead_of(&self, order: &OrderStatus) -> Result<Ahead, Arc<StoreError>> {
        let asked = Instant::now();
        let mut cached = self.cached(order.order_type).lock().await;
        let read = || self.store.kitchen_picture(order.order_type, self.promote_after);
        let (picture, now) = cached.look(asked, read).await?;
        // PostgreSQL's clock may have been put back.
        let now = now.max(order.updated_at);
        let waited = Duration::try_from(now.duration_since(order.created_at)).unwrap_or_default();
        let promoted_in = self.promote_after.saturating_sub(waited);
        let cook_time =
            picture.cook_time.unwrap_or_else(|| self.unmeasured.of(order.order_type, picture.is_manual));
        let place = (order.priority, order.id);
        let orders = picture.load_ahead_of(order.priority, order.id).waiting_ahead;
        let wait = picture.wait_of(place, promoted_in, cook_time);
        let own_time = picture.own_times.get(&order.id).copied().unwrap_or(cook_time);
        let wait = wait.map(|wait| wait.saturating_sub(cook_time).saturating_add(own_time));
        Ok(Ahead { orders, wait, now })
    }

    /// How long an order takes that comes now and goes behind all others of its type; `None` while nobody cooks that.
    pub(super) async fn wait_of_new(
        &self,
        order_type: OrderType,
    ) -> Result<Option<Duration>, Arc<StoreError>> {
        let asked = Instant::now();
        let mut cached = self.cached(order_type).lock().await;
        let read = || self.store.kitchen_picture(order_type, self.promote_after);
        let (picture, _) = cached.look(asked, read).await?;
        let cook_time =
            picture.cook_time.unwrap_or_else(|| self.unmeasured.of(order_type, picture.is_manual));
        Ok(picture.wait_of((Priority::LOW, i64::MAX), self.promote_after, cook_time))
    }

    /// It is held during a reading: those who come meanwhile wait for it, or for the one after it.
    fn cached(&self, order_type: OrderType) -> &Mutex<CachedPicture> {
        match order_type {
            OrderType::DineIn => &self.dine_in,
            OrderType::Takeout => &self.takeout,
            OrderType::Delivery => &self.delivery,
        }
    }
}

impl CachedPicture {
    /// The picture for somebody who asked then, and the time on PostgreSQL's clock; `read` makes a new one if need be.
    async fn look<F>(
        &mut self,
        asked: Instant,
        read: impl FnOnce() -> F,
    ) -> Result<(&KitchenPicture, Timestamp), Arc<StoreError>>
    where
        F: Future<Output = Result<KitchenPicture, StoreError>>,
    {
        let started = Instant::now();
        let reading = match self.0.take_if(|last| last.serves(asked, started)) {
            Some(last) => last,
            // The last one stays if the caller goes away during the reading.
            None => {
                let outcome = read().await.map_err(Arc::new);
                let ended = Instant::now();
                let paid = paid_after(self.0.as_ref().map(|last| last.paid), started, ended);
                Reading { outcome, started, ended, paid }
            }
        };
        let reading = self.0.insert(reading);
        let picture = reading.outcome.as_ref().map_err(Arc::clone)?;
        // PostgreSQL looked at its clock a little after the reading had begun: never too early.
        let since = SignedDuration::try_from(reading.started.elapsed()).unwrap_or(SignedDuration::ZERO);
        Ok((picture, picture.taken_at.checked_add(since).unwrap_or(picture.taken_at)))
    }
}

impl Reading {
    /// Whether it is the answer to somebody who asked then.
    fn serves(&self, asked: Instant, now: Instant) -> bool {
        match &self.outcome {
            Ok(_) => asked <= self.started || now + CREDIT < self.paid,
            Err(_) => asked <= self.ended,
        }
    }
}

/// When all readings are paid for after one more.
fn paid_after(paid: Option<Instant>, started: Instant, ended: Instant) -> Instant {
    let price = (ended - started).saturating_mul(READING_PRICE).min(MAX_AGE);
    paid.map_or(ended, |paid| paid.clamp(ended, ended + CREDIT)) + price
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, sleep};

    use super::*;

    const COST: Duration = Duration::from_millis(10);

    /// Looks, asking now, at a kitchen that is read in `cost` and where as many cook as were read before.
    async fn look(kitchen: &mut CachedPicture, readings: &mut u64, cost: Duration) -> u64 {
        let read = async || {
            sleep(cost).await;
            *readings += 1;
            Ok(KitchenPicture { cooking: *readings, ..KitchenPicture::default() })
        };
        kitchen.look(Instant::now(), read).await.unwrap().0.cooking
    }

    /// Looks until the picture is not a new one any more.
    async fn exhaust(kitchen: &mut CachedPicture, readings: &mut u64, cost: Duration) {
        let mut before = 0;
        loop {
            let seen = look(kitchen, readings, cost).await;
            if seen == before {
                return;
            }
            before = seen;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn seldom_asked_it_is_read_for_each_request() {
        let (mut kitchen, mut readings) = (CachedPicture::default(), 0);
        for n in 1..=100 {
            assert_eq!(look(&mut kitchen, &mut readings, COST).await, n);
            advance(COST * READING_PRICE).await;
        }
        for n in 101..=110 {
            assert_eq!(look(&mut kitchen, &mut readings, COST).await, n, "at once, on credit");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn often_asked_it_takes_its_share_of_the_time_and_no_more() {
        let (mut kitchen, mut readings) = (CachedPicture::default(), 0);
        exhaust(&mut kitchen, &mut readings, COST).await;
        assert!(COST * READING_PRICE * u32::try_from(readings).unwrap() <= CREDIT * 2, "{readings}");
        let (before, started) = (readings, Instant::now());
        while started.elapsed() < COST * 10 * READING_PRICE {
            look(&mut kitchen, &mut readings, COST).await;
            advance(Duration::from_millis(1)).await;
        }
        assert!((9..=11).contains(&(readings - before)), "{} readings", readings - before);
    }

    #[tokio::test(start_paused = true)]
    async fn no_picture_is_older_than_the_limit() {
        let (mut kitchen, mut readings) = (CachedPicture::default(), 0);
        let dear = Duration::from_millis(100);
        exhaust(&mut kitchen, &mut readings, dear).await;
        let before = readings;
        advance(MAX_AGE).await;
        assert_eq!(look(&mut kitchen, &mut readings, dear).await, before + 1);
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_is_that_of_postgresql_and_goes_on_while_a_picture_is_used() {
        let (mut kitchen, asked) = (CachedPicture::default(), Instant::now());
        let taken_at: Timestamp = "2020-01-02T03:04:05Z".parse().unwrap();
        let read = async || Ok(KitchenPicture { taken_at, ..KitchenPicture::default() });
        assert_eq!(kitchen.look(asked, read).await.unwrap().1, taken_at);
        advance(Duration::from_millis(1500)).await;
        let (_, now) = kitchen.look(asked, async || panic!("read again")).await.unwrap();
        assert_eq!(now, "2020-01-02T03:04:06.5Z".parse().unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_wait_share_the_next_reading() {
        let (mut kitchen, mut readings) = (CachedPicture::default(), 0);
        let asked = Instant::now();
        look(&mut kitchen, &mut readings, COST).await;
        kitchen.look(asked, async || -> Result<_, StoreError> { panic!("read again") }).await.unwrap();
        assert_eq!(look(&mut kitchen, &mut readings, COST).await, 2, "whoever came later is shown later");
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_for_those_who_waited_for_it_alone() {
        let (mut kitchen, mut readings) = (CachedPicture::default(), 0);
        let asked = Instant::now();
        let fail = async || {
            sleep(COST).await;
            Err(StoreError::Unavailable { reason: "on purpose".to_owned() })
        };
        kitchen.look(asked, fail).await.unwrap_err();
        let waited = asked + COST / 2;
        kitchen.look(waited, async || -> Result<_, StoreError> { panic!("read again") }).await.unwrap_err();
        advance(Duration::from_millis(1)).await;
        assert_eq!(look(&mut kitchen, &mut readings, COST).await, 1);
    }
}
