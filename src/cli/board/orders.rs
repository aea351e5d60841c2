//! The open orders, merged from the stream of changes and from the lists.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::text::{clean, passed};
use crate::client::orders::ListedOrder;
use crate::domain::{Money, OrderNumber, OrderType, Status, StatusUpdate};

/// The statuses that have a column.
pub(super) const COLUMNS: [Status; Status::OPEN.len()] = Status::OPEN;

/// An open order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Card {
    pub(super) number: String,
    pub(super) status: Status,
    /// Told by the lists alone, as is the total.
    pub(super) order_type: Option<OrderType>,
    pub(super) total: Option<Money>,
    pub(super) cook: Option<String>,
    pub(super) placed_at: Timestamp,
    pub(super) changed_at: Timestamp,
    /// When its cook said that it is ready.
    pub(super) ready_at: Option<Timestamp>,
    /// The step at which the stream told of it last.
    told_at: u64,
}

impl Card {
    /// Whether it is past what its cook said, or was placed longer ago than an order may take.
    pub(super) fn is_late(&self, now: Timestamp, late_after: SignedDuration) -> bool {
        let is_overdue = self.status == Status::Cooking && self.ready_at.is_some_and(|ready| ready < now);
        is_overdue || passed(self.placed_at, now) > late_after
    }

    /// Whether it is still to be cooked.
    pub(super) fn is_waiting(&self) -> bool {
        !self.status.is_settled()
    }

    /// Whether a part of what is shown of it holds the filter, which is in lower case.
    fn matches(&self, filter: &str) -> bool {
        let order_type = self.order_type.map_or("", OrderType::as_str);
        let cook = self.cook.as_deref().unwrap_or_default();
        [&self.number, self.status.as_str(), order_type, cook]
            .iter()
            .any(|text| text.to_lowercase().contains(filter))
    }
}

/// The open orders. A list is older than what the stream has told since it was asked for.
#[derive(Debug, Default)]
pub(super) struct Orders {
    cards: BTreeMap<String, Card>,
    /// Counts what the stream has told.
    step: u64,
    /// The step at which the list was asked for that is under way.
    listing: Option<u64>,
    /// The orders that ended since then.
    ended: BTreeSet<String>,
}

impl Orders {
    pub(super) fn len(&self) -> usize {
        self.cards.len()
    }

    pub(super) fn get(&self, number: &str) -> Option<&Card> {
        self.cards.get(number)
    }

