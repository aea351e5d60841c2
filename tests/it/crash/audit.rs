//! The audit: what must hold when everything has healed, whatever happened before.

use super::evidence::{Evidence, Order};
use super::listener::Heard;
use restaurant_system::domain::Status;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The kinds of findings, in the order of the report's table. All must be 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Answered with 201 and not there, or there and not cooked; or a customer without any answer.
    Lost,
    /// A key with two orders, an order without or with several keys, an order that was ready twice.
    Doubled,
    /// Still on its way after the time to heal.
    Stuck,
    /// A history that the table of transitions does not allow, or that does not end where the order is.
    IllegalHistory,
    /// A gap in the numbers of a day, or a number twice.
    WrongNumber,
    /// `orders_processed` and the orders do not agree.
    WrongCount,
    /// A change that a subscriber was never told.
    Unannounced,
    /// Changes of one order that were told in another order, or that contradict its history.
    OutOfOrder,
    /// An event stream with a gap or a repetition.
    WrongStream,
    /// Dead letters, rows in the outbox, messages in queues.
    LeftOver,
    /// An answer to a client, or a role's end, that should not be.
    Misbehaved,
}

/// All kinds with what the table calls them.
pub const KINDS: [(Kind, &str); 11] = [
    (Kind::Lost, "lost"),
    (Kind::Doubled, "doubled"),
    (Kind::Stuck, "stuck"),
    (Kind::IllegalHistory, "illegal histories"),
    (Kind::WrongNumber, "gaps or repeats in numbers"),
    (Kind::WrongCount, "wrong orders_processed"),
    (Kind::Unannounced, "changes never announced"),
    (Kind::OutOfOrder, "announced out of order"),
    (Kind::WrongStream, "gaps or repeats in event stream"),
    (Kind::LeftOver, "left in outbox or queues"),
    (Kind::Misbehaved, "wrong answers or ends"),
];

/// What is wrong, each with its kind.
pub type Findings = Vec<(Kind, String)>;

/// Looks at everything.
pub fn audit(evidence: &Evidence) -> Findings {
    let mut findings = Findings::new();
    answers(evidence, &mut findings);
    for order in &evidence.orders {
        one_order(order, &mut findings);
    }
    numbers(evidence, &mut findings);
    counts(evidence, &mut findings);
    announcements(evidence, &mut findings);
    stream(evidence, &mut findings);
    left_over(evidence, &mut findings);
    findings
}

/// What clients were told against what is stored.
fn answers(evidence: &Evidence, findings: &mut Findings) {
    let by_number: HashMap<&str, &Order> =
        evidence.orders.iter().map(|order| (order.number.as_str(), order)).collect();
    for (key, numbers) in &evidence.answers.placed {
        if numbers.iter().any(|number| *number != numbers[0]) {
            findings.push((Kind::Doubled, format!("key {key} was answered with {numbers:?}")));
        }
        match by_number.get(numbers[0].as_str()) {
            None => {
                findings.push((Kind::Lost, format!("{} was answered with 201 and is not there", numbers[0])))
            }
            Some(order) if order.keys != [key.as_str()] => {
                findings.push((
                    Kind::Doubled,
                    format!("{} answers {key}, and has the keys {:?}", order.number, order.keys),
                ));
            }
            Some(_) => {}
        }
    }
    if evidence.unanswered > 0 {
        findings.push((Kind::Lost, format!("{} customers never got an answer", evidence.unanswered)));
    }
    let keys: BTreeSet<&String> = evidence.orders.iter().flat_map(|order| &order.keys).collect();
    for key in evidence.answers.refused.iter().filter(|key| keys.contains(key)) {
        findings.push((Kind::Doubled, format!("the order under {key} was refused, and is stored")));
    }
    for (number, told) in &evidence.answers.moved {
        let found = by_number.get(number.as_str()).map(|order| order.statuses()).unwrap_or_default();
        // One after the other, whatever came in between.
        let mut rest = found.iter();
        if !told.iter().all(|told| rest.any(|found| found == told)) {
            findings.push((
                Kind::Lost,
                format!("staff was told that {number} became {told:?}; it was {found:?}"),
            ));
        }
    }
    let misbehaved = evidence.answers.wrong.iter().chain(&evidence.misbehaved);
    findings.extend(misbehaved.map(|what| (Kind::Misbehaved, what.clone())));
}

