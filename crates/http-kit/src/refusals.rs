//! Why requests are answered with 503, for the log: each reason at once, and then so often that a rush does not fill the
//! log with it.

use std::error::Error;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use daemon::ration::Ration;
use daemon::sync::locked;

use super::problem::Problem;

/// A reason is told again after this time, with how many requests it met since.
const PAUSE: Duration = Duration::from_secs(10);
/// So many reasons are told apart; beyond that the one that was told longest ago is forgotten.
const REASONS_MAX: usize = 16;

/// What was told lately, the latest last.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<Vec<Told>>);

#[derive(Debug)]
struct Told {
    /// Without its digits: times and numbers in it make no other reason of it.
    reason: String,
    ration: Ration,
}

impl Refusals {
    /// Logs why a request is refused, unless that was told just now.
    pub(super) fn note(&self, problem: &Problem) {
        let reason = reason(problem);
        if let Some(count) = self.count(&reason, Instant::now()) {
            tracing::warn!(
                action = "requests_refused",
                details = %reason,
                count,
                "answered with 503; further ones for this reason are counted"
            );
        }
    }

    /// How many requests are to be told of, this one included; `None`: not now.
    fn count(&self, reason: &str, now: Instant) -> Option<u64> {
        let mut told = locked(&self.0);
        let Some(index) = told.iter().position(|told| without_digits(reason).eq(told.reason.chars())) else {
            if told.len() >= REASONS_MAX {
                told.remove(0);
            }
            let ration = Ration::new(1, PAUSE);
            let count = ration.next(now);
            told.push(Told { reason: without_digits(reason).collect(), ration });
            return count;
        };
        let count = told[index].ration.next(now)?;
        told[index..].rotate_left(1);
        Some(count)
    }
}

/// The whole chain of causes, where there is one.
fn reason(problem: &Problem) -> std::borrow::Cow<'_, str> {
    let mut cause = problem.source();
    if cause.is_none() {
        return problem.detail().into();
    }
    let mut reason = String::new();
    while let Some(error) = cause {
        if !reason.is_empty() {
            reason.push_str(": ");
        }
        reason.push_str(&error.to_string());
        cause = error.source();
    }
    reason.into()
}

fn without_digits(text: &str) -> impl Iterator<Item = char> {
    text.chars().filter(|c| !c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_told_at_once_and_then_in_pauses_with_how_many_there_were() {
        let (refusals, begun) = (Refusals::default(), Instant::now());
        assert_eq!(refusals.count("away for 1 s", begun), Some(1));
        for second in 1..10 {
            let reason = format!("away for {second} s");
            assert_eq!(refusals.count(&reason, begun + Duration::from_secs(second)), None, "{reason}");
        }
        assert_eq!(refusals.count("full", begun), Some(1), "another reason");
        assert_eq!(refusals.count("away for 10 s", begun + PAUSE), Some(10));
        assert_eq!(refusals.count("away for 11 s", begun + PAUSE), None);
    }

    #[test]
    fn no_more_reasons_are_remembered_than_there_is_room_for() {
        let (refusals, begun) = (Refusals::default(), Instant::now());
        for n in 0..100 {
            let reason = "x".repeat(n);
            assert_eq!(refusals.count(&reason, begun + Duration::from_millis(n as u64)), Some(1));
        }
        assert_eq!(refusals.0.lock().unwrap().len(), REASONS_MAX);
        assert_eq!(refusals.count(&"x".repeat(99), begun + PAUSE / 2), None, "the last is remembered");
    }

    #[test]
    fn the_cause_is_told_where_there_is_one_and_else_what_the_client_is_told() {
        let problem = || Problem::unavailable(Duration::from_secs(1), "not now");
        assert_eq!(reason(&problem()), "not now");
        assert_eq!(reason(&problem().because(std::io::Error::other("the disk is full"))), "the disk is full");
    }
}
