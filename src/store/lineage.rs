//! Which of several servers is the one that writes belong to, and which one reads make do with while that is away.
//!
//! A standby that is promoted begins a timeline of its own, with the next higher number. A primary that comes back afterwards
//! still takes writes on the timeline before: what it takes, the other never hears of. So the highest timeline of the
//! cluster counts, and whoever takes writes on a lower one is refused. A cluster is known by the identifier that it got from
//! `initdb`, which its standbys share.

use std::cmp::Reverse;
use std::fmt;

/// What a server says of itself; one row of text.
pub(super) const WHO_ARE_YOU: &str = "
select current_setting('transaction_read_only') = 'off' as takes_writes, pg_is_in_recovery() as is_standby,
       (select system_identifier from pg_control_system()) as cluster,
       case when pg_is_in_recovery()
            then greatest((select timeline_id from pg_control_checkpoint()),
                          (select min_recovery_end_timeline from pg_control_recovery()),
                          (select received_tli from pg_stat_wal_receiver))
            else ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int end as timeline,
       pg_postmaster_start_time() as started_at";

/// The same of one that does not know what all of that means.
pub(super) const DO_YOU_TAKE_WRITES: &str =
    "select current_setting('transaction_read_only') = 'off' as takes_writes";

/// A server, by its own word. What a standby says of its timeline may be behind by some minutes: where it got to is for
/// superusers to know, and the rest it writes down now and then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Server {
    /// No standby, and for whoever writes not read-only otherwise.
    pub(super) takes_writes: bool,
    /// Its and its standbys' identifier.
    pub(super) cluster: String,
    /// The part of the cluster's history that it writes or follows.
    pub(super) timeline: i64,
    /// Tells two servers from one that is reached in two ways.
    pub(super) started_at: String,
}

/// What a look at one host has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Look {
    /// It has not answered yet.
    Pending,
    /// It cannot be used, for this reason.
    Away(String),
    /// It takes no connection now, because it has no more of them.
    Full,
    /// It takes writes, and cannot say more: something that speaks like PostgreSQL.
    Nameless,
    /// It is this one.
    Is(Server),
}

/// What was used before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) cluster: String,
    /// The highest that was seen.
    pub(super) timeline: i64,
}

/// What follows from the looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It depends on those that have not answered.
    Wait,
    /// This host is the one.
    Use(usize),
    /// None of them takes writes.
    Nobody,
    /// Some take writes, and none of them may be used.
    Refuse(String),
}

impl Known {
    /// Whether a server is the one that was used, or one that was promoted since.
    pub(super) fn is_continued_by(&self, server: &Server) -> bool {
        server.cluster == self.cluster && server.timeline >= self.timeline
    }
}

impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "timeline {} of cluster {}", self.timeline, self.cluster)
    }
}

/// Decides between the hosts, which `names` has in the order of `looks`; `last` is the one that was used last.
pub(super) fn decide(
    known: Option<&Known>,
    last: Option<usize>,
    looks: &[Look],
    names: &[String],
) -> Verdict {
    let writers: Vec<(usize, &Server)> = servers(looks).filter(|(_, server)| server.takes_writes).collect();
    // A timeline that began since leaves no question, whoever does not answer: the others are behind it.
    if let Some(known) = known
        && let Some((at, _)) = writers
            .iter()
            .filter(|(_, server)| server.cluster == known.cluster && server.timeline > known.timeline)
            .max_by_key(|(_, server)| server.timeline)
    {
        return Verdict::Use(*at);
    }
    if looks.contains(&Look::Pending) {
        return Verdict::Wait;
    }
    // It may be the one, and will have room again.
    if looks.contains(&Look::Full) {
        return Verdict::Nobody;
    }
    let Some((_, first)) = writers.first() else {
        let nameless = |at: &usize| looks.get(*at) == Some(&Look::Nameless);
        let found = last.into_iter().chain(0..looks.len()).find(nameless);
        return found.map_or(Verdict::Nobody, Verdict::Use);
    };
    let cluster = known.map_or(first.cluster.as_str(), |known| known.cluster.as_str());
    if let Some((at, other)) = writers.iter().find(|(_, server)| server.cluster != cluster) {
        let text = match known {
            Some(known) => foreign(&names[*at], other, known),
            None => format!(
                "{} and {} belong to different clusters ({cluster}, {}), and both take writes: configure the hosts of one",
                names[writers[0].0], names[*at], other.cluster
            ),
        };
        if known.is_none() || writers.iter().all(|(_, server)| server.cluster != cluster) {
            return Verdict::Refuse(text);
        }
    }
    choose(known, last, looks, names, cluster)
}

