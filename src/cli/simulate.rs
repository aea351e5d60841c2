//! `restaurant-system simulate`: a crowd of customers, as a demonstration and as a load.

use std::io;
use std::time::Duration;

use clap::Args;
use comfy_table::{CellAlignment, Table, presets};
use daemon::outlet::Outlet;
use daemon::shutdown::Shutdown;
use indicatif::{ProgressBar, ProgressStyle};
use secrecy::SecretString;
use tokio::time::Instant;

use super::common::{number, parse_token_file};
use super::{place, track};
use crate::client::simulation::{self, Report, SimulationOptions, Tally};
use crate::client::stats::Percentiles;
use crate::client::{BaseUrl, ClientError, OrderClient, TrackingClient};

/// How long, once told to end at once, the report waits for a reader.
const PRINT_PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  restaurant-system simulate --rate 5 --duration 60
  restaurant-system simulate --rate 500 --duration 30 --bad-percent 0 --no-wait --json

The first Ctrl-C ends the placing of orders, the second the waiting for them.
Percentiles are overstated by at most 0.8 %; the maximum is exact.")]
pub struct SimulateArgs {
    /// Orders a second on average; they come at random (Poisson), whether or not the service keeps up
    #[arg(long, value_name = "N", default_value_t = 2.0, value_parser = parse_rate)]
    rate: f64,

    /// How many seconds customers come; 0: until Ctrl-C
    #[arg(long, value_name = "S", default_value_t = 0.0, value_parser = parse_seconds)]
    duration: f64,

    /// The same seed makes the same orders
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    seed: u64,

    /// How many orders may wait for their answer at once; customers beyond are sent away and counted as dropped
    #[arg(long, alias = "concurrency", value_name = "N", default_value_t = 256,
          value_parser = clap::value_parser!(u16).range(1..=16384))]
    max_in_flight: u16,

    /// How many of 100 orders break a rule on purpose, to be refused
    #[arg(long, value_name = "PERCENT", default_value_t = 2.0, value_parser = parse_percent)]
    bad_percent: f64,

    /// How many seconds to wait at the end for orders that still cook
    #[arg(long, value_name = "S", default_value_t = 60.0, value_parser = parse_seconds)]
    wait_ready: f64,

    /// Do not wait for orders that still cook
    #[arg(long, conflicts_with = "wait_ready")]
    no_wait: bool,

    /// The order service
    #[arg(long, value_name = "URL", env = "RESTAURANT_ORDER_URL", default_value = place::DEFAULT_ORDER_URL)]
    url: BaseUrl,

    /// The tracking service
    #[arg(long, value_name = "URL", env = "RESTAURANT_TRACKING_URL", default_value = track::DEFAULT_TRACKING_URL)]
    tracking_url: BaseUrl,

    /// The staff's token, to follow the orders by the stream of all changes; without it they are asked for one by one
    #[arg(long, value_name = "FILE", env = "RESTAURANT_STAFF_TOKEN_FILE", value_parser = parse_token_file)]
    staff_token_file: Option<SecretString>,

    /// Print the closing table as one JSON object
    #[arg(long)]
    json: bool,
}

/// Why a simulation could not be run.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("not one of {customers} orders was placed: {reason}")]
    NothingPlaced { customers: u64, reason: String },
    #[error("cannot use signals or standard output: {0}")]
    Io(#[from] io::Error),
}

/// Runs the simulation and prints its table.
pub async fn run(args: SimulateArgs) -> Result<(), SimulateError> {
    let orders = OrderClient::new(args.url.clone())?;
    let tracking =
        TrackingClient::new(args.tracking_url.clone())?.with_staff_token(args.staff_token_file.clone());
    let shutdown = Shutdown::listen()?;
    let line = progress_line();
    let started_at = Instant::now();
    let show = |tally: &Tally| line.set_message(progress_text(tally, started_at.elapsed()));
    let report = simulation::simulate(options(&args), orders, tracking, shutdown.clone(), show).await;
    line.finish_and_clear();
    let report = report?;
    let mut text =
        if args.json { serde_json::to_string(&report).map_err(io::Error::from)? } else { render(&report) };
    text.push('\n');
    print(text, &shutdown).await?;
    if report.tally.placed == 0 && report.tally.customers > report.tally.bad_sent {
        let reason = report.tally.first_failure.or(report.tally.first_good_refused);
        let reason = reason.unwrap_or_else(|| format!("refused by status: {:?}", report.tally.refused));
        return Err(SimulateError::NothingPlaced { customers: report.tally.customers, reason });
    }
    Ok(())
}

