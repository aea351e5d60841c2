//! More urgent orders come than are cooked, and still none starves: over the real workers, fed by messages and by their sweeps.

use super::orders::{form, token};
use super::scenario::Scenario;
use super::tables::Without;
use super::world::{World, sleep_ms};
use daemon::metrics::Metrics;
use fastrand::Rng;
use restaurant_system::domain::{CookTimes, Priority};
use restaurant_system::services::kitchen::{KitchenOptions, KitchenTimes};
use restaurant_system::store::IntakeRequest;
use std::time::Duration;

const SEEDS: u64 = 60;
/// So long orders come.
const RUSH_MS: i64 = 40_000;
/// How long the kitchen may take to cook what has come.
const PATIENCE_MS: i64 = 600_000;
/// A look each second, its way to the server and back, and the claim's own way.
const SLACK_MS: i64 = 4_000;

/// One rush: what was wrong, and how many orders were claimed later than they were promoted.
async fn rush(seed: u64, without: Without) -> (Vec<String>, usize) {
    let world = World::new(seed, without, false);
    let mut rng = Rng::with_seed(seed ^ 0x5eed);
    let (workers, prefetch) = (rng.usize(1..4), rng.u16(1..3));
    let cook_ms = rng.u64(200..2_000);
    let promote_after = Duration::from_millis(rng.u64(2_000..12_000));
    let kitchen = KitchenOptions {
        metrics: Metrics::default(),
        name: "nobody".parse().unwrap(),
        order_types: Vec::new(),
        heartbeat_interval: Duration::from_secs(2),
        prefetch,
        station: None,
        times: KitchenTimes {
            cook: CookTimes::uniform(Duration::from_millis(cook_ms)),
            stop_timeout: Duration::from_secs(5),
            grace: Duration::from_secs(if rng.bool() { 1 } else { 3_600 }),
            promote_after,
        },
    };
    world.lock().tables.promotion_slack_ms = Some(SLACK_MS);
    let scenario = Scenario::with(world.clone(), kitchen, workers);
    tokio::spawn(scenario.clone().keep_service(0));
    for at in 0..workers {
        tokio::spawn(scenario.clone().keep_worker(at));
    }
    sleep_ms(3_000).await;
    // A third more than all of them can cook, and hardly one in ten that is not urgent.
    let cooks = i64::try_from(workers).unwrap() * i64::from(prefetch);
    let pause_ms = (i64::try_from(cook_ms).unwrap() * 3 / 4 / cooks).max(20);
    for n in 0..RUSH_MS / pause_ms {
        let order = loop {
            let order = form(&mut rng);
            if order.priority() == Priority::HIGH || rng.u8(0..10) == 0 {
                break order;
            }
        };
        let request = IntakeRequest {
            order,
            request_id: format!("{n}"),
            traceparent: None,
            token: token(&rng),
            source: None,
            idempotency: None,
        };
        let (scenario, mut rng) = (scenario.clone(), rng.fork());
        tokio::spawn(async move { scenario.ask(request, &mut rng).await });
        sleep_ms(pause_ms).await;
    }
    let until = world.lock().now() + PATIENCE_MS;
    loop {
        sleep_ms(1_000).await;
        let state = world.lock();
        let done = state.tables.orders.values().all(|order| order.status.is_settled());
        if !state.tables.violations.is_empty() || done || state.now() > until {
            let late = |order: &&super::tables::Order| {
                let waited = order.claimed_at.unwrap_or(i64::MAX) - order.created_at;
                waited > i64::try_from(promote_after.as_millis()).unwrap()
            };
            let mut wrong = state.tables.violations.clone();
            wrong.extend((!done && wrong.is_empty()).then(|| "an order is not cooked".to_owned()));
            return (wrong, state.tables.orders.values().filter(late).count());
        }
    }
}

fn run(seed: u64, without: Without) -> (Vec<String>, usize) {
    fastrand::seed(seed);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(rush(seed, without))
}

#[test]
fn in_a_rush_nobody_passes_over_a_promoted_order() {
    let mut promoted = 0;
    for seed in 0..SEEDS {
        let (wrong, late) = run(seed, Without::Nothing);
        assert!(wrong.is_empty(), "seed {seed}: {wrong:#?}");
        promoted += late;
    }
    // What did not happen has proved nothing.
    assert!(promoted as u64 > 10 * SEEDS, "{promoted} orders were promoted");
}

#[test]
fn without_promotion_urgent_orders_pass_over_those_that_wait() {
    let missed = (0..SEEDS).any(|seed| !run(seed, Without::Promotion).0.is_empty());
    assert!(missed, "nobody misses it");
}