/// Between those that take writes and belong to one cluster.
fn choose(
    known: Option<&Known>,
    last: Option<usize>,
    looks: &[Look],
    names: &[String],
    cluster: &str,
) -> Verdict {
    let of_cluster: Vec<(usize, &Server)> =
        servers(looks).filter(|(_, server)| server.cluster == cluster).collect();
    let highest = of_cluster.iter().map(|(_, server)| server.timeline).chain(known.map(|k| k.timeline)).max();
    let writers = || of_cluster.iter().filter(|(_, server)| server.takes_writes);
    let on_highest: Vec<_> = writers().filter(|(_, server)| Some(server.timeline) == highest).collect();
    let Some((first, server)) = on_highest.first() else {
        return writers().next().map_or(Verdict::Nobody, |(at, server)| {
            Verdict::Refuse(left_behind(&names[*at], server, highest.unwrap_or(server.timeline)))
        });
    };
    if let Some((at, _)) = on_highest.iter().find(|(at, _)| Some(*at) == last) {
        return Verdict::Use(*at);
    }
    match on_highest.iter().find(|(_, other)| other.started_at != server.started_at) {
        None => Verdict::Use(*first),
        Some((other, _)) => Verdict::Refuse(format!(
            "{} and {} both take writes on timeline {}: stop the one that was promoted by mistake",
            names[*first], names[*other], server.timeline
        )),
    }
}

/// Decides for somebody who only reads: the server that writes belong to where there is one, else the standby of its cluster
/// that has come furthest. Its timeline may be lower than what is known, since it says so late; but none that a server which
/// takes writes is on or beyond, from which it may have been left behind.
pub(super) fn decide_for_reader(
    known: Option<&Known>,
    last: Option<usize>,
    looks: &[Look],
    names: &[String],
) -> Verdict {
    let verdict = decide(known, last, looks, names);
    if matches!(verdict, Verdict::Use(_) | Verdict::Wait) {
        return verdict;
    }
    let Some((first, server)) = servers(looks).next() else { return verdict };
    let cluster = known.map_or(server.cluster.as_str(), |known| known.cluster.as_str());
    let of_cluster = || servers(looks).filter(|(_, server)| server.cluster == cluster);
    let left_behind = of_cluster().filter(|(_, server)| server.takes_writes).map(|(_, s)| s.timeline).max();
    let standbys = of_cluster().filter(|(_, server)| {
        !server.takes_writes && left_behind.is_none_or(|timeline| server.timeline > timeline)
    });
    let best = standbys.max_by_key(|(at, server)| (server.timeline, Some(*at) == last, Reverse(*at)));
    let foreign_one = servers(looks).find(|(_, server)| server.cluster != cluster);
    match (known, best, foreign_one) {
        (None, _, Some((at, other))) => Verdict::Refuse(format!(
            "{} and {} belong to different clusters ({cluster}, {}): configure the hosts of one",
            names[first], names[at], other.cluster
        )),
        (_, Some((at, _)), _) => Verdict::Use(at),
        (Some(known), None, Some((at, other))) if verdict == Verdict::Nobody => {
            Verdict::Refuse(foreign(&names[at], other, known))
        }
        _ => verdict,
    }
}

/// Why a host that takes writes is not used although another is; `None` where it may be the same server.
pub(super) fn refusal(name: &str, server: &Server, used: &Known) -> Option<String> {
    if server.cluster != used.cluster {
        return Some(foreign(name, server, used));
    }
    (server.timeline < used.timeline).then(|| left_behind(name, server, used.timeline))
}

