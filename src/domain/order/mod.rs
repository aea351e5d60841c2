//! Taking an order: the validation table of the contract (section 3), all of it at once.

mod offered;

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::text::{address_faults, customer_name_faults, line_faults, with_single_spaces};
use super::{Allergen, MenuId, Money, OrderNumber, OrderType, Priority, Violation, bounds};

pub use offered::Offer;

/// A value as the outside world gave it: perhaps not there, perhaps of a wrong kind.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Input<T> {
    /// Not given, or `null`.
    #[default]
    Missing,
    /// Given, but unreadable; says what it must be ("must be a string").
    Invalid(String),
    /// Given and of the right kind.
    Given(T),
}

/// An order as it was asked for, before any rule was applied.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OrderDraft {
    pub customer_name: Input<String>,
    pub order_type: Input<String>,
    pub items: Input<Vec<Input<ItemDraft>>>,
    pub table_number: Input<i64>,
    pub delivery_address: Input<String>,
    pub notes: Input<String>,
}

/// An entry of an [`OrderDraft`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ItemDraft {
    pub name: Input<String>,
    pub quantity: Input<i64>,
    /// What one costs: the text of the number, so that it stays exact.
    pub price: Input<String>,
    pub menu_item_id: Input<String>,
    /// Ids of choices.
    pub options: Input<Vec<Input<String>>>,
    pub notes: Input<String>,
}

/// An order that has passed every rule. It can only be made by [`NewOrder::parse`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOrder {
    customer_name: String,
    service: Service,
    items: Vec<OrderItem>,
    notes: Option<String>,
}

/// How an order is served, with what that way needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Service {
    DineIn { table_number: u8 },
    Takeout,
    Delivery { delivery_address: String },
}

/// An entry of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderItem {
    pub name: String,
    pub quantity: u8,
    pub price: Money,
    /// The names of its choices; none without a menu.
    #[serde(default)]
    pub options: Vec<String>,
    /// What the kitchen is asked to heed.
    pub notes: Option<String>,
    /// What the menu says is in it; none without a menu.
    #[serde(default)]
    pub allergens: Vec<Allergen>,
    /// What it is on the menu, while the order is taken.
    #[serde(skip)]
    pub menu_item_id: Option<MenuId>,
}

/// An order on its way to the kitchen. Unknown fields are ignored when reading.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OrderMessage {
    pub order_number: String,
    pub customer_name: String,
    pub order_type: OrderType,
    /// For `dine_in`, else `null`.
    pub table_number: Option<u8>,
    /// For `delivery`, else `null`.
    pub delivery_address: Option<String>,
    pub items: Vec<OrderItem>,
    pub notes: Option<String>,
    /// Σ quantity × price.
    pub total_amount: Money,
    pub priority: Priority,
}

impl OrderMessage {
    /// What there is to say of an order that was taken under this number.
    pub fn of(number: &OrderNumber, order: &NewOrder) -> Self {
        Self {
            order_number: number.as_str().to_owned(),
            customer_name: order.customer_name.clone(),
            order_type: order.order_type(),
            table_number: order.table_number(),
            delivery_address: order.delivery_address().map(str::to_owned),
            items: order.items.clone(),
            notes: order.notes.clone(),
            total_amount: order.total_amount(),
            priority: order.priority(),
        }
    }
}

impl NewOrder {
    /// Applies every rule and reports every violation, in the order of the fields. The names and prices are those of the menu
    /// that is offered; where none is, the customer's.
    ///
    /// # Errors
    /// The violations; never an empty list.
    pub fn parse(draft: OrderDraft, offer: Option<&Offer<'_>>) -> Result<Self, Vec<Violation>> {
        let mut check = Check::default();
        let customer_name = check.customer_name(draft.customer_name);
        let order_type = check.order_type(draft.order_type);
        let items = check.items(draft.items, order_type, offer);
        let table_number = check.table_number(draft.table_number, order_type);
        let delivery_address = check.delivery_address(draft.delivery_address, order_type);
        let notes = check.notes("/notes", draft.notes);
        let service = order_type.and_then(|order_type| match order_type {
            OrderType::DineIn => table_number.map(|table_number| Service::DineIn { table_number }),
            OrderType::Takeout => Some(Service::Takeout),
            OrderType::Delivery => {
                delivery_address.map(|delivery_address| Service::Delivery { delivery_address })
            }
        });
        match (customer_name, service, items) {
            (Some(customer_name), Some(service), Some(items)) if check.violations.is_empty() => {
                Ok(Self { customer_name, service, items, notes })
            }
            _ => Err(check.violations),
        }
    }

