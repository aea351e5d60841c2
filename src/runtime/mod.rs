//! What every process needs, whatever its role: its log ([`telemetry`]), its end ([`shutdown`], [`exit`]), its
//! service manager ([`systemd`]), patience
//! with servers that are away ([`retry`]), natural batching ([`batcher`]), counters ([`metrics`]) and times as text
//! ([`clock`]).

pub mod batcher;
pub mod clock;
pub mod exit;
pub mod metrics;
pub mod retry;
pub mod shutdown;
pub mod systemd;
pub mod telemetry;
