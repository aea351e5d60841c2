//! How fast the system is, as ratios to what limits it on the same machine at the same time.
//!
//! `scripts/bench` starts it. Sections, each on a database and a virtual host of its own:
//!
//! - [`taking`]: `POST /orders` beside PostgreSQL's own transactions; overload;
//! - [`menu`]: the same by a menu, beside without;
//! - [`cooking`]: from the order to the cook, the kitchen's and the relay's throughput;
//! - [`reading`]: `GET …/status` beside PostgreSQL's selects and an empty handler;
//! - [`idle`]: resident memory, and a deployment with a long history.
//!
//! [`versions`] is another matter: this build beside another one, in turns.
//!
//! [`deployment`] has servers and roles, [`tools`] and [`paced`] the load generators, [`bare`] what is measured without the system
//! around, and [`pulse`] whether the machine itself has slow moments.
#![allow(
    unreachable_pub,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]

mod bare;
mod cooking;
mod deployment;
mod idle;
mod menu;
mod paced;
mod pulse;
mod reading;
mod report;
mod taking;
mod tools;
mod versions;

use std::path::PathBuf;

use clap::Parser;
use report::{Report, say};

/// Measures the system beside what limits it.
#[derive(Debug, Parser)]
struct Args {
    /// Seconds that each load lasts
    #[arg(long, default_value_t = 8)]
    seconds: u64,
    /// Only these sections: taking, overload, menu, cooking, relay, reading, memory, history
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Orders in the tables of the long history
    #[arg(long, default_value_t = 1_000_000)]
    history: u32,
    /// Where the JSON and the chart go; nowhere without
    #[arg(long)]
    out: Option<PathBuf>,
    /// Another build of the program: only what both need for an order is measured, in turns
    #[arg(long)]
    against: Option<PathBuf>,
    /// How often each of the two has its turn
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// What `cargo bench` adds
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main(worker_threads = 2)]
#[allow(clippy::print_stdout)]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let wanted = |section: &str| args.only.is_empty() || args.only.iter().any(|only| only == section);
    say("starting the servers");
    let deployment = deployment::Deployment::open().await?;
    if let Some(other) = &args.against {
        println!("{}", versions::compare(&deployment, other, args.seconds, args.rounds).await?);
        return Ok(());
    }
    let mut report = Report::default();
    let intake =
        if wanted("taking") { taking::measure(&deployment, &mut report, args.seconds).await? } else { 0.0 };
    if wanted("overload") {
        taking::overload(&deployment, &mut report, args.seconds, intake).await?;
    }
    if wanted("menu") {
        menu::measure(&deployment, &mut report, args.seconds).await?;
    }
    if wanted("cooking") {
        cooking::claim_latency(&deployment, &mut report, args.seconds).await?;
        cooking::kitchen(&deployment, &mut report, args.seconds).await?;
    }
    if wanted("relay") {
        cooking::relay(&deployment, &mut report, args.seconds, intake).await?;
    }
    if wanted("reading") {
        reading::measure(&deployment, &mut report, args.seconds).await?;
    }
    if wanted("memory") {
        idle::memory(&deployment, &mut report).await?;
    }
    if wanted("history") {
        idle::history(&deployment, &mut report, args.seconds, args.history).await?;
    }
    println!("{}", report.table());
    if let Some(out) = &args.out {
        report.save(out, args.seconds, &deployment.versions().await?)?;
        say(&format!("kept in {}", out.display()));
    }
    Ok(())
}
