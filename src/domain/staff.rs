//! The staff: who may do what.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::Serialize;

use super::password::PasswordHash;
use super::status::Status;
use super::worker::is_name;

/// The holder of the one token (`staff.token_file`), as an actor.
pub const TOKEN_HOLDER: &str = "api";
/// A session that nobody uses for so long is over: a shift, and some.
pub const SESSION_IDLE: Duration = Duration::from_secs(12 * 60 * 60);
/// A session is over after so long however much it is used.
pub const SESSION_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// What an account is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StaffRole {
    /// Cooks.
    Kitchen,
    /// Takes orders over the counter and hands them out.
    Counter,
    /// Answers for all of it.
    Manager,
}

impl StaffRole {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Kitchen, Self::Counter, Self::Manager];

    /// The name on the wire, in the database and in the accounts file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Kitchen => "kitchen",
            Self::Counter => "counter",
            Self::Manager => "manager",
        }
    }

    /// Whether it has a right.
    pub fn may(self, right: Right) -> bool {
        RIGHTS.iter().any(|(of, roles)| *of == right && roles.contains(&self))
    }
}

impl fmt::Display for StaffRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text names no role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be one of {}", StaffRole::ALL.map(StaffRole::as_str).join(", "))]
pub struct UnknownStaffRole;

impl FromStr for StaffRole {
    type Err = UnknownStaffRole;

    fn from_str(text: &str) -> Result<Self, UnknownStaffRole> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or(UnknownStaffRole)
    }
}

/// What a member of the staff may or may not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Right {
    /// Work at a station.
    Station,
    /// Have a ready order cooked again.
    Recall,
    /// Hand an order to its customer.
    Complete,
    /// Send an order out.
    Dispatch,
    /// Cancel an order that nobody cooks.
    CancelReceived,
    /// Cancel an order that is being cooked.
    CancelCooking,
    /// Say what is sold out.
    SoldOut,
    /// See lists of orders, and who ordered.
    Lists,
    /// Pause the intake.
    Pause,
    /// See what the staff did.
    Actions,
}

/// THE table of rights. `docs/OPERATIONS.md` shows it; a test compares them.
pub const RIGHTS: &[(Right, &[StaffRole])] = &[
    (Right::Station, &[StaffRole::Kitchen, StaffRole::Manager]),
    (Right::Recall, &[StaffRole::Kitchen, StaffRole::Manager]),
    (Right::Complete, &[StaffRole::Counter, StaffRole::Manager]),
    (Right::Dispatch, &[StaffRole::Counter, StaffRole::Manager]),
    (Right::CancelReceived, &[StaffRole::Counter, StaffRole::Manager]),
    (Right::CancelCooking, &[StaffRole::Manager]),
    (Right::SoldOut, &[StaffRole::Counter, StaffRole::Manager]),
    (Right::Lists, &[StaffRole::Counter, StaffRole::Manager]),
    (Right::Pause, &[StaffRole::Manager]),
    (Right::Actions, &[StaffRole::Manager]),
];

impl Right {
    /// That to move an order from one status to another, as [`super::TRANSITIONS`] allows it.
    pub fn to_move(from: Status, to: Status) -> Self {
        match (from, to) {
            (Status::Received, Status::Cancelled) => Self::CancelReceived,
            (_, Status::Cancelled) => Self::CancelCooking,
            (_, Status::Completed) => Self::Complete,
            (_, Status::Cooking) => Self::Recall,
            _ => Self::Dispatch,
        }
    }

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Station => "station",
            Self::Recall => "recall",
            Self::Complete => "complete",
            Self::Dispatch => "dispatch",
            Self::CancelReceived => "cancel_received",
            Self::CancelCooking => "cancel_cooking",
            Self::SoldOut => "sold_out",
            Self::Lists => "lists",
            Self::Pause => "pause",
            Self::Actions => "actions",
        }
    }

    /// What it is to do, behind "may not".
    pub const fn what(self) -> &'static str {
        match self {
            Self::Station => "work at a station",
            Self::Recall => "recall an order",
            Self::Complete => "hand an order over",
            Self::Dispatch => "send an order out",
            Self::CancelReceived => "cancel an order",
            Self::CancelCooking => "cancel an order that is being cooked",
            Self::SoldOut => "say what is sold out",
            Self::Lists => "see lists of orders",
            Self::Pause => "pause the intake",
            Self::Actions => "see what the staff did",
        }
    }
}

