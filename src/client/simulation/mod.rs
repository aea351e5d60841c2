//! Customers who arrive at a rate whether or not the restaurant keeps up (open loop), and what they experience.
//!
//! One task owns everything and waits for what comes next: a customer, an answer, a change of an order, the end.

mod follow;
mod tally;

use std::time::Duration;

use fastrand::Rng;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use self::follow::{Follower, OrderChange};
pub use self::tally::{Report, Tally};
use daemon::shutdown::Shutdown;

use super::api::{OrderClient, PlaceAnswer, TrackingClient};
use super::error::ClientError;
use super::generator::{GeneratedOrder, OrderGenerator};

/// How often progress is shown and, without an event stream, orders are asked for.
const TICK: Duration = Duration::from_millis(250);

#[derive(Debug, Clone)]
pub struct SimulationOptions {
    /// Customers a second on average; they arrive as a Poisson process.
    pub rate_per_s: f64,
    /// How long they keep coming; `None` until stopped.
    pub duration: Option<Duration>,
    /// The same seed makes the same orders.
    pub seed: u64,
    /// How many orders may wait for their answer at once; customers beyond are sent away and counted as dropped.
    pub max_in_flight: usize,
    /// How many of 100 orders break a rule on purpose.
    pub bad_percent: f64,
    /// How long to wait afterwards for what still cooks.
    pub wait_ready: Duration,
}

/// Runs a simulation to its end and tells what came of it; `progress` is called a few times a second.
///
/// A `shutdown` ends it early: `stopping` the placing of orders, `hurry` the waiting for them.
///
/// # Errors
/// When the order service cannot be reached at the start. What fails later is counted, not returned.
pub async fn simulate(
    options: SimulationOptions,
    orders: OrderClient,
    tracking: TrackingClient,
    shutdown: Shutdown,
    progress: impl FnMut(&Tally),
) -> Result<Report, ClientError> {
    orders.check().await?;
    let offer = orders.offer().await?;
    let follower = Follower::start(tracking).await;
    let simulation = Simulation {
        customers: OrderGenerator::new(options.seed, options.bad_percent).with_offer(offer),
        arrivals: Rng::with_seed(options.seed ^ 0x5EED),
        calls: JoinSet::new(),
        tally: Tally::default(),
        last_answer_at: None,
        options,
        orders,
        follower,
        shutdown,
        progress,
    };
    Ok(Box::pin(simulation.run()).await)
}

struct Simulation<P> {
    options: SimulationOptions,
    orders: OrderClient,
    customers: OrderGenerator,
    arrivals: Rng,
    calls: JoinSet<CustomerAnswer>,
    follower: Follower,
    tally: Tally,
    last_answer_at: Option<Instant>,
    shutdown: Shutdown,
    progress: P,
}

struct CustomerAnswer {
    sent_at: Instant,
    answered_at: Instant,
    is_bad: bool,
    result: Result<PlaceAnswer, ClientError>,
}

/// The next event of the simulation.
enum Happening {
    Customer,
    Answer(CustomerAnswer),
    Change(OrderChange),
    Tick,
    End,
}

impl<P: FnMut(&Tally)> Simulation<P> {
    async fn run(mut self) -> Report {
        let started_at = Instant::now();
        self.take_orders(started_at).await;
        let placing = started_at.elapsed();
        self.wait_for_the_rest(Instant::now() + self.options.wait_ready).await;
        self.show_progress();
        let answering = self.last_answer_at.map_or(placing, |at| placing.max(at - started_at));
        let followed_by = self.follower.manner();
        self.tally.report(&self.options, placing, answering, followed_by)
    }

    /// Lets customers come until the time is over or somebody stops it.
    async fn take_orders(&mut self, started_at: Instant) {
        let end = self.options.duration.map(|duration| started_at + duration);
        let stop = self.shutdown.stopping();
        let mut tick = ticks();
        let mut next_customer_at = started_at + gap(&mut self.arrivals, self.options.rate_per_s);
        loop {
            let happening = tokio::select! {
                () = stop.cancelled() => Happening::End,
                () = sleep_until(end.unwrap_or(started_at)), if end.is_some() => Happening::End,
                () = sleep_until(next_customer_at) => Happening::Customer,
                Some(Ok(answer)) = self.calls.join_next() => Happening::Answer(answer),
                change = self.follower.next() => Happening::Change(change),
                _ = tick.tick() => Happening::Tick,
            };
            match happening {
                Happening::Customer => {
                    self.serve_customer();
                    next_customer_at += gap(&mut self.arrivals, self.options.rate_per_s);
                }
                Happening::End => return,
                other => self.handle(other),
            }
        }
    }

    /// Waits for every answer (each call has its own time limit), and until `end` for what still cooks.
    async fn wait_for_the_rest(&mut self, end: Instant) {
        let stop = self.shutdown.hurry();
        let mut tick = ticks();
        while !self.calls.is_empty() || self.follower.outstanding() > 0 {
            let happening = tokio::select! {
                () = stop.cancelled() => Happening::End,
                () = sleep_until(end), if self.calls.is_empty() => Happening::End,
                Some(Ok(answer)) = self.calls.join_next() => Happening::Answer(answer),
                change = self.follower.next() => Happening::Change(change),
                _ = tick.tick() => Happening::Tick,
            };
            match happening {
                Happening::End => return,
                other => self.handle(other),
            }
        }
    }

    fn handle(&mut self, happening: Happening) {
        match happening {
            Happening::Answer(answer) => self.note_answer(answer),
            Happening::Change(change) => {
                if let Some(fate) = self.follower.settle(change) {
                    self.tally.note_fate(&fate);
                }
            }
            Happening::Tick => {
                self.follower.tick();
                self.show_progress();
            }
            Happening::Customer | Happening::End => {}
        }
    }

