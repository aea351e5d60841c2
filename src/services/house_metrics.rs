//! The state of the house as metrics: shown by one process at a time, the one that holds the watch in PostgreSQL.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use amqp::Broker;
use daemon::metrics::Metrics;
use daemon::sync::locked;
use jiff::Timestamp;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use tokio_util::sync::CancellationToken;

use crate::domain::{OrderType, Status, WorkerState};
use crate::store::{House, HouseWatch, OrderCount, Store, StoreAccess, StoreError};

/// How often it is looked: a scraper that comes every 15 s sees nothing that is older than that.
const LOOK: Duration = Duration::from_secs(5);
/// A look is paid for with so many times the time that it took: it takes 5 % of the time at most, however much is open.
const LOOK_PRICE: u32 = 20;
/// The same for counting what is settled: 1 %.
const COUNTING_PRICE: u32 = 100;

/// What was seen last; nothing while another process watches, or PostgreSQL is away.
#[derive(Debug, Clone, Default)]
struct HouseMetrics(Arc<Mutex<Option<Seen>>>);

#[derive(Debug)]
struct Seen {
    house: House,
    /// `None`: they are too many to be counted in the time that a statement may take.
    settled: Option<Vec<OrderCount>>,
    dead_letters: Option<u32>,
}

impl HouseMetrics {
    /// Registers `orders`, `oldest_waiting_order_timestamp_seconds`, `outbox_changes`, `outbox_oldest_timestamp_seconds`, `workers`,
    /// `cooks` and `dead_letters`.
    fn register(metrics: &Metrics) -> Self {
        let all = Self::default();
        metrics.register(|registry| registry.register_collector(Box::new(all.clone())));
        all
    }

    fn show(&self, seen: Option<Seen>) {
        *locked(&self.0) = seen;
    }
}

/// Shows the house from now on, whenever no other process watches it. It tries first after `patience`: of those that start together
/// the one with the least has the watch.
pub(super) fn observe(
    store: &Store,
    broker: &Broker,
    metrics: &Metrics,
    patience: Duration,
    stop: &CancellationToken,
) -> impl Future<Output = ()> + use<> {
    let shown = HouseMetrics::register(metrics);
    let (store, broker, stop) = (store.clone(), broker.clone(), stop.clone());
    async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = watch(&store, &broker, &shown, patience) => {}
        }
        shown.show(None);
    }
}

async fn watch(store: &Store, broker: &Broker, shown: &HouseMetrics, patience: Duration) {
    tokio::time::sleep(patience).await;
    loop {
        store.wait_up().await;
        let watched = match store.watch_house().await {
            Ok(Some(watch)) => look(&watch, broker, shown).await,
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        shown.show(None);
        if let Err(error) = watched
            && !error.is_unavailable()
        {
            let error: &dyn std::error::Error = &error;
            tracing::error!(action = "house_not_read", error, "the state of the house is not measured");
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Looks until that fails.
async fn look(watch: &HouseWatch, broker: &Broker, shown: &HouseMetrics) -> Result<(), StoreError> {
    let (mut settled, mut counted_again) = (None, Instant::now());
    loop {
        let began = Instant::now();
        let house = watch.open().await?;
        let looked_again = (began.elapsed() * LOOK_PRICE).max(LOOK);
        let began = Instant::now();
        if began >= counted_again {
            settled = match watch.settled().await {
                Ok(counts) => Some(counts),
                // A connection that is lost is noticed by the next look.
                Err(error) if error.is_unavailable() => None,
                Err(error) => return Err(error),
            };
            counted_again = Instant::now() + began.elapsed() * COUNTING_PRICE;
        }
        let dead_letters = broker.count_dead_letters().await;
        shown.show(Some(Seen { house, settled: settled.clone(), dead_letters }));
        tokio::time::sleep(looked_again).await;
    }
}

impl Collector for HouseMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let seen = locked(&self.0);
        let Some(Seen { house, settled, dead_letters }) = &*seen else { return Ok(()) };
        let mut gauges = Gauges(&mut encoder);
        let counts = house.orders.iter().chain(settled.iter().flatten());
        let count_of = |status: Status, order_type: OrderType| {
            let of = counts.clone().filter(|(s, t, _)| (*s, *t) == (status, order_type));
            whole(of.map(|(_, _, count)| *count).sum())
        };
        let known = Status::ALL.into_iter().filter(|status| !status.is_settled() || settled.is_some());
        let pairs = known.flat_map(|status| OrderType::ALL.map(|order_type| (status, order_type)));
        let orders = pairs.map(|(status, order_type)| {
            ([("status", status.as_str()), ("order_type", order_type.as_str())], count_of(status, order_type))
        });
        gauges.write("orders", "Orders, by where they are in their lives", orders)?;
        let oldest = by_type(|order_type| {
            let oldest = house.oldest_waiting.iter().find(|(of, _)| *of == order_type);
            oldest.map_or(0.0, |(_, time)| seconds(*time))
        });
        let help = "When the oldest order came that waits for a cook, in Unix time; 0 where none waits";
        gauges.write("oldest_waiting_order_timestamp_seconds", help, oldest)?;
        let changes = whole(house.outbox_changes);
        gauges.write(
            "outbox_changes",
            "Changes that are committed and not announced",
            [([("", ""); 0], changes)],
        )?;
        let oldest = house.outbox_oldest.map_or(0.0, seconds);
        let help = "Since when the oldest change waits to be announced, in Unix time; 0 where none does";
        gauges.write("outbox_oldest_timestamp_seconds", help, [([("", ""); 0], oldest)])?;
        let workers = WorkerState::ALL.map(|state| {
            let of = house.workers.iter().filter(|(of, _)| *of == state);
            ([("status", state.as_str())], whole(of.map(|(_, count)| *count).sum()))
        });
        gauges.write("workers", "Kitchen workers, by whether they are heard of", workers)?;
        let cooks = by_type(|order_type| {
            whole(house.cooks.iter().filter(|(of, _)| *of == order_type).map(|(_, count)| *count).sum())
        });
        gauges.write("cooks", "Kitchen workers that are heard of and cook a type", cooks)?;
        let letters = dead_letters.map(|letters| ([("", ""); 0], i64::from(letters)));
        gauges.write("dead_letters", "Messages that nobody could process", letters)
    }
}

fn by_type<T>(
    value: impl Fn(OrderType) -> T,
) -> [([(&'static str, &'static str); 1], T); OrderType::ALL.len()] {
    OrderType::ALL.map(|order_type| ([("order_type", order_type.as_str())], value(order_type)))
}

/// Families of gauges, as they are written.
struct Gauges<'a, 'b>(&'a mut DescriptorEncoder<'b>);

impl Gauges<'_, '_> {
    /// A family without a value is left out.
    fn write<const LABELS: usize, T>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = ([(&'static str, &'static str); LABELS], T)>,
    ) -> Result<(), fmt::Error>
    where
        ConstGauge<T>: EncodeMetric,
    {
        let mut values = values.into_iter().peekable();
        if values.peek().is_none() {
            return Ok(());
        }
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in values {
            let gauge = ConstGauge::new(value);
            if LABELS == 0 {
                gauge.encode(family)?;
                return Ok(());
            }
            gauge.encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn seconds(time: Timestamp) -> f64 {
    time.as_millisecond() as f64 / 1000.0
}
