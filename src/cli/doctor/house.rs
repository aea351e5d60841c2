//! The house: who cooks, what waits, and what is not announced yet.

use std::time::Duration;

use super::check::{Check, Finding, age};
use crate::domain::{OrderType, Status};
use crate::store::HouseAsked;

/// A relay announces what is committed within a second.
const OUTBOX_STUCK: Duration = Duration::from_secs(60);
/// From this share of `outbox.max_rows` on there is little time left.
const NEARLY_FULL_PERCENT: u64 = 80;

/// Whether a worker is online that cooks this type.
pub(super) fn has_cooks(asked: &HouseAsked, order_type: OrderType) -> bool {
    asked.house.cooks.iter().any(|(of, count)| *of == order_type && *count > 0)
}

/// How long the oldest order of this type has waited, where one waits.
fn longest_wait(asked: &HouseAsked, order_type: OrderType) -> Option<Duration> {
    let (_, since) = asked.house.oldest_waiting.iter().find(|(of, _)| *of == order_type)?;
    Some(asked.at.duration_since(*since).try_into().unwrap_or_default())
}

/// A type without cooks is a problem as soon as an order of it waits.
pub(super) fn cooks(asked: Result<&HouseAsked, &str>) -> Check {
    let asked = match asked {
        Err(why) => return Check::unknown("cooks", why),
        Ok(asked) => asked,
    };
    let mut findings = Vec::new();
    let without: Vec<OrderType> = OrderType::ALL.into_iter().filter(|of| !has_cooks(asked, *of)).collect();
    if !without.is_empty() {
        let names = without.iter().map(|of| of.as_str()).collect::<Vec<_>>().join(",");
        let is_awaited = without.iter().any(|of| longest_wait(asked, *of).is_some());
        let finding = if is_awaited { Finding::problem } else { Finding::warning };
        findings.push(finding(
            format!("nobody who is online cooks {names}"),
            format!(
                "start a worker: restaurant-system kitchen-worker --worker-name NAME --order-types {names}"
            ),
        ));
    }
    if !asked.dead_hands.is_empty() {
        let names: Vec<String> =
            asked.dead_hands.iter().map(|(name, count)| format!("{name} ({count})")).collect();
        findings.push(Finding::warning(
            format!("not online, with orders in hand: {}", names.join(", ")),
            "another worker of the type takes those orders over; else start the worker again and see its log",
        ));
    }
    let online: Vec<String> = asked.house.cooks.iter().map(|(of, count)| format!("{count} {of}")).collect();
    Check::of("cooks", format!("online: {}", online.join(", ")), findings)
}

pub(super) fn waiting_orders(asked: Result<&HouseAsked, &str>, promote_after: Duration) -> Check {
    let name = "waiting-orders";
    let asked = match asked {
        Err(why) => return Check::unknown(name, why),
        Ok(asked) => asked,
    };
    let received = |order_type: OrderType| -> u64 {
        let of = asked
            .house
            .orders
            .iter()
            .filter(|(status, of, _)| (*status, *of) == (Status::Received, order_type));
        of.map(|(_, _, count)| *count).sum()
    };
    let waiting: Vec<(Duration, String)> = OrderType::ALL
        .into_iter()
        .filter_map(|of| {
            let wait = longest_wait(asked, of)?;
            Some((wait, format!("{of} for {} ({} received)", age(wait), received(of))))
        })
        .collect();
    let all = |is_meant: fn(Duration, Duration) -> bool| {
        let meant = waiting.iter().filter(|(wait, _)| is_meant(*wait, promote_after));
        meant.map(|(_, text)| text.as_str()).collect::<Vec<_>>().join("; ")
    };
    let late = all(|wait, promote_after| wait > promote_after);
    let finding = (!late.is_empty()).then(|| {
        let advice =
            "more workers of the type, or fewer orders (restaurant-system board; POST /intake/pause)";
        Finding::warning(format!("longer than {}: {late}", age(promote_after)), advice)
    });
    let summary = if waiting.is_empty() { "none waits".to_owned() } else { all(|_, _| true) };
    Check::of(name, summary, finding.into_iter().collect())
}

