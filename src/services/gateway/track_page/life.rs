//! What is shown of an order's life: what has happened of it, and when it will be ready.

use jiff::{SignedDuration, Timestamp};

use super::documents::Step;
use crate::domain::{OrderType, Status};

/// "About" covers so much: an estimate that moves by less breaks no promise.
const ABOUT: SignedDuration = SignedDuration::from_mins(3);

/// A part of an order's way, with the time at which it happened.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stage {
    pub(super) status: Status,
    pub(super) at: Option<Timestamp>,
}

/// The way of an order of this type. What a recall took back has not happened, and what can no longer happen is left out.
pub(super) fn stages(order_type: OrderType, steps: &[Step]) -> Vec<Stage> {
    let mut times = [None; Status::ALL.len()];
    for step in steps {
        let place = step.status as usize;
        if step.status != Status::Cancelled {
            times[place..].fill(None);
        }
        times[place] = Some(step.timestamp);
    }
    let is_over = steps.last().is_some_and(|step| step.status.is_final());
    let is_on_the_way =
        |status: Status| status != Status::Cancelled && status.order_types().contains(&order_type);
    let all = Status::ALL.into_iter().map(|status| Stage { status, at: times[status as usize] });
    all.filter(|stage| stage.at.is_some() || !is_over && is_on_the_way(stage.status)).collect()
}

/// Whether the order was ready and is being cooked again.
pub(super) fn is_recalled(steps: &[Step]) -> bool {
    steps.last().is_some_and(|step| step.status == Status::Cooking)
        && steps.iter().any(|step| step.status == Status::Ready)
}

/// When an order will be ready, by the present estimate and by the first one that its customer has seen.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Promise {
    /// It is ready, or never will be.
    Settled,
    /// Nobody can say.
    Unknown,
    At(Timestamp),
    Later {
        at: Timestamp,
        first: Timestamp,
    },
    /// The time is past, and there is no other.
    Overdue(Timestamp),
}

impl Promise {
    pub(super) fn of(
        status: Status,
        estimate: Option<Timestamp>,
        first: Option<Timestamp>,
        now: Timestamp,
    ) -> Self {
        let promised = first.or(estimate);
        match (estimate, promised) {
            _ if status.is_settled() => Self::Settled,
            (Some(at), Some(first)) if at > now && (at > first + ABOUT || now > first) => {
                Self::Later { at, first }
            }
            (Some(at), _) if at > now => Self::At(at),
            (_, Some(first)) if now > first || estimate.is_some() => Self::Overdue(first),
            _ => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minute(minute: i64) -> Timestamp {
        Timestamp::from_second(1_764_590_000 + 60 * minute).unwrap()
    }

    fn steps(statuses: &[Status]) -> Vec<Step> {
        let step = |(place, status): (usize, &Status)| {
            let timestamp = minute(i64::try_from(place).unwrap());
            Step { status: *status, timestamp, notes: None }
        };
        statuses.iter().enumerate().map(step).collect()
    }

    fn shown(order_type: OrderType, statuses: &[Status]) -> Vec<(&'static str, Option<i64>)> {
        let minutes = |at: Timestamp| (at.as_second() - minute(0).as_second()) / 60;
        let stages = stages(order_type, &steps(statuses));
        stages.iter().map(|stage| (stage.status.as_str(), stage.at.map(minutes))).collect()
    }

    use Status::{Cancelled, Completed, Cooking, OutForDelivery, Ready, Received};

    #[test]
    fn a_stage_has_a_time_once_it_has_happened() {
        assert_eq!(
            shown(OrderType::Takeout, &[Received, Cooking]),
            [("received", Some(0)), ("cooking", Some(1)), ("ready", None), ("completed", None)]
        );
        let delivered = shown(OrderType::Delivery, &[Received, Cooking, Ready, OutForDelivery]);
        assert_eq!(delivered[3..], [("out_for_delivery", Some(3)), ("completed", None)]);
    }

    #[test]
    fn what_a_recall_took_back_has_not_happened() {
        let recalled = [Received, Cooking, Ready, Cooking];
        assert_eq!(shown(OrderType::DineIn, &recalled)[1..3], [("cooking", Some(3)), ("ready", None)]);
        assert!(is_recalled(&steps(&recalled)));
        assert!(!is_recalled(&steps(&recalled[..2])) && !is_recalled(&steps(&recalled[..3])));
    }

    #[test]
    fn of_an_order_that_is_over_nothing_is_still_to_come() {
        assert_eq!(
            shown(OrderType::Delivery, &[Received, Cooking, Ready, Completed]),
            [("received", Some(0)), ("cooking", Some(1)), ("ready", Some(2)), ("completed", Some(3))]
        );
        assert_eq!(
            shown(OrderType::Takeout, &[Received, Cooking, Cancelled]),
            [("received", Some(0)), ("cooking", Some(1)), ("cancelled", Some(2))]
        );
    }

    #[test]
    fn a_promise_is_broken_once_its_time_is_past_or_the_estimate_is_beyond_it() {
        let of = |estimate, first, now| Promise::of(Cooking, estimate, first, minute(now));
        let (at, first) = (|at| Some(minute(at)), |first| Some(minute(first)));
        assert_eq!(of(at(20), None, 0), Promise::At(minute(20)));
        assert_eq!(of(at(22), first(20), 0), Promise::At(minute(22)));
        assert_eq!(of(at(25), first(20), 0), Promise::Later { at: minute(25), first: minute(20) });
        assert_eq!(of(at(22), first(20), 21), Promise::Later { at: minute(22), first: minute(20) });
        assert_eq!(of(at(20), first(19), 21), Promise::Overdue(minute(19)));
        assert_eq!(of(at(20), None, 21), Promise::Overdue(minute(20)));
        assert_eq!(of(None, first(20), 21), Promise::Overdue(minute(20)));
        assert_eq!(of(None, first(20), 19), Promise::Unknown);
        assert_eq!(Promise::of(Ready, at(20), first(10), minute(30)), Promise::Settled);
    }
}