fn foreign(name: &str, server: &Server, known: &Known) -> String {
    format!(
        "{name} belongs to cluster {}, not to {} as what was used before: configure the hosts of one cluster, and restart",
        server.cluster, known.cluster
    )
}

fn left_behind(name: &str, server: &Server, highest: i64) -> String {
    format!(
        "{name} takes writes on timeline {}, but the cluster is on timeline {highest}: it is an old primary, which a standby \
         has replaced; stop it, and make it a standby (pg_rewind)",
        server.timeline
    )
}

fn servers(looks: &[Look]) -> impl Iterator<Item = (usize, &Server)> {
    looks.iter().enumerate().filter_map(|(at, look)| match look {
        Look::Is(server) => Some((at, server)),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(takes_writes: bool, cluster: &str, timeline: i64, started_at: &str) -> Look {
        let (cluster, started_at) = (cluster.to_owned(), started_at.to_owned());
        Look::Is(Server { takes_writes, cluster, timeline, started_at })
    }

    fn primary(timeline: i64) -> Look {
        server(true, "7001", timeline, &format!("start {timeline}"))
    }

    fn standby(timeline: i64) -> Look {
        server(false, "7001", timeline, "standby")
    }

    fn verdict(known: Option<i64>, last: Option<usize>, looks: &[Look]) -> Verdict {
        let known = known.map(|timeline| Known { cluster: "7001".to_owned(), timeline });
        let names: Vec<String> = (0..looks.len()).map(|at| format!("host{at}")).collect();
        decide(known.as_ref(), last, looks, &names)
    }

    /// Of one that only reads.
    fn reads(known: Option<i64>, last: Option<usize>, looks: &[Look]) -> Verdict {
        let known = known.map(|timeline| Known { cluster: "7001".to_owned(), timeline });
        let names: Vec<String> = (0..looks.len()).map(|at| format!("host{at}")).collect();
        decide_for_reader(known.as_ref(), last, looks, &names)
    }

    #[test]
    fn who_reads_prefers_the_one_that_takes_writes_and_makes_do_with_a_standby() {
        assert_eq!(reads(None, None, &[standby(1), primary(1)]), Verdict::Use(1));
        assert_eq!(reads(Some(1), Some(0), &[standby(1), primary(1)]), Verdict::Use(1));
        assert_eq!(reads(None, None, &[away(), standby(1)]), Verdict::Use(1));
        assert_eq!(reads(None, None, &[Look::Full, standby(1)]), Verdict::Use(1));
        assert_eq!(reads(None, None, &[Look::Pending, standby(1)]), Verdict::Wait);
        assert_eq!(reads(None, None, &[away(), away()]), Verdict::Nobody);
    }

    #[test]
    fn of_several_standbys_the_one_that_came_furthest_is_read_and_else_the_one_of_before() {
        assert_eq!(reads(None, None, &[standby(1), standby(2)]), Verdict::Use(1));
        assert_eq!(reads(Some(1), None, &[standby(1), standby(1)]), Verdict::Use(0));
        assert_eq!(reads(Some(1), Some(1), &[standby(1), standby(1)]), Verdict::Use(1));
    }

    #[test]
    fn a_standby_that_says_late_where_it_is_is_read_and_one_of_an_old_primary_is_not() {
        assert_eq!(reads(Some(2), Some(0), &[away(), standby(1)]), Verdict::Use(1));
        assert_eq!(reads(Some(2), None, &[primary(1), standby(2)]), Verdict::Use(1));
        assert_eq!(reads(None, None, &[primary(1), standby(2)]), Verdict::Use(1));
        assert!(matches!(reads(Some(2), None, &[primary(1), standby(1)]), Verdict::Refuse(_)));
        let both = [server(true, "7001", 2, "then"), server(true, "7001", 2, "later"), standby(2)];
        assert!(matches!(reads(None, None, &both), Verdict::Refuse(_)), "nobody knows whose standby it is");
    }

    #[test]
    fn a_standby_of_another_cluster_is_not_read() {
        let other = server(false, "7002", 9, "then");
        assert!(matches!(reads(Some(1), None, &[away(), other.clone()]),
            Verdict::Refuse(text) if text.contains("7001") && text.contains("7002")));
        assert!(matches!(reads(None, None, &[standby(1), other.clone()]),
            Verdict::Refuse(text) if text.contains("7001") && text.contains("7002")));
        assert_eq!(reads(Some(1), None, &[other, standby(1)]), Verdict::Use(1));
    }

    fn away() -> Look {
        Look::Away("connection refused".to_owned())
    }

    #[test]
    fn the_one_that_takes_writes_is_used() {
        assert_eq!(verdict(None, None, &[standby(1), primary(1)]), Verdict::Use(1));
        assert_eq!(verdict(None, None, &[away(), primary(3)]), Verdict::Use(1));
        assert_eq!(verdict(Some(1), Some(0), &[primary(1), standby(1)]), Verdict::Use(0));
        assert_eq!(verdict(None, None, &[standby(1), away()]), Verdict::Nobody);
    }

    #[test]
    fn an_old_primary_is_passed_over_wherever_it_stands() {
        for known in [None, Some(1), Some(2)] {
            assert_eq!(verdict(known, Some(0), &[primary(1), primary(2)]), Verdict::Use(1));
            assert_eq!(verdict(known, None, &[primary(2), primary(1)]), Verdict::Use(0));
        }
    }

    #[test]
    fn an_old_primary_is_refused_while_the_new_one_is_away() {
        for looks in [[primary(1), away()], [primary(1), standby(2)]] {
            let Verdict::Refuse(text) = verdict(Some(2), None, &looks) else {
                panic!("{looks:?} is not refused")
            };
            assert!(
                text.contains("host0 takes writes on timeline 1") && text.contains("timeline 2"),
                "{text}"
            );
        }
        // A standby that followed the new one tells a fresh process as well.
        assert!(matches!(verdict(None, None, &[primary(1), standby(2)]), Verdict::Refuse(_)));
    }

    #[test]
    fn a_fresh_process_waits_for_all_to_answer_and_one_that_knows_a_lower_timeline_does_not() {
        assert_eq!(verdict(None, None, &[primary(2), Look::Pending]), Verdict::Wait);
        assert_eq!(verdict(Some(2), None, &[primary(2), Look::Pending]), Verdict::Wait);
        assert_eq!(verdict(Some(1), None, &[primary(2), Look::Pending]), Verdict::Use(0));
    }

    #[test]
    fn one_that_has_no_connection_left_may_be_the_one() {
        assert_eq!(verdict(None, None, &[primary(1), Look::Full]), Verdict::Nobody);
        assert_eq!(verdict(Some(1), None, &[Look::Full, primary(2)]), Verdict::Use(1));
    }

    #[test]
    fn two_that_take_writes_on_one_timeline_are_refused_unless_one_was_used_or_they_are_one() {
        let both = [server(true, "7001", 2, "then"), server(true, "7001", 2, "later")];
        assert!(
            matches!(verdict(None, None, &both), Verdict::Refuse(text) if text.contains("host0 and host1"))
        );
        assert_eq!(verdict(Some(2), Some(1), &both), Verdict::Use(1));
        let twice = [server(true, "7001", 2, "then"), server(true, "7001", 2, "then")];
        assert_eq!(verdict(None, None, &twice), Verdict::Use(0));
    }

    #[test]
    fn another_cluster_is_refused_and_two_leave_no_choice() {
        let (ours, other) = (primary(5), server(true, "7002", 9, "then"));
        assert!(matches!(verdict(None, None, &[ours.clone(), other.clone()]),
            Verdict::Refuse(text) if text.contains("7001") && text.contains("7002")));
        assert_eq!(verdict(Some(5), Some(0), &[other.clone(), ours]), Verdict::Use(1));
        assert!(
            matches!(verdict(Some(5), Some(0), &[other, away()]), Verdict::Refuse(text) if text.contains("7002"))
        );
    }

    #[test]
    fn one_that_cannot_say_who_it_is_is_used_where_nobody_can() {
        assert_eq!(verdict(None, None, &[away(), Look::Nameless]), Verdict::Use(1));
        assert_eq!(verdict(None, Some(1), &[Look::Nameless, Look::Nameless]), Verdict::Use(1));
    }
}
