//! The roles. They never import each other; what two of them need lies in a layer below, or in `servers`, `staff`, `paging`,
//! `lookup`, `load`, `live_document` and `dead_letters`.

mod dead_letters;
pub mod gateway;
pub mod kitchen;
mod live_document;
mod load;
mod lookup;
pub mod notification;
pub mod order;
mod paging;
mod servers;
mod staff;
pub mod tracking;

pub use load::UnmeasuredTimes;
pub use servers::CONNECTIONS_BESIDE_STREAMS;