    /// The number that was given last.
    pub(super) fn newest(&self) -> Option<&str> {
        self.cards.last_key_value().map(|(number, _)| number.as_str())
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Card> {
        self.cards.values()
    }

    /// The orders of a column that match the filter, those that were placed first at its top.
    pub(super) fn column(&self, status: Status, filter: &str) -> Vec<&Card> {
        let filter = filter.to_lowercase();
        let mut cards: Vec<&Card> =
            self.all().filter(|card| card.status == status && card.matches(&filter)).collect();
        cards.sort_by_key(|card| card.placed_at);
        cards
    }

    /// Forgets all: the service tells anew what there is.
    pub(super) fn clear(&mut self) {
        self.cards.clear();
    }

    /// Takes in a change. Tells whether a list must say what the stream does not: the type of an order and its total.
    pub(super) fn changed(&mut self, update: &StatusUpdate) -> bool {
        // What has not its form is not put before people.
        if update.check().is_err() {
            return false;
        }
        self.step += 1;
        // An order in a status of a later version has no column here.
        let status = update.new_status.parse().ok().filter(|status: &Status| !status.is_final());
        let Some(status) = status else {
            self.cards.remove(&update.order_number);
            if self.listing.is_some() {
                self.ended.insert(update.order_number.clone());
            }
            return false;
        };
        let is_taken = status == Status::Cooking && update.old_status.as_deref() == Some("received");
        let card = self.cards.entry(update.order_number.clone()).or_insert_with(|| Card {
            number: update.order_number.clone(),
            status,
            order_type: None,
            total: None,
            cook: None,
            placed_at: update.timestamp,
            changed_at: update.timestamp,
            ready_at: None,
            told_at: 0,
        });
        (card.status, card.changed_at) = (status, update.timestamp);
        (card.ready_at, card.told_at) = (update.estimated_completion, self.step);
        if is_taken {
            card.cook = Some(clean(&update.changed_by));
        }
        card.order_type.is_none()
    }

    /// A list is asked for.
    pub(super) fn list_asked(&mut self) {
        self.listing = Some(self.step);
    }

    /// The list could not be had.
    pub(super) fn list_failed(&mut self) {
        self.listing = None;
        self.ended.clear();
    }

    /// Takes in a list. Where it is whole, an order that it lacks is no longer open.
    pub(super) fn listed(&mut self, listed: &[ListedOrder], is_whole: bool) {
        let asked_at = self.listing.take().unwrap_or(self.step);
        let ended = std::mem::take(&mut self.ended);
        if is_whole {
            let numbers: BTreeSet<&str> = listed.iter().map(|order| order.order_number.as_str()).collect();
            self.cards.retain(|number, card| card.told_at > asked_at || numbers.contains(number.as_str()));
        }
        for order in listed.iter().filter(|order| !ended.contains(&order.order_number)) {
            self.take_in(order, asked_at);
        }
    }

    fn take_in(&mut self, order: &ListedOrder, asked_at: u64) {
        let Some(status) = order.current_status.parse().ok().filter(|status: &Status| !status.is_final())
        else {
            return;
        };
        if OrderNumber::parse(&order.order_number).is_err() {
            return;
        }
        let number = order.order_number.clone();
        let known = self.cards.remove(&number);
        let (told_at, ready_at) = known.as_ref().map_or((0, None), |card| (card.told_at, card.ready_at));
        let mut card = Card {
            number: number.clone(),
            status,
            order_type: order.order_type.parse().ok(),
            total: Some(order.total_amount),
            cook: order.processed_by.as_deref().map(clean),
            placed_at: order.created_at,
            changed_at: order.updated_at,
            ready_at: ready_at.filter(|_| status == Status::Cooking),
            told_at,
        };
        if let Some(known) = known.filter(|known| known.told_at > asked_at) {
            (card.status, card.changed_at, card.ready_at) = (known.status, known.changed_at, known.ready_at);
            card.cook = known.cook.or(card.cook);
        }
        self.cards.insert(number, card);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::board::samples::{change, listed};

    fn shown(orders: &Orders) -> Vec<(&str, Status)> {
        orders.all().map(|card| (card.number.as_str(), card.status)).collect()
    }

    #[test]
    fn an_order_moves_with_its_changes_and_leaves_with_the_last() {
        let mut orders = Orders::default();
        let number = "ORD_20261201_001";
        assert!(orders.changed(&change(number, None, "received", 0)), "its type is still to be asked for");
        orders.list_asked();
        orders.listed(&[listed(number, "takeout", "received", 0)], true);
        for (old, new) in
            [("received", "cooking"), ("cooking", "ready"), ("ready", "cooking"), ("cooking", "ready")]
        {
            assert!(!orders.changed(&change(number, Some(old), new, 1)));
            assert_eq!(shown(&orders), [(number, new.parse().unwrap())]);
        }
        assert_eq!(orders.get(number).unwrap().cook.as_deref(), Some("chef_anna"));
        orders.changed(&change(number, Some("ready"), "completed", 2));
        assert_eq!(shown(&orders), []);
    }

    #[test]
    fn a_list_is_older_than_what_was_told_since_it_was_asked_for() {
        let mut orders = Orders::default();
        let numbers = ["ORD_20261201_001", "ORD_20261201_002", "ORD_20261201_003", "ORD_20261201_004"];
        orders.changed(&change(numbers[0], None, "received", 0));
        orders.changed(&change(numbers[1], None, "ready", 0));
        orders.changed(&change(numbers[3], None, "ready", 0));
        orders.list_asked();
        orders.changed(&change(numbers[0], Some("received"), "cooking", 1));
        orders.changed(&change(numbers[1], Some("ready"), "completed", 1));
        orders.changed(&change(numbers[2], None, "received", 1));
        let list = [listed(numbers[0], "delivery", "received", 0), listed(numbers[1], "takeout", "ready", 0)];
        orders.listed(&list, true);
        assert_eq!(shown(&orders), [(numbers[0], Status::Cooking), (numbers[2], Status::Received)]);
        assert_eq!(orders.get(numbers[0]).unwrap().order_type, Some(OrderType::Delivery));
    }

    #[test]
    fn a_list_that_is_not_whole_takes_no_order_away() {
        let mut orders = Orders::default();
        orders.changed(&change("ORD_20261201_001", None, "received", 0));
        orders.list_asked();
        orders.listed(&[listed("ORD_20261201_002", "takeout", "ready", 0)], false);
        assert_eq!(orders.len(), 2);
    }

    #[test]
    fn an_order_in_a_status_of_a_later_version_has_no_column() {
        let mut orders = Orders::default();
        orders.changed(&change("ORD_20261201_001", None, "received", 0));
        orders.changed(&change("ORD_20261201_001", Some("received"), "paid", 1));
        orders.list_asked();
        orders.listed(&[listed("ORD_20261201_001", "takeout", "paid", 1)], true);
        assert_eq!(orders.len(), 0);
    }

    #[test]
    fn an_order_is_late_past_its_estimate_or_when_it_takes_too_long() {
        let mut orders = Orders::default();
        let number = "ORD_20261201_001";
        let late = |orders: &Orders, minutes| {
            let card = orders.get(number).unwrap();
            card.is_late(card.placed_at + SignedDuration::from_mins(minutes), SignedDuration::from_mins(20))
        };
        orders.changed(&change(number, None, "received", 0));
        assert!(!late(&orders, 20) && late(&orders, 21));
        let mut cooking = change(number, Some("received"), "cooking", 1);
        cooking.estimated_completion = Some(cooking.timestamp + SignedDuration::from_mins(4));
        orders.changed(&cooking);
        assert!(!late(&orders, 5) && late(&orders, 6));
        orders.changed(&change(number, Some("cooking"), "ready", 7));
        assert!(!late(&orders, 7));
    }

    #[test]
    fn a_filter_looks_at_everything_that_is_shown() {
        let mut orders = Orders::default();
        orders.list_asked();
        let mut with_cook = listed("ORD_20261201_002", "delivery", "cooking", 1);
        with_cook.processed_by = Some("chef_Mario".to_owned());
        orders.listed(&[listed("ORD_20261201_001", "takeout", "cooking", 0), with_cook], true);
        let found = |filter: &str| orders.column(Status::Cooking, filter).len();
        assert_eq!(
            [found(""), found("MARIO"), found("_001"), found("deliv"), found("pasta")],
            [2, 1, 1, 1, 0]
        );
    }
}
