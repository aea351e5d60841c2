//! Models of the servers, for a simulation of the core.

mod differential;
mod orders;
#[allow(dead_code)]
mod tables;
