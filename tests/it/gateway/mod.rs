//! The web gateway, from outside (contract, section 13).

mod role;
