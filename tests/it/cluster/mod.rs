//! Several machines on loopback: three RabbitMQ nodes with quorum queues, a PostgreSQL primary and its standby, and two or
//! more processes of each role under load. Each scenario takes something away, and the audit of the kill matrix
//! ([`super::crash`]) looks at what is left. docs/SCALE.md has the table.
//!
//! - [`machines`]: the servers;
//! - [`proxy`]: HAProxy in front of them, where it is asked for;
//! - [`deployment`]: the roles of one scenario, on a database and a virtual host of their own;
//! - [`scenario`]: what happens;
//! - [`run`]: one scenario from its first order to its row of the table.
//!
//! `scripts/cluster` starts it; it is no part of the tests, since it takes some twenty minutes.

mod deployment;
mod machines;
mod proxy;
mod run;
mod scenario;

use machines::Machines;
use scenario::{SCENARIOS, Scenario};

const HEAD: &str = "| what happens | longest time without a 201 | 503 | healed after | orders | begun again | found |\n\
    |---|---|---|---|---|---|---|";

/// `scripts/cluster` starts it, with the names of scenarios in CLUSTER_SCENARIOS, or with none for all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes some twenty minutes: started by scripts/cluster"]
#[allow(clippy::print_stdout)]
async fn scenarios() {
    let wanted = std::env::var("CLUSTER_SCENARIOS").unwrap_or_default();
    let scenarios = chosen(&wanted).unwrap_or_else(|unknown| panic!("no scenario is called {unknown}"));
    let rate = std::env::var("CLUSTER_RATE").expect("CLUSTER_RATE is orders a second");
    let rate_per_s = rate.parse().expect("CLUSTER_RATE is a number");
    let proxied = std::env::var_os("CLUSTER_HAPROXY").is_some_and(|given| !given.is_empty());
    let machines = Machines::start().await;
    let mut rows = Vec::new();
    let mut failed = Vec::new();
    for scenario in scenarios {
        println!("{}: {}", scenario.name, scenario.what);
        let outcome = run::run(&machines, scenario, rate_per_s, proxied).await;
        println!("{}", outcome.row());
        for (kind, what) in outcome.shown() {
            println!("    {kind:?}: {what}");
        }
        println!("    all findings and the roles' output: {}", outcome.kept.display());
        if !outcome.findings.is_empty() && !scenario.may_lose() {
            failed.push(scenario.name);
        }
        rows.push(outcome.row());
    }
    println!("\n{rate_per_s} orders a second\n\n{HEAD}\n{}\n", rows.join("\n"));
    assert!(failed.is_empty(), "findings in {failed:?}");
}

/// The scenarios of these names, or all; the name that there is none of.
fn chosen(names: &str) -> Result<Vec<&'static Scenario>, &str> {
    if names.trim().is_empty() {
        return Ok(SCENARIOS.iter().collect());
    }
    let named = |name| SCENARIOS.iter().find(|scenario| scenario.name == name).ok_or(name);
    names.split_whitespace().map(named).collect()
}

#[test]
fn scenarios_are_chosen_by_name() {
    assert_eq!(chosen("").unwrap().len(), SCENARIOS.len());
    assert_eq!(chosen("split-brain restart").unwrap()[1].name, "restart");
    assert_eq!(chosen("restart earthquake").err(), Some("earthquake"));
}

#[test]
fn the_document_has_a_row_for_each_scenario() {
    let document = include_str!("../../../docs/SCALE.md");
    for Scenario { what, .. } in &SCENARIOS {
        assert!(document.contains(&format!("\n| {what} |")), "docs/SCALE.md has no row: {what}");
    }
}
