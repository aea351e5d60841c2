//! What the OpenAPI document says of an order as it is placed. Nothing is read by these types (`reading` does that,
//! and the domain decides); they say the same rules to programs, as far as JSON Schema can.

#![allow(dead_code)]

use poem_openapi::{Enum, Object, Union};

use crate::domain::Price;

/// Letters of any script with their marks; among them spaces, hyphens, apostrophes and full stops.
const CUSTOMER_NAME: &str = "^[ .'’‐-]*(\\p{L}\\p{M}*[ .'’‐-]*)+$";

/// An order as it is placed: entries of the same name may not sum to more than 10.
#[derive(Union)]
#[oai(one_of)]
pub(super) enum OrderRequest {
    DineIn(DineInOrder),
    Takeout(TakeoutOrder),
    Delivery(DeliveryOrder),
}