    pub fn customer_name(&self) -> &str {
        &self.customer_name
    }

    pub fn order_type(&self) -> OrderType {
        match self.service {
            Service::DineIn { .. } => OrderType::DineIn,
            Service::Takeout => OrderType::Takeout,
            Service::Delivery { .. } => OrderType::Delivery,
        }
    }

    pub fn table_number(&self) -> Option<u8> {
        match self.service {
            Service::DineIn { table_number } => Some(table_number),
            _ => None,
        }
    }

    pub fn delivery_address(&self) -> Option<&str> {
        match &self.service {
            Service::Delivery { delivery_address } => Some(delivery_address),
            _ => None,
        }
    }

    pub fn items(&self) -> &[OrderItem] {
        &self.items
    }

    pub fn notes(&self) -> Option<&str> {
        self.notes.as_deref()
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
    /// None where there are none, and where they broke a rule: that is among the violations.
    notes: Option<String>,
    options: Vec<String>,
    allergens: Vec<Allergen>,
    menu_item_id: Option<MenuId>,
}

impl CheckedItem {
    fn sound(self) -> Option<OrderItem> {
        Some(OrderItem {
            name: self.name?,
            quantity: self.quantity?,
            price: self.price?,
            options: self.options,
            notes: self.notes,
            allergens: self.allergens,
            menu_item_id: self.menu_item_id,
        })
    }
}

/// Collects violations while the fields are read.
#[derive(Default)]
struct Check {
    violations: Vec<Violation>,
}

impl Check {
    fn violate(&mut self, pointer: impl Into<String>, detail: impl Into<String>) {
        self.violations.push(Violation::new(pointer, detail));
    }

