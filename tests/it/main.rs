//! The one integration test binary: real servers, started once, and the real program as separate processes.
//!
//! One behaviour per module; what they share is in `support`.
#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used)]

mod advisories;
mod alerts;
mod asyncapi;
mod backup;
mod board;
mod broker;
mod browser;
mod cli;
mod cluster;
mod contract;
mod crash;
mod customers;
mod dev_command;
mod doctor;
mod documents;
mod example_file;
mod fuzz;
mod gateway;
mod hosts;
mod journal;
mod kitchen;
mod layers;
mod logs;
mod metrics;
mod nix_files;
mod openapi;
mod orders;
mod original;
mod outbox;
mod plans;
mod postgres;
mod queues;
mod reconciler;
mod references;
mod schema;
mod schema_file;
mod servers;
mod sim;
mod staff;
mod startup;
mod station;
mod support;
mod systemd;
#[cfg(feature = "otlp")]
mod traces;
mod tracking;
