//! The command line and the configuration, from outside: what it takes, what it refuses, and with which exit code.

mod configuration;
mod menu;
mod modes;
mod packaging;
mod secrets;
mod usage;

use crate::support::{Role, TestEnv};
use std::process::Output;

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

/// Everything that a command wrote.
fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), output.stderr.as_slice()].concat()).into_owned()
}

/// Starts the program with these arguments and variables in the environment's folder, and nothing added.
fn start(env: &TestEnv, args: &[&str], variables: &[(&str, &str)]) -> Role {
    let mut command = env.command(args);
    command.envs(variables.iter().copied());
    Role::spawn(&args.join(" "), command)
}
