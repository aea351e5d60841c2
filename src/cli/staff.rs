//! `staff`: the accounts of those who work here.

use std::io::{self, BufRead, IsTerminal, Write};

use clap::{Args, Subcommand};
use daemon::outlet;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use secrecy::zeroize::Zeroizing;

use super::common::ConfigArgs;
use super::error::CliError;
use crate::config::Config;
use crate::domain::PasswordHash;

/// A password of fewer characters is guessed within the tries that a few addresses have in a day.
const PASSWORD_FEW_CHARS: usize = 8;
/// More is no password that somebody types.
const LINE_MAX_BYTES: usize = 4_096;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  restaurant-system staff hash                                 asks for the password
  restaurant-system staff hash < password-file
  restaurant-system staff list --config /etc/restaurant-system/config.yaml

The file that staff.accounts_file names has an entry for each account:
  - name: anna
    role: kitchen          # or counter, or manager
    password_hash: $argon2id$v=19$m=19456,t=2,p=1$…

The services read it again on SIGHUP. docs/OPERATIONS.md, \"Staff\", has the rights of each role.")]
pub(super) struct StaffArgs {
    #[command(subcommand)]
    command: StaffCommand,
    #[command(flatten)]
    config: ConfigArgs,
}

#[derive(Debug, Subcommand)]
enum StaffCommand {
    /// Print the hash of a password, which is the first line of standard input
    Hash,
    /// List who has which role
    List,
}

pub(super) fn run(args: &StaffArgs) -> Result<(), CliError> {
    let mut stdout = io::stdout().lock();
    match args.command {
        StaffCommand::Hash => {
            let password = read_password().map_err(CliError::failed)?;
            if password.is_empty() {
                return Err(CliError::Usage("a password is expected on standard input".to_owned()));
            }
            if password.chars().count() < PASSWORD_FEW_CHARS {
                outlet::complain(format_args!(
                    "warning: a password of fewer than {PASSWORD_FEW_CHARS} characters is easy to guess\n"
                ));
            }
            // The bytes of a random UUID are a salt that no other hash has.
            let salt = uuid::Uuid::new_v4().into_bytes();
            let hash = PasswordHash::new(&password, salt).map_err(CliError::failed)?;
            writeln!(stdout, "{}", hash.as_str()).map_err(CliError::failed)
        }
        StaffCommand::List => {
            let config = Config::load(&args.config.sources())?;
            for account in config.staff.accounts.iter().flatten() {
                writeln!(stdout, "{}  {}", account.role, account.name).map_err(CliError::failed)?;
            }
            Ok(())
        }
    }
}

/// A line of standard input without its end; at a terminal it is asked for, and not shown.
pub(super) fn read_password() -> io::Result<Zeroizing<String>> {
    let stdin = io::stdin().lock();
    let hidden = if stdin.is_terminal() { Some(HiddenInput::begin()?) } else { None };
    let mut line = Zeroizing::new(String::with_capacity(LINE_MAX_BYTES));
    io::Read::take(stdin, LINE_MAX_BYTES as u64).read_line(&mut line)?;
    drop(hidden);
    let end = line.trim_end_matches(['\n', '\r']).len();
    line.truncate(end);
    Ok(line)
}

/// A terminal that does not show what is typed, until this is dropped.
struct HiddenInput(Termios);

impl HiddenInput {
    fn begin() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut hidden = before.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Flush, &hidden)?;
        outlet::complain(format_args!("password (it is not shown): "));
        outlet::flush_complaints();
        Ok(Self(before))
    }
}

impl Drop for HiddenInput {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
        outlet::complain(format_args!("\n"));
    }
}
