//! `restaurant-system dev`: everything at once, for trying it out and for working on it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::Args;
use private_servers::ServerError;

use super::common::number;
use crate::dev::{self, DevError, DevOptions};

/// Run everything at once, with private PostgreSQL and RabbitMQ servers.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  restaurant-system dev
  restaurant-system dev --fresh --cook-seconds 2 --simulate 5
  restaurant-system dev --manual --simulate 1
  restaurant-system dev --workers chef_anna --gateway-port 4080 --order-port 4000 --tracking-port 4002

PostgreSQL and RabbitMQ are run from the installed programs (Debian: apt-get install
postgresql rabbitmq-server), as private servers on free ports of 127.0.0.1, and end with
this command. Its own messages go to standard error, the roles' lines to standard output.")]
pub struct DevArgs {
    /// Folder for data, logs and configuration, kept for the next start.
    #[arg(long, value_name = "DIR", default_value = ".dev")]
    pub state_dir: PathBuf,
    /// Drop the data of earlier starts.
    #[arg(long)]
    pub fresh: bool,
    /// Port of the web gateway, where the pages are.
    #[arg(long, value_name = "PORT", default_value_t = 8080, value_parser = clap::value_parser!(u16).range(1..))]
    pub gateway_port: u16,
    /// Port of the order service.
    #[arg(long, value_name = "PORT", default_value_t = 3000, value_parser = clap::value_parser!(u16).range(1..))]
    pub order_port: u16,
    /// Port of the tracking service.
    #[arg(long, value_name = "PORT", default_value_t = 3002, value_parser = clap::value_parser!(u16).range(1..))]
    pub tracking_port: u16,
    /// Run a station beside the simulated cooks, at which you cook: its pages are in a browser.
    #[arg(long)]
    pub manual: bool,
    /// With --manual, port of the station.
    #[arg(long, value_name = "PORT", default_value_t = 3001, value_parser = clap::value_parser!(u16).range(1..))]
    pub station_port: u16,
    /// Names of the kitchen workers, separated by commas.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', default_value = "chef_anna,chef_mario")]
    pub workers: Vec<String>,
    /// Cooking time of every order in seconds (decimals and 0 allowed) instead of 8 to 12 by its type.
    #[arg(long, value_name = "SECONDS", value_parser = not_negative)]
    pub cook_seconds: Option<f64>,
    /// Have simulated customers place so many orders a second.
    #[arg(long, value_name = "RATE", value_parser = not_negative)]
    pub simulate: Option<f64>,
    /// Log format of all roles: auto, json, journald or pretty.
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<String>,
    /// Log level of all roles: error, warn, info, debug or trace.
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<String>,
}

/// Runs the command until it is asked to stop.
pub async fn run(args: DevArgs) -> Result<(), DevError> {
    let program =
        std::env::current_exe().map_err(ServerError::io("find", Path::new("the running program")))?;
    let flags = [("--log-format", args.log_format), ("--log-level", args.log_level)];
    let role_args = flags.into_iter().filter_map(|(flag, value)| Some([flag.into(), OsString::from(value?)]));
    dev::run(DevOptions {
        program,
        state_dir: args.state_dir,
        fresh: args.fresh,
        gateway_port: args.gateway_port,
        order_port: args.order_port,
        tracking_port: args.tracking_port,
        station_port: args.manual.then_some(args.station_port),
        workers: args.workers,
        cook_seconds: args.cook_seconds,
        simulate_rate: args.simulate,
        role_args: role_args.flatten().collect(),
    })
    .await
}

fn not_negative(text: &str) -> Result<f64, String> {
    number(text, 0.0..=f64::MAX, "must be a number that is not negative, such as 2 or 0.5")
}
