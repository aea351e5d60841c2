//! The core in a simulated world: the real intake, relay, reconciler and kitchen worker, over models of PostgreSQL and
//! RabbitMQ that lose, repeat, reorder and delay, with processes that die, freeze and are cut off at every step. One
//! thread, virtual time and one generator make a seed's run always the same.
//!
//! ```text
//! scenario ── starts ──▶ kitchen::run, relay, reconciler, Intake   (the real code)
//!    │ customers              │ ports
//!    ├── faults ──▶ world ◀───┴── store ──▶ tables    ◀── differential ──▶ PostgreSQL
//!    └── audit               ◀─── broker
//! ```
//! `SIM_SEED=N` runs one seed and shows what happens in it; `SIM_SEEDS=N` runs so many.

mod audit;
mod broker;
mod differential;
mod faults;
pub mod orders;
mod promotion;
mod scenario;
mod store;
mod tables;
mod world;

use scenario::{Outcome, run_seed};
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use tables::Without;

/// As many as a run of all tests has time for.
const SEEDS: u64 = 10_000;
const THREADS: usize = 2;
/// A long run says so often how far it is.
const PROGRESS: u64 = 10_000;

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// Runs seeds until one fails; the failed ones, the lowest first, and the sums of the others.
fn run_seeds(seeds: Range<u64>, without: Without) -> (Vec<(u64, Outcome)>, Outcome) {
    let next = AtomicU64::new(seeds.start);
    let failed = Mutex::new(Vec::new());
    let sum = Mutex::new(Outcome::default());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while failed.lock().unwrap().is_empty() {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    if seed > seeds.start && seed.is_multiple_of(PROGRESS) {
                        show(&format!("{seed} seeds begun"));
                    }
                    let outcome = run_seed(seed, without, false);
                    if outcome.violations.is_empty() {
                        sum.lock().unwrap().add(&outcome);
                    } else {
                        failed.lock().unwrap().push((seed, outcome));
                    }
                }
            });
        }
    });
    let mut failed = failed.into_inner().unwrap();
    failed.sort_unstable_by_key(|(seed, _)| *seed);
    (failed, sum.into_inner().unwrap())
}

#[test]
fn every_promise_is_kept_in_every_seed() {
    if let Some(seed) = variable("SIM_SEED") {
        let log =
            tracing_subscriber::fmt().with_test_writer().without_time().with_max_level(tracing::Level::DEBUG);
        let outcome =
            tracing::subscriber::with_default(log.finish(), || run_seed(seed, Without::Nothing, true));
        assert!(outcome.violations.is_empty(), "seed {seed}: {:#?}", outcome.violations);
        return;
    }
    let seeds = variable("SIM_SEEDS").unwrap_or(SEEDS);
    let (failed, sum) = run_seeds(0..seeds, Without::Nothing);
    if let Some((seed, outcome)) = failed.first() {
        panic!(
            "seed {seed}: {:#?}\nreplay it: SIM_SEED={seed} cargo test --test it -- \
             sim::every_promise_is_kept_in_every_seed --nocapture",
            outcome.violations
        );
    }
    // What did not happen has proved nothing.
    assert!(sum.orders as u64 > 3 * seeds, "{sum:?}");
    assert!(sum.taken_over as u64 > seeds / 4, "{sum:?}");
    assert!(sum.stale_finishes as u64 > seeds / 100, "{sum:?}");
    assert!(sum.processes as u64 > 5 * seeds, "{sum:?}");
    assert!(sum.cancelled_cooking as u64 > seeds / 20, "{sum:?}");
    assert!(sum.recalled as u64 > seeds / 10, "{sum:?}");
    assert!(sum.let_go as u64 > seeds / 50, "{sum:?}");
    show(&format!("{seeds} seeds: {sum:?}"));
}

#[test]
fn a_seed_always_runs_the_same() {
    for seed in 0..50 {
        let [first, second] = [0, 1].map(|_| run_seed(seed, Without::Nothing, false).trace);
        assert_eq!(first, second, "seed {seed}");
    }
}

#[test]
fn each_mechanism_that_is_taken_away_is_missed_in_some_seed() {
    for without in [
        Without::StatusCheck,
        Without::Attempt,
        Without::Outbox,
        Without::ConfirmWait,
        Without::AckAfterCommit,
        Without::AckAfterFinish,
        Without::Sweep,
        Without::KeyRow,
        Without::NewAttempt,
        Without::Reconciler,
    ] {
        let (failed, _) = run_seeds(0..SEEDS, without);
        let (seed, outcome) = failed.first().unwrap_or_else(|| panic!("nobody misses {without:?}"));
        show(&format!("without {without:?} seed {seed} fails: {}", outcome.violations[0]));
    }
}

#[allow(clippy::print_stderr)]
fn show(line: &str) {
    eprintln!("{line}");
}
