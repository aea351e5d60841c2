//! The command line: one binary, a subcommand for each role (contract, section 1).

mod asyncapi;
mod board;
mod check_config;
mod common;
mod dead_letters;
pub mod dev;
mod doctor;
mod error;
mod manual;
mod menu;
mod mode;
mod openapi;
pub mod place;
mod queues;
mod roles;
pub mod simulate;
mod staff;
pub mod track;

use std::ffi::OsString;

use clap::{CommandFactory, Parser, Subcommand};
use daemon::exit::ExitCode;
use daemon::outlet;

pub use error::CliError;

/// The program's own threads have it too.
pub use daemon::THREAD_STACK_BYTES;

const EXAMPLES: &str = "\
Examples:
  restaurant-system dev                                       everything at once, on this machine
  restaurant-system order-service --port 3000
  restaurant-system kitchen-worker --worker-name chef_anna --order-types dine_in,takeout
  restaurant-system place --customer 'Ada Lovelace' --type takeout --item 'Margherita Pizza:1:15.99' --track
  restaurant-system --mode=tracking-service --port=3002       the original's spelling of a role

Exit codes: 0 asked to stop and did, 1 a failure at run time, 2 wrong usage, 78 unusable configuration.";

/// A distributed restaurant order management system.
#[derive(Debug, Parser)]
#[command(name = "restaurant-system", version, after_help = EXAMPLES, subcommand_required = true, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Take orders over HTTP
    OrderService(roles::OrderServiceArgs),
    /// Cook orders
    KitchenWorker(roles::KitchenWorkerArgs),
    /// Answer where orders are, over HTTP
    TrackingService(roles::TrackingServiceArgs),
    /// Print every change of an order
    NotificationSubscriber(roles::NotificationSubscriberArgs),
    /// Serve the pages for customers and staff
    WebGateway(roles::WebGatewayArgs),
    /// Bring the database's schema up to date
    Migrate(roles::MigrateArgs),
    /// Say whether a configuration can be used
    CheckConfig(check_config::CheckConfigArgs),
    /// Say what is well and what is not, and what to do
    Doctor(doctor::DoctorArgs),
    /// Print the OpenAPI document of a service
    Openapi(openapi::OpenapiArgs),
    /// Print the AsyncAPI document of the messages
    Asyncapi(asyncapi::AsyncapiArgs),
    /// Print the completions for a shell
    Completions(manual::CompletionsArgs),
    /// Write the manual pages
    Man(manual::ManArgs),
    /// Hash passwords of the staff, and list who works here
    Staff(staff::StaffArgs),
    /// Check a menu, and put it in force
    Menu(menu::MenuArgs),
    /// Look at what no worker could process, and decide what becomes of it
    DeadLetters(dead_letters::DeadLettersArgs),
    /// See whether the queues on RabbitMQ are as they should be, and make them so
    Queues(queues::QueuesArgs),
    /// Run everything at once, with private PostgreSQL and RabbitMQ servers
    Dev(dev::DevArgs),
    /// Place an order
    Place(place::PlaceArgs),
    /// Follow an order
    Track(track::TrackArgs),
    /// Watch the orders and move them on, in a terminal
    Board(board::BoardArgs),
    /// Let simulated customers place orders
    Simulate(simulate::SimulateArgs),
}

/// Parses the command line, runs the command to its end, and says how that was.
pub async fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(mode::as_subcommand(args)) {
        Ok(cli) => cli,
        Err(error) => {
            // `--help` and `--version` come here as well, and are no failures.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::Usage } else { ExitCode::Ok };
        }
    };
    let code = match execute(cli.command).await {
        Ok(()) => ExitCode::Ok,
        Err(error) => {
            if !matches!(error, CliError::Logged) {
                outlet::complain(format_args!("error: {error}\n"));
            }
            error.exit_code()
        }
    };
    // Nobody may read standard error; the exit code says it too.
    outlet::flush_complaints();
    code
}

async fn execute(command: Command) -> Result<(), CliError> {
    match command {
        Command::OrderService(args) => roles::order_service(args).await,
        Command::KitchenWorker(args) => roles::kitchen_worker(args).await,
        Command::TrackingService(args) => roles::tracking_service(args).await,
        Command::NotificationSubscriber(args) => roles::notification_subscriber(args).await,
        Command::WebGateway(args) => roles::web_gateway(args).await,
        Command::Migrate(args) => roles::migrate(args).await,
        Command::Openapi(args) => openapi::run(&args).map_err(CliError::failed),
        Command::Asyncapi(_) => asyncapi::run().map_err(CliError::failed),
        Command::CheckConfig(args) => check_config::run(&args),
        Command::Doctor(args) => doctor::run(args).await,
        Command::Completions(args) => manual::completions(&args, Cli::command()).map_err(CliError::failed),
        Command::Man(args) => manual::man(&args, Cli::command()).map_err(CliError::failed),
        Command::Staff(args) => staff::run(&args),
        Command::Menu(args) => menu::run(&args).await,
        Command::DeadLetters(args) => dead_letters::run(args).await,
        Command::Queues(args) => queues::run(args).await,
        Command::Dev(args) => dev::run(args).await.map_err(CliError::failed),
        Command::Place(args) => place::run(args).await.map_err(CliError::failed),
        Command::Track(args) => track::run(args).await.map_err(CliError::failed),
        Command::Board(args) => board::run(args).await,
        Command::Simulate(args) => simulate::run(args).await.map_err(CliError::failed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_an_example_in_its_help() {
        for command in Cli::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("restaurant-system"), "{} has none", command.get_name());
        }
    }
}
