//! `asyncapi`: prints the AsyncAPI document of the messages, made from the code.

use std::io::{self, Write};

use clap::Args;

use crate::broker::asyncapi;

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  restaurant-system asyncapi > restaurant.asyncapi.json")]
pub(super) struct AsyncapiArgs {}

pub(super) fn run() -> io::Result<()> {
    writeln!(io::stdout().lock(), "{:#}", asyncapi())
}
