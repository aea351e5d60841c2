//! runtime
pub mod metrics;