fn one_order(order: &Order, findings: &mut Findings) {
    let number = &order.number;
    if order.keys.len() != 1 {
        findings.push((Kind::Doubled, format!("{number} has the keys {:?}", order.keys)));
    }
    let mut entered = BTreeSet::new();
    for change in order.history.iter().filter(|change| !entered.insert((&change.status, change.attempt))) {
        let (status, attempt) = (&change.status, change.attempt);
        findings.push((Kind::Doubled, format!("{number} was {status} twice in attempt {attempt}")));
    }
    if !order.status.parse().is_ok_and(Status::is_settled) {
        findings.push((Kind::Stuck, format!("{number} is {} by {:?}", order.status, order.processed_by)));
    }
    let statuses: Vec<Option<Status>> = order.statuses().iter().map(|status| status.parse().ok()).collect();
    let legal = statuses.first() == Some(&Some(Status::Received))
        && statuses.windows(2).all(|pair| match (pair[0], pair[1]) {
            (Some(from), Some(to)) => from.may_become(to),
            _ => false,
        })
        && order.history.last().is_some_and(|change| change.status == order.status);
    if !legal {
        findings.push((
            Kind::IllegalHistory,
            format!("{number} is {}, its history {:?}", order.status, order.statuses()),
        ));
    }
}

/// The numbers of each day are 1, 2, 3, … up to its counter.
fn numbers(evidence: &Evidence, findings: &mut Findings) {
    let mut days: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    for order in &evidence.orders {
        let parts: Vec<&str> = order.number.split('_').collect();
        match parts[..] {
            ["ORD", day, sequence] if sequence.len() >= 3 => {
                days.entry(day).or_default().push(sequence.parse().unwrap_or_default());
            }
            _ => findings.push((Kind::WrongNumber, format!("{} is no order number", order.number))),
        }
    }
    let counters: BTreeMap<&str, i64> =
        evidence.counters.iter().map(|(day, last)| (day.as_str(), *last)).collect();
    for (day, sequences) in &mut days {
        sequences.sort_unstable();
        let wanted = counters.get(day).copied().unwrap_or_default();
        if !sequences.iter().copied().eq(1..=wanted) {
            let wrong = sequences.iter().zip(1..).find(|(found, wanted)| **found != *wanted);
            findings.push((
                Kind::WrongNumber,
                format!(
                    "{day}: {} orders, the counter says {wanted}; first wrong: {wrong:?}",
                    sequences.len()
                ),
            ));
        }
    }
}

/// Each worker has counted exactly the orders that it finished.
fn counts(evidence: &Evidence, findings: &mut Findings) {
    let mut finished: BTreeMap<&str, i64> = BTreeMap::new();
    let changes = evidence.orders.iter().flat_map(|order| &order.history);
    for ready in changes.filter(|change| change.status == "ready") {
        *finished.entry(&ready.changed_by).or_default() += 1;
    }
    let counted: BTreeMap<&str, i64> =
        evidence.workers.iter().filter(|(_, n)| *n > 0).map(|(name, n)| (name.as_str(), *n)).collect();
    if finished != counted {
        findings.push((Kind::WrongCount, format!("finished by {finished:?}, counted {counted:?}")));
    }
}

/// Every change after `received` was told at least once; first tellings are in the order of the changes.
fn announcements(evidence: &Evidence, findings: &mut Findings) {
    let mut ids = BTreeSet::new();
    let mut told: HashMap<&str, Vec<&Heard>> = HashMap::new();
    for heard in evidence.heard.iter().filter(|heard| ids.insert(heard.message_id.as_str())) {
        told.entry(heard.order_number.as_str()).or_default().push(heard);
    }
    for order in &evidence.orders {
        let heard = told.remove(order.number.as_str()).unwrap_or_default();
        one_orders_announcements(order, &heard, &evidence.lost_disks, findings);
        let statuses = order.statuses();
        for status in statuses.iter().skip(1).copied() {
            let times = statuses.iter().filter(|other| **other == status).count();
            // A queue that was wiped is there again when its subscriber is: what was announced meanwhile it missed.
            let missed = evidence.printed.iter().filter(|printed| !printed.has(&order.number, status, times));
            for printed in missed.filter(|_| evidence.lost_disks.is_empty()) {
                let by = printed.who;
                findings
                    .push((Kind::Unannounced, format!("{} {status} was not printed by {by}", order.number)));
            }
        }
    }
    for number in told.keys() {
        findings.push((Kind::OutOfOrder, format!("{number} was announced and is not there")));
    }
}

