//! Taking an order: the validation table of the contract (section 3), all of it at once.

use super::text::{address_faults, customer_name_faults, item_name_faults, with_single_spaces};
use super::{Money, OrderType, Priority};

/// Most entries of one order.
pub const MAX_ITEMS: usize = 20;
/// Most pieces in one entry. Several entries may name the same dish.
pub const MAX_QUANTITY: u8 = 10;

const TABLES: std::ops::RangeInclusive<i64> = 1..=100;
const MIN_PRICE: Money = Money::from_cents(1);
const MAX_PRICE: Money = Money::from_cents(99_999);

/// A value as the outside world gave it: perhaps not there, perhaps of a wrong kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input<T> {
    /// Not given, or `null`.
    Missing,
    /// Given, but unreadable; says what it must be ("must be a string").
    Invalid(String),
    /// Given and of the right kind.
    Given(T),
}

/// An order as it was asked for, before any rule was applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderDraft {
    /// Who orders.
    pub customer_name: Input<String>,
    /// `dine_in`, `takeout` or `delivery`.
    pub order_type: Input<String>,
    /// What is ordered.
    pub items: Input<Vec<Input<ItemDraft>>>,
    /// For `dine_in` only.
    pub table_number: Input<i64>,
    /// For `delivery` only.
    pub delivery_address: Input<String>,
}

/// An entry of an [`OrderDraft`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemDraft {
    /// What it is called on the menu.
    pub name: Input<String>,
    /// How many.
    pub quantity: Input<i64>,
    /// What one costs: the text of the number, so that it stays exact.
    pub price: Input<String>,
}

/// One rule that an [`OrderDraft`] breaks, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// JSON pointer (RFC 6901) to the offending value, such as `/items/0/price`.
    pub pointer: String,
    /// What is wrong, as the end of a sentence that begins with the field.
    pub detail: String,
}

/// An order that has passed every rule. It can only be made by [`NewOrder::parse`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOrder {
    customer_name: String,
    service: Service,
    items: Vec<OrderItem>,
}

/// How an order is served, with what that way needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Service {
    /// At this table, 1–100.
    DineIn {
        /// The table.
        table_number: u8,
    },
    /// Fetched.
    Takeout,
    /// Brought.
    Delivery {
        /// Where to: 10–500 characters.
        delivery_address: String,
    },
}

/// An entry of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderItem {
    /// 1–50 characters.
    pub name: String,
    /// 1–10.
    pub quantity: u8,
    /// 0.01–999.99, for one.
    pub price: Money,
}

impl NewOrder {
    /// Applies every rule and reports every violation, in the order of the fields.
    ///
    /// # Errors
    /// The violations; never an empty list.
    pub fn parse(draft: OrderDraft) -> Result<Self, Vec<Violation>> {
        let mut check = Check::default();
        let customer_name = check.customer_name(draft.customer_name);
        let order_type = check.order_type(&draft.order_type);
        let items = check.items(draft.items);
        let table_number = check.table_number(&draft.table_number, order_type);
        let delivery_address = check.delivery_address(draft.delivery_address, order_type);
        let service = order_type.and_then(|order_type| match order_type {
            OrderType::DineIn => table_number.map(|table_number| Service::DineIn { table_number }),
            OrderType::Takeout => Some(Service::Takeout),
            OrderType::Delivery => {
                delivery_address.map(|delivery_address| Service::Delivery { delivery_address })
            }
        });
        match (customer_name, service, items) {
            (Some(customer_name), Some(service), Some(items)) if check.violations.is_empty() => {
                Ok(Self { customer_name, service, items })
            }
            _ => Err(check.violations),
        }
    }

    /// Who ordered.
    pub fn customer_name(&self) -> &str {
        &self.customer_name
    }

    /// How it is served.
    pub fn order_type(&self) -> OrderType {
        match self.service {
            Service::DineIn { .. } => OrderType::DineIn,
            Service::Takeout => OrderType::Takeout,
            Service::Delivery { .. } => OrderType::Delivery,
        }
    }

    /// The table, for `dine_in`.
    pub fn table_number(&self) -> Option<u8> {
        match self.service {
            Service::DineIn { table_number } => Some(table_number),
            _ => None,
        }
    }

    /// The address, for `delivery`.
    pub fn delivery_address(&self) -> Option<&str> {
        match &self.service {
            Service::Delivery { delivery_address } => Some(delivery_address),
            _ => None,
        }
    }

    /// What was ordered: 1–20 entries.
    pub fn items(&self) -> &[OrderItem] {
        &self.items
    }

    /// Σ quantity × price.
    pub fn total_amount(&self) -> Money {
        self.items.iter().map(|item| item.price.times(item.quantity)).sum()
    }

