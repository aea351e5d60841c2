//! What this program adds to the HTTP kit ([`http_kit`]) for all of its APIs.

pub mod attempts;
pub mod auth;
pub mod caller;
pub mod order_token;
pub mod restaurant;
mod schemas;
pub mod web;
pub mod words;

/// What the `type` of every problem begins with: the same from all services.
pub const PROBLEM_TYPES: &str = "urn:restaurant-system:problem:";
