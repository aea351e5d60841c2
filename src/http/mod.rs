//! What this program adds to the HTTP kit ([`http_kit`]) for both of its APIs.

pub mod attempts;
pub mod auth;
mod schemas;

/// What the `type` of every problem begins with: the same from both services.
pub const PROBLEM_TYPES: &str = "urn:restaurant-system:problem:";
