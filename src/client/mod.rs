//! The client side: what customers (and the load generator) use to speak with the HTTP services.
//!
//! - [`api`]: one call of the order or tracking API each; [`orders`] is what they carry
//! - [`events`]: the live event stream that survives broken connections, on [`sse`], the wire format
//! - [`generator`]: realistic orders from a seed, of the dishes in [`menu`] or of what the service offers ([`offer`])
//! - [`simulation`]: customers arriving at a rate, measured with [`stats`]
//!
//! It knows the services by their contract only (`docs/CONTRACT.md`), and shares no code with them but the domain's words.
//! So it is an independent check of them.

pub mod api;
mod call;
pub mod error;
pub mod events;
pub mod generator;
pub mod menu;
pub mod offer;
pub mod orders;
#[cfg(test)]
mod rules;
pub mod simulation;
pub mod sse;
pub mod stats;
#[cfg(test)]
pub(crate) mod stub;

pub use api::{BaseUrl, OrderClient, StaffStep, TrackingClient};
pub use error::{ClientError, FieldFault, ProblemAnswer};
pub use events::{EventStream, StatusEvent, StreamItem};
