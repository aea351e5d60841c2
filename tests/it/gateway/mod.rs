//! The web gateway, from outside (contract, section 13).

mod calls;
mod headers;
mod order_form;
mod order_limits;
mod role;
mod sessions;
mod staff;
mod streams;
mod stub;
mod track;
