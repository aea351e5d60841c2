#![doc = include_str!("../README.md")]

pub mod address;
mod answer;
pub mod app;
pub mod asset;
pub mod body;
pub mod browser;
pub mod docs;
pub mod etag;
pub mod fail;
pub mod followed;
pub mod form;
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
pub mod web;

pub use app::{App, app, system_app};
pub use fail::{Fail, may};
pub use problem::{FieldError, Problem};

#[cfg(test)]
mod tests;