/// Prints the report. Where nobody reads it, a second Ctrl-C ends the waiting for that as well.
async fn print(text: String, shutdown: &Shutdown) -> io::Result<()> {
    let stdout = Outlet::to_stdout()?;
    let patience = async {
        shutdown.hurry().cancelled().await;
        tokio::time::sleep(PRINT_PATIENCE).await;
    };
    tokio::select! {
        printed = stdout.print(text.into_bytes()) => printed,
        () = patience => Ok(()),
    }
}

fn options(args: &SimulateArgs) -> SimulationOptions {
    SimulationOptions {
        rate_per_s: args.rate,
        duration: (args.duration > 0.0).then(|| Duration::from_secs_f64(args.duration)),
        seed: args.seed,
        max_in_flight: args.max_in_flight.into(),
        bad_percent: args.bad_percent,
        wait_ready: Duration::from_secs_f64(if args.no_wait { 0.0 } else { args.wait_ready }),
    }
}

/// A line on standard error that is there on a terminal only.
fn progress_line() -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {wide_msg}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner());
    let line = ProgressBar::new_spinner().with_style(style);
    line.enable_steady_tick(Duration::from_millis(100));
    line
}

/// The line of progress. A count of failures is in it only where there were any.
fn progress_text(tally: &Tally, elapsed: Duration) -> String {
    let p99 =
        tally.answer.percentile(99.0).map_or_else(|| "–".to_owned(), |p99| format!("{} ms", p99.as_millis()));
    let mut text = format!(
        "{} s  placed {}  ready {}  cooking {}  in flight {}  p99 {p99}",
        elapsed.as_secs(),
        tally.placed,
        tally.ready,
        tally.cooking,
        tally.in_flight,
    );
    let rest = [("refused", tally.refused_total()), ("failed", tally.failed), ("dropped", tally.dropped)];
    for (name, number) in rest.into_iter().filter(|(_, number)| *number > 0) {
        text.push_str(&format!("  {name} {number}"));
    }
    text
}

/// The closing tables, and a remark for everything that should not have happened.
fn render(report: &Report) -> String {
    let mut text = format!("{}\n{}", counts(report), latencies(report));
    for remark in remarks(report) {
        text.push('\n');
        text.push_str(&remark);
    }
    text
}

fn new_table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header(header.to_vec());
    table
}

fn counts(report: &Report) -> Table {
    let mut table = new_table(&["orders", "number"]);
    let mut row = |name: &str, number: String| {
        table.add_row([name.to_owned(), number]);
    };
    row("placed (201)", report.tally.placed.to_string());
    for (status, number) in &report.tally.refused {
        row(&format!("refused ({status})"), number.to_string());
    }
    row("failed (no answer)", report.tally.failed.to_string());
    row("dropped (too many in flight)", report.tally.dropped.to_string());
    if report.tally.in_flight > 0 {
        row("not waited for", report.tally.in_flight.to_string());
    }
    row("bad on purpose", report.tally.bad_sent.to_string());
    row("ready", report.tally.ready.to_string());
    if report.tally.cancelled > 0 {
        row("cancelled", report.tally.cancelled.to_string());
    }
    row("still cooking", report.tally.cooking.to_string());
    row("asked for a second", format!("{:.1}", report.rate_asked_per_s));
    row("sent a second", format!("{:.1}", report.rate_sent_per_s));
    row("placed a second", format!("{:.1}", report.rate_placed_per_s));
    align_right(&mut table);
    table
}

fn latencies(report: &Report) -> Table {
    let mut table = new_table(&["latency in ms", "p50", "p95", "p99", "max", "number"]);
    let mut row = |name: &str, latency: Percentiles| {
        let cell =
            |millis: Option<f64>| millis.map_or_else(|| "–".to_owned(), |millis| format!("{millis:.1}"));
        let number = latency.count.to_string();
        table.add_row([
            name.to_owned(),
            cell(latency.p50),
            cell(latency.p95),
            cell(latency.p99),
            cell(latency.max),
            number,
        ]);
    };
    row("answer 201", report.tally.answer.percentiles());
    row("refusal", report.tally.refusal.percentiles());
    row("order → ready", report.tally.order_to_ready.percentiles());
    align_right(&mut table);
    table
}

fn align_right(table: &mut Table) {
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}

