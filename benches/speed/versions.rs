//! This build beside another one, in turns: what a change brings.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::cooking::{Cooked, kitchen_rate};
use crate::deployment::{Deployment, Section};
use crate::report::{number, say};
use crate::taking::{CONNECTIONS, post, used};

/// What was found of one version, summed over the rounds.
#[derive(Default)]
struct Found {
    intake_per_second: f64,
    /// Processor time for an order, announced, in µs: of the role, PostgreSQL and RabbitMQ.
    intake_us: [f64; 3],
    half_load_p50_ms: f64,
    half_load_p99_ms: f64,
    half_load_undisturbed_p99_ms: f64,
    lone_ms: f64,
    kitchen_per_second: f64,
    /// The same for an order that is cooked.
    kitchen_us: [f64; 3],
}

/// Measures both, so many rounds of each; who is first in one round is second in the next, for that makes a difference of
/// 5 %. Half load is half of what the first round has found of the other version.
pub async fn compare(deployment: &Deployment, other: &Path, seconds: u64, rounds: usize) -> Result<String> {
    let programs: [PathBuf; 2] = [other.to_owned(), Deployment::program().into()];
    let mut sections = Vec::new();
    for (name, program) in ["other", "this"].into_iter().zip(&programs) {
        sections.push(deployment.section_of(name, program).await?);
    }
    let mut found = [Found::default(), Found::default()];
    let mut half = 0.0;
    for round in 0..rounds {
        let mut turns: Vec<_> = sections.iter().zip(&mut found).collect();
        if round % 2 == 1 {
            turns.reverse();
        }
        for (section, sums) in turns {
            say(&format!("round {} of {rounds}: {}", round + 1, section.name));
            let (role, url) = section.order_service().await?;
            let before = used(section, &role).await?;
            let full = post(&url, CONNECTIONS, None, seconds).await?.good_per_second;
            section.settle().await?;
            add_cost(&mut sums.intake_us, before, used(section, &role).await?);
            sums.intake_per_second += full;
            if half == 0.0 {
                half = full / 2.0;
            }
            let at_half = post(&url, CONNECTIONS, Some(half), seconds).await?;
            sums.half_load_p50_ms += at_half.p50_ms;
            sums.half_load_p99_ms += at_half.p99_ms;
            sums.half_load_undisturbed_p99_ms += at_half.undisturbed_p99_ms;
            section.settle().await?;
            sums.lone_ms += post(&url, 1, None, 2).await?.mean_ms;
            drop(role);
            let (cooked, cost) = kitchen_cost(section, seconds).await?;
            sums.kitchen_per_second += cooked;
            sums.kitchen_us.iter_mut().zip(cost).for_each(|(sum, cost)| *sum += cost);
        }
    }
    Ok(table(&found, rounds, half))
}

fn add_cost(sums: &mut [f64; 3], before: [f64; 4], after: [f64; 4]) {
    for (i, sum) in sums.iter_mut().enumerate() {
        *sum += (after[i + 1] - before[i + 1]) / (after[0] - before[0]) * 1e6;
    }
}

/// Orders to `ready` a second, and what one costs the worker, PostgreSQL and RabbitMQ, in µs.
async fn kitchen_cost(section: &Section<'_>, seconds: u64) -> Result<(f64, [f64; 3])> {
    let before = section.deployment.processor_seconds()?;
    let ready = "select count(*) from orders where status = 'ready'";
    let cooked_before = section.number(ready).await?;
    let Cooked { per_second, worker_seconds } = kitchen_rate(section, seconds).await?;
    let after = section.deployment.processor_seconds()?;
    let cooked = section.number(ready).await? - cooked_before;
    let cost = [worker_seconds, after.0 - before.0, after.1 - before.1].map(|seconds| seconds / cooked * 1e6);
    Ok((per_second, cost))
}

fn table(found: &[Found; 2], rounds: usize, half: f64) -> String {
    let rounds = rounds as f64;
    let [other, this] = found;
    let half = format!("POST /orders at {} /s", number(half));
    let mut rows: Vec<(String, f64, f64)> = vec![
        ("POST /orders, 128 connections, /s".into(), other.intake_per_second, this.intake_per_second),
        (format!("{half}: p50, ms"), other.half_load_p50_ms, this.half_load_p50_ms),
        (format!("{half}: p99, ms"), other.half_load_p99_ms, this.half_load_p99_ms),
        (
            "  while the machine ran as usual: p99, ms".into(),
            other.half_load_undisturbed_p99_ms,
            this.half_load_undisturbed_p99_ms,
        ),
        ("a lone order, ms".into(), other.lone_ms, this.lone_ms),
        ("kitchen, /s".into(), other.kitchen_per_second, this.kitchen_per_second),
    ];
    for (i, name) in ["the role", "PostgreSQL", "RabbitMQ"].into_iter().enumerate() {
        rows.push((format!("an order taken: {name}, µs"), other.intake_us[i], this.intake_us[i]));
    }
    for (i, name) in ["the role", "PostgreSQL", "RabbitMQ"].into_iter().enumerate() {
        rows.push((format!("an order cooked: {name}, µs"), other.kitchen_us[i], this.kitchen_us[i]));
    }
    let mut text = format!("{:<44}{:>10}{:>10}{:>8}\n", "", "other", "this", "ratio");
    for (name, other, this) in rows {
        let (other, this) = (other / rounds, this / rounds);
        text += &format!("{name:<44}{:>10}{:>10}{:>8.2}\n", number(other), number(this), this / other);
    }
    text
}
