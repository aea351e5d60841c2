use proptest::prelude::*;

use super::*;

fn given(text: &str) -> Input<String> {
    Input::Given(text.to_owned())
}

fn item(name: &str, quantity: i64, price: &str) -> Input<ItemDraft> {
    let [name, price] = [name, price].map(given);
    Input::Given(ItemDraft { name, quantity: Input::Given(quantity), price, ..ItemDraft::default() })
}

fn takeout(items: Vec<Input<ItemDraft>>) -> OrderDraft {
    OrderDraft {
        customer_name: given("Ada Lovelace"),
        order_type: given("takeout"),
        items: Input::Given(items),
        ..OrderDraft::default()
    }
}

fn pointers(draft: OrderDraft) -> Vec<String> {
    NewOrder::parse(draft, None).unwrap_err().into_iter().map(|v| v.pointer).collect()
}

#[test]
fn the_original_example_costs_what_it_says() {
    let order = NewOrder::parse(
        takeout(vec![item("Margherita Pizza", 1, "15.99"), item("Caesar Salad", 1, "8.99")]),
        None,
    )
    .unwrap();
    assert_eq!(order.total_amount().to_string(), "24.98");
    assert_eq!(order.priority(), Priority::LOW);
}

#[test]
fn every_violation_is_listed_in_the_order_of_the_fields() {
    let mut draft = takeout(vec![
        item(" ", 0, "9.999"),
        Input::Missing,
        Input::Given(ItemDraft {
            name: Input::Missing,
            quantity: Input::Invalid("must be an integer".into()),
            price: given("0"),
            notes: given("two\nlines"),
            ..ItemDraft::default()
        }),
    ]);
    draft.customer_name = given("R2D2");
    draft.order_type = given("dine_in");
    draft.table_number = Input::Given(101);
    draft.delivery_address = given("somewhere");
    draft.notes = Input::Invalid("must be a text".into());
    assert_eq!(
        pointers(draft),
        [
            "/customer_name",
            "/items/0/name",
            "/items/0/quantity",
            "/items/0/price",
            "/items/1",
            "/items/2/name",
            "/items/2/quantity",
            "/items/2/price",
            "/items/2/notes",
            "/table_number",
            "/delivery_address",
            "/notes"
        ]
    );
}

#[test]
fn an_empty_draft_misses_what_is_always_required() {
    assert_eq!(pointers(OrderDraft::default()), ["/customer_name", "/order_type", "/items"]);
}

#[test]
fn entries_of_one_dish_are_not_summed() {
    let order = NewOrder::parse(takeout(vec![item("Cola", 10, "2"); *bounds::ITEMS.end()]), None).unwrap();
    assert_eq!(order.total_amount().to_string(), "400.00");
    let over = takeout(vec![item("Cola", 10, "2"), item("Cola", 11, "2")]);
    assert_eq!(pointers(over), ["/items/1/quantity"]);
}

#[test]
fn one_to_twenty_entries() {
    let items = |n: usize| (0..n).map(|i| item(&format!("Dish {i}"), 1, "1.00")).collect::<Vec<_>>();
    assert!(NewOrder::parse(takeout(items(20)), None).is_ok());
    assert_eq!(pointers(takeout(items(0))), ["/items"]);
    assert_eq!(pointers(takeout(items(21))), ["/items"]);
}

#[test]
fn a_message_of_a_version_without_notes_is_read() {
    let message = r#"{"order_number": "ORD_20261122_001", "customer_name": "Ada", "order_type": "takeout", "table_number": null,
        "delivery_address": null, "items": [{"name": "Soup", "quantity": 1, "price": 4.50}], "total_amount": 4.50, "priority": 1}"#;
    let message: OrderMessage = serde_json::from_str(message).unwrap();
    assert_eq!((message.notes, message.items[0].notes.as_ref()), (None, None));
}

proptest! {
    #[test]
    fn the_total_is_the_exact_sum(entries in proptest::collection::vec((1_u8..=10, 1_i64..=99_999), 1..=20)) {
        let items = entries
            .iter()
            .enumerate()
            .map(|(i, (quantity, cents))| {
                item(&format!("Dish {i}"), i64::from(*quantity), &Money::from_cents(*cents).to_string())
            })
            .collect();
        let order = NewOrder::parse(takeout(items), None).unwrap();
        let cents: i64 = entries.iter().map(|(quantity, cents)| i64::from(*quantity) * cents).sum();
        prop_assert_eq!(order.total_amount(), Money::from_cents(cents));
    }

    #[test]
    fn a_field_of_another_type_is_always_refused(table in 1_i64..=100, address in "[a-z ]{10,40}[a-z]") {
        let mut draft = takeout(vec![item("Soup", 1, "4.50")]);
        draft.table_number = Input::Given(table);
        draft.delivery_address = Input::Given(address);
        prop_assert_eq!(pointers(draft), ["/table_number", "/delivery_address"]);
    }

    #[test]
    fn no_text_makes_it_panic(name in any::<String>(), kind in any::<String>(), price in any::<String>(), quantity in any::<i64>()) {
        let mut draft = takeout(vec![item(&name, quantity, &price)]);
        draft.customer_name = Input::Given(kind.clone());
        draft.order_type = Input::Given(kind);
        let _ = NewOrder::parse(draft, None);
    }
}
