//! The roles. They never import each other; what two of them need lies in a layer below, or in `servers` and
//! `dead_letters`.

mod dead_letters;
pub mod kitchen;
pub mod notification;
pub mod order;
mod servers;
pub mod tracking;
