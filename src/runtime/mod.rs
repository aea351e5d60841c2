//! What every process needs, whatever its role: its log ([`telemetry`]), its end ([`shutdown`], [`exit`]), patience
//! with servers that are away ([`retry`]) and times as text ([`clock`]).

pub mod clock;
pub mod exit;
pub mod retry;
pub mod shutdown;
pub mod telemetry;
