//! The life of an order.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::OrderType;

/// Where an order is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Taken and committed; waits for a worker.
    Received,
    /// A worker has it. Where that one was lost, or the order was recalled, it waits for the next one in this status.
    Cooking,
    /// Cooked; waits for the customer.
    Ready,
    /// On its way to the customer.
    OutForDelivery,
    /// Handed to the customer. Final.
    Completed,
    /// Cancelled before it was ready. Final.
    Cancelled,
}

/// THE transition table. The database's trigger `orders_status_transition` refuses everything else, and
/// `docs/STATES.md` shows it; a test compares all three.
pub const TRANSITIONS: &[(Status, Status)] = &[
    (Status::Received, Status::Cooking),
    (Status::Cooking, Status::Ready),
    (Status::Ready, Status::Completed),
    (Status::Ready, Status::OutForDelivery),
    (Status::OutForDelivery, Status::Completed),
    (Status::Received, Status::Cancelled),
    (Status::Cooking, Status::Cancelled),
    (Status::Ready, Status::Cooking),
];

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be one of {}", Status::ALL.map(Status::as_str).join(", "))]
pub struct UnknownStatus;

/// What the kitchen has to do with an order.
#[derive(PartialEq, Eq)]
enum Stage {
    /// It is to be cooked, or is being cooked.
    Ahead,
    Done,
    /// It will never be cooked.
    Never,
}

/// What the program asks of a status. A status says here what it is, and nowhere else: statements take the names of those
/// of which something is true, and a test compares the rules and the indexes of the schema.
impl Status {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Received, Self::Cooking, Self::Ready, Self::OutForDelivery, Self::Completed, Self::Cancelled];

    /// Those after which something comes, in the order of an order's life: the columns of the boards.
    pub const OPEN: [Self; 4] = [Self::Received, Self::Cooking, Self::Ready, Self::OutForDelivery];

    /// The name on the wire and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Cooking => "cooking",
            Self::Ready => "ready",
            Self::OutForDelivery => "out_for_delivery",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
        }
    }

    const fn stage(self) -> Stage {
        match self {
            Self::Received | Self::Cooking => Stage::Ahead,
            Self::Ready | Self::OutForDelivery | Self::Completed => Stage::Done,
            Self::Cancelled => Stage::Never,
        }
    }

    /// Whether an order may go from here to `next`.
    pub fn may_become(self, next: Self) -> bool {
        TRANSITIONS.contains(&(self, next))
    }

    /// The statuses from which an order may come here: none for the first one. From which of them an order came, its log
    /// says.
    pub fn ways_in(self) -> impl Iterator<Item = Self> {
        TRANSITIONS.iter().filter(move |(_, to)| *to == self).map(|(from, _)| *from)
    }

    /// The types of the orders that may come here.
    pub fn order_types(self) -> &'static [OrderType] {
        if self == Self::OutForDelivery { &[OrderType::Delivery] } else { &OrderType::ALL }
    }

    /// Whether nothing comes after it.
    pub fn is_final(self) -> bool {
        !TRANSITIONS.iter().any(|(from, _)| *from == self)
    }

    /// Whether the kitchen has done, or will never do, what it has to do: there is nothing left to estimate, unless the order
    /// is recalled.
    pub fn is_settled(self) -> bool {
        self.stage() != Stage::Ahead
    }

    /// Whether the kitchen has cooked the order.
    pub fn is_cooked(self) -> bool {
        self.stage() == Stage::Done
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Status {
    type Err = UnknownStatus;

    fn from_str(text: &str) -> Result<Self, UnknownStatus> {
        Self::ALL.into_iter().find(|s| s.as_str() == text).ok_or(UnknownStatus)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn completed_and_cancelled_are_final_and_nothing_else() {
        let finals: Vec<_> = Status::ALL.into_iter().filter(|s| s.is_final()).collect();
        assert_eq!(finals, [Status::Completed, Status::Cancelled]);
        assert!(Status::ALL.into_iter().filter(|s| !s.is_final()).eq(Status::OPEN));
    }

    #[test]
    fn every_status_but_the_first_has_a_way_in() {
        for status in Status::ALL {
            assert_eq!(status.ways_in().count() > 0, status != Status::Received, "{status}");
        }
    }

    #[test]
    fn what_is_final_is_settled_and_what_becomes_cooked_stays_so_unless_it_is_recalled() {
        for (from, to) in TRANSITIONS {
            assert!(!from.is_final(), "{from}");
            let is_recall = (*from, *to) == (Status::Ready, Status::Cooking);
            assert!(!from.is_cooked() || to.is_cooked() || is_recall, "{from} to {to}");
        }
        for status in Status::ALL {
            assert!(!status.is_final() || status.is_settled(), "{status}");
            assert!(!status.is_cooked() || status.is_settled(), "{status}");
        }
    }

    #[test]
    fn a_name_is_the_same_to_serde_and_an_unknown_one_is_told_which_there_are() {
        for status in Status::ALL {
            assert_eq!(serde_json::to_value(status).ok(), Some(status.as_str().into()));
            assert_eq!(status.as_str().parse(), Ok(status));
        }
        let unknown = "must be one of received, cooking, ready, out_for_delivery, completed, cancelled";
        assert_eq!("eaten".parse::<Status>().map_err(|e| e.to_string()), Err(unknown.to_owned()));
    }

    #[test]
    fn an_order_can_be_cancelled_until_it_is_ready() {
        let cancellable: Vec<_> = Status::Cancelled.ways_in().collect();
        assert_eq!(cancellable, [Status::Received, Status::Cooking]);
    }
}