fn remarks(report: &Report) -> Vec<String> {
    let mut remarks = Vec::new();
    if report.tally.bad_placed > 0 {
        remarks.push(format!("placed although they break a rule: {}", report.tally.bad_placed));
    }
    if let Some(first) = &report.tally.first_good_refused {
        remarks.push(format!("good orders called bad: {}, the first so: {first}", report.tally.good_refused));
    }
    if let Some(first) = &report.tally.first_failure {
        remarks.push(format!("orders without an answer: {}, the first so: {first}", report.tally.failed));
    }
    if report.tally.not_followed > 0 {
        remarks.push(format!("placed, but too many to be followed: {}", report.tally.not_followed));
    }
    if report.followed_by == "polling" {
        remarks.push(
            "the live event stream was not to be had (it wants --staff-token-file): order → ready is coarse"
                .to_owned(),
        );
    }
    remarks
}

fn parse_rate(text: &str) -> Result<f64, String> {
    number(text, 0.001..=100_000.0, "write a number of orders a second, from 0.001 to 100000")
}

fn parse_seconds(text: &str) -> Result<f64, String> {
    number(text, 0.0..=31_536_000.0, "write a number of seconds, from 0 to 31536000")
}

fn parse_percent(text: &str) -> Result<f64, String> {
    number(text, 0.0..=100.0, "write a percentage, from 0 to 100")
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::client::stub::{Stub, closed_port};

    #[derive(Parser)]
    struct SimulateCommand {
        #[command(flatten)]
        args: SimulateArgs,
    }

    fn parse(args: &[&str]) -> Result<SimulateArgs, clap::Error> {
        SimulateCommand::try_parse_from(["simulate"].iter().chain(args)).map(|command| command.args)
    }

    fn report() -> Report {
        let mut tally = Tally {
            customers: 105,
            placed: 100,
            refused: [(422, 2), (503, 1)].into(),
            failed: 1,
            first_failure: Some("no answer".into()),
            dropped: 1,
            bad_sent: 2,
            cooking: 100,
            ..Tally::default()
        };
        (1..=100).for_each(|millis| tally.answer.record(Duration::from_millis(millis)));
        Report {
            seed: 1,
            rate_asked_per_s: 10.0,
            rate_sent_per_s: 10.2,
            rate_placed_per_s: 10.0,
            duration_s: 10.0,
            followed_by: "polling",
            tally,
        }
    }

    #[test]
    fn the_closing_tables_name_every_count() {
        let text = render(&report());
        let row = |name: &str| {
            let line =
                text.lines().find(|line| line.contains(name)).unwrap_or_else(|| panic!("{name} in {text}"));
            line.split(['│', '┆'])
                .map(str::trim)
                .filter(|cell| !cell.is_empty())
                .skip(1)
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(row("placed (201)"), "100");
        assert_eq!(row("refused (422)"), "2");
        assert_eq!(row("refused (503)"), "1");
        assert_eq!(row("dropped"), "1");
        assert_eq!(row("still cooking"), "100");
        assert_eq!(row("answer 201"), "50.2 95.2 99.3 100.0 100");
        assert_eq!(row("order → ready"), "– – – – 0");
        assert!(text.ends_with(
            "orders without an answer: 1, the first so: no answer\n\
             the live event stream was not to be had (it wants --staff-token-file): order → ready is coarse"
        ));
    }

    #[test]
    fn flags_out_of_range_are_wrong_usage() {
        for args in [
            ["--rate", "0"],
            ["--rate", "NaN"],
            ["--duration", "-1"],
            ["--bad-percent", "101"],
            ["--max-in-flight", "0"],
            ["--url", "https://example.org"],
        ] {
            assert_eq!(parse(&args).unwrap_err().exit_code(), 2, "{args:?}");
        }
        assert_eq!(options(&parse(&[]).unwrap()).duration, None);
        assert_eq!(options(&parse(&["--no-wait"]).unwrap()).wait_ready, Duration::ZERO);
    }

    #[tokio::test]
    async fn a_run_ends_well_when_orders_were_placed_and_badly_when_none_was() {
        let stub = Stub::start().await;
        let url = stub.url().to_string();
        let args = ["--rate", "100", "--duration", "0.2", "--json", "--url", &url, "--tracking-url", &url];
        run(parse(&args).unwrap()).await.unwrap();
        let nowhere = closed_port().await.to_string();
        assert!(run(parse(&["--url", &nowhere]).unwrap()).await.is_err());
    }
}
