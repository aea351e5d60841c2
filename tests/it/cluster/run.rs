//! One scenario: load, what happens, time to heal, the audit; and the row of the table.

use super::deployment::{
    AUDIT_QUEUE, Deployment, NAMED_SUBSCRIBERS, ORDER_SERVICES, TRACKING_SERVICES, UNNAMED_SUBSCRIBERS,
};
use super::machines::Machines;
use super::scenario::Scenario;
use crate::crash::audit::{Findings, KINDS, Kind, audit};
use crate::crash::evidence::{Evidence, Printed, gather_from, unfinished_in};
use crate::crash::load::Load;
use crate::crash::witnesses::Witnesses;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Orders are placed for so long before it happens, and after it is over.
const CALM: Duration = Duration::from_secs(8);
/// How long what happens may take, with all starts of servers.
const HAPPEN_DEADLINE: Duration = Duration::from_secs(600);
/// For so long everything must look healed: a quorum queue tells its figures every 5 s.
const QUIET: Duration = Duration::from_secs(6);
/// So many findings of each kind are printed.
const MAX_SHOWN: usize = 4;

/// What came of a scenario.
pub struct Outcome {
    pub scenario: &'static Scenario,
    pub findings: Findings,
    /// The longest time in which no order was answered with 201.
    pub without_201: Duration,
    /// Orders that were answered with 503.
    pub refused: usize,
    pub healed_after: Duration,
    pub orders: usize,
    /// Orders that another worker began again.
    pub begun_again: usize,
    /// Where the roles' output is.
    pub kept: PathBuf,
}

/// Runs a scenario with so many orders a second; `proxied`: the roles know HAProxy instead of the servers.
pub async fn run(
    machines: &Arc<Machines>,
    scenario: &'static Scenario,
    rate_per_s: u64,
    proxied: bool,
) -> Outcome {
    let synchronous = scenario.synchronous;
    machines.with(move |machines| machines.repair(synchronous)).await;
    let deployment = Arc::new(Deployment::open(machines, &scenario.name.replace('-', "_"), proxied).await);
    let tended = Arc::clone(&deployment);
    let witnesses = Witnesses::call(
        async move { tended.staff.tend().await },
        machines.brokers.nodes().iter().map(|broker| broker.amqp_port()).collect(),
        (&deployment.name, AUDIT_QUEUE),
        tracking_url(&deployment),
    );
    deployment.wait_until_ready().await;

    let entered = Arc::clone(&deployment);
    let urls = move || ORDER_SERVICES.map(|role| entered.staff.url(role)).to_vec();
    let load = Arc::new(Load::new(urls, rate_per_s, 1));
    let stop = CancellationToken::new();
    let customers = tokio::spawn(Arc::clone(&load).run(stop.clone()));
    tokio::time::sleep(CALM).await;
    let began = Instant::now();
    if tokio::time::timeout(HAPPEN_DEADLINE, scenario.happen(&deployment)).await.is_err() {
        deployment.staff.note(format!("not over within {HAPPEN_DEADLINE:?}"));
    }
    tokio::time::sleep(CALM).await;
    let ended = Instant::now();
    stop.cancel();
    customers.await.unwrap();

    let unfinished = async |streamed| unfinished(&deployment, streamed).await;
    let healed_after = witnesses.heal(&load, QUIET, unfinished, |_| {}).await.saturating_sub(QUIET);
    let evidence = gather(&deployment, witnesses.told(&load)).await;
    drop(witnesses);
    let kept = deployment.kept.clone();
    deployment.staff.keep_output(&kept).await;
    let findings = audit(&evidence);
    std::fs::write(kept.join("findings.txt"), format!("{findings:#?}")).unwrap();
    std::fs::write(kept.join("orders.txt"), format!("{:#?}", evidence.orders)).unwrap();
    let times = load.times();
    Outcome {
        scenario,
        findings,
        without_201: longest_without_201(&times, began, ended),
        refused: times.iter().filter(|(_, status)| *status == 503).count(),
        healed_after,
        orders: evidence.orders.len(),
        begun_again: evidence.orders.iter().filter(|order| order.is_taken_over()).count(),
        kept,
    }
}

