//! Orders and changes for the tests of the board.

use jiff::{SignedDuration, Timestamp};

use crate::client::orders::{ListedOrder, ListedWorker};
use crate::domain::{Money, StatusUpdate};

/// The time of the minute 0.
pub(super) fn start() -> Timestamp {
    Timestamp::from_second(1_796_000_000).unwrap()
}

pub(super) fn minute(minute: i64) -> Timestamp {
    start() + SignedDuration::from_mins(minute)
}

pub(super) fn change(number: &str, old: Option<&str>, new: &str, at_minute: i64) -> StatusUpdate {
    StatusUpdate {
        order_number: number.to_owned(),
        old_status: old.map(str::to_owned),
        new_status: new.to_owned(),
        changed_by: "chef_anna".to_owned(),
        timestamp: minute(at_minute),
        estimated_completion: None,
    }
}

pub(super) fn listed(number: &str, order_type: &str, status: &str, at_minute: i64) -> ListedOrder {
    ListedOrder {
        order_number: number.to_owned(),
        order_type: order_type.to_owned(),
        current_status: status.to_owned(),
        total_amount: Money::from_cents(2_450),
        processed_by: None,
        created_at: minute(at_minute),
        updated_at: minute(at_minute),
    }
}

pub(super) fn worker(name: &str, status: &str, order_types: &[&str]) -> ListedWorker {
    ListedWorker {
        worker_name: name.to_owned(),
        status: status.to_owned(),
        orders_processed: 42,
        last_seen: start(),
        order_types: order_types.iter().map(|&order_type| order_type.to_owned()).collect(),
    }
}