/// A person who is known by an account, or the holder of the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaffMember {
    /// The account's name, or [`TOKEN_HOLDER`].
    pub name: String,
    /// `None` for the holder of the token, who has all rights.
    pub role: Option<StaffRole>,
}

impl StaffMember {
    /// The holder of the token.
    pub fn token_holder() -> Self {
        Self { name: TOKEN_HOLDER.to_owned(), role: None }
    }

    /// Whether this person has a right.
    pub fn may(&self, right: Right) -> bool {
        self.role.is_none_or(|role| role.may(right))
    }

    /// All the rights that this person has.
    pub fn rights(&self) -> Vec<Right> {
        RIGHTS.iter().map(|(right, _)| *right).filter(|right| self.may(*right)).collect()
    }

    /// The `changed_by` of what this person does to an order.
    pub fn changed_by(&self) -> String {
        format!("staff:{}", self.name)
    }
}

/// A line of the accounts file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaffAccount {
    /// Who it is.
    pub name: String,
    /// What that person may do.
    pub role: StaffRole,
    /// By what that person is known.
    pub password: PasswordHash,
}

impl StaffAccount {
    /// The person.
    pub fn member(&self) -> StaffMember {
        StaffMember { name: self.name.clone(), role: Some(self.role) }
    }
}

/// What is wrong with the name of an account.
pub fn account_name_fault(name: &str) -> Option<&'static str> {
    match name {
        TOKEN_HOLDER => Some("stands for the holder of the token; take another name"),
        _ if !is_name(name) => Some(
            "must have 1 to 64 characters, no control character, none that breaks or turns a line or is invisible, and \
             no blank at its ends",
        ),
        _ => None,
    }
}

/// What opens the calls for staff; nothing where neither is configured.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct StaffAccess {
    /// The SHA-256 of the one token.
    pub token_sha256: Option<[u8; 32]>,
    /// The accounts, each name once.
    pub accounts: Option<Vec<StaffAccount>>,
}

impl StaffAccess {
    /// Whether calls for staff are off.
    pub fn is_off(&self) -> bool {
        self.token_sha256.is_none() && self.accounts.is_none()
    }

    /// The account of this name.
    pub fn account(&self, name: &str) -> Option<&StaffAccount> {
        self.accounts.iter().flatten().find(|account| account.name == name)
    }
}

impl fmt::Debug for StaffAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let accounts = self.accounts.as_ref().map(Vec::len);
        write!(f, "StaffAccess(token {}, accounts {accounts:?})", self.token_sha256.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::TRANSITIONS;

    #[test]
    fn a_manager_may_do_everything_and_every_right_has_one_row() {
        for (right, roles) in RIGHTS {
            assert!(StaffRole::Manager.may(*right), "{right:?}");
            assert_eq!(RIGHTS.iter().filter(|(other, _)| other == right).count(), 1, "{right:?}");
            assert!(!roles.is_empty());
        }
        let may = |role: StaffRole| RIGHTS.iter().filter(|(right, _)| role.may(*right)).count();
        assert_eq!(StaffRole::ALL.map(may), [2, 5, 10]);
    }

    #[test]
    fn the_holder_of_the_token_has_all_rights() {
        let holder = StaffMember::token_holder();
        assert_eq!(holder.rights().len(), RIGHTS.len());
        assert_eq!(holder.changed_by(), "staff:api");
    }

    #[test]
    fn only_a_manager_cancels_what_cooks() {
        for (from, to) in TRANSITIONS.iter().filter(|(_, to)| *to == Status::Cancelled) {
            let counter = StaffRole::Counter.may(Right::to_move(*from, *to));
            assert_eq!(counter, *from == Status::Received, "{from}");
        }
    }

    #[test]
    fn the_name_of_the_token_holder_is_taken() {
        assert_eq!(account_name_fault("anna"), None);
        assert_eq!(account_name_fault("Jürgen K."), None);
        for name in ["api", "", " anna", "anna\n", "\u{202e}anna"] {
            assert!(account_name_fault(name).is_some(), "{name:?}");
        }
    }
}