    /// From the total ([`Priority::of_total`]).
    pub fn priority(&self) -> Priority {
        Priority::of_total(self.total_amount())
    }
}

/// The parts of an entry that passed; an entry can break rules with one part while another still counts.
#[derive(Default)]
struct CheckedItem {
    name: Option<String>,
    quantity: Option<u8>,
    price: Option<Money>,
}

impl CheckedItem {
    fn sound(self) -> Option<OrderItem> {
        Some(OrderItem { name: self.name?, quantity: self.quantity?, price: self.price? })
    }
}

/// Collects violations while the fields are read.
#[derive(Default)]
struct Check {
    violations: Vec<Violation>,
}

impl Check {
    fn violate(&mut self, pointer: impl Into<String>, detail: impl Into<String>) {
        self.violations.push(Violation { pointer: pointer.into(), detail: detail.into() });
    }

    /// The value of a required field.
    fn required<T>(&mut self, pointer: &str, input: Input<T>) -> Option<T> {
        match input {
            Input::Given(value) => Some(value),
            Input::Missing => {
                self.violate(pointer, "is required");
                None
            }
            Input::Invalid(detail) => {
                self.violate(pointer, detail);
                None
            }
        }
    }

    /// `value` where `faults` is empty; else a violation for each.
    fn sound<T>(&mut self, pointer: &str, value: T, faults: Vec<String>) -> Option<T> {
        let sound = faults.is_empty();
        for fault in faults {
            self.violate(pointer, fault);
        }
        sound.then_some(value)
    }

    fn customer_name(&mut self, input: Input<String>) -> Option<String> {
        let name = with_single_spaces(&self.required("/customer_name", input)?);
        let faults = customer_name_faults(&name);
        self.sound("/customer_name", name, faults)
    }

    fn order_type(&mut self, input: &Input<String>) -> Option<OrderType> {
        let text = self.required("/order_type", input.clone())?;
        match text.parse::<OrderType>() {
            Ok(order_type) => Some(order_type),
            Err(error) => {
                self.violate("/order_type", error.to_string());
                None
            }
        }
    }

    fn items(&mut self, input: Input<Vec<Input<ItemDraft>>>) -> Option<Vec<OrderItem>> {
        let drafts = self.required("/items", input)?;
        let count = drafts.len();
        if !(1..=MAX_ITEMS).contains(&count) {
            self.violate("/items", format!("must have 1 to {MAX_ITEMS} entries, has {count}"));
        }
        // Past the limit nothing more is looked at: the list of violations stays bounded.
        let items: Vec<CheckedItem> =
            drafts.into_iter().take(MAX_ITEMS).enumerate().map(|(i, draft)| self.item(i, draft)).collect();
        items.into_iter().map(CheckedItem::sound).collect()
    }

    fn item(&mut self, index: usize, input: Input<ItemDraft>) -> CheckedItem {
        let at = format!("/items/{index}");
        let Some(draft) = self.required(&at, input) else { return CheckedItem::default() };
        CheckedItem {
            name: self.item_name(&format!("{at}/name"), draft.name),
            quantity: self.quantity(&format!("{at}/quantity"), draft.quantity),
            price: self.price(&format!("{at}/price"), draft.price),
        }
    }

    fn item_name(&mut self, pointer: &str, input: Input<String>) -> Option<String> {
        let name = self.required(pointer, input)?;
        let faults = item_name_faults(&name);
        self.sound(pointer, name, faults)
    }

    fn quantity(&mut self, pointer: &str, input: Input<i64>) -> Option<u8> {
        let quantity = self.required(pointer, input)?;
        match u8::try_from(quantity) {
            Ok(quantity) if (1..=MAX_QUANTITY).contains(&quantity) => Some(quantity),
            _ => {
                self.violate(pointer, format!("must be from 1 to {MAX_QUANTITY}, is {quantity}"));
                None
            }
        }
    }

    fn price(&mut self, pointer: &str, input: Input<String>) -> Option<Money> {
        let text = self.required(pointer, input)?;
        match Money::parse(&text) {
            Ok(price) if (MIN_PRICE..=MAX_PRICE).contains(&price) => Some(price),
            Ok(_) => {
                self.violate(pointer, format!("must be from {MIN_PRICE} to {MAX_PRICE}"));
                None
            }
            Err(error) => {
                self.violate(pointer, error.to_string());
                None
            }
        }
    }

