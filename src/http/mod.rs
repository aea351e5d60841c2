//! What both HTTP roles share: everything around the handlers.
//!
//! | module | what it does |
//! |---|---|
//! | [`mod@app`] | composes a role's API with all of this |
//! | [`server`] | connections, their limits, and an orderly end |
//! | `places`, [`address`] | who gives way when they run out; the true address of who comes through a proxy |
//! | `framing`, `hosts` | which requests can be read in two ways, or were meant for another; what is said to those that cannot be read |
//! | `headers` | what every answer has |
//! | [`problem`], [`fail`] | errors as RFC 9457 documents; how an operation declares which it may answer with |
//! | [`body`], [`members`] | reading JSON strictly, bounded in size and time |
//! | [`reply`], [`etag`], [`sse`] | JSON answers, with `ETag` and `304`; live events |
//! | [`auth`], `attempts` | who is staff; wrong tokens by the address that they come from |
//! | [`request_id`] | the id and the trace of a request |
//! | [`docs`], [`asset`], [`system`] | the OpenAPI document, Swagger UI, kept compressed, and the routes that every role has |
//! | [`health`], [`metrics`] | `/healthz`, `/readyz`, `/metrics` |
//! | [`routes`], `query` | the table of routes: `Allow`, and metrics by route; the parameters of each, and no others |
//!
//! A handler takes what it needs and says how it may fail:
//! ```ignore
//! #[oai(path = "/orders", method = "post", operation_id = "place_order")]
//! async fn place(
//!     &self,
//!     context: RequestContext,              // request id, trace
//!     body: JsonRequest<OrderRequest>,      // bytes; OrderRequest is the schema
//!     #[oai(name = "Idempotency-Key")] key: Header<Option<String>>,
//! ) -> Result<Placed, Fail<{ may::BODY | may::CONFLICT | may::UNPROCESSABLE | may::UNAVAILABLE }>> {
//!     let members = Members::read(&body.bytes)?;
//!     // …
//! }
//! ```
//! where `Placed` derives `ApiResponse`, with `JsonReply<PlacedOrder>` and a `Location` header for its 201.
//!
//! It knows no database and no broker; what it needs to know of them is handed to it ([`health::Readiness`]).

pub mod address;
mod answer;
pub mod app;
pub mod asset;
mod attempts;
pub mod auth;
pub mod body;
pub mod docs;
pub mod etag;
pub mod fail;
mod framing;
mod headers;
pub mod health;
pub mod hosts;
mod kind;
pub mod members;
pub mod metrics;
mod places;
pub mod problem;
mod query;
mod refusals;
pub mod reply;
pub mod request_id;
pub mod routes;
pub mod schemas;
pub mod server;
mod shown;
pub mod sse;
mod stream;
pub mod system;

pub use app::{App, app};
pub use fail::{Fail, may};
pub use problem::{FieldError, Problem};

#[cfg(test)]
mod tests;