/// Where RabbitMQ is away, what waits for it is no fault of its own before there is too much of it.
pub(super) fn outbox(asked: Result<&HouseAsked, &str>, max_rows: u64, has_rabbitmq: bool) -> Check {
    let (rows, oldest) = match asked {
        Err(why) => return Check::unknown("outbox", why),
        Ok(asked) => (asked.outbox_rows, asked.outbox_oldest),
    };
    let summary = match rows {
        0 => "empty".to_owned(),
        rows => format!("{rows} of {max_rows} rows, the oldest for {}", age(oldest)),
    };
    let mut findings = Vec::new();
    if rows >= max_rows {
        findings.push(Finding::problem(
            format!("full, so that no order is taken: {summary}"),
            "bring RabbitMQ back, or see the log of the order service; raise outbox.max_rows where PostgreSQL has the room",
        ));
    } else if rows.saturating_mul(100) >= max_rows.saturating_mul(NEARLY_FULL_PERCENT) {
        findings.push(Finding::warning(
            format!("nearly full: {summary}"),
            "bring RabbitMQ back soon; when it is full no order is taken. outbox.max_rows is its limit",
        ));
    }
    if has_rabbitmq && oldest > OUTBOX_STUCK {
        findings.push(Finding::problem(
            format!("stuck: {summary}"),
            "see whether an order service runs and what its log says; `restaurant-system queues list` shows a queue that takes \
             nothing",
        ));
    }
    Check::of("outbox", summary, findings)
}

#[cfg(test)]
mod tests {
    use super::super::check::State;
    use super::*;
    use crate::store::House;

    /// Two cooks of each type, and a takeout that has waited for 30 s.
    fn asked() -> HouseAsked {
        let at = "2026-11-22T10:00:30Z".parse().unwrap();
        let house = House {
            orders: vec![(Status::Received, OrderType::Takeout, 3)],
            oldest_waiting: vec![(OrderType::Takeout, "2026-11-22T10:00:00Z".parse().unwrap())],
            cooks: OrderType::ALL.into_iter().map(|of| (of, 2)).collect(),
            ..House::default()
        };
        HouseAsked { house, at, ..HouseAsked::default() }
    }

    #[test]
    fn a_type_without_cooks_is_named_and_a_problem_as_soon_as_an_order_of_it_waits() {
        assert_eq!(cooks(Ok(&asked())).state, State::Ok);
        for (order_type, state) in
            [(OrderType::Delivery, State::Warning), (OrderType::Takeout, State::Problem)]
        {
            let mut some = asked();
            some.house.cooks.iter_mut().filter(|(of, _)| *of == order_type).for_each(|(_, count)| *count = 0);
            let check = cooks(Ok(&some));
            assert_eq!(check.state, state);
            assert_eq!(check.summary, format!("nobody who is online cooks {order_type}"));
        }
    }

    #[test]
    fn a_dead_worker_with_orders_in_hand_is_named_while_others_take_them_over() {
        let dead = HouseAsked { dead_hands: vec![("chef_anna".to_owned(), 1)], ..asked() };
        let check = cooks(Ok(&dead));
        assert_eq!(check.state, State::Warning);
        assert!(check.summary.contains("chef_anna (1)"), "{check:?}");
    }

    #[test]
    fn orders_that_wait_longer_than_they_are_to_are_a_warning() {
        let of = |after_s| waiting_orders(Ok(&asked()), Duration::from_secs(after_s));
        assert_eq!((of(31).state, of(29).state), (State::Ok, State::Warning));
        assert_eq!(of(31).summary, "takeout for 30 s (3 received)");
    }

    #[test]
    fn the_outbox_is_stuck_after_a_minute_unless_rabbitmq_is_away_and_told_of_before_it_is_full() {
        for (outbox_rows, oldest_s, has_rabbitmq, state) in [
            (10, 59, true, State::Ok),
            (10, 61, true, State::Problem),
            (10, 61, false, State::Ok),
            (80, 1, false, State::Warning),
            (100, 1, false, State::Problem),
        ] {
            let asked = HouseAsked { outbox_rows, outbox_oldest: Duration::from_secs(oldest_s), ..asked() };
            assert_eq!(outbox(Ok(&asked), 100, has_rabbitmq).state, state, "{outbox_rows} {oldest_s}");
        }
    }

    #[test]
    fn what_cannot_be_asked_is_unknown() {
        let why = Err("PostgreSQL does not answer");
        let states =
            [cooks(why), waiting_orders(why, Duration::ZERO), outbox(why, 1, true)].map(|check| check.state);
        assert_eq!(states, [State::Unknown; 3]);
    }
}
