//! The web gateway, from outside (contract, section 13).

mod order_form;
mod role;
mod staff;
mod track;
