//! What is told of an order's change (contract, section 5).

use std::ops::RangeInclusive;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::OrderNumber;

/// The longest name of a status, of later versions too.
const MAX_STATUS_CHARS: usize = 20;
/// The longest name of who changed an order: a worker's, or an account's with what it is.
pub const CHANGED_BY_CHARS: RangeInclusive<usize> = 1..=128;

/// A change of an order's status; also the `data` of the event streams. Statuses are texts of the form of one when reading:
/// a status that a later version adds must not stop those who only tell of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusUpdate {
    pub order_number: String,
    /// What it was; `null` in an event stream's first.
    pub old_status: Option<String>,
    pub new_status: String,
    pub changed_by: String,
    /// When, RFC 3339 in UTC.
    pub timestamp: Timestamp,
    /// When it will be ready, where that is known.
    pub estimated_completion: Option<Timestamp>,
}

impl StatusUpdate {
    /// What keeps this from being an update as this system sends them, without any value of it: who reads one tells it to
    /// people.
    ///
    /// # Errors
    /// The first thing.
    pub fn check(&self) -> Result<(), &'static str> {
        if OrderNumber::parse(&self.order_number).is_err() {
            return Err("order_number is no order number");
        }
        if !std::iter::once(&self.new_status).chain(&self.old_status).all(|status| is_status(status)) {
            return Err("old_status or new_status does not have the form of a status");
        }
        let is_name = CHANGED_BY_CHARS.contains(&self.changed_by.chars().count());
        if !is_name || !clean_text::is_clean_line(&self.changed_by) {
            return Err("changed_by is no name of 1 to 128 characters in one clean line");
        }
        Ok(())
    }
}

fn is_status(text: &str) -> bool {
    (1..=MAX_STATUS_CHARS).contains(&text.len()) && text.bytes().all(|b| b == b'_' || b.is_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update() -> StatusUpdate {
        StatusUpdate {
            order_number: "ORD_20261122_001".to_owned(),
            old_status: Some("received".to_owned()),
            new_status: "cooking".to_owned(),
            changed_by: "chef_mario".to_owned(),
            timestamp: Timestamp::UNIX_EPOCH,
            estimated_completion: None,
        }
    }

    #[test]
    fn an_update_may_name_a_status_that_this_version_does_not_know() {
        assert_eq!(update().check(), Ok(()));
        assert_eq!(StatusUpdate { new_status: "out_for_delivery".to_owned(), ..update() }.check(), Ok(()));
        assert_eq!(
            StatusUpdate { old_status: None, changed_by: "staff:Zoë".to_owned(), ..update() }.check(),
            Ok(())
        );
    }

    #[test]
    fn an_update_of_another_form_is_refused_without_repeating_it() {
        let texts = ["Ada Lovelace, 12 Row", "", "a\nb", "\u{202e}a", "a\u{200b}", &"x".repeat(129)];
        for text in texts.map(str::to_owned) {
            let mut refused = vec![
                StatusUpdate { order_number: text.clone(), ..update() },
                StatusUpdate { old_status: Some(text.clone()), ..update() },
                StatusUpdate { new_status: text.clone(), ..update() },
            ];
            if !text.starts_with("Ada") {
                refused.push(StatusUpdate { changed_by: text.clone(), ..update() });
            }
            for update in refused {
                let reason = update.check().err().unwrap_or_default();
                assert!(
                    !reason.is_empty() && (text.len() < 5 || !reason.contains(&text)),
                    "{update:?}: {reason}"
                );
            }
        }
    }
}
