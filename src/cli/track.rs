//! `restaurant-system track`: watches one order live until it is ready.

use std::io::{self, IsTerminal, Write};
use std::pin::pin;
use std::time::Duration;

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use tokio::time::interval;

use crate::client::events::{EventStream, StreamItem};
use crate::client::orders::StatusAnswer;
use crate::client::{BaseUrl, ClientError, TrackingClient};
use crate::domain::{InvalidOrderNumber, OrderNumber, Status, StatusUpdate};

/// Where the tracking service listens unless told otherwise.
pub(super) const DEFAULT_TRACKING_URL: &str = "http://127.0.0.1:3002";
/// How often the progress bar moves.
const REFRESH: Duration = Duration::from_millis(200);
/// The length of the progress bar: thousandths of the way.
const BAR_LENGTH: u64 = 1000;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  restaurant-system track ORD_20261122_001
  restaurant-system track ORD_20261122_001 --until completed --json | jq -r .new_status

Exit code: 0 when the order got there, 1 when it was cancelled, is unknown or
could not be followed.")]
pub struct TrackArgs {
    /// The order's number
    #[arg(value_name = "ORDER", value_parser = parse_order_number)]
    order: String,

    /// When to stop watching: once it can be fetched, or once it was handed over
    #[arg(long, value_enum, default_value_t = Until::Ready)]
    until: Until,

    /// Print one JSON object per change, as received
    #[arg(long)]
    json: bool,

    /// The tracking service
    #[arg(long, value_name = "URL", env = "RESTAURANT_TRACKING_URL", default_value = DEFAULT_TRACKING_URL)]
    tracking_url: BaseUrl,
}

impl TrackArgs {
    /// The watch that goes on after an order was placed.
    pub(super) fn of_placed(order: String, tracking_url: BaseUrl, json: bool) -> Self {
        Self { order, until: Until::Ready, json, tracking_url }
    }
}

/// The status that ends the watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Until {
    /// The order can be fetched, served or delivered.
    Ready,
    /// The order was handed over.
    Completed,
}

/// Why an order was not seen to get there.
#[derive(Debug, thiserror::Error)]
pub enum TrackError {
    #[error("there is no order {0}")]
    NotFound(String),
    #[error("order {0} was cancelled")]
    Cancelled(String),
    #[error("the tracking service told no more of order {0}, which had not got there")]
    Ended(String),
    #[error("order {order_number} cannot be followed: {cause}")]
    Client { order_number: String, cause: ClientError },
    #[error("cannot write to standard output: {0}")]
    Output(#[from] io::Error),
}

/// Watches the order until it got there.
pub async fn run(args: TrackArgs) -> Result<(), TrackError> {
    let has_bar = !args.json && io::stdout().is_terminal() && io::stderr().is_terminal();
    let mut view = View::new(args.json, has_bar, io::stdout(), io::stderr());
    let watched = watch(&args, &mut view).await;
    view.close();
    watched
}

async fn watch<O: Write, N: Write>(args: &TrackArgs, view: &mut View<O, N>) -> Result<(), TrackError> {
    let failed = |cause: ClientError| match cause.status() {
        Some(404) => TrackError::NotFound(args.order.clone()),
        _ => TrackError::Client { order_number: args.order.clone(), cause },
    };
    let tracking = TrackingClient::new(args.tracking_url.clone()).map_err(failed)?;
    view.start(&tracking.status(&args.order).await.map_err(failed)?);
    let mut stream = tracking.order_events(&args.order);
    let mut is_interrupted = false;
    loop {
        match next_while_showing(&mut stream, view).await.map_err(failed)? {
            Some(StreamItem::Event(event)) => {
                is_interrupted = false;
                view.change(&event.update, &event.data)?;
                // One of a later version is shown and decides nothing.
                match event.update.new_status.parse::<Status>() {
                    Ok(status) if !status.is_settled() => {}
                    Ok(status) if !status.is_cooked() => {
                        return Err(TrackError::Cancelled(args.order.clone()));
                    }
                    Ok(status) if status.is_final() || args.until == Until::Ready => return Ok(()),
                    Ok(_) | Err(_) => {}
                }
            }
            Some(StreamItem::Connected) => {}
            // An outage is one remark, however many attempts it takes.
            Some(StreamItem::Interrupted(reason)) => {
                if !std::mem::replace(&mut is_interrupted, true) {
                    view.note(&format!("{reason}; trying again"))?;
                }
            }
            Some(StreamItem::Reset) => {
                view.note("the service has lost changes that it had told; here is what it knows now")?;
            }
            None => return Err(TrackError::Ended(args.order.clone())),
        }
    }
}

/// Waits for the next item and keeps the progress bar moving meanwhile.
async fn next_while_showing<O, N>(
    stream: &mut EventStream,
    view: &View<O, N>,
) -> Result<Option<StreamItem>, ClientError> {
    let mut next = pin!(stream.next());
    let mut refresh = interval(REFRESH);
    loop {
        tokio::select! {
            item = &mut next => return item,
            _ = refresh.tick(), if view.bar.is_some() => view.refresh(Timestamp::now()),
        }
    }
}

/// Shows the changes: lines (or JSON) on `out`, remarks on `notes`, and a progress bar below where there is a terminal.
struct View<O, N> {
    out: O,
    notes: N,
    json: bool,
    bar: Option<ProgressBar>,
    status: String,
    since: Option<Timestamp>,
    estimate: Option<Timestamp>,
    /// How many orders were ahead when it was asked for.
    orders_ahead: Option<u64>,
}

impl<O, N> View<O, N> {
    fn new(json: bool, has_bar: bool, out: O, notes: N) -> Self {
        let bar = has_bar.then(|| {
            let style = ProgressStyle::with_template("{bar:40} {msg}")
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(BAR_LENGTH).with_style(style)
        });
        Self { out, notes, json, bar, status: String::new(), since: None, estimate: None, orders_ahead: None }
    }

