//! `menu.yaml`: what can be ordered. What is right is the domain's; this says where it is wrong.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::path::Path;

use settings::{ConfigError, Fields, Place, read_tree};

use crate::domain::{
    Allergen, Diet, Menu, MenuCategory, MenuChoice, MenuId, MenuItem, MenuOption, Money, OrderType, bounds,
    menu_description_faults, menu_name_faults,
};

/// What a choice may add to a price, or take away.
const PRICE_DELTA: RangeInclusive<Money> = Money::from_cents(-99_999)..=Money::from_cents(99_999);

/// Reads the menu in a file.
///
/// # Errors
/// Every fault, each with its line and its path.
pub fn read_menu(path: &Path) -> Result<Menu, ConfigError> {
    read_tree(path, |root| {
        let categories = root.fields(&["categories"])?.required("categories")?;
        let mut ids = Ids::default();
        let menu = Menu { categories: each(&categories, |place| category(place, &mut ids)) };
        if menu.items().next().is_none() && !categories.is_faulty() {
            categories.fault("has no item");
        }
        Some(menu)
    })
}

/// Ids that are taken, with the lines on which they stand.
#[derive(Default)]
struct Ids(HashMap<MenuId, usize>);

impl Ids {
    fn take(&mut self, place: &Place<'_>) -> Option<MenuId> {
        let id: MenuId = place.parse()?;
        match self.0.insert(id.clone(), place.line()) {
            None => Some(id),
            Some(line) => {
                place.fault(format!("this id is already on line {line}"));
                None
            }
        }
    }
}

fn category(place: &Place<'_>, ids: &mut Ids) -> Option<MenuCategory> {
    let fields = place.fields(&["name", "items"])?;
    let name = name(&fields);
    let items = fields.required("items").map(|items| each(&items, |place| item(place, ids)));
    Some(MenuCategory { name: name?, items: items? })
}

/// All fields are read before one that is missing ends it: every fault is told.
fn item(place: &Place<'_>, ids: &mut Ids) -> Option<MenuItem> {
    let fields = place.fields(&[
        "id",
        "name",
        "description",
        "price",
        "allergens",
        "diets",
        "order_types",
        "available_from",
        "available_until",
        "options",
    ])?;
    let id = fields.required("id").and_then(|place| ids.take(&place));
    let name = name(&fields);
    let price = fields.required("price").and_then(|place| money(&place, bounds::PRICE));
    let (mut option_ids, mut choice_ids) = (Ids::default(), Ids::default());
    let rest = MenuItem {
        description: fields.get("description").and_then(|place| line(&place, menu_description_faults)),
        allergens: allergens(&fields),
        diets: list(&fields, "diets", |place| place.one_of(&Diet::ALL, Diet::as_str)),
        order_types: order_types(&fields),
        available_from: fields.get("available_from").and_then(|place| place.parse()),
        available_until: fields.get("available_until").and_then(|place| place.parse()),
        options: list(&fields, "options", |place| option(place, &mut option_ids, &mut choice_ids)),
        id: id?,
        name: name?,
        price: price?,
    };
    rest.faults().into_iter().for_each(|fault| place.fault(fault));
    Some(rest)
}

fn option(place: &Place<'_>, option_ids: &mut Ids, choice_ids: &mut Ids) -> Option<MenuOption> {
    let fields = place.fields(&["id", "name", "min", "max", "choices"])?;
    let id = fields.required("id").and_then(|place| option_ids.take(&place));
    let name = name(&fields);
    let min = fields.get("min").map_or(Some(0), |place| count(&place));
    let max = fields.get("max").map(|place| count(&place));
    let choices = fields.required("choices")?;
    let written = choices.list().len();
    let choices = each(&choices, |place| choice(place, choice_ids));
    let all = u8::try_from(written).unwrap_or(u8::MAX);
    let option = MenuOption { id: id?, name: name?, min: min?, max: max.unwrap_or(Some(all))?, choices };
    if option.choices.len() == written {
        option.faults().into_iter().for_each(|fault| place.fault(fault));
    }
    Some(option)
}

fn choice(place: &Place<'_>, ids: &mut Ids) -> Option<MenuChoice> {
    let fields = place.fields(&["id", "name", "price_delta", "default", "allergens"])?;
    let id = fields.required("id").and_then(|place| ids.take(&place));
    let name = name(&fields);
    let price_delta = fields.get("price_delta").map_or(Some(Money::default()), |p| money(&p, PRICE_DELTA));
    let truth = |truth| if truth { "true" } else { "false" };
    let default = fields.get("default").map_or(Some(false), |place| place.one_of(&[true, false], truth));
    let allergens = allergens(&fields);
    Some(MenuChoice { id: id?, name: name?, price_delta: price_delta?, default: default?, allergens })
}

fn each<T>(place: &Place<'_>, read: impl FnMut(&Place<'_>) -> Option<T>) -> Vec<T> {
    place.list().iter().filter_map(read).collect()
}

/// The entries of a field that may be left out.
fn list<T>(fields: &Fields<'_>, name: &str, read: impl FnMut(&Place<'_>) -> Option<T>) -> Vec<T> {
    fields.get(name).map_or_else(Vec::new, |place| each(&place, read))
}

fn allergens(fields: &Fields<'_>) -> Vec<Allergen> {
    list(fields, "allergens", |place| place.one_of(&Allergen::ALL, Allergen::as_str))
}

/// All of them where none is named.
fn order_types(fields: &Fields<'_>) -> Vec<OrderType> {
    let Some(place) = fields.get("order_types") else { return OrderType::ALL.to_vec() };
    if place.list().is_empty() {
        place.fault("must have one at least, or be left out");
    }
    each(&place, |place| place.one_of(&OrderType::ALL, OrderType::as_str))
}

fn name(fields: &Fields<'_>) -> Option<String> {
    line(&fields.required("name")?, menu_name_faults)
}

fn line(place: &Place<'_>, faults: impl FnOnce(&str) -> Vec<String>) -> Option<String> {
    place.read(|text| {
        let faults = faults(text);
        if faults.is_empty() { Ok(text.to_owned()) } else { Err(faults.join("; ")) }
    })
}

fn money(place: &Place<'_>, bounds: RangeInclusive<Money>) -> Option<Money> {
    place.read(|text| match Money::parse(text) {
        Ok(money) if bounds.contains(&money) => Ok(money),
        Ok(_) => Err(format!("must be from {} to {}", bounds.start(), bounds.end())),
        Err(error) => Err(error.to_string()),
    })
}

fn count(place: &Place<'_>) -> Option<u8> {
    place.read(|text| text.parse().map_err(|_| format!("must be a whole number from 0 to {}", u8::MAX)))
}
