//! What an entry of an order costs, or why it cannot be ordered.

use std::collections::BTreeSet;

use jiff::civil::Time;

use super::super::{Money, OrderType, Violation};
use super::{Allergen, Menu, MenuChoice, MenuId, MenuItem, MenuOption};

/// An entry of an order, by ids of the menu.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'a> {
    pub item: &'a MenuId,
    /// Of all options together, in any order.
    pub choices: &'a [MenuId],
    /// `None` where that is a fault of its own.
    pub order_type: Option<OrderType>,
    /// The time of the day in the restaurant.
    pub at: Time,
}

/// What comes of a [`Wish`] that can be fulfilled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Priced {
    pub id: MenuId,
    pub name: String,
    /// What one costs, with its choices.
    pub price: Money,
    /// The names of its choices, in the order of the menu.
    pub options: Vec<String>,
    /// Those of its choices included.
    pub allergens: Vec<Allergen>,
}

impl Menu {
    /// What one of these costs.
    ///
    /// # Errors
    /// Every rule that it breaks; pointers begin at the entry.
    pub fn price(&self, wish: &Wish<'_>) -> Result<Priced, Vec<Violation>> {
        let Some(item) = self.item(wish.item.as_str()) else {
            return Err(vec![Violation::new("/menu_item_id", "is not on the menu")]);
        };
        let mut violations = item.not_now(wish);
        violations.extend(item.wrong_choices(wish.choices));
        if !violations.is_empty() {
            return Err(violations);
        }
        let chosen: Vec<&MenuChoice> = item.options.iter().flat_map(|o| o.chosen(wish.choices)).collect();
        let allergens = chosen.iter().flat_map(|choice| &choice.allergens).chain(&item.allergens).copied();
        Ok(Priced {
            id: item.id.clone(),
            name: item.name.clone(),
            price: chosen.iter().map(|choice| choice.price_delta).chain([item.price]).sum(),
            options: chosen.iter().map(|choice| choice.name.clone()).collect(),
            allergens: allergens.collect::<BTreeSet<_>>().into_iter().collect(),
        })
    }
}

impl MenuItem {
    fn not_now(&self, wish: &Wish<'_>) -> Vec<Violation> {
        let mut details = Vec::new();
        if let Some(order_type) = wish.order_type.filter(|order_type| !self.order_types.contains(order_type))
        {
            let types: Vec<&str> = self.order_types.iter().map(|order_type| order_type.as_str()).collect();
            details.push(format!("is for {}, not for {order_type}", types.join(" and ")));
        }
        if !self.is_available_at(wish.at) {
            let from = self.available_from.map(|time| format!(" from {time}")).unwrap_or_default();
            let until = self.available_until.map(|time| format!(" until {time}")).unwrap_or_default();
            details.push(format!("can be ordered{from}{until} only"));
        }
        details.into_iter().map(|detail| Violation::new("/menu_item_id", detail)).collect()
    }

    fn wrong_choices(&self, choices: &[MenuId]) -> Vec<Violation> {
        let mut violations = Vec::new();
        let is_there = |id: &MenuId| {
            self.options.iter().flat_map(|option| &option.choices).any(|choice| choice.id == *id)
        };
        for (index, id) in choices.iter().enumerate() {
            if !is_there(id) {
                violations.push(Violation::new(format!("/options/{index}"), "is no choice of this item"));
            } else if choices[..index].contains(id) {
                violations.push(Violation::new(format!("/options/{index}"), "is chosen already"));
            }
        }
        for option in &self.options {
            let count = option.chosen(choices).len();
            let bound = match count {
                _ if count < usize::from(option.min) => format!("at least {}", option.min),
                _ if count > usize::from(option.max) => format!("at most {}", option.max),
                _ => continue,
            };
            let detail = format!("must have {bound} of the choices of {}, has {count}", option.id);
            violations.push(Violation::new("/options", detail));
        }
        violations
    }

    /// What one costs at least and at most.
    pub(super) fn price_range(&self) -> (Money, Money) {
        let cheapest = self.options.iter().map(|option| option.extreme(|delta| delta)).sum::<i64>();
        let dearest = self.options.iter().map(|option| -option.extreme(|delta| -delta)).sum::<i64>();
        (Money::from_cents(self.price.cents() + cheapest), Money::from_cents(self.price.cents() + dearest))
    }
}

impl MenuOption {
    /// Its choices among these; where one is needed and there is none, its defaults.
    fn chosen(&self, ids: &[MenuId]) -> Vec<&MenuChoice> {
        let named: Vec<_> = self.choices.iter().filter(|choice| ids.contains(&choice.id)).collect();
        if !named.is_empty() || self.min == 0 {
            return named;
        }
        self.choices.iter().filter(|choice| choice.default).collect()
    }

    /// The least that as many choices as are allowed can add, in cents, each valued so.
    fn extreme(&self, value: impl Fn(i64) -> i64) -> i64 {
        let mut deltas: Vec<i64> = self.choices.iter().map(|c| value(c.price_delta.cents())).collect();
        deltas.sort_unstable();
        let needed = usize::from(self.min);
        let taken = deltas.iter().take(usize::from(self.max)).enumerate();
        taken.filter(|(place, delta)| *place < needed || **delta < 0).map(|(_, delta)| delta).sum()
    }
}
