//! The menu as it is shown: what can be ordered now, with what is sold out.

use http_kit::openapi_type;
use http_kit::schemas::never;
use jiff::Zoned;
use poem_openapi::Object;
use poem_openapi::registry::MetaSchema;
use serde::Serialize;

use super::menu::MenuInForce;
use crate::domain::{Allergen, Diet, MenuItem, MenuOption, Money, OrderType};

/// What can be ordered now.
#[derive(Object, Serialize)]
#[oai(rename = "Menu")]
pub(super) struct MenuView {
    categories: Vec<Category>,
}

/// Dishes under one heading.
#[derive(Object, Serialize)]
struct Category {
    name: String,
    items: Vec<Dish>,
}

/// Something that can be ordered.
#[derive(Object, Serialize)]
#[oai(rename = "MenuItem")]
struct Dish {
    id: String,
    name: String,
    #[oai(nullable)]
    description: Option<String>,
    /// What one costs before any choice.
    price: Money,
    /// What is in it before any choice.
    allergens: Vec<Allergen>,
    diets: Vec<Diet>,
    order_types: Vec<OrderType>,
    /// Each day, in the restaurant's time zone.
    #[oai(nullable)]
    available_from: Option<String>,
    #[oai(nullable)]
    available_until: Option<String>,
    /// False: it is sold out.
    available: bool,
    /// So many portions are left, where they are counted.
    #[oai(nullable)]
    remaining: Option<u32>,
    options: Vec<Question>,
}

/// A question to the customer, such as the size.
#[derive(Object, Serialize)]
#[oai(rename = "MenuOption")]
struct Question {
    id: String,
    name: String,
    /// So many choices are made at least.
    min: u8,
    /// And so many at most.
    max: u8,
    choices: Vec<Choice>,
}

/// An answer, which can be given once.
#[derive(Object, Serialize)]
#[oai(rename = "MenuChoice")]
struct Choice {
    id: String,
    name: String,
    /// What it adds to the price; below 0 what it takes away.
    price_delta: PriceDelta,
    /// Where a choice is needed and none is made it is this.
    default: bool,
    /// What it adds to the dish.
    allergens: Vec<Allergen>,
}

/// What a choice adds to a price, or takes away.
#[derive(Serialize)]
#[serde(transparent)]
struct PriceDelta(Money);

openapi_type!(
    PriceDelta,
    "PriceDelta",
    MetaSchema { multiple_of: Some(0.01), ..MetaSchema::new("number") },
    never
);

impl MenuView {
    /// What can be ordered at this moment, by the clock of the restaurant; headings under which there is nothing are left out.
    pub(super) fn of(in_force: &MenuInForce, now: &Zoned) -> Self {
        let dishes = |items: &[MenuItem]| -> Vec<Dish> {
            let offered = items.iter().filter(|item| item.is_available_at(now.time()));
            offered.map(|item| Dish::of(item, in_force, now)).collect()
        };
        let categories = in_force
            .menu
            .categories
            .iter()
            .map(|category| Category { name: category.name.clone(), items: dishes(&category.items) });
        Self { categories: categories.filter(|category| !category.items.is_empty()).collect() }
    }
}

impl Dish {
    fn of(item: &MenuItem, in_force: &MenuInForce, now: &Zoned) -> Self {
        let remaining =
            in_force.shortage(item.id.as_str(), now.timestamp()).map(|shortage| shortage.remaining);
        Self {
            id: item.id.to_string(),
            name: item.name.clone(),
            description: item.description.clone(),
            price: item.price,
            allergens: item.allergens.clone(),
            diets: item.diets.clone(),
            order_types: item.order_types.clone(),
            available_from: item.available_from.map(|time| time.to_string()),
            available_until: item.available_until.map(|time| time.to_string()),
            available: remaining != Some(0),
            remaining,
            options: item.options.iter().map(Question::of).collect(),
        }
    }
}

impl Question {
    fn of(option: &MenuOption) -> Self {
        let choices = option.choices.iter().map(|choice| Choice {
            id: choice.id.to_string(),
            name: choice.name.clone(),
            price_delta: PriceDelta(choice.price_delta),
            default: choice.default,
            allergens: choice.allergens.clone(),
        });
        let MenuOption { id, name, min, max, .. } = option;
        Self { id: id.to_string(), name: name.clone(), min: *min, max: *max, choices: choices.collect() }
    }
}