fn one_orders_announcements(order: &Order, heard: &[&Heard], lost_disks: &[f64], findings: &mut Findings) {
    let number = &order.number;
    for change in order.history.iter().skip(1) {
        if !heard.iter().any(|heard| heard.message_id == change.message_id) {
            findings.push((Kind::Unannounced, format!("{number} {} was never heard", change.status)));
        }
    }
    let mut told = Vec::new();
    for heard in heard {
        let place = order.history.iter().position(|change| change.message_id == heard.message_id);
        match place.map(|place| &order.history[place.saturating_sub(1)..=place]) {
            Some([old, new]) if heard.tells(&old.status, &new.status) => told.push((place, new, heard.at)),
            _ => {
                findings.push((Kind::OutOfOrder, format!("{number} was heard as {heard:?}: no such change")))
            }
        }
    }
    for (n, &(place, later, told_at)) in told.iter().enumerate() {
        for (_, earlier, _) in told[n..].iter().filter(|(other, ..)| *other < place) {
            // The earlier one was in a queue that was lost before the later one was told, and is told again.
            if !lost_disks.iter().any(|lost| earlier.at <= *lost && *lost <= told_at) {
                let (earlier, later) = (&earlier.status, &later.status);
                findings.push((Kind::OutOfOrder, format!("{number} {later} was heard before {earlier}")));
            }
        }
    }
}

/// The event stream has each order's history, whole and in its order, however often it was cut off.
fn stream(evidence: &Evidence, findings: &mut Findings) {
    let mut streamed: HashMap<&str, Vec<&str>> = HashMap::new();
    for (number, status) in &evidence.streamed {
        streamed.entry(number).or_default().push(status);
    }
    for order in &evidence.orders {
        let found = streamed.remove(order.number.as_str()).unwrap_or_default();
        if found != order.statuses() {
            let number = &order.number;
            findings.push((
                Kind::WrongStream,
                format!("{number} was streamed as {found:?}, its history is {:?}", order.statuses()),
            ));
        }
    }
    for number in streamed.keys() {
        findings.push((Kind::WrongStream, format!("{number} was streamed and is not there")));
    }
}

