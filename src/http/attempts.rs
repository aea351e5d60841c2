//! Wrong tokens and passwords by the address that they come from: nobody goes on guessing, and none of it goes unseen.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use daemon::metrics::Metrics;
use daemon::ration::Ration;
use daemon::sync::locked;
use http_kit::address::Origin;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
};

/// Failures of an address within [`WINDOW`], after which none of its guesses is looked at. Five for a name from one address are
/// among them.
const FAILURES_MAX: usize = 5;
const WINDOW: Duration = Duration::from_secs(60);
/// Addresses that are remembered, some 0.5 MB; beyond that the one that failed longest ago is forgotten.
const ADDRESSES_MAX: usize = 4_096;
/// Lines in the log, however many addresses guess: so many at once, and one more in so much time. Further failures are told
/// with the next line.
const LINES_MAX: u32 = 30;
const LINE_EVERY: Duration = Duration::from_secs(2);

/// What has failed lately.
#[derive(Debug)]
pub struct Attempts {
    known: Mutex<Known>,
    lines: Ration,
    ok: Counter,
    failed: Counter,
    limited: Counter,
}

#[derive(Debug, Default)]
struct Known {
    /// When the latest failures of an address were, the oldest first.
    failures: HashMap<(Guess, Origin), Vec<Instant>>,
}

/// What is guessed. A mistyped password keeps no token of the same address waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Guess {
    /// A token.
    Token,
    /// The password of an account.
    Password,
    /// An order's token. The right ones are never counted: a whole restaurant may be behind one address.
    OrderToken,
}

/// What came of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is right.
    Right,
    /// It is wrong.
    Wrong,
    /// It was not looked at, and none will be until after this time.
    Limited(Duration),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

impl Attempts {
    /// None yet, of those that no metric counts.
    pub fn uncounted() -> Self {
        Self::counted_by(&Family::default())
    }

    /// None yet. Registers `staff_logins_total`.
    pub fn new(metrics: &Metrics) -> Self {
        let logins = Family::<ResultLabel, Counter>::default();
        let attempts = Self::counted_by(&logins);
        metrics.register(|registry| {
            registry.register("staff_logins", "Tokens and passwords shown, by what came of it", logins);
        });
        attempts
    }

    fn counted_by(logins: &Family<ResultLabel, Counter>) -> Self {
        let counter = |result| logins.get_or_create(&ResultLabel { result }).clone();
        let (ok, failed, limited) = (counter("ok"), counter("failed"), counter("limited"));
        Self { known: Mutex::default(), lines: Ration::new(LINES_MAX, LINE_EVERY), ok, failed, limited }
    }

    /// An attempt from an address, which is right or wrong. Both are limited alike: otherwise a guess would be answered all
    /// the same. `who` is the account that is meant, where there is one.
    pub fn judge(&self, what: Guess, from: IpAddr, is_right: bool, who: Option<&str>) -> Verdict {
        let now = Instant::now();
        let verdict = locked(&self.known).judge((what, Origin::of(from)), is_right, now);
        match verdict {
            Verdict::Right => &self.ok,
            Verdict::Wrong => &self.failed,
            Verdict::Limited(_) => &self.limited,
        }
        .inc();
        if verdict == Verdict::Wrong
            && let Some(count) = self.lines.next(now)
        {
            let (action, failure) = match what {
                Guess::Token => ("staff_login_failed", "a wrong staff token was shown"),
                Guess::Password => ("staff_login_failed", "a staff login failed"),
                Guess::OrderToken => ("order_token_refused", "a wrong token of an order was shown"),
            };
            tracing::warn!(
                action,
                address = %from,
                actor = who,
                count,
                "{failure}; after five in a minute none from this address is looked at"
            );
        }
        verdict
    }

    /// How long an address still has to wait, before it is worth looking at what it says. It is counted then.
    pub fn wait(&self, what: Guess, from: IpAddr) -> Option<Duration> {
        let wait = locked(&self.known).wait((what, Origin::of(from)), Instant::now());
        wait.inspect(|_| _ = self.limited.inc())
    }
}

impl Known {
    fn wait(&mut self, from: (Guess, Origin), now: Instant) -> Option<Duration> {
        let failures = self.failures.get_mut(&from)?;
        failures.retain(|at| now.saturating_duration_since(*at) < WINDOW);
        (failures.len() >= FAILURES_MAX)
            .then(|| WINDOW.saturating_sub(now.saturating_duration_since(failures[0])))
    }

    fn judge(&mut self, from: (Guess, Origin), is_right: bool, now: Instant) -> Verdict {
        if let Some(wait) = self.wait(from, now) {
            return Verdict::Limited(wait);
        }
        if is_right {
            return Verdict::Right;
        }
        if self.failures.len() >= ADDRESSES_MAX && !self.failures.contains_key(&from) {
            let oldest = self.failures.iter().min_by_key(|(_, failures)| failures.last()).map(|(of, _)| *of);
            oldest.map(|oldest| self.failures.remove(&oldest));
        }
        self.failures.entry(from).or_default().push(now);
        Verdict::Wrong
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> (Guess, Origin) {
        (Guess::Token, Origin::of(text.parse().unwrap()))
    }

    #[test]
    fn after_five_failures_in_a_minute_an_address_waits_with_the_right_token_too() {
        let (mut known, begun) = (Known::default(), Instant::now());
        let second = |seconds| begun + Duration::from_secs(seconds);
        for n in 0..5 {
            assert_eq!(known.judge(ip("192.0.2.1"), true, second(n)), Verdict::Right);
            assert_eq!(known.judge(ip("192.0.2.1"), false, second(n)), Verdict::Wrong);
        }
        for is_right in [true, false] {
            let verdict = known.judge(ip("192.0.2.1"), is_right, second(10));
            assert_eq!(verdict, Verdict::Limited(Duration::from_secs(50)));
        }
        assert_eq!(known.judge(ip("192.0.2.2"), true, second(10)), Verdict::Right, "another address");
        let password = (Guess::Password, ip("192.0.2.1").1);
        assert_eq!(known.judge(password, true, second(10)), Verdict::Right, "another thing to guess");
        assert_eq!(known.judge(ip("192.0.2.1"), true, second(60)), Verdict::Right, "the first is forgotten");
        assert_eq!(known.judge(ip("192.0.2.1"), false, second(60)), Verdict::Wrong);
        assert_eq!(
            known.judge(ip("192.0.2.1"), true, second(60)),
            Verdict::Limited(Duration::from_secs(1)),
            "any five within a minute"
        );
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let (mut known, now) = (Known::default(), Instant::now());
        for n in 1..=5 {
            assert_eq!(known.judge(ip(&format!("2001:db8:0:1::{n}")), false, now), Verdict::Wrong);
        }
        assert_eq!(known.judge(ip("2001:db8:0:1:ffff::"), true, now), Verdict::Limited(WINDOW));
        assert_eq!(known.judge(ip("2001:db8:0:2::1"), true, now), Verdict::Right);
    }

    #[test]
    fn no_more_addresses_are_remembered_than_there_is_room_for_and_the_latest_are() {
        let (mut known, begun) = (Known::default(), Instant::now());
        let of = |n: u32| ip(&std::net::Ipv4Addr::from_bits(n).to_string());
        for n in 0..10_000_u32 {
            let now = begun + Duration::from_millis(n.into());
            assert_eq!(known.judge(of(n), false, now), Verdict::Wrong);
        }
        assert_eq!(known.failures.len(), ADDRESSES_MAX);
        assert!(known.failures.contains_key(&of(9_999)));
    }
}
