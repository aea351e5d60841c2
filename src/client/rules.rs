//! The validation table of `POST /orders`, written down once more for the tests of the client side: independent of
//! the service's code on purpose.

use serde_json::Value;
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

/// The rules that an order's JSON breaks, one text each.
pub(super) fn violations(order: &Value) -> Vec<String> {
    let mut broken = Vec::new();
    let mut rule = |holds: bool, text: &str| {
        if !holds {
            broken.push(text.to_owned());
        }
    };
    let chars = |value: &Value| value.as_str().map_or(0, |text| text.chars().count());
    let name = order["customer_name"].as_str().unwrap_or_default();
    rule((1..=100).contains(&name.chars().count()) && is_name(name), "customer_name");
    let order_type = order["order_type"].as_str().unwrap_or_default();
    rule(["dine_in", "takeout", "delivery"].contains(&order_type), "order_type");
    let items = order["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    rule((1..=20).contains(&items.len()), "items");
    for item in items {
        let dish = item["name"].as_str().unwrap_or_default();
        let name_is_fine = (1..=50).contains(&chars(&item["name"])) && !dish.trim().is_empty();
        rule(name_is_fine && !dish.chars().any(is_forbidden) && joins_only_alike(dish), "name");
        let quantity = item["quantity"].as_u64().unwrap_or_default();
        rule((1..=10).contains(&quantity), "quantity");
        rule(is_price(&item["price"].to_string()), "price");
        rule(are_notes(&item["notes"]), "items.notes");
    }
    match order_type {
        "dine_in" => {
            rule((1..=100).contains(&order["table_number"].as_u64().unwrap_or_default()), "table_number")
        }
        _ => rule(order["table_number"].is_null(), "table_number"),
    }
    match order_type {
        "delivery" => {
            let address = order["delivery_address"].as_str().unwrap_or_default();
            rule(
                (10..=500).contains(&address.chars().count())
                    && !address.chars().any(is_forbidden)
                    && joins_only_alike(address),
                "delivery_address",
            )
        }
        _ => rule(order["delivery_address"].is_null(), "delivery_address"),
    }
    rule(are_notes(&order["notes"]), "notes");
    broken
}

/// None, or a line that says something.
fn are_notes(notes: &Value) -> bool {
    let is_fine = |text: &str| {
        (1..=200).contains(&text.chars().count())
            && !text.trim().is_empty()
            && !text.chars().any(is_forbidden)
            && joins_only_alike(text)
    };
    notes.is_null() || notes.as_str().is_some_and(is_fine)
}

/// Middle dots and joiners stand between letters, everything else where it likes.
fn is_name(name: &str) -> bool {
    let is_letter = |c: &char| {
        !is_forbidden(*c)
            && matches!(c.general_category_group(), GeneralCategoryGroup::Letter | GeneralCategoryGroup::Mark)
    };
    let chars: Vec<char> = name.chars().collect();
    (0..chars.len()).all(|at| match chars[at] {
        '·' | '・' | '\u{200c}' | '\u{200d}' => {
            at > 0 && is_letter(&chars[at - 1]) && chars.get(at + 1).is_some_and(is_letter)
        }
        c => {
            is_letter(&c)
                || c.general_category() == GeneralCategory::SpaceSeparator
                || "-\u{5be}'’.".contains(c)
        }
    })
}

/// Joiners stand between letters, or between pictures.
fn joins_only_alike(text: &str) -> bool {
    let is_joiner = |c: &char| matches!(c, '\u{200c}' | '\u{200d}');
    let is_around = |c: &char, group: GeneralCategoryGroup| {
        c.general_category_group() == group || c.general_category_group() == GeneralCategoryGroup::Mark
    };
    let chars: Vec<char> = text.chars().collect();
    (0..chars.len()).filter(|at| is_joiner(&chars[*at])).all(|at| {
        [GeneralCategoryGroup::Letter, GeneralCategoryGroup::Symbol].into_iter().any(|group| {
            at > 0
                && is_around(&chars[at - 1], group)
                && chars.get(at + 1).is_some_and(|c| is_around(c, group))
        })
    })
}

/// Made-up texts have one line, its direction is their own, and nothing in it is hidden.
fn is_forbidden(c: char) -> bool {
    c.is_control()
        || "\u{2028}\u{2029}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}"
            .contains(c)
        || "\u{ad}\u{180e}\u{200b}\u{2060}\u{2061}\u{2062}\u{2063}\u{2064}\u{feff}".contains(c)
        || "\u{34f}\u{115f}\u{1160}\u{17b4}\u{17b5}\u{3164}\u{ffa0}".contains(c)
        || ('\u{e0000}'..='\u{e007f}').contains(&c)
}

fn is_price(text: &str) -> bool {
    let decimals = text.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    let price: f64 = text.parse().unwrap_or_default();
    decimals <= 2 && (0.01..=999.99).contains(&price)
}