    /// The value of a required field.
    fn required<T>(&mut self, pointer: &str, input: Input<T>) -> Option<T> {
        let fault = match input {
            Input::Given(value) => return Some(value),
            Input::Missing => "is required".to_owned(),
            Input::Invalid(detail) => detail,
        };
        self.violate(pointer, fault);
        None
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

    /// The value, or a violation that says what keeps it from being one.
    fn read<T>(&mut self, pointer: &str, read: Result<T, impl ToString>) -> Option<T> {
        read.map_err(|fault| self.violate(pointer, fault.to_string())).ok()
    }

    fn order_type(&mut self, input: Input<String>) -> Option<OrderType> {
        let text = self.required("/order_type", input)?;
        self.read("/order_type", text.parse::<OrderType>())
    }

    fn items(
        &mut self,
        input: Input<Vec<Input<ItemDraft>>>,
        order_type: Option<OrderType>,
        offer: Option<&Offer<'_>>,
    ) -> Option<Vec<OrderItem>> {
        let drafts = self.required("/items", input)?;
        let count = drafts.len();
        let (fewest, most) = bounds::ITEMS.into_inner();
        if !(fewest..=most).contains(&count) {
            self.violate("/items", format!("must have {fewest} to {most} entries, has {count}"));
        }
        // Past the limit nothing more is looked at: the list of violations stays bounded.
        let drafts = drafts.into_iter().take(most).enumerate();
        let items: Vec<CheckedItem> =
            drafts.map(|(i, draft)| self.item(i, draft, order_type, offer)).collect();
        items.into_iter().map(CheckedItem::sound).collect()
    }

    fn item(
        &mut self,
        index: usize,
        input: Input<ItemDraft>,
        order_type: Option<OrderType>,
        offer: Option<&Offer<'_>>,
    ) -> CheckedItem {
        let at = format!("/items/{index}");
        let Some(draft) = self.required(&at, input) else { return CheckedItem::default() };
        if let Some(offer) = offer {
            return self.offered_item(&at, draft, order_type, offer);
        }
        let checked = CheckedItem {
            name: self.item_name(&format!("{at}/name"), draft.name),
            quantity: self.quantity(&format!("{at}/quantity"), draft.quantity),
            price: self.price(&format!("{at}/price"), draft.price),
            notes: self.notes(&format!("{at}/notes"), draft.notes),
            ..CheckedItem::default()
        };
        // Without a menu they say nothing. They have to be ids all the same: a menu may come.
        if draft.menu_item_id != Input::Missing {
            self.menu_id(&format!("{at}/menu_item_id"), draft.menu_item_id);
        }
        self.choices(&format!("{at}/options"), draft.options);
        checked
    }

    fn item_name(&mut self, pointer: &str, input: Input<String>) -> Option<String> {
        let name = self.required(pointer, input)?;
        let faults = line_faults(&name, bounds::ITEM_NAME_CHARS);
        self.sound(pointer, name, faults)
    }

    fn quantity(&mut self, pointer: &str, input: Input<i64>) -> Option<u8> {
        let quantity = self.required(pointer, input)?;
        self.whole_number(pointer, quantity, bounds::QUANTITY)
    }

    fn whole_number(&mut self, pointer: &str, number: i64, bounds: RangeInclusive<u8>) -> Option<u8> {
        let sound = u8::try_from(number).ok().filter(|number| bounds.contains(number));
        let fault = || format!("must be from {} to {}, is {number}", bounds.start(), bounds.end());
        self.read(pointer, sound.ok_or_else(fault))
    }

    fn price(&mut self, pointer: &str, input: Input<String>) -> Option<Money> {
        let text = self.required(pointer, input)?;
        let price = self.read(pointer, Money::parse(&text))?;
        let is_allowed = bounds::PRICE.contains(&price);
        let fault = || format!("must be from {} to {}", bounds::PRICE.start(), bounds::PRICE.end());
        self.read(pointer, is_allowed.then_some(price).ok_or_else(fault))
    }

    fn notes(&mut self, pointer: &str, input: Input<String>) -> Option<String> {
        if input == Input::Missing {
            return None;
        }
        let notes = self.required(pointer, input)?;
        let faults = line_faults(&notes, bounds::NOTES_CHARS);
        self.sound(pointer, notes, faults)
    }

    /// The value of a field that orders of type `only` need and others may not have.
    fn only_for<T>(
        &mut self,
        only: OrderType,
        order_type: Option<OrderType>,
        pointer: &str,
        input: Input<T>,
    ) -> Option<T> {
        let detail = match (input, order_type) {
            (Input::Missing, Some(order_type)) if order_type == only => format!("is required for {only}"),
            (Input::Missing, _) => return None,
            (_, Some(other)) if other != only => format!("is for {only} only, not for {other}"),
            (Input::Invalid(detail), _) => detail,
            (Input::Given(value), _) => return Some(value),
        };
        self.violate(pointer, detail);
        None
    }

    fn table_number(&mut self, input: Input<i64>, order_type: Option<OrderType>) -> Option<u8> {
        const POINTER: &str = "/table_number";
        let number = self.only_for(OrderType::DineIn, order_type, POINTER, input)?;
        self.whole_number(POINTER, number, bounds::TABLES)
    }

    fn delivery_address(&mut self, input: Input<String>, order_type: Option<OrderType>) -> Option<String> {
        const POINTER: &str = "/delivery_address";
        let address = self.only_for(OrderType::Delivery, order_type, POINTER, input)?;
        let faults = address_faults(&address);
        self.sound(POINTER, address, faults)
    }
}

#[cfg(test)]
mod tests;
