//! One run: faults under load, time to heal, the audit; in rounds, so that a long run stops soon after its first
//! failure and healing is measured more than once.

use super::audit::{Findings, KINDS, audit};
use super::deployment::{Deployment, ORDER_SERVICES, ROLES, TRACKING_SERVICE};
use super::evidence::{Evidence, gather, unfinished};
use super::load::Load;
use super::plan::Step;
use super::witnesses::Witnesses;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Orders a second while every customer is served at once.
const RATE_PER_S: u64 = 16;
/// Faults that may be going on at once.
const MAX_OVERLAPPING: usize = 4;
/// How long a fault may take with all that it waits for: others on the same target, the start of a server.
const FAULT_DEADLINE: Duration = Duration::from_secs(240);
/// For so long everything must look healed: RabbitMQ's statistics lag behind by half a second and more.
const QUIET: Duration = Duration::from_secs(2);
/// So many findings are printed.
const MAX_SHOWN: usize = 40;

/// What came of a run.
pub struct Report {
    /// What is wrong; nothing, if the promise holds.
    pub findings: Findings,
    /// For people.
    pub table: String,
    /// Where the roles' output is, and what was found of orders and heard of changes.
    pub kept: PathBuf,
}

/// The figures of a run that the evidence does not have.
#[derive(Default)]
struct Figures {
    faults: BTreeMap<&'static str, usize>,
    heals: Vec<Duration>,
    customers: u64,
    retries: u64,
    /// Finishes of workers that were thought lost.
    late_finishes: usize,
}

/// Runs rounds of faults, with time to heal and an audit after each. The seed decides what the customers do.
pub async fn run(seed: u64, rounds: &[Vec<Step>]) -> Report {
    let began = Instant::now();
    print_plan(rounds);
    let deployment = Arc::new(Deployment::open().await);
    let (tended, watched) = (Arc::clone(&deployment), Arc::clone(&deployment));
    let witnesses = Witnesses::call(
        async move { tended.staff.tend().await },
        vec![deployment.env.servers.rabbitmq.amqp_port()],
        (&deployment.env.vhost, "notifications_queue"),
        move || watched.staff.url(TRACKING_SERVICE),
    );
    let entered = Arc::clone(&deployment);
    let urls = move || ORDER_SERVICES.map(|role| entered.staff.url(role)).to_vec();
    let load = Arc::new(Load::new(urls, RATE_PER_S, seed));
    let mut figures = Figures::default();
    let mut evidence = Evidence::default();
    let mut findings = Findings::new();
    for round in rounds {
        let stop = CancellationToken::new();
        let customers = tokio::spawn(Arc::clone(&load).run(stop.clone()));
        strike(&deployment, round, began, &mut figures).await;
        stop.cancel();
        customers.await.unwrap();
        let db = deployment.env.connect().await;
        let unfinished = async |streamed| unfinished(&deployment, &db, streamed).await;
        figures.heals.push(witnesses.heal(&load, QUIET, unfinished, |what| tell(began, what)).await);
        evidence = gather(&deployment, &db, witnesses.told(&load)).await;
        findings = audit(&evidence);
        if !findings.is_empty() {
            break;
        }
    }
    drop(witnesses);
    (figures.customers, figures.retries) = (load.customers(), load.retries());
    for role in 0..ROLES.len() {
        let lines = deployment.staff.lines(role).await;
        figures.late_finishes += lines.iter().filter(|line| line.contains("\"order_lost\"")).count();
    }
    let kept = keep(&deployment, &evidence, seed).await;
    let faults: usize = rounds.iter().map(Vec::len).sum();
    let head = format!("seed {seed}, {faults} faults planned, {:.0} s", began.elapsed().as_secs_f64());
    Report { table: table(&head, &figures, &evidence, &findings), findings, kept }
}

#[allow(clippy::print_stdout)]
fn print_plan(rounds: &[Vec<Step>]) {
    println!("the plan:");
    for (number, Step { gap_ms, fault }) in rounds.iter().flatten().enumerate() {
        println!("{number:5}  after {gap_ms:4} ms  {fault}");
    }
}

