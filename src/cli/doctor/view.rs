//! The page, for a person or a program.

use std::io::{self, Write};

use serde::Serialize;

use super::check::{Check, State};

#[derive(Serialize)]
struct Report<'a> {
    ok: bool,
    checks: &'a [Check],
}

pub(super) fn is_ok(checks: &[Check]) -> bool {
    checks.iter().all(|check| check.state != State::Problem)
}

pub(super) fn json(out: &mut impl Write, checks: &[Check]) -> io::Result<()> {
    serde_json::to_writer(&mut *out, &Report { ok: is_ok(checks), checks })?;
    writeln!(out)
}

pub(super) fn text(out: &mut impl Write, checks: &[Check], has_colours: bool) -> io::Result<()> {
    let width = checks.iter().map(|check| check.name.len()).max().unwrap_or_default();
    for Check { name, state, summary, advice } in checks {
        let (word, colour) = match state {
            State::Ok => ("ok     ", "32"),
            State::Unknown => ("unknown", "2"),
            State::Warning => ("warning", "33"),
            State::Problem => ("PROBLEM", "1;31"),
        };
        let word = if has_colours { format!("\x1b[{colour}m{word}\x1b[0m") } else { word.to_owned() };
        writeln!(out, "{word}  {name:width$}  {summary}")?;
        if let Some(advice) = advice {
            writeln!(out, "         {:width$}  → {advice}", "")?;
        }
    }
    Ok(())
}
