//! `check-config`: whether a configuration can be used, without starting anything.

use std::io::Write;

use clap::Args;
use daemon::outlet;

use super::common::ConfigArgs;
use super::error::CliError;
use crate::config::Config;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  restaurant-system check-config --config /etc/restaurant-system/config.yaml
  restaurant-system check-config --config config.yaml --without-files     as a build checks it, where no secrets are

Exit codes: 0 it can be used, perhaps with warnings on standard error; 78 it cannot, and every problem is named with its key, file and line.")]
pub(super) struct CheckConfigArgs {
    #[command(flatten)]
    config: ConfigArgs,

    /// Leave alone the files that it names (passwords, certificates, tokens): they are on another machine
    #[arg(long)]
    without_files: bool,
}

/// Checks it, the environment's variables included, as a role would.
pub(super) fn run(args: &CheckConfigArgs) -> Result<(), CliError> {
    let mut sources = args.config.sources();
    sources.without_files = args.without_files;
    let config = Config::load(&sources)?;
    if !args.without_files {
        config.menu()?;
        config.tables()?;
    }
    config.warnings.iter().for_each(|warning| outlet::complain(format_args!("warning: {warning}\n")));
    let file = config.file.as_deref().map_or("no file".into(), |file| file.to_string_lossy());
    writeln!(std::io::stdout().lock(), "{file}: the configuration can be used").map_err(CliError::failed)
}