    /// Sends the next customer's order, if there is still room. Who is sent away takes the order along, so that the
    /// n-th customer orders the same in every run of a seed.
    fn serve_customer(&mut self) {
        let GeneratedOrder { request, flaw } = self.customers.next_order();
        self.tally.customers += 1;
        if self.calls.len() >= self.options.max_in_flight {
            self.tally.dropped += 1;
            return;
        }
        let orders = self.orders.clone();
        self.calls.spawn(async move {
            let sent_at = Instant::now();
            let result = orders.place(&request, None).await;
            CustomerAnswer { sent_at, answered_at: Instant::now(), is_bad: flaw.is_some(), result }
        });
    }

    fn note_answer(&mut self, answer: CustomerAnswer) {
        self.last_answer_at = self.last_answer_at.max(Some(answer.answered_at));
        self.tally.note_answer(answer.is_bad, answer.answered_at - answer.sent_at, &answer.result);
        if let Ok(placed) = answer.result
            && let Some(fate) = self.follower.follow(placed.order.order_number, answer.sent_at)
        {
            self.tally.note_fate(&fate);
        }
    }

    fn show_progress(&mut self) {
        self.tally.in_flight = self.calls.len();
        self.tally.cooking = self.follower.outstanding();
        self.tally.not_followed = self.follower.not_followed();
        (self.progress)(&self.tally);
    }
}

/// The time to the next customer: exponentially distributed.
fn gap(rng: &mut Rng, rate_per_s: f64) -> Duration {
    Duration::from_secs_f64(-(1.0 - rng.f64()).ln() / rate_per_s)
}

fn ticks() -> tokio::time::Interval {
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tick
}

#[cfg(test)]
mod tests {
    use super::super::stub::Stub;
    use super::*;

    fn options() -> SimulationOptions {
        SimulationOptions {
            rate_per_s: 200.0,
            duration: Some(Duration::from_millis(500)),
            seed: 1,
            max_in_flight: 64,
            bad_percent: 20.0,
            wait_ready: Duration::from_secs(20),
        }
    }

    #[test]
    fn customers_come_at_the_asked_rate_on_average() {
        let mut rng = Rng::with_seed(1);
        let total: Duration = (0..10_000).map(|_| gap(&mut rng, 50.0)).sum();
        assert!((190.0..210.0).contains(&total.as_secs_f64()), "{total:?}");
    }

    async fn run(stub: &Stub, options: SimulationOptions) -> Report {
        let tracking = TrackingClient::new(stub.url()).unwrap();
        let orders = OrderClient::new(stub.url()).unwrap();
        simulate(options, orders, tracking, Shutdown::new(), |_| {}).await.unwrap()
    }

    #[tokio::test]
    async fn every_good_order_is_placed_and_seen_ready_and_every_bad_one_refused() {
        let stub = Stub::start().await;
        let report = run(&stub, options()).await;
        assert!(report.tally.placed > 20, "{report:?}");
        assert_eq!(report.tally.ready, report.tally.placed);
        assert_eq!(report.tally.cooking, 0);
        assert_eq!((report.tally.bad_placed, report.tally.good_refused, report.tally.failed), (0, 0, 0));
        assert_eq!(report.tally.refused.values().sum::<u64>(), report.tally.bad_sent);
        assert_eq!(
            report.tally.customers,
            report.tally.placed + report.tally.bad_sent + report.tally.dropped
        );
        assert_eq!(
            (report.tally.answer.percentiles().count, report.tally.order_to_ready.percentiles().count),
            (report.tally.placed, report.tally.ready)
        );
        assert_eq!(report.followed_by, "events");
    }

    #[tokio::test]
    async fn without_an_event_stream_orders_are_followed_by_asking() {
        let stub = Stub::start().await;
        stub.refuse_streams();
        let report = run(&stub, SimulationOptions { rate_per_s: 40.0, ..options() }).await;
        assert_eq!(report.tally.ready, report.tally.placed, "{report:?}");
        assert_eq!(report.followed_by, "polling");
    }

    #[tokio::test]
    async fn customers_for_whom_there_is_no_room_are_counted() {
        let stub = Stub::start().await;
        stub.answer_after(Duration::from_millis(200));
        let report = run(&stub, SimulationOptions { max_in_flight: 2, bad_percent: 0.0, ..options() }).await;
        assert!(report.tally.dropped > 0, "{report:?}");
        assert_eq!(report.tally.customers, report.tally.placed + report.tally.dropped);
    }

    #[tokio::test]
    async fn stopping_ends_the_placing_and_then_the_waiting() {
        let stub = Stub::start().await;
        stub.never_cook();
        let shutdown = Shutdown::new();
        let asked = shutdown.clone();
        let progress = |tally: &Tally| {
            if tally.placed > 3 {
                asked.trigger("test");
            }
        };
        let endless = SimulationOptions { duration: None, bad_percent: 0.0, ..options() };
        let (orders, tracking) =
            (OrderClient::new(stub.url()).unwrap(), TrackingClient::new(stub.url()).unwrap());
        let report = simulate(endless, orders, tracking, shutdown, progress).await.unwrap();
        assert!(report.tally.placed > 3);
        assert_eq!(report.tally.cooking as u64, report.tally.placed);
    }

    #[tokio::test]
    async fn an_order_service_that_is_not_there_is_said_at_once() {
        let nowhere = super::super::stub::closed_port().await;
        let (orders, tracking) =
            (OrderClient::new(nowhere.clone()).unwrap(), TrackingClient::new(nowhere).unwrap());
        let error = simulate(options(), orders, tracking, Shutdown::new(), |_| {}).await.unwrap_err();
        assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
    }
}