    fn table_number(&mut self, input: &Input<i64>, order_type: Option<OrderType>) -> Option<u8> {
        const POINTER: &str = "/table_number";
        match (input, order_type) {
            (Input::Missing, Some(OrderType::DineIn)) => {
                self.violate(POINTER, "is required for dine_in");
                None
            }
            (Input::Missing, _) => None,
            (_, Some(other @ (OrderType::Takeout | OrderType::Delivery))) => {
                self.violate(POINTER, format!("is for dine_in only, not for {other}"));
                None
            }
            (Input::Invalid(detail), _) => {
                self.violate(POINTER, detail.clone());
                None
            }
            (Input::Given(number), _) => match u8::try_from(*number) {
                Ok(table) if TABLES.contains(number) => Some(table),
                _ => {
                    let (first, last) = (TABLES.start(), TABLES.end());
                    self.violate(POINTER, format!("must be from {first} to {last}, is {number}"));
                    None
                }
            },
        }
    }

    fn delivery_address(&mut self, input: Input<String>, order_type: Option<OrderType>) -> Option<String> {
        const POINTER: &str = "/delivery_address";
        match (input, order_type) {
            (Input::Missing, Some(OrderType::Delivery)) => {
                self.violate(POINTER, "is required for delivery");
                None
            }
            (Input::Missing, _) => None,
            (_, Some(other @ (OrderType::DineIn | OrderType::Takeout))) => {
                self.violate(POINTER, format!("is for delivery only, not for {other}"));
                None
            }
            (Input::Invalid(detail), _) => {
                self.violate(POINTER, detail);
                None
            }
            (Input::Given(address), _) => {
                let faults = address_faults(&address);
                self.sound(POINTER, address, faults)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn given(text: &str) -> Input<String> {
        Input::Given(text.to_owned())
    }

    fn item(name: &str, quantity: i64, price: &str) -> Input<ItemDraft> {
        Input::Given(ItemDraft { name: given(name), quantity: Input::Given(quantity), price: given(price) })
    }

    fn takeout(items: Vec<Input<ItemDraft>>) -> OrderDraft {
        OrderDraft {
            customer_name: given("Ada Lovelace"),
            order_type: given("takeout"),
            items: Input::Given(items),
            table_number: Input::Missing,
            delivery_address: Input::Missing,
        }
    }

    fn pointers(draft: OrderDraft) -> Vec<String> {
        NewOrder::parse(draft).unwrap_err().into_iter().map(|v| v.pointer).collect()
    }

    #[test]
    fn the_original_example_costs_what_it_says() {
        let order = NewOrder::parse(takeout(vec![
            item("Margherita Pizza", 1, "15.99"),
            item("Caesar Salad", 1, "8.99"),
        ]))
        .unwrap();
        assert_eq!(order.total_amount().to_string(), "24.98");
        assert_eq!(order.priority(), Priority::LOW);
    }

    #[test]
    fn every_violation_is_listed_in_the_order_of_the_fields() {
        let draft = OrderDraft {
            customer_name: given("R2D2"),
            order_type: given("dine_in"),
            items: Input::Given(vec![
                item(" ", 0, "9.999"),
                Input::Missing,
                Input::Given(ItemDraft {
                    name: Input::Missing,
                    quantity: Input::Invalid("must be an integer".into()),
                    price: given("0"),
                }),
            ]),
            table_number: Input::Given(101),
            delivery_address: given("somewhere"),
        };
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
                "/table_number",
                "/delivery_address"
            ]
        );
    }

    #[test]
    fn an_empty_draft_misses_what_is_always_required() {
        let draft = OrderDraft {
            customer_name: Input::Missing,
            order_type: Input::Missing,
            items: Input::Missing,
            table_number: Input::Missing,
            delivery_address: Input::Missing,
        };
        assert_eq!(pointers(draft), ["/customer_name", "/order_type", "/items"]);
    }

    #[test]
    fn entries_of_one_dish_are_not_summed() {
        let order = NewOrder::parse(takeout(vec![item("Cola", 10, "2"); MAX_ITEMS])).unwrap();
        assert_eq!(order.total_amount().to_string(), "400.00");
        let over = takeout(vec![item("Cola", 10, "2"), item("Cola", 11, "2")]);
        assert_eq!(pointers(over), ["/items/1/quantity"]);
    }

    #[test]
    fn one_to_twenty_entries() {
        let items = |n: usize| (0..n).map(|i| item(&format!("Dish {i}"), 1, "1.00")).collect::<Vec<_>>();
        assert!(NewOrder::parse(takeout(items(20))).is_ok());
        assert_eq!(pointers(takeout(items(0))), ["/items"]);
        assert_eq!(pointers(takeout(items(21))), ["/items"]);
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
            let order = NewOrder::parse(takeout(items)).unwrap();
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
            let _ = NewOrder::parse(draft);
        }
    }
}