    /// What is known before the first event.
    fn start(&mut self, status: &StatusAnswer) {
        self.status.clone_from(&status.current_status);
        self.estimate = parse_time(status.estimated_completion.as_deref());
        self.orders_ahead = status.orders_ahead;
    }

    fn refresh(&self, now: Timestamp) {
        let Some(bar) = &self.bar else { return };
        let (position, message) = progress(self.since, self.estimate, now);
        bar.set_position(position);
        bar.set_message(format!("{}{message}", self.status));
    }

    /// Takes the progress bar away.
    fn close(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl<O: Write, N: Write> View<O, N> {
    fn change(&mut self, update: &StatusUpdate, data: &str) -> io::Result<()> {
        self.status.clone_from(&update.new_status);
        self.since = self.since.or(Some(update.timestamp));
        // What was said before holds until the order was ready: one that is recalled begins anew.
        let was_ready = update.old_status.as_deref() == Some(Status::Ready.as_str());
        self.estimate = update.estimated_completion.or(self.estimate.filter(|_| !was_ready));
        self.refresh(Timestamp::now());
        let line = if self.json { data.to_owned() } else { describe(update, self.orders_ahead) };
        print_above(self.bar.as_ref(), &mut self.out, &line)
    }

    fn note(&mut self, text: &str) -> io::Result<()> {
        print_above(self.bar.as_ref(), &mut self.notes, text)
    }
}

/// Prints a line where the progress bar is, which moves down.
fn print_above(bar: Option<&ProgressBar>, out: &mut impl Write, line: &str) -> io::Result<()> {
    let mut print = || writeln!(out, "{line}").and_then(|()| out.flush());
    match bar {
        Some(bar) => bar.suspend(print),
        None => print(),
    }
}

/// One change for people: `12:00:00  cooking    by chef_anna, ready at about 12:00:10`. Times are UTC. Where it waits, how many
/// orders are ahead of it.
fn describe(update: &StatusUpdate, orders_ahead: Option<u64>) -> String {
    let is_waiting = update.new_status == Status::Received.as_str();
    let ahead = match orders_ahead.filter(|_| is_waiting) {
        Some(1) => ", 1 order ahead".to_owned(),
        Some(orders) => format!(", {orders} orders ahead"),
        None => String::new(),
    };
    let estimate = match update.estimated_completion {
        Some(time) if update.new_status.parse().is_ok_and(|status: Status| !status.is_settled()) => {
            format!(", ready at about {}", clock(time))
        }
        _ => String::new(),
    };
    let (time, status, by) = (clock(update.timestamp), &update.new_status, &update.changed_by);
    format!("{time}  {status:<10} by {by}{ahead}{estimate}")
}

fn clock(time: Timestamp) -> String {
    time.strftime("%H:%M:%SZ").to_string()
}

fn parse_time(text: Option<&str>) -> Option<Timestamp> {
    text?.parse().ok()
}

/// How far the way from `since` to `estimate` is gone at `now`, in thousandths, and what to say about the rest.
fn progress(since: Option<Timestamp>, estimate: Option<Timestamp>, now: Timestamp) -> (u64, String) {
    let Some(estimate) = estimate else { return (0, String::new()) };
    let left = now.duration_until(estimate).as_secs_f64();
    if left <= 0.0 {
        return (BAR_LENGTH, ", ready any moment".to_owned());
    }
    let whole = since.unwrap_or(now).duration_until(estimate).as_secs_f64().max(left);
    let gone = (1.0 - left / whole) * BAR_LENGTH as f64;
    (gone as u64, format!(", ready in about {:.0} s", left.ceil()))
}

/// Refuses a slip of the hand before anything is asked.
fn parse_order_number(text: &str) -> Result<String, InvalidOrderNumber> {
    OrderNumber::parse(text).map(|number| number.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::stub::{answer, cut_stream, scripted, status_event};

    const STATUS: &str = r#"{"order_number":"ORD_20261122_001","current_status":"cooking",
        "updated_at":"2026-11-22T12:00:00.000Z","estimated_completion":"2026-11-22T12:00:10.000Z","processed_by":"chef_anna"}"#;

    /// Watches the order on a scripted service; the result with what was printed.
    async fn watch_script(
        answers: Vec<String>,
        until: Until,
        json: bool,
    ) -> (Result<(), TrackError>, String, String) {
        let (tracking_url, _) = scripted(answers).await;
        let args = TrackArgs { order: "ORD_20261122_001".into(), until, json, tracking_url };
        let mut view = View::new(json, false, Vec::new(), Vec::new());
        let result = watch(&args, &mut view).await;
        (result, String::from_utf8(view.out).unwrap(), String::from_utf8(view.notes).unwrap())
    }

    #[tokio::test]
    async fn a_cut_connection_loses_and_repeats_no_change() {
        let (received, cooking) = (status_event(1, "", "received"), status_event(2, "received", "cooking"));
        let (result, out, notes) = watch_script(
            vec![
                answer("200 OK", STATUS),
                cut_stream(&received),
                answer("503 Service Unavailable", "{}"),
                cut_stream(&format!("{cooking}{}", status_event(3, "cooking", "ready"))),
            ],
            Until::Ready,
            false,
        )
        .await;
        result.unwrap();
        assert_eq!(
            out,
            "12:00:00Z  received   by chef_anna, ready at about 12:00:10Z\n\
             12:00:00Z  cooking    by chef_anna, ready at about 12:00:10Z\n\
             12:00:00Z  ready      by chef_anna\n"
        );
        assert_eq!(notes.lines().count(), 1, "{notes}");
    }

    #[tokio::test]
    async fn json_prints_the_data_as_received_until_completed() {
        let events = [status_event(1, "", "received"), status_event(2, "cooking", "ready")].concat();
        let last = status_event(3, "ready", "completed");
        let script = vec![answer("200 OK", STATUS), cut_stream(&format!("{events}{last}"))];
        let (result, out, _) = watch_script(script, Until::Completed, true).await;
        result.unwrap();
        let sent: Vec<_> = [events, last]
            .concat()
            .lines()
            .filter_map(|line| line.strip_prefix("data: ").map(str::to_owned))
            .collect();
        assert_eq!(out.lines().collect::<Vec<_>>(), sent);
    }

    #[tokio::test]
    async fn a_cancelled_and_an_unknown_order_are_failures() {
        let events = [status_event(1, "", "received"), status_event(2, "received", "cancelled")].concat();
        let (result, ..) =
            watch_script(vec![answer("200 OK", STATUS), cut_stream(&events)], Until::Ready, false).await;
        assert_eq!(result.unwrap_err().to_string(), "order ORD_20261122_001 was cancelled");
        let (result, ..) = watch_script(vec![answer("404 Not Found", "{}")], Until::Ready, false).await;
        assert_eq!(result.unwrap_err().to_string(), "there is no order ORD_20261122_001");
    }

    #[tokio::test]
    async fn an_order_that_waits_is_shown_with_its_place_in_the_queue() {
        let status = STATUS.replace("cooking", "received").replace('}', r#","orders_ahead":3}"#);
        let events = [status_event(1, "", "received"), status_event(2, "received", "cooking")].concat();
        let script = vec![
            answer("200 OK", &status),
            cut_stream(&format!("{events}{}", status_event(3, "cooking", "ready"))),
        ];
        let (result, out, _) = watch_script(script, Until::Ready, false).await;
        result.unwrap();
        let ahead = out.lines().map(|line| line.contains(", 3 orders ahead")).collect::<Vec<_>>();
        assert_eq!(ahead, [true, false, false], "{out}");
    }

    #[test]
    fn the_bar_goes_from_the_first_change_to_the_estimate() {
        let at = |second: i64| Some(Timestamp::from_second(1_800_000_000 + second).unwrap());
        let now = |second| at(second).unwrap();
        assert_eq!(progress(at(0), at(10), now(5)), (500, ", ready in about 5 s".to_owned()));
        assert_eq!(progress(at(0), at(10), now(-5)).0, 0);
        assert_eq!(progress(None, at(10), now(4)), (0, ", ready in about 6 s".to_owned()));
        assert_eq!(progress(at(0), at(10), now(12)), (BAR_LENGTH, ", ready any moment".to_owned()));
        assert_eq!(progress(at(0), None, now(1)), (0, String::new()));
    }
}