fn left_over(evidence: &Evidence, findings: &mut Findings) {
    if evidence.outbox > 0 {
        findings.push((Kind::LeftOver, format!("{} rows in the outbox", evidence.outbox)));
    }
    for (queue, messages) in &evidence.queues {
        if *messages != Some(0) {
            findings.push((Kind::LeftOver, format!("{messages:?} messages in {queue}")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::evidence::{Change, Printed};
    use super::*;

    fn change(at: f64, status: &str) -> Change {
        let (changed_by, message_id) = ("chef_anna".to_owned(), format!("m{at}"));
        Change { status: status.to_owned(), attempt: 1, changed_by, at, message_id }
    }

    fn heard(at: f64, id: &str, old: &str, new: &str) -> Heard {
        Heard {
            at,
            message_id: id.to_owned(),
            order_number: "ORD_20261122_001".to_owned(),
            old_status: old.to_owned(),
            new_status: new.to_owned(),
        }
    }

    /// One order that all is well with.
    fn healthy() -> Evidence {
        let number = "ORD_20261122_001".to_owned();
        let order = Order {
            number: number.clone(),
            status: "ready".to_owned(),
            processed_by: Some("chef_anna".to_owned()),
            attempt: 1,
            seconds: Some(0.2),
            history: vec![change(1.0, "received"), change(2.0, "cooking"), change(3.0, "ready")],
            keys: vec!["k1".to_owned()],
        };
        let mut evidence = Evidence {
            orders: vec![order],
            workers: vec![("chef_anna".to_owned(), 1), ("chef_luigi".to_owned(), 0)],
            counters: vec![("20261122".to_owned(), 1)],
            queues: vec![("kitchen_takeout_queue".to_owned(), Some(0))],
            heard: vec![
                heard(2.1, "m2", "received", "cooking"),
                heard(3.1, "m3", "cooking", "ready"),
                heard(3.2, "m2", "received", "cooking"),
            ],
            streamed: ["received", "cooking", "ready"]
                .map(|status| (number.clone(), status.to_owned()))
                .to_vec(),
            printed: vec![Printed {
                who: "the subscriber",
                queues: 1,
                changes: ["cooking", "ready"].map(|status| ((number.clone(), status.to_owned()), 1)).into(),
            }],
            ..Evidence::default()
        };
        evidence.answers.placed.insert("k1".to_owned(), vec![number.clone(), number]);
        evidence.answers.refused.push("k2".to_owned());
        evidence
    }

    #[track_caller]
    fn finds(kind: Kind, spoil: impl FnOnce(&mut Evidence)) {
        let mut evidence = healthy();
        spoil(&mut evidence);
        let findings = audit(&evidence);
        assert!(findings.iter().any(|(found, _)| *found == kind), "{kind:?} is not among {findings:?}");
    }

    #[test]
    fn nothing_is_found_where_all_is_well() {
        assert_eq!(audit(&healthy()), []);
    }

    #[test]
    fn what_comes_before_is_said_by_the_log_and_not_by_the_clock() {
        let mut evidence = healthy();
        // A statement bears the time at which it began.
        evidence.orders[0].history[2].at = 1.9;
        assert_eq!(audit(&evidence), []);
        evidence.heard.remove(0);
        assert_ne!(audit(&evidence), []);
    }

    #[test]
    fn only_what_was_lost_with_a_disk_may_be_heard_after_what_was_told_later() {
        let audited = |lost: f64| {
            let mut evidence = healthy();
            evidence.heard.remove(0);
            evidence.lost_disks.push(lost);
            audit(&evidence)
        };
        assert_ne!(audited(1.9), [], "before the first change");
        assert_eq!(audited(2.05), []);
        assert_eq!(audited(3.05), [], "after the second change, and before it was told");
        assert_ne!(audited(3.15), [], "after both were told");
    }

    #[test]
    fn each_kind_of_damage_is_found() {
        let first = |e: &mut Evidence, spoil: fn(&mut Order)| spoil(&mut e.orders[0]);
        finds(Kind::Lost, |e| e.orders.clear());
        finds(Kind::Lost, |e| e.unanswered = 1);
        finds(Kind::Lost, |e| {
            e.answers.moved.insert("ORD_20261122_001".to_owned(), vec!["ready", "cooking"]);
        });
        finds(Kind::Doubled, |e| e.answers.placed.get_mut("k1").unwrap().push("ORD_20261122_002".to_owned()));
        finds(Kind::Doubled, |e| first(e, |order| order.keys.clear()));
        finds(Kind::Doubled, |e| first(e, |order| order.keys.push("k2".to_owned())));
        finds(Kind::Doubled, |e| first(e, |order| order.history.push(change(4.0, "ready"))));
        finds(Kind::Doubled, |e| first(e, |order| order.keys[0] = "k2".to_owned()));
        finds(Kind::Stuck, |e| first(e, |order| order.status = "cooking".to_owned()));
        finds(Kind::IllegalHistory, |e| first(e, |order| drop(order.history.remove(1))));
        finds(Kind::IllegalHistory, |e| first(e, |order| drop(order.history.remove(0))));
        finds(Kind::IllegalHistory, |e| first(e, |order| drop(order.history.pop())));
        finds(Kind::WrongNumber, |e| e.counters[0].1 = 2);
        finds(Kind::WrongNumber, |e| first(e, |order| order.number = "ORD_20261122_002".to_owned()));
        finds(Kind::WrongNumber, |e| e.orders.push(e.orders[0].clone()));
        finds(Kind::WrongCount, |e| e.workers[0].1 = 2);
        finds(Kind::WrongCount, |e| first(e, |order| order.history[2].changed_by = "chef_luigi".to_owned()));
        finds(Kind::Unannounced, |e| drop(e.heard.remove(1)));
        finds(Kind::Unannounced, |e| e.printed[0].changes.clear());
        finds(Kind::Unannounced, |e| e.printed[0].queues = 2);
        finds(Kind::OutOfOrder, |e| e.heard.swap(0, 1));
        finds(Kind::OutOfOrder, |e| e.heard.push(heard(3.3, "m4", "cooking", "ready")));
        finds(Kind::OutOfOrder, |e| e.heard[1].old_status = "received".to_owned());
        finds(Kind::WrongStream, |e| drop(e.streamed.remove(1)));
        finds(Kind::WrongStream, |e| e.streamed.swap(0, 1));
        finds(Kind::WrongStream, |e| e.streamed.push(e.streamed[2].clone()));
        finds(Kind::LeftOver, |e| e.outbox = 1);
        finds(Kind::LeftOver, |e| e.queues[0].1 = Some(1));
        finds(Kind::LeftOver, |e| e.queues[0].1 = None);
        finds(Kind::Misbehaved, |e| e.answers.wrong.push("500".to_owned()));
        finds(Kind::Misbehaved, |e| e.misbehaved.push("it ended".to_owned()));
    }
}
