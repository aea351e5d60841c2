//! The original's spelling of a role: `--mode=order-service` in place of the subcommand.

use std::ffi::{OsStr, OsString};

/// Puts the role that `--mode=ROLE` or `--mode ROLE` names where the subcommand belongs, where a name that is none is
/// refused by name. Every other command line is left as it is.
pub(super) fn as_subcommand(args: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut args: Vec<OsString> = args.into_iter().collect();
    // After a subcommand `--mode` would be that command's own.
    let first_is_flag = args.get(1).and_then(|a| a.to_str()).is_some_and(|a| a.starts_with('-'));
    if !first_is_flag {
        return args;
    }
    let Some(at) = args.iter().position(|a| a == "--mode" || inline_mode(a).is_some()) else { return args };
    let inline = inline_mode(&args[at]).map(OsString::from);
    let separate = || args.get(at + 1).cloned();
    let words = if inline.is_some() { 1 } else { 2 };
    let Some(mode) = inline.or_else(separate).filter(|mode| is_word(mode)) else { return args };
    args.drain(at..at + words);
    args.insert(1, mode);
    args
}

fn is_word(mode: &OsStr) -> bool {
    mode.to_str().is_some_and(|mode| !mode.is_empty() && !mode.starts_with('-'))
}

fn inline_mode(arg: &OsStr) -> Option<&str> {
    arg.to_str()?.strip_prefix("--mode=")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(line: &str) -> String {
        let args = line.split(' ').map(OsString::from);
        as_subcommand(args).iter().map(|a| a.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_originals_command_lines_become_subcommands() {
        for (original, ours) in [
            ("rs --mode=order-service --port=3000", "rs order-service --port=3000"),
            ("rs --port=3000 --mode=order-service", "rs order-service --port=3000"),
            ("rs --mode kitchen-worker --worker-name=chef_anna", "rs kitchen-worker --worker-name=chef_anna"),
            ("rs --mode=tracking-service", "rs tracking-service"),
            ("rs --mode=notification-subscriber", "rs notification-subscriber"),
            ("rs --port 1 --mode cook", "rs cook --port 1"),
        ] {
            assert_eq!(rewritten(original), ours);
        }
    }

    #[test]
    fn everything_else_is_left_alone() {
        for line in [
            "rs",
            "rs --help",
            "rs order-service --port 1",
            "rs --mode",
            "rs --mode= --port 1",
            "rs --mode --help",
            "rs track --mode=order-service",
        ] {
            assert_eq!(rewritten(line), line);
        }
    }
}
