//! The roles. They never import each other; what two of them need lies in a layer below, or in `servers`, `staff`, `paging`,
//! `lookup`, `load`, `live_document`, `server_metrics`, `house_metrics`, `transitions`, `consumed` and `dead_letters`.

mod consumed;
mod dead_letters;
pub mod gateway;
mod house_metrics;
pub mod kitchen;
mod live_document;
mod load;
mod lookup;
pub mod notification;
pub mod order;
mod paging;
mod server_metrics;
mod servers;
mod staff;
pub mod tracking;
mod transitions;

pub use load::UnmeasuredTimes;
pub use server_metrics::ServerMetrics;
pub use servers::{CONNECTIONS_BESIDE_STREAMS, broker_readiness, readiness, show_metrics};
pub use transitions::Transitions;
