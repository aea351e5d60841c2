//! `restaurant-system doctor`: one page for the moment of trouble.
//!
//! Both servers and systemd are asked at once, each for a few seconds; nothing is changed. Each file judges what one of them
//! has answered, without asking anything itself; `docs/RUNBOOK.md` has a section for each line.

mod check;
mod house;
mod postgres;
mod rabbit;
mod units;
mod view;

use std::io::{self, IsTerminal};
use std::time::Duration;

use amqp::BrokerError;
use clap::Args;
use tokio_util::sync::CancellationToken;

use self::check::{Check, Finding};
use self::rabbit::Queue;
use super::common::{ConfigArgs, Usage, broker_options, store_options};
use super::error::CliError;
use crate::broker::{DEAD_LETTER_QUEUE, Part, kitchen_queues, numbered_slots};
use crate::config::Config;
use crate::store::{Diagnosis, HouseAsked, Schema, Store, StoreError};

/// How long one answer of a server may take.
const ANSWER: Duration = Duration::from_secs(3);
/// RabbitMQ takes 3 s to close a connection with a wrong password, without a word.
const LOGIN: Duration = Duration::from_secs(5);
/// How long all answers of one server may take, of several hosts too.
const PATIENCE: Duration = Duration::from_secs(8);
/// How long the farewell to RabbitMQ may take.
const GOODBYE: Duration = Duration::from_secs(2);

const NO_POSTGRESQL: &str = "PostgreSQL cannot be asked";
const NO_RABBITMQ: &str = "RabbitMQ cannot be asked";
const NO_SCHEMA: &str = "the schema is not what this version needs";

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  restaurant-system doctor
  restaurant-system doctor --json | jq '.checks[] | select(.state != \"ok\")'

Each line is ok, a warning, a PROBLEM, or unknown because something else cannot be asked; docs/RUNBOOK.md has a section for each.
Nothing is changed. It asks with the accounts of the configuration: what those may not read is unknown.

Exit codes: 0 no problem, 1 a problem, 2 wrong usage, 78 unusable configuration.")]
pub(super) struct DoctorArgs {
    /// Print one JSON document
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    config: ConfigArgs,
}

pub(super) async fn run(args: DoctorArgs) -> Result<(), CliError> {
    let config = Config::load(&args.config.sources())?;
    let (postgres, broker, units) = tokio::join!(ask_postgres(&config), ask_rabbit(&config), units::ask());
    let (postgres, house) = match postgres {
        Ok((server, house)) => (Ok(server), house),
        Err(error) => (Err(error), Err(NO_POSTGRESQL.to_owned())),
    };
    let house = house.as_ref().map_err(String::as_str);
    let has_cooks = |of| house.is_ok_and(|asked| house::has_cooks(asked, of));
    let checks = [
        configuration(&config),
        postgres::postgresql(&postgres),
        rabbit::rabbitmq(&broker),
        postgres::schema(&postgres),
        postgres::clock(&postgres),
        rabbit::queues(&broker, has_cooks),
        house::cooks(house),
        house::waiting_orders(house, config.kitchen.promote_after),
        house::outbox(house, config.outbox.max_rows.into(), broker.is_ok()),
        rabbit::dead_letters(&broker, config.rabbitmq.max_dead_letters),
        units::units(&units),
    ];
    let mut out = io::stdout().lock();
    let has_colours = out.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    if args.json { view::json(&mut out, &checks) } else { view::text(&mut out, &checks, has_colours) }
        .map_err(CliError::failed)?;
    if view::is_ok(&checks) { Ok(()) } else { Err(CliError::Logged) }
}

fn configuration(config: &Config) -> Check {
    let mut findings: Vec<Finding> = config
        .warnings
        .iter()
        .map(|warning| {
            Finding::warning(warning.to_string(), "`restaurant-system check-config` shows it again")
        })
        .collect();
    let files = [config.menu().err(), config.tables().err()];
    findings.extend(files.into_iter().flatten().map(|error| {
        Finding::problem(
            error.to_string().trim().replace('\n', "; "),
            "the order service does not start with it: mend that file",
        )
    }));
    let file = config.file.as_deref().map_or("no file".into(), |file| file.to_string_lossy());
    Check::of("configuration", format!("{file}: it can be used"), findings)
}

/// The server, and the house or why that is not known.
async fn ask_postgres(config: &Config) -> Result<(Diagnosis, Result<HouseAsked, String>), StoreError> {
    let mut options = store_options(&config.database, "doctor", Usage::Reader);
    options.server.connect_timeout = options.server.connect_timeout.min(ANSWER);
    options.server.operation_timeout = options.server.operation_timeout.min(ANSWER);
    options.probe_interval = None;
    let end = CancellationToken::new();
    let store = Store::new(options, end.clone())?;
    let asked = tokio::time::timeout(PATIENCE, async {
        let server = store.diagnose().await?;
        let house = match server.schema {
            Schema::Lacks(_) => Err(NO_SCHEMA.to_owned()),
            Schema::Fit { .. } => store.ask_house().await.map_err(|error| error.to_string()),
        };
        Ok((server, house))
    });
    let asked = asked.await;
    end.cancel();
    asked.unwrap_or_else(|_| {
        Err(StoreError::Unavailable { reason: format!("no answer within {} s", PATIENCE.as_secs()) })
    })
}

async fn ask_rabbit(config: &Config) -> Result<rabbit::Broker, BrokerError> {
    let mut options = broker_options(&config.rabbitmq, Part::Onlooker, "doctor");
    options.connect_timeout = options.connect_timeout.min(LOGIN);
    options.operation_timeout = ANSWER;
    options.confirm_timeout = options.confirm_timeout.min(ANSWER);
    // No log: standard output is for the answer.
    let broker = amqp::Broker::start(options);
    let patience = tokio::time::timeout(PATIENCE, ask_connected(&broker));
    let asked = patience
        .await
        .unwrap_or(Err(BrokerError::TimedOut { what: "its state".to_owned(), after: PATIENCE }));
    let _ = tokio::time::timeout(GOODBYE, broker.close()).await;
    asked
}

async fn ask_connected(broker: &amqp::Broker) -> Result<rabbit::Broker, BrokerError> {
    broker.connected_at_once().await?;
    let server = broker.server()?;
    let others = [DEAD_LETTER_QUEUE.to_owned()].into_iter().chain(numbered_slots().take(1));
    let names: Vec<String> = kitchen_queues().into_iter().chain(others).collect();
    let queues = broker
        .count_queues(&names)
        .await
        .map(|counts| names.into_iter().zip(counts).map(|(name, found)| Queue { name, found }).collect());
    Ok(rabbit::Broker { server, queues, takes_messages: broker.takes_messages().await })
}
