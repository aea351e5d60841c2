//! The order service, from outside: contract, section 3 and what section 4 asks of every HTTP role.

mod client;
mod idempotency;
mod intake;
mod intake_limits;
pub(crate) mod menu;
mod menu_orders;
mod notes;
mod numbers;
mod outages;
mod overload;
mod places;
mod priority;
mod privacy;
mod problems;
mod proxy;
mod requests;
mod staff;
mod strangers;
mod system;
mod tokens;
mod validation;
