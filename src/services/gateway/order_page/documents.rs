//! What the order service answers, as far as the page shows it. Names that a later order service may add are read as texts.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::domain::Money;

/// So many bytes of the hash tell two prices of one dish apart.
const SEEN_BYTES: usize = 6;

/// `GET /menu`.
#[derive(Debug, Deserialize)]
pub(super) struct Menu {
    pub(super) categories: Vec<Category>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Category {
    pub(super) name: String,
    pub(super) items: Vec<Dish>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Dish {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) price: Money,
    pub(super) allergens: Vec<String>,
    pub(super) diets: Vec<String>,
    pub(super) order_types: Vec<String>,
    pub(super) available_from: Option<String>,
    pub(super) available_until: Option<String>,
    pub(super) available: bool,
    pub(super) remaining: Option<u32>,
    pub(super) options: Vec<Question>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Question {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) min: u8,
    pub(super) max: u8,
    pub(super) choices: Vec<Choice>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Choice {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) price_delta: Money,
    pub(super) default: bool,
    pub(super) allergens: Vec<String>,
}

/// `GET /intake`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct IntakeState {
    pub(super) state: String,
    pub(super) until: Option<Timestamp>,
    pub(super) opens_at: Option<Timestamp>,
    pub(super) order_types_paused: Vec<String>,
    /// `null` where nobody cooks that type now.
    pub(super) estimate_minutes: HashMap<String, Option<u32>>,
}

/// `GET /tables/mine`.
#[derive(Debug, Deserialize)]
pub(super) struct Table {
    pub(super) table_number: u8,
}

/// The answer to an order that was taken.
#[derive(Debug, Deserialize)]
pub(super) struct Placed {
    pub(super) order_number: String,
    pub(super) tracking_url: Option<String>,
}

impl Menu {
    pub(super) fn dish(&self, id: &str) -> Option<&Dish> {
        self.categories.iter().flat_map(|category| &category.items).find(|dish| dish.id == id)
    }
}

impl Dish {
    /// Stands in the form for what the customer has seen of the prices.
    pub(super) fn seen(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(self.price.to_string());
        for choice in self.options.iter().flat_map(|question| &question.choices) {
            hash.update(format!(" {}{:+}", choice.id, choice.price_delta.cents()));
        }
        hash.finalize()[..SEEN_BYTES].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// What one costs with these choices; without any of a question that needs one, with its defaults.
    pub(super) fn price_of(&self, chosen: impl Fn(&Choice) -> bool) -> Money {
        let deltas = self.options.iter().flat_map(|question| {
            let has_none = question.min > 0 && !question.choices.iter().any(&chosen);
            question
                .choices
                .iter()
                .filter(|choice| if has_none { choice.default } else { chosen(choice) })
                .map(|choice| choice.price_delta)
                .collect::<Vec<_>>()
        });
        deltas.chain([self.price]).sum()
    }

    /// What one costs as it comes.
    pub(super) fn usual_price(&self) -> Money {
        self.price_of(|choice| choice.default)
    }
}

impl Placed {
    /// Where the order is shown: a path of this gateway, whatever the address before it.
    pub(super) fn path(&self) -> String {
        let token = self.tracking_url.as_deref().and_then(|url| Some(url.rsplit_once("/t/")?.1));
        let is_token = |token: &&str| {
            !token.is_empty()
                && token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        };
        match token.filter(is_token) {
            Some(token) => format!("/t/{token}"),
            None => format!("/track/{}", self.order_number),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_leads_to_a_page_of_this_gateway_alone() {
        let path = |url: Option<&str>| {
            Placed { order_number: "ORD_20261122_001".to_owned(), tracking_url: url.map(str::to_owned) }
                .path()
        };
        assert_eq!(path(Some("https://pizza.example.org/t/abc-_1")), "/t/abc-_1");
        assert_eq!(path(Some("/t/abc")), "/t/abc");
        for other in [None, Some("https://evil.test/"), Some("/t/"), Some("/t/a/../b"), Some("/t/a\r\nx")] {
            assert_eq!(path(other), "/track/ORD_20261122_001", "{other:?}");
        }
    }

    #[test]
    fn a_dish_costs_what_its_choices_add_and_what_is_seen_changes_with_each_price() {
        let dish = |delta: &str| -> Dish {
            serde_json::from_str(&format!(
                r#"{{"id": "pizza", "name": "Pizza", "description": null, "price": 9.50, "allergens": [], "diets": [],
                "order_types": ["takeout"], "available_from": null, "available_until": null, "available": true,
                "remaining": null, "options": [{{"id": "size", "name": "Size", "min": 1, "max": 1, "choices": [
                {{"id": "small", "name": "Small", "price_delta": -1.50, "default": true, "allergens": []}},
                {{"id": "large", "name": "Large", "price_delta": {delta}, "default": false, "allergens": []}}]}}]}}"#
            ))
            .unwrap()
        };
        let pizza = dish("4.00");
        let of = |id: &str| pizza.price_of(|choice| choice.id == id).to_string();
        assert_eq!([of("large"), of("small"), of("")], ["13.50", "8.00", "8.00"]);
        assert_eq!(pizza.usual_price().to_string(), "8.00");
        assert_eq!(pizza.seen(), dish("4.0").seen());
        assert_ne!(pizza.seen(), dish("4.01").seen());
    }
}
