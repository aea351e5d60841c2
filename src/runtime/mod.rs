//! runtime
pub mod batcher;
pub mod metrics;
pub mod retry;
