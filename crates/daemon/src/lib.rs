#![doc = include_str!("../README.md")]

pub mod batcher;
pub mod clock;
pub mod descriptors;
pub mod exit;
pub mod memory;
pub mod metrics;
pub mod outlet;
mod process_metrics;
pub mod ration;
pub mod retry;
pub mod runtime;
pub mod shutdown;
pub mod sync;
pub mod systemd;
pub mod telemetry;
pub mod tls;
pub mod traces;

/// The stack of a thread that runs tasks, of which nothing is taken from memory before it is used. The client library of
/// RabbitMQ reads tables within tables, of which one frame of 128 KiB holds 26,000, by recursion, and the end of a stack ends
/// the process: they need 16 MiB, and 128 MiB where nothing is optimized.
pub const THREAD_STACK_BYTES: usize = if cfg!(debug_assertions) { 256 } else { 64 } * 1024 * 1024;
