//! The one integration test binary: real servers, started once, and the real program as separate processes.
//!
//! One behaviour per module; what they share is in `support`.
#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used)]

mod broker;
mod dev_command;
mod kitchen;
mod orders;
mod servers;
mod support;
