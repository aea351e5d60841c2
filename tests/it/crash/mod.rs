//! The kill matrix: everything is killed, stopped, frozen, restarted and wiped under load, in an order that a seed
//! decides, and then an audit looks at the database, the queues and what clients and subscribers were told.
//!
//! - [`plan`]: the faults, a pure function of the seed;
//! - [`staff`]: the roles, which are started again whenever they end;
//! - [`deployment`]: the roles and servers, and what a fault does to them;
//! - [`load`]: customers and staff, who remember what they were answered;
//! - [`listener`]: a subscriber of another make, and [`watcher`], a client of the event stream: they remember what they
//!   heard;
//! - [`witnesses`]: these two, and how long everything takes to heal;
//! - [`evidence`], [`audit`]: what is left, and what must hold of it;
//! - [`run`]: all of it together, and the table.
//!
//! A short run is part of the tests; `scripts/crash --faults N --seed S` makes a long one. [`super::cluster`] has the same
//! audit of several machines.

pub mod audit;
pub mod deployment;
pub mod evidence;
mod listener;
pub mod load;
mod plan;
mod run;
pub mod staff;
mod watcher;
pub mod witnesses;

use plan::{EVERY_KIND, Step, Weights};

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
    rabbitmq_wipe: 0,
};
const SHORT_RUN_SEED: u64 = 886_932;
/// Without the loss of the broker's disk, and audited: a broker without memory is told everything again, and so a relay
/// that had forgotten something would not be found out.
const SHORT_RUN_FAULTS: usize = 45;
/// After the loss of its disk.
const SHORT_RUN_WIPED_FAULTS: usize = 4;
/// What strikes while a wiped broker is told everything again: only the roles, so that it does not take long.
const ROLES_ONLY: Weights =
    Weights { postgres_kill: 0, postgres_freeze: 0, rabbitmq_kill: 0, rabbitmq_freeze: 0, ..SHORT_RUN };

/// Fifty faults: without, then with the loss of the broker's disk.
fn short_run() -> Vec<Vec<Step>> {
    let before = plan::plan(SHORT_RUN_SEED, SHORT_RUN_FAULTS, &SHORT_RUN);
    vec![before, plan::wiped_round(SHORT_RUN_SEED, SHORT_RUN_WIPED_FAULTS, &ROLES_ONLY)]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_doubled_whatever_is_killed() {
    let report = run::run(SHORT_RUN_SEED, &short_run()).await;
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
    let rounds = plan::rounds(seed, usize::try_from(faults).unwrap(), &weights);
    let report = run::run(seed, &rounds).await;
    report.conclude(&format!("scripts/crash --seed {seed} --faults {faults}{wipes}"));
}
