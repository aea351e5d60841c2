//! The bounds of an order (contract, section 3), here and nowhere else: [`NewOrder::parse`](super::NewOrder::parse) applies them,
//! and the OpenAPI document is made from them. Tests compare the checks of the schema, and the table of `docs/CONTRACT.md`.

use std::ops::RangeInclusive;

use super::Money;

/// Characters of a customer's name.
pub const CUSTOMER_NAME_CHARS: RangeInclusive<usize> = 1..=100;
/// Entries of one order.
pub const ITEMS: RangeInclusive<usize> = 1..=20;
/// Characters of the name of a dish.
pub const ITEM_NAME_CHARS: RangeInclusive<usize> = 1..=50;
/// Pieces in one entry. Several entries may name the same dish.
pub const QUANTITY: RangeInclusive<u8> = 1..=10;
/// What one piece costs.
pub const PRICE: RangeInclusive<Money> = Money::from_cents(1)..=Money::from_cents(99_999);
/// The tables of the restaurant.
pub const TABLES: RangeInclusive<u8> = 1..=100;
/// Characters of the reason of a cancellation.
pub const REASON_CHARS: RangeInclusive<usize> = 1..=200;
/// Characters of an address.
pub const ADDRESS_CHARS: RangeInclusive<usize> = 10..=500;
/// Characters of the notes on an order, or on an entry of it.
pub const NOTES_CHARS: RangeInclusive<usize> = 1..=200;
/// Characters of what a menu says of an item.
pub const DESCRIPTION_CHARS: RangeInclusive<usize> = 1..=300;
