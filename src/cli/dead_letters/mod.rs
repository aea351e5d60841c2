//! `restaurant-system dead-letters`: the messages that no worker could process, for the person who decides about them.
//!
//! `work` reads, publishes again and removes letters; `name` names them; `view` prints them.

mod error;
mod name;
mod view;
mod work;

use std::io::{self, IsTerminal, Write};

use amqp::{Broker, DeadLetters};
use clap::{Args, Subcommand};

use self::error::{DeadLettersError, MAX_LOOKED_AT};
use self::work::Done;
use super::common::{ConfigArgs, GOODBYE, broker_options, connected};
use super::error::CliError;
use crate::broker::{DEAD_LETTER_QUEUE, Part};
use crate::config::Config;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  restaurant-system dead-letters list
  restaurant-system dead-letters show 01a20404-9b59-78f4-81f6-68de62886c7c
  restaurant-system dead-letters requeue 01a20404-9b59-78f4-81f6-68de62886c7c
  restaurant-system dead-letters discard --all --yes --json

Exit codes: 0 done, 1 an unknown letter, one that could not be published, or no RabbitMQ, 2 wrong usage, 78 unusable
configuration.")]
pub(super) struct DeadLettersArgs {
    #[command(subcommand)]
    command: DeadLettersCommand,

    /// Print one JSON document
    #[arg(long, global = true)]
    json: bool,

    #[command(flatten)]
    config: ConfigArgs,
}

#[derive(Debug, Subcommand)]
enum DeadLettersCommand {
    /// List them, the oldest first
    #[command(after_help = "\
Example:
  restaurant-system dead-letters list --limit 20 --json

They stay where they are, in their order; RabbitMQ marks those that were looked at as redelivered.")]
    List {
        /// How many to show
        #[arg(long, value_name = "N", default_value_t = 100,
              value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_LOOKED_AT)))]
        limit: u32,
    },
    /// Show the whole of one: properties, headers, reason and body
    #[command(after_help = "\
Example:
  restaurant-system dead-letters show 01a20404-9b59-78f4-81f6-68de62886c7c

The body has the customer's name and address.")]
    Show {
        /// Its id, as `list` has it
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Publish them again as they were first published, for workers that can process them by now
    #[command(
        override_usage = "restaurant-system dead-letters requeue [OPTIONS] <ID>...|--all",
        after_help = "\
Examples:
  restaurant-system dead-letters requeue 01a20404-9b59-78f4-81f6-68de62886c7c
  restaurant-system dead-letters requeue --all

Each is removed from the dead letters only after RabbitMQ has confirmed that it is in a queue. Killed in between, it is
in both: a repeated order message changes nothing."
    )]
    Requeue {
        #[command(flatten)]
        chosen: ChosenArgs,
    },
    /// Remove them for ever
    #[command(
        override_usage = "restaurant-system dead-letters discard [OPTIONS] <ID>...|--all",
        after_help = "\
Examples:
  restaurant-system dead-letters discard 01a20404-9b59-78f4-81f6-68de62886c7c
  restaurant-system dead-letters discard --all --yes"
    )]
    Discard {
        #[command(flatten)]
        chosen: ChosenArgs,

        /// Do not ask before all are removed
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Args)]
struct ChosenArgs {
    /// Their ids, as `list` has them
    #[arg(value_name = "ID", required_unless_present = "all", conflicts_with = "all")]
    ids: Vec<String>,

    /// All that are there when the command starts
    #[arg(long)]
    all: bool,
}

impl ChosenArgs {
    async fn among(&self, letters: &mut DeadLetters) -> Result<work::Chosen, DeadLettersError> {
        match self.all {
            true => Ok(work::Chosen::all(letters).await?),
            false => work::Chosen::pick(letters, &self.ids).await,
        }
    }
}

pub(super) async fn run(args: DeadLettersArgs) -> Result<(), CliError> {
    if let DeadLettersCommand::Discard { chosen: ChosenArgs { all: true, .. }, yes: false } = &args.command
        && !(io::stdin().is_terminal() && io::stderr().is_terminal())
    {
        return Err(CliError::Usage("discarding all wants --yes where nobody can be asked".to_owned()));
    }
    let config = Config::load(&args.config.sources())?;
    // No log: standard output is for the answer, and what goes wrong is the answer's own error.
    let broker = Broker::start(broker_options(&config.rabbitmq, Part::Operator, "dead-letters"));
    let done = execute(&broker, args.command, args.json).await;
    // The publications have been confirmed by now.
    let _ = tokio::time::timeout(GOODBYE, broker.close()).await;
    done.map_err(CliError::failed)
}

async fn execute(broker: &Broker, command: DeadLettersCommand, json: bool) -> Result<(), DeadLettersError> {
    connected(broker).await?;
    let mut letters = broker.dead_letters().await?;
    let mut out = io::stdout();
    match command {
        DeadLettersCommand::List { limit } => {
            let list = work::list(&mut letters, limit).await?;
            letters.close().await?;
            if json { view::json(&mut out, &list) } else { view::list(&mut out, &list) }?;
        }
        DeadLettersCommand::Show { id } => {
            let mut picked = work::Chosen::pick(&mut letters, std::slice::from_ref(&id)).await?;
            while let Some(letter) = picked.next(&mut letters).await? {
                let whole = view::Whole::of(&letter);
                if json { view::json(&mut out, &whole) } else { view::whole(&mut out, &whole) }?;
            }
        }
        DeadLettersCommand::Requeue { chosen } => {
            let chosen = chosen.among(&mut letters).await?;
            report(&mut out, work::requeue(broker, letters, chosen).await, json)?;
        }
        DeadLettersCommand::Discard { chosen, yes } => {
            let is_asked = chosen.all && !yes;
            let chosen = chosen.among(&mut letters).await?;
            if is_asked && chosen.total > 0 && !is_confirmed(chosen.total) {
                return Err(DeadLettersError::Declined);
            }
            report(&mut out, work::discard(letters, chosen).await, json)?;
        }
    }
    Ok(())
}

/// Says what was done, also where not all of it was.
fn report(out: &mut impl Write, done: Done, json: bool) -> Result<(), DeadLettersError> {
    if json { view::json(out, &done.summary) } else { view::summary(out, &done.summary) }?;
    let failed = done.summary.failed.len();
    match done.interrupted {
        Some(error) => Err(error.into()),
        None if failed > 0 => {
            Err(DeadLettersError::NotAll { failed, tried: failed + done.summary.succeeded() })
        }
        None => Ok(()),
    }
}

/// Asks at the terminal. The letters wait meanwhile.
fn is_confirmed(total: u32) -> bool {
    let question = format!("Remove all {total} messages of {DEAD_LETTER_QUEUE} for ever? [y/N] ");
    let mut answer = String::new();
    write!(io::stderr(), "{question}").is_ok()
        && tokio::task::block_in_place(|| io::stdin().read_line(&mut answer)).is_ok()
        && matches!(answer.trim(), "y" | "Y" | "yes")
}
