//! What a restaurant is, without any I/O: orders and their rules, money, statuses, workers, estimates.
//!
//! Nothing here is `async`, reads a clock or draws a random number; times are passed in. "Parse, don't validate":
//! a [`NewOrder`] that exists has passed every rule.

pub mod bounds;
mod estimate;
mod intake;
mod menu;
mod money;
mod number;
mod opening;
mod order;
mod order_type;
mod password;
mod priority;
mod staff;
mod status;
mod status_update;
mod text;
mod tracking_token;
mod violation;
mod worker;

pub use estimate::{CookTimes, KitchenLoad, estimate_waiting};
pub use intake::IntakeTimes;
pub use menu::{
    Allergen, Diet, InvalidMenuId, InvalidTimeOfDay, Menu, MenuCategory, MenuChoice, MenuId, MenuItem,
    MenuOption, Priced, Shortage, TimeOfDay, Wish, business_day_end, menu_description_faults,
    menu_name_faults,
};
pub use money::{Money, MoneyError};
pub use number::{InvalidOrderNumber, OrderNumber};
pub use opening::{InvalidWeeklyHours, Opening, OpeningHours, WeeklyHours};
pub use order::{Input, ItemDraft, NewOrder, Offer, OrderDraft, OrderItem, OrderMessage, Service};
pub use order_type::{OrderType, UnknownOrderType};
pub use password::{PasswordHash, UnusableHash};
pub use priority::Priority;
pub use staff::{
    RIGHTS, Right, SESSION_IDLE, SESSION_MAX, StaffAccess, StaffAccount, StaffMember, StaffRole,
    TOKEN_HOLDER, UnknownStaffRole, account_name_fault,
};
pub use status::{Status, TRANSITIONS, UnknownStatus};
pub use status_update::{CHANGED_BY_CHARS, StatusUpdate};
pub use text::reason_faults;
pub use tracking_token::TrackingToken;
pub use violation::{Violation, ViolationKind};
pub use worker::{InvalidWorkerName, OFFLINE_AFTER_INTERVALS, WorkerName, WorkerState};
