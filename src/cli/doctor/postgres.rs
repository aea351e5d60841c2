//! PostgreSQL, its schema and its clock.

use std::time::Duration;

use super::check::{Check, Finding};
use crate::store::{Commit, Diagnosis, Schema, StoreError};

/// Estimates and ages are wrong by as much as the clocks of the machines differ.
const CLOCK_SKEW: Duration = Duration::from_secs(2);
/// Each order waits for a commit. A disk takes some ms for one, a synchronous standby some more.
const SLOW_COMMIT: Duration = Duration::from_millis(500);

const AWAY: &str = "see whether it runs (systemctl status postgresql; pg_isready -h HOST -p PORT), then compare database.host, \
                    database.user and the password with the server's log";
const MIGRATE: &str = "run `restaurant-system migrate` as the owner of the tables";

pub(super) fn postgresql(asked: &Result<Diagnosis, StoreError>) -> Check {
    let server = match asked {
        Ok(server) => server,
        Err(error) => return Check::of("postgresql", "", vec![Finding::problem(said(error), AWAY)]),
    };
    let mut findings = Vec::new();
    if server.is_standby {
        let advice = "promote it (pg_ctl promote), or name the primary in database.host";
        findings
            .push(Finding::problem("no primary answers: this is a standby, which takes no orders", advice));
    }
    if server.is_read_only {
        let advice = "take default_transaction_read_only back from the database and the account (alter database … reset, alter \
                      role … reset)";
        findings.push(Finding::problem("it is set read-only, and takes no orders", advice));
    }
    match server.commit {
        Commit::Stuck => findings.push(Finding::problem(
            "a write is not committed: a disk hangs, or a synchronous standby is away",
            "look at the disk (iostat -x 1, dmesg) and at pg_stat_replication; synchronous_standby_names without the standby \
             that is away lets commits through",
        )),
        Commit::Took(time) if time > SLOW_COMMIT => findings.push(Finding::warning(
            format!("a commit takes {} ms", time.as_millis()),
            "look at what the disk does (iostat -x 1) and at pg_stat_activity; each order waits for it",
        )),
        Commit::Took(_) | Commit::Refused => {}
    }
    let durability = server.warnings.iter().map(|text| text.split_once("; set ").unwrap_or((text, "")));
    findings.extend(durability.map(|(text, set)| Finding::warning(text, format!("set {set}"))));
    let committed = match server.commit {
        Commit::Took(time) => format!(", commits in {} ms", time.as_millis()),
        Commit::Stuck | Commit::Refused => String::new(),
    };
    Check::of("postgresql", format!("PostgreSQL {}{committed}", server.version), findings)
}

/// Without how the pool came by it: the server's own words are what helps.
fn said(error: &StoreError) -> String {
    let text = error.to_string();
    match (text.split_once(": "), text.rsplit_once("db error: ")) {
        (Some((what, _)), Some((_, words))) => format!("{what}: {words}"),
        _ => text,
    }
}

pub(super) fn schema(asked: &Result<Diagnosis, StoreError>) -> Check {
    match asked.as_ref().map(|server| &server.schema) {
        Err(_) => Check::unknown("schema", super::NO_POSTGRESQL),
        Ok(Schema::Lacks(lacking)) => {
            let summary = format!("not what this version needs: {lacking}");
            Check::of("schema", "", vec![Finding::problem(summary, MIGRATE)])
        }
        Ok(Schema::Fit { version, is_later: false }) => {
            Check::of("schema", format!("V{version}"), Vec::new())
        }
        Ok(Schema::Fit { version, is_later: true }) => {
            Check::of("schema", format!("V{version}, of a later version of the program"), Vec::new())
        }
    }
}

pub(super) fn clock(asked: &Result<Diagnosis, StoreError>) -> Check {
    let Ok(server) = asked else { return Check::unknown("clock", super::NO_POSTGRESQL) };
    let skew = Duration::from_millis(server.clock_ahead_ms.unsigned_abs());
    let side = if server.clock_ahead_ms < 0 { "behind" } else { "ahead of" };
    let summary = format!("PostgreSQL's is {} ms {side} this machine's", skew.as_millis());
    if skew < CLOCK_SKEW {
        return Check::of("clock", summary, Vec::new());
    }
    let advice = "see which of the two machines is not synchronised (timedatectl; chronyc tracking)";
    Check::of("clock", "", vec![Finding::warning(summary, advice)])
}

#[cfg(test)]
mod tests {
    use super::super::check::State;
    use super::*;

    fn well() -> Diagnosis {
        Diagnosis {
            version: "17.5".to_owned(),
            is_standby: false,
            is_read_only: false,
            warnings: Vec::new(),
            clock_ahead_ms: 3,
            commit: Commit::Took(Duration::from_millis(4)),
            schema: Schema::Fit { version: 23, is_later: false },
        }
    }

    #[test]
    fn a_server_that_commits_is_well() {
        let check = postgresql(&Ok(well()));
        assert_eq!((check.state, check.summary.as_str()), (State::Ok, "PostgreSQL 17.5, commits in 4 ms"));
    }

    #[test]
    fn what_keeps_orders_from_being_written_is_a_problem_and_what_slows_them_a_warning() {
        for (server, state) in [
            (Diagnosis { is_standby: true, commit: Commit::Refused, ..well() }, State::Problem),
            (Diagnosis { is_read_only: true, ..well() }, State::Problem),
            (Diagnosis { commit: Commit::Stuck, ..well() }, State::Problem),
            (Diagnosis { commit: Commit::Took(Duration::from_millis(900)), ..well() }, State::Warning),
            (Diagnosis { warnings: vec!["fsync is off; set fsync = on"], ..well() }, State::Warning),
        ] {
            let check = postgresql(&Ok(server.clone()));
            assert_eq!(check.state, state, "{server:?}");
            assert!(check.advice.is_some());
        }
    }

    #[test]
    fn clocks_that_differ_by_two_seconds_are_told_of() {
        for (clock_ahead_ms, state) in
            [(1999, State::Ok), (2000, State::Warning), (-1999, State::Ok), (-5000, State::Warning)]
        {
            assert_eq!(clock(&Ok(Diagnosis { clock_ahead_ms, ..well() })).state, state, "{clock_ahead_ms}");
        }
    }

    #[test]
    fn a_schema_that_lacks_a_migration_is_a_problem_and_a_later_one_is_not() {
        let later = Schema::Fit { version: 30, is_later: true };
        let lacking = Schema::Lacks("V23__the_intake is not applied".to_owned());
        for (found, state) in [(later, State::Ok), (lacking, State::Problem)] {
            assert_eq!(schema(&Ok(Diagnosis { schema: found, ..well() })).state, state);
        }
    }

    #[test]
    fn without_the_server_the_rest_is_unknown_and_no_fault_of_its_own() {
        let reason = "creating: db error: db error: FATAL: password authentication failed".to_owned();
        let away = Err(StoreError::Unavailable { reason });
        let check = postgresql(&away);
        assert_eq!(check.state, State::Problem);
        assert_eq!(check.summary, "PostgreSQL is not available: FATAL: password authentication failed");
        assert_eq!((schema(&away).state, clock(&away).state), (State::Unknown, State::Unknown));
    }
}
