//! Orders for both sides of a comparison, from a generator.

use fastrand::Rng;
use restaurant_system::domain::{Input, ItemDraft, NewOrder, OrderDraft, OrderType, TrackingToken};

/// Any order that keeps the rules: all types and all priorities come up.
pub fn form(rng: &mut Rng) -> NewOrder {
    let order_type = OrderType::ALL[rng.usize(..OrderType::ALL.len())];
    let given = |text: &str| Input::Given(text.to_owned());
    let price = ["4.50", "61.00", "120.00"][rng.usize(..3)];
    let notes = |rng: &mut Rng| if rng.bool() { given("No onions") } else { Input::Missing };
    let item = ItemDraft {
        name: given("Soup"),
        quantity: Input::Given(1),
        price: given(price),
        notes: notes(rng),
        ..ItemDraft::default()
    };
    let mut draft = OrderDraft {
        customer_name: given("Ada Lovelace"),
        order_type: given(order_type.as_str()),
        items: Input::Given(vec![Input::Given(item)]),
        notes: notes(rng),
        ..OrderDraft::default()
    };
    match order_type {
        OrderType::DineIn => draft.table_number = Input::Given(7),
        OrderType::Takeout => {}
        OrderType::Delivery => draft.delivery_address = given("12 St James's Square, London"),
    }
    NewOrder::parse(draft, None).unwrap()
}

/// A token that no other order has. It takes nothing from the generator: what a seed does stays the same.
pub fn token(rng: &Rng) -> TrackingToken {
    TrackingToken::from_bytes(rng.clone().u128(..).to_be_bytes())
}
