//! `completions` and `man`: the files that a package installs beside the program, made from the command line.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, Command};
use clap_complete::{Shell, generate};

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  restaurant-system completions bash > /usr/share/bash-completion/completions/restaurant-system")]
pub(super) struct CompletionsArgs {
    /// The shell to write for
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  restaurant-system man /usr/share/man/man1")]
pub(super) struct ManArgs {
    /// The folder to write the pages to; it is made where it is not there
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

pub(super) fn completions(args: &CompletionsArgs, mut command: Command) -> io::Result<()> {
    let mut script = Vec::new();
    let name = command.get_name().to_owned();
    generate(args.shell, &mut command, name, &mut script);
    io::stdout().lock().write_all(&script)
}

/// Writes a page for the program and one for each command.
pub(super) fn man(args: &ManArgs, command: Command) -> io::Result<()> {
    std::fs::create_dir_all(&args.dir)?;
    clap_mangen::generate_to(command, &args.dir)
}