/// Lets the faults strike, each after its pause; returns when all are over.
async fn strike(deployment: &Arc<Deployment>, steps: &[Step], began: Instant, figures: &mut Figures) {
    let turns = Arc::new(Semaphore::new(MAX_OVERLAPPING));
    let mut going_on = JoinSet::new();
    for step in steps {
        tokio::time::sleep(Duration::from_millis(step.gap_ms)).await;
        let turn = Arc::clone(&turns).acquire_owned().await.unwrap();
        let (deployment, fault) = (Arc::clone(deployment), step.fault);
        *figures.faults.entry(fault.kind()).or_default() += 1;
        going_on.spawn(async move {
            let asked = Instant::now();
            if tokio::time::timeout(FAULT_DEADLINE, deployment.suffer(fault)).await.is_err() {
                deployment.staff.note(format!("{fault}: not over within {FAULT_DEADLINE:?}"));
            }
            tell(began, &format!("{fault}; over after {} ms", asked.elapsed().as_millis()));
            drop(turn);
        });
    }
    while let Some(ended) = going_on.join_next().await {
        ended.unwrap();
    }
}

/// A line about the course of the run.
#[allow(clippy::print_stdout)]
fn tell(began: Instant, what: &str) {
    println!("{:8.2} s  {what}", began.elapsed().as_secs_f64());
}

/// Keeps what helps to understand a failure, or what was slow.
async fn keep(deployment: &Deployment, evidence: &Evidence, seed: u64) -> PathBuf {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("crash-{seed}"));
    deployment.staff.keep_output(&dir).await;
    let lines = |things: Vec<String>| things.join("\n");
    let orders = lines(evidence.orders.iter().map(|order| format!("{order:?}")).collect());
    std::fs::write(dir.join("orders.txt"), orders).unwrap();
    let heard = lines(evidence.heard.iter().map(|heard| format!("{heard:?}")).collect());
    std::fs::write(dir.join("heard.txt"), heard).unwrap();
    let streamed = lines(evidence.streamed.iter().map(|event| format!("{event:?}")).collect());
    std::fs::write(dir.join("streamed.txt"), streamed).unwrap();
    dir
}

fn table(head: &str, figures: &Figures, evidence: &Evidence, findings: &Findings) -> String {
    let slowest = evidence.orders.iter().filter_map(|order| order.seconds).fold(0.0, f64::max);
    let longest = figures.heals.iter().max().copied().unwrap_or_default();
    let taken_over = evidence.orders.iter().filter(|order| order.is_taken_over()).count();
    let mut rows: Vec<(&str, String)> =
        figures.faults.iter().map(|(kind, count)| (*kind, count.to_string())).collect();
    rows.extend([
        ("customers", figures.customers.to_string()),
        ("orders placed", evidence.orders.len().to_string()),
        ("orders refused", evidence.answers.refused.len().to_string()),
        ("requests repeated", figures.retries.to_string()),
        ("orders begun again by another", taken_over.to_string()),
        ("late finishes refused", figures.late_finishes.to_string()),
        ("changes heard, with repetitions", evidence.heard.len().to_string()),
    ]);
    for (kind, name) in KINDS {
        let found = findings.iter().filter(|(found, _)| *found == kind).count();
        rows.push((name, found.to_string()));
    }
    rows.push(("longest time to heal", format!("{:.1} s", longest.as_secs_f64())));
    rows.push(("slowest order", format!("{slowest:.1} s")));
    let mut table = format!("{head}\n");
    for (name, value) in rows {
        let _ = writeln!(table, "  {name:<34}{value:>10}");
    }
    table
}

impl Report {
    /// Prints the table, and fails where something is wrong, with the command that repeats the run.
    ///
    /// # Panics
    /// If there are findings.
    #[allow(clippy::print_stdout)]
    pub fn conclude(self, replay: &str) {
        println!("\n{}", self.table);
        let shown: Vec<String> =
            self.findings.iter().take(MAX_SHOWN).map(|(kind, what)| format!("{kind:?}: {what}")).collect();
        assert!(
            self.findings.is_empty(),
            "{} findings:\n{}\nthe roles' output is in {}\nto repeat it: {replay}",
            self.findings.len(),
            shown.join("\n"),
            self.kept.display()
        );
    }
}
