//! How an order is served.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How an order is served. It decides which queue the order waits in and how long it cooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderType {
    /// At a table of the restaurant.
    DineIn,
    Takeout,
    Delivery,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be one of {}", OrderType::ALL.map(OrderType::as_str).join(", "))]
pub struct UnknownOrderType;

impl OrderType {
    pub const ALL: [Self; 3] = [Self::DineIn, Self::Takeout, Self::Delivery];

    /// The name on the wire and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DineIn => "dine_in",
            Self::Takeout => "takeout",
            Self::Delivery => "delivery",
        }
    }
}

impl fmt::Display for OrderType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for OrderType {
    type Err = UnknownOrderType;

    fn from_str(text: &str) -> Result<Self, UnknownOrderType> {
        Self::ALL.into_iter().find(|t| t.as_str() == text).ok_or(UnknownOrderType)
    }
}
