//! What a restaurant with a menu offers, and how customers choose from it.

use fastrand::Rng;
use serde::Deserialize;

use super::orders::FormItem;

/// The answer of `GET /menu`, as far as a customer needs it who knows no prices.
#[derive(Debug, Clone, Deserialize)]
pub struct Offer {
    categories: Vec<Category>,
}

#[derive(Debug, Clone, Deserialize)]
struct Category {
    items: Vec<Dish>,
}

#[derive(Debug, Clone, Deserialize)]
struct Dish {
    id: String,
    available: bool,
    order_types: Vec<String>,
    options: Vec<Question>,
}

#[derive(Debug, Clone, Deserialize)]
struct Question {
    min: usize,
    max: usize,
    choices: Vec<Choice>,
}

#[derive(Debug, Clone, Deserialize)]
struct Choice {
    id: String,
}

impl Offer {
    /// So many dishes that can be ordered in this way, or all where there are fewer; each with the choices that it needs.
    pub(super) fn pick(&self, rng: &mut Rng, order_type: &str, count: usize) -> Vec<FormItem> {
        let dishes = self.categories.iter().flat_map(|category| &category.items);
        let suits =
            |dish: &&Dish| dish.available && dish.order_types.iter().any(|suitable| suitable == order_type);
        let picked = rng.choose_multiple(dishes.filter(suits), count);
        picked.into_iter().map(|dish| dish.order(rng)).collect()
    }
}

impl Dish {
    fn order(&self, rng: &mut Rng) -> FormItem {
        let mut options = Vec::new();
        for question in &self.options {
            let most = question.max.min(question.choices.len()).max(question.min);
            let count = rng.usize(question.min..=most);
            let choices = rng.choose_multiple(&question.choices, count);
            options.extend(choices.into_iter().map(|choice| choice.id.clone()));
        }
        FormItem::of_menu(self.id.clone(), options, 1)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_can_be_ordered_is_picked_with_as_many_choices_as_it_needs() {
        let choice = |id: &str| json!({"id": id});
        let pizza = json!({"id": "pizza", "available": true, "order_types": ["takeout"], "options": [
            {"min": 1, "max": 1, "choices": [choice("small"), choice("large")]},
            {"min": 0, "max": 2, "choices": [choice("olives"), choice("capers"), choice("tuna")]},
        ]});
        let soup = json!({"id": "soup", "available": true, "order_types": ["dine_in"], "options": []});
        let sold_out = json!({"id": "salad", "available": false, "order_types": ["takeout"], "options": []});
        let menu = json!({"categories": [{"items": [pizza, soup]}, {"items": [sold_out]}]});
        let offer: Offer = serde_json::from_value(menu).unwrap();
        let (mut rng, mut counts) = (Rng::with_seed(1), BTreeSet::new());
        for _ in 0..100 {
            let items = offer.pick(&mut rng, "takeout", 3);
            assert_eq!(
                items.iter().map(|item| item.menu_item_id.as_deref()).collect::<Vec<_>>(),
                [Some("pizza")]
            );
            let sizes =
                items[0].options.iter().filter(|id| ["small", "large"].contains(&id.as_str())).count();
            assert_eq!(sizes, 1, "{items:?}");
            counts.insert(items[0].options.len());
        }
        assert_eq!(counts, BTreeSet::from([1, 2, 3]));
        assert!(offer.pick(&mut rng, "delivery", 3).is_empty());
    }
}
