//! `restaurant-system board`: the staff's board, for those who live in a shell.
//!
//! `model` is what is known, changed by what the services tell and by `keys`; `view` paints it; `live` and `calls` do the I/O, and
//! `terminal` gives the terminal back.

mod calls;
mod keys;
mod live;
mod model;
mod orders;
mod palette;
#[cfg(test)]
mod pictures;
mod popup;
mod report;
#[cfg(test)]
mod samples;
mod terminal;
mod text;
mod view;
mod workers;

use std::io::{self, IsTerminal};
use std::time::Duration;

use clap::Args;
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;

use self::model::{Board, Told};
use self::palette::Palette;
use super::error::CliError;
use super::{common, place, staff, track};
use crate::client::{BaseUrl, ClientError, OrderClient, TrackingClient};

/// How long the end of a session may take, at the end of the board.
const LOG_OUT_PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  restaurant-system board --staff anna                          asks for the password
  restaurant-system board --staff-token-file /etc/restaurant-system/staff-token
  restaurant-system board --once
  restaurant-system board --json | jq .oldest_waiting_seconds

Keys: ? shows them all. NO_COLOR=1 takes the colours away.

Exit code: 0 when it was ended, by a key or a signal, 1 when a service refused or
could not be reached at the start.")]
pub(super) struct BoardArgs {
    /// The order service; through the gateway that is its address with /api
    #[arg(long, value_name = "URL", env = "RESTAURANT_ORDER_URL", default_value = place::DEFAULT_ORDER_URL)]
    order_url: BaseUrl,

    /// The tracking service; through the gateway that is its address with /api
    #[arg(long, value_name = "URL", env = "RESTAURANT_TRACKING_URL", default_value = track::DEFAULT_TRACKING_URL)]
    tracking_url: BaseUrl,

    /// The account to log in with; the password is the first line of standard input, and is asked for at a terminal
    #[arg(long, value_name = "NAME")]
    staff: Option<String>,

    /// The staff's token, where no account logs in
    #[arg(long, value_name = "FILE", env = "RESTAURANT_STAFF_TOKEN_FILE", value_parser = common::parse_token_file)]
    staff_token_file: Option<SecretString>,

    /// An order that was placed longer ago is late
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1440))]
    late_minutes: u32,

    /// Print the board as tables, once
    #[arg(long)]
    once: bool,

    /// Print the board as one JSON object, once
    #[arg(long)]
    json: bool,
}

/// Why there is no board any more.
#[derive(Debug, thiserror::Error)]
enum BoardError {
    #[error("{0}")]
    Client(#[from] ClientError),
    #[error("the terminal cannot be used: {0}")]
    Terminal(#[from] io::Error),
    #[error("a part of the board has failed; this is a defect of the program")]
    Defect,
}

pub(super) async fn run(args: BoardArgs) -> Result<(), CliError> {
    let is_once = args.once || args.json;
    let has_terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
    if !is_once && !has_terminal {
        let text = "the board wants a terminal; --once prints it as tables, --json as an object";
        return Err(CliError::Usage(text.to_owned()));
    }
    let orders = OrderClient::new(args.order_url.clone()).map_err(CliError::failed)?;
    let mut orders = orders.with_staff_token(args.staff_token_file.clone());
    if let Some(name) = &args.staff {
        let password = staff::read_password().map_err(CliError::failed)?;
        orders = orders.log_in(name, &password).await.map_err(CliError::failed)?;
    }
    let shown = show(&args, orders.clone(), is_once).await;
    if args.staff.is_some() {
        // The session is over by itself, hours later.
        let _ = tokio::time::timeout(LOG_OUT_PATIENCE, orders.log_out()).await;
    }
    shown.map_err(CliError::failed)
}

async fn show(args: &BoardArgs, orders: OrderClient, is_once: bool) -> Result<(), BoardError> {
    let tracking = TrackingClient::new(args.tracking_url.clone())?;
    let tracking = tracking.with_staff_token(orders.staff_token().cloned());
    let late_after = SignedDuration::from_mins(args.late_minutes.into());
    let mut board = Board::new(late_after);
    match calls::list(&tracking).await {
        Ok((orders, is_whole)) => board.tell(Told::Listed { orders, is_whole }, Timestamp::now()),
        // A service that only starts will soon tell.
        Err(ClientError::Problem(problem)) if !is_once && problem.status >= 500 => {}
        // What is wrong from the start is said where it can be read.
        Err(error) => return Err(error.into()),
    }
    if !is_once {
        let has_colours = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        return live::watch(board, orders, tracking, Palette { has_colours }).await;
    }
    board.tell(Told::Workers(Ok(tracking.workers().await?)), Timestamp::now());
    let (mut out, now) = (io::stdout().lock(), Timestamp::now());
    if args.json {
        report::print_json(&board, now, &mut out)?;
    } else {
        report::print_tables(&board, now, &mut out)?;
    }
    Ok(())
}
