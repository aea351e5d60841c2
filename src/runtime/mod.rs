//! tmp
pub mod batcher;
pub mod retry;
