//! The menu: what can be ordered, with which choices, and what it costs.

mod food;
mod hours;
mod price;

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::Time;
use serde::{Deserialize, Serialize};

pub use food::{Allergen, Diet};
pub use hours::{InvalidTimeOfDay, TimeOfDay, business_day_end};
pub use price::{Priced, Wish};

use super::text::line_faults;
use super::{Money, OrderType, bounds};

/// All that a restaurant offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Menu {
    pub categories: Vec<MenuCategory>,
}

/// Dishes under one heading.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MenuCategory {
    pub name: String,
    pub items: Vec<MenuItem>,
}

/// Something that can be ordered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MenuItem {
    /// No other item has it.
    pub id: MenuId,
    pub name: String,
    pub description: Option<String>,
    /// What one costs before any choice.
    pub price: Money,
    /// What is in it before any choice.
    pub allergens: Vec<Allergen>,
    pub diets: Vec<Diet>,
    pub order_types: Vec<OrderType>,
    /// Each day; from its beginning where it is none.
    pub available_from: Option<TimeOfDay>,
    /// Each day; to its end where it is none.
    pub available_until: Option<TimeOfDay>,
    pub options: Vec<MenuOption>,
}

/// A question to the customer, such as the size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MenuOption {
    /// No other option of the item has it.
    pub id: MenuId,
    pub name: String,
    /// So many choices are made at least.
    pub min: u8,
    /// And so many at most.
    pub max: u8,
    pub choices: Vec<MenuChoice>,
}

/// An answer to an option, which can be given once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MenuChoice {
    /// No other choice of the item has it, whatever the option.
    pub id: MenuId,
    pub name: String,
    /// What it adds to the price, or takes away.
    pub price_delta: Money,
    /// Where the option needs a choice and the customer makes none it is this.
    pub default: bool,
    /// What it adds to the dish.
    pub allergens: Vec<Allergen>,
}

/// How many portions of an item there are, for as long as that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shortage {
    /// 0: it is sold out.
    pub remaining: u32,
    pub until: Timestamp,
}

/// The name of an item, option or choice in an order: a slug.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct MenuId(String);

/// The text is no [`MenuId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a slug of at most {MAX_ID_CHARS} characters: a-z and 0-9, with a - or _ between them")]
pub struct InvalidMenuId;

/// As long as the name of a dish.
const MAX_ID_CHARS: usize = *bounds::ITEM_NAME_CHARS.end();

impl MenuId {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for MenuId {
    type Error = InvalidMenuId;

    fn try_from(text: String) -> Result<Self, InvalidMenuId> {
        let is_word = |part: &str| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        };
        let is_slug = text.len() <= MAX_ID_CHARS && text.split(['-', '_']).all(is_word);
        if is_slug { Ok(Self(text)) } else { Err(InvalidMenuId) }
    }
}

impl FromStr for MenuId {
    type Err = InvalidMenuId;

    fn from_str(text: &str) -> Result<Self, InvalidMenuId> {
        text.to_owned().try_into()
    }
}

impl fmt::Display for MenuId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Menu {
    pub fn items(&self) -> impl Iterator<Item = &MenuItem> {
        self.categories.iter().flat_map(|category| &category.items)
    }

    pub fn item(&self, id: &str) -> Option<&MenuItem> {
        self.items().find(|item| item.id.as_str() == id)
    }
}

impl MenuItem {
    /// Whether it can be had at this time of the day.
    pub fn is_available_at(&self, time: Time) -> bool {
        match (self.available_from, self.available_until) {
            (None, None) => true,
            (from, until) => {
                let [from, until] = [from, until].map(|end| end.unwrap_or(TimeOfDay::MIDNIGHT));
                hours::contain(from, until, time)
            }
        }
    }

    /// What keeps its parts, which are right each by itself, from being an item together.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if self.available_from.is_some() && self.available_from == self.available_until {
            faults.push("available_from and available_until are the same; leave out both".to_owned());
        }
        for diet in &self.diets {
            for allergen in self.allergens.iter().filter(|allergen| diet.rules_out(**allergen)) {
                faults.push(format!("is {} and has {allergen} among its allergens", diet.as_str()));
            }
        }
        let (cheapest, dearest) = self.price_range();
        if cheapest < *bounds::PRICE.start() {
            faults.push(format!(
                "costs {cheapest} with its cheapest choices; must cost {}",
                bounds::PRICE.start()
            ));
        }
        if dearest > *bounds::PRICE.end() {
            faults.push(format!(
                "costs {dearest} with its dearest choices; must cost {} at most",
                bounds::PRICE.end()
            ));
        }
        faults
    }
}

impl MenuOption {
    /// What keeps its parts, which are right each by itself, from being an option together.
    pub fn faults(&self) -> Vec<String> {
        let choices = self.choices.len();
        let defaults = self.choices.iter().filter(|choice| choice.default).count();
        let [min, max] = [self.min, self.max].map(usize::from);
        let rules = [
            (choices == 0, "has no choices".to_owned()),
            (max == 0, "max must be 1 at least".to_owned()),
            (min > max, format!("min is {min}, and max only {max}")),
            (choices > 0 && max > choices, format!("max is {max}, and there are only {choices} choices")),
            (defaults > max, format!("{defaults} choices are default, and max is {max}")),
            (defaults > 0 && defaults < min, format!("{defaults} choices are default, and min is {min}")),
        ];
        rules.into_iter().filter_map(|(is_broken, fault)| is_broken.then_some(fault)).collect()
    }
}

/// Everything that is wrong with the name of a category, an item, an option or a choice.
pub fn menu_name_faults(name: &str) -> Vec<String> {
    line_faults(name, bounds::ITEM_NAME_CHARS)
}

/// Everything that is wrong with the description of an item.
pub fn menu_description_faults(description: &str) -> Vec<String> {
    line_faults(description, bounds::DESCRIPTION_CHARS)
}

#[cfg(test)]
pub(super) mod tests;
