//! The life of an order.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Where an order is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Taken and committed; waits for a worker.
    Received,
    /// A worker has it, or had it and was lost: then it waits for the next one in this status.
    Cooking,
    /// Cooked; waits for the customer.
    Ready,
    /// Handed to the customer. Final.
    Completed,
    /// Cancelled before it was cooked. Final.
    Cancelled,
}

/// THE transition table. The database's trigger `orders_status_transition` refuses everything else, and
/// `docs/STATES.md` shows it; a test compares all three.
pub const TRANSITIONS: &[(Status, Status)] = &[
    (Status::Received, Status::Cooking),
    (Status::Cooking, Status::Ready),
    (Status::Ready, Status::Completed),
    (Status::Received, Status::Cancelled),
];

/// The text names no status.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be one of received, cooking, ready, completed, cancelled")]
pub struct UnknownStatus;

impl Status {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Received, Self::Cooking, Self::Ready, Self::Completed, Self::Cancelled];

    /// The name on the wire and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Cooking => "cooking",
            Self::Ready => "ready",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether an order may go from here to `next`.
    pub fn may_become(self, next: Self) -> bool {
        TRANSITIONS.contains(&(self, next))
    }

    /// Whether nothing comes after it.
    pub fn is_final(self) -> bool {
        !TRANSITIONS.iter().any(|(from, _)| *from == self)
    }

    /// The status before this one; `None` for the first. Every status has exactly one way in.
    pub fn previous(self) -> Option<Self> {
        TRANSITIONS.iter().find(|(_, to)| *to == self).map(|(from, _)| *from)
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
    }

    #[test]
    fn every_status_has_one_way_in() {
        for status in Status::ALL {
            let ways = TRANSITIONS.iter().filter(|(_, to)| *to == status).count();
            assert_eq!(ways, usize::from(status != Status::Received), "{status}");
        }
    }

    #[test]
    fn an_order_that_is_cooking_cannot_be_cancelled() {
        assert!(Status::Received.may_become(Status::Cancelled));
        assert!(!Status::Cooking.may_become(Status::Cancelled));
    }
}
