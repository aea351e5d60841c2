//! `restaurant-system`: takes orders, has them cooked, lets everybody watch, and tells what changed.
//!
//! The map of the crate; arrows point down only (`tests/it/layers.rs` holds them).

pub mod broker;
pub mod cli;
pub mod client;
pub mod config;
pub mod dev;
pub mod domain;
pub mod http;
pub mod relay;
pub mod runtime;
pub mod services;
pub mod store;
