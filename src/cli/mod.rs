//! cli
pub mod dev;