/// One tracking service after the other, so that a stream goes on where another service's ended.
fn tracking_url(deployment: &Arc<Deployment>) -> impl Fn() -> Option<String> + use<> {
    let (deployment, turn) = (Arc::clone(deployment), AtomicUsize::new(0));
    move || {
        let turn = turn.fetch_add(1, Ordering::Relaxed);
        deployment.staff.url(TRACKING_SERVICES[turn % TRACKING_SERVICES.len()])
    }
}

/// The longest pause between two answers with 201, or to the beginning or end of what is looked at.
fn longest_without_201(times: &[(Instant, u16)], began: Instant, ended: Instant) -> Duration {
    let placed = times.iter().filter(|(at, status)| *status == 201 && *at > began && *at < ended);
    let mut marks: Vec<Instant> = placed.map(|(at, _)| *at).chain([began, ended]).collect();
    marks.sort_unstable();
    marks.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
}

/// Whether nothing is on its way any more.
async fn unfinished(deployment: &Deployment, streamed: usize) -> Result<(), String> {
    let db = deployment.machines.connect(&deployment.name).await.ok_or("PostgreSQL")?;
    unfinished_in(&db, streamed).await?;
    let queues = deployment.queues().await.ok_or("RabbitMQ")?;
    // The dead letters are for a person: they are the audit's business.
    let full = queues.iter().find(|(name, messages)| *messages != Some(0) && name != "kitchen_dead_letters");
    full.map_or(Ok(()), |(name, _)| Err(format!("messages in {name}")))
}

/// Adds what the servers and roles know.
async fn gather(deployment: &Deployment, told: Evidence) -> Evidence {
    let db = deployment.machines.connect(&deployment.name).await.expect("the primary takes connections");
    let mut printed = Vec::new();
    let subscribers = [("counter", 1, NAMED_SUBSCRIBERS), ("the unnamed", 2, UNNAMED_SUBSCRIBERS)];
    for (who, queues, roles) in subscribers {
        let mut lines = Vec::new();
        for role in roles {
            lines.extend(deployment.staff.lines(role).await);
        }
        printed.push(Printed::of(who, queues, &lines));
    }
    let told = Evidence {
        queues: deployment.queues().await.unwrap_or_default(),
        printed,
        misbehaved: deployment.staff.misbehaved(),
        ..told
    };
    gather_from(&db, told).await
}

impl Outcome {
    /// Some findings of each kind, for the terminal.
    pub fn shown(&self) -> impl Iterator<Item = &(Kind, String)> {
        let of = |kind| self.findings.iter().filter(move |(found, _)| *found == kind).take(MAX_SHOWN);
        KINDS.iter().flat_map(move |(kind, _)| of(*kind))
    }

    /// The row of docs/SCALE.md.
    pub fn row(&self) -> String {
        let kinds: Vec<String> = KINDS
            .iter()
            .map(|(kind, name)| (self.findings.iter().filter(|(found, _)| found == kind).count(), name))
            .filter(|(count, _)| *count > 0)
            .map(|(count, name)| format!("{count} {name}"))
            .collect();
        let found = if kinds.is_empty() { "nothing".to_owned() } else { kinds.join(", ") };
        format!(
            "| {} | {:.1} s | {} | {:.0} s | {} | {} | {found} |",
            self.scenario.what,
            self.without_201.as_secs_f64(),
            self.refused,
            self.healed_after.as_secs_f64(),
            self.orders,
            self.begun_again,
        )
    }
}

#[test]
fn the_longest_time_without_an_order_has_the_beginning_and_the_end() {
    let began = Instant::now();
    let at = |seconds: u64| began + Duration::from_secs(seconds);
    let times = [(at(1), 201), (at(2), 503), (at(4), 201), (at(5), 201)];
    assert_eq!(longest_without_201(&times, began, at(6)), Duration::from_secs(3));
    assert_eq!(longest_without_201(&times, began, at(9)), Duration::from_secs(4));
    assert_eq!(longest_without_201(&[], began, at(9)), Duration::from_secs(9));
}
