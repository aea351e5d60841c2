//! A line of the page: how something is, and what to do where it is not well.

use std::fmt::Display;
use std::time::Duration;

use serde::Serialize;

/// From the best to the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    Ok,
    /// It could not be asked, which is no fault of its own.
    Unknown,
    /// It works, and should not stay so.
    Warning,
    /// Something does not work.
    Problem,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Check {
    /// Also the name of its section in `docs/RUNBOOK.md`.
    pub(super) name: &'static str,
    pub(super) state: State,
    pub(super) summary: String,
    pub(super) advice: Option<String>,
}

/// Something that is not well, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    state: State,
    summary: String,
    advice: String,
}

impl Finding {
    pub(super) fn warning(summary: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { state: State::Warning, summary: summary.into(), advice: advice.into() }
    }

    pub(super) fn problem(summary: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { state: State::Problem, ..Self::warning(summary, advice) }
    }
}

impl Check {
    /// As bad as the worst that was found; the summary where nothing was.
    pub(super) fn of(name: &'static str, summary: impl Into<String>, mut findings: Vec<Finding>) -> Self {
        // Stable: those of one kind stay in their order.
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.state));
        let Some(worst) = findings.first() else {
            return Self { name, state: State::Ok, summary: summary.into(), advice: None };
        };
        let state = worst.state;
        let all = |part: fn(&Finding) -> &str| {
            let mut parts: Vec<&str> = findings.iter().map(part).collect();
            parts.dedup();
            parts.join("; ")
        };
        Self { name, state, summary: all(|f| &f.summary), advice: Some(all(|f| &f.advice)) }
    }

    pub(super) fn unknown(name: &'static str, why: impl Display) -> Self {
        Self { name, state: State::Unknown, summary: format!("not known: {why}"), advice: None }
    }
}

/// `45 s`, `12 min`, `3 h`, `2 days`.
pub(super) fn age(duration: Duration) -> String {
    match duration.as_secs() {
        s if s < 120 => format!("{s} s"),
        s if s < 120 * 60 => format!("{} min", s / 60),
        s if s < 48 * 3600 => format!("{} h", s / 3600),
        s => format!("{} days", s / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_as_bad_as_the_worst_that_was_found_and_says_all_of_it() {
        let found = vec![Finding::warning("a", "mend a"), Finding::problem("b", "mend b")];
        let check = Check::of("queues", "well", found);
        assert_eq!((check.state, check.summary.as_str()), (State::Problem, "b; a"));
        assert_eq!(check.advice.as_deref(), Some("mend b; mend a"));
        assert_eq!(Check::of("queues", "well", Vec::new()).state, State::Ok);
    }

    #[test]
    fn an_age_has_the_unit_that_a_person_would_take() {
        let ages = [0, 119, 120, 7199, 7200, 172_800].map(|s| age(Duration::from_secs(s)));
        assert_eq!(ages, ["0 s", "119 s", "2 min", "119 min", "2 h", "2 days"]);
    }
}
