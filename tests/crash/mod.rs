//! The kill matrix: everything is killed, stopped, frozen, restarted and wiped under load, in an order that a seed
//! decides, and then an audit looks at the database, the queues and what clients and subscribers were told.
//!
//! - [`plan`]: the faults, a pure function of the seed;
//! - [`house`]: the roles and servers, and what a fault does to them;
//! - [`load`]: customers and staff, who remember what they were answered;
//! - [`listener`]: a subscriber of another make, and [`watcher`], a client of the event stream: they remember what they
//!   heard;
//! - [`evidence`], [`audit`]: what is left, and what must hold of it;
//! - [`run`]: all of it together, and the table.
//!
//! A short run is part of the tests; `scripts/crash --faults N --seed S` makes a long one.

mod audit;
mod evidence;
mod house;
mod listener;
mod load;
mod plan;
mod run;
mod watcher;

use plan::{EVERY_KIND, Weights};

/// Whether the short run may lose the broker's disk. It may not, though nothing would be lost: a broker without memory
/// is told everything again, and so a relay that had forgotten something would not be found out.
const SHORT_RUN_WIPES: bool = false;
/// Mostly what is over within a second. The seed is one with one fault of each kind on PostgreSQL and one on RabbitMQ,
/// early enough that much happens while they last; [`plan`] has a test of that.
const SHORT_RUN: Weights = Weights {
    role_kill: 44,
    role_stop: 20,
    role_freeze: 20,
    postgres_kill: 2,
    postgres_freeze: 1,
    rabbitmq_kill: 1,
    rabbitmq_freeze: 1,
    rabbitmq_wipe: SHORT_RUN_WIPES as u32,
};
const SHORT_RUN_SEED: u64 = 886_932;
const SHORT_RUN_FAULTS: usize = 50;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_doubled_whatever_is_killed() {
    let report = run::run(SHORT_RUN_SEED, SHORT_RUN_FAULTS, &SHORT_RUN).await;
    report.conclude("scripts/test nothing_is_lost_or_doubled_whatever_is_killed");
}

/// `scripts/crash` starts it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes as long as CRASH_FAULTS says: started by scripts/crash"]
async fn long_run() {
    let number = |name: &str| -> Option<u64> { std::env::var(name).ok()?.parse().ok() };
    let (Some(seed), Some(faults)) = (number("CRASH_SEED"), number("CRASH_FAULTS")) else {
        panic!("CRASH_SEED and CRASH_FAULTS must be numbers");
    };
    let mut weights = EVERY_KIND;
    if std::env::var("CRASH_WIPES").as_deref() == Ok("no") {
        weights.rabbitmq_wipe = 0;
    }
    let wipes = if weights.rabbitmq_wipe == 0 { " --no-wipes" } else { "" };
    let report = run::run(seed, usize::try_from(faults).unwrap(), &weights).await;
    report.conclude(&format!("scripts/crash --seed {seed} --faults {faults}{wipes}"));
}
