use jiff::civil::time;
use proptest::prelude::*;

use super::*;

fn id(text: &str) -> MenuId {
    text.parse().unwrap()
}

fn choice(name: &str, cents: i64, allergens: &[Allergen]) -> MenuChoice {
    MenuChoice {
        id: id(name),
        name: name.to_uppercase(),
        price_delta: Money::from_cents(cents),
        default: false,
        allergens: allergens.to_vec(),
    }
}

fn option(name: &str, (min, max): (u8, u8), choices: Vec<MenuChoice>) -> MenuOption {
    MenuOption { id: id(name), name: name.to_owned(), min, max, choices }
}

fn pizza(options: Vec<MenuOption>) -> MenuItem {
    MenuItem {
        id: id("pizza"),
        name: "Pizza".to_owned(),
        description: None,
        price: Money::from_cents(900),
        allergens: vec![Allergen::Milk, Allergen::Gluten],
        diets: vec![Diet::Vegetarian],
        order_types: vec![OrderType::DineIn, OrderType::Takeout],
        available_from: "17:00".parse().ok(),
        available_until: "01:00".parse().ok(),
        options,
    }
}

fn with(item: MenuItem) -> Menu {
    Menu { categories: vec![MenuCategory { name: "All".to_owned(), items: vec![item] }] }
}

/// Pizzas from 17:00 to 01:00, small or large, with three extras.
pub(in crate::domain) fn pizzeria() -> Menu {
    let size = option("size", (1, 1), vec![choice("small", -150, &[]), choice("large", 250, &[])]);
    let nuts = choice("walnuts", 120, &[Allergen::Nuts]);
    let extra = option("extra", (0, 2), vec![choice("olives", 100, &[]), nuts, choice("basil", 0, &[])]);
    with(pizza(vec![size, extra]))
}

fn price(menu: &Menu, item: &str, choices: &[&str]) -> Result<Priced, Vec<String>> {
    let choices: Vec<MenuId> = choices.iter().map(|choice| id(choice)).collect();
    let item = &id(item);
    let wish = Wish { item, choices: &choices, order_type: Some(OrderType::Takeout), at: time(20, 0, 0, 0) };
    menu.price(&wish).map_err(|violations| violations.into_iter().map(|v| v.pointer).collect())
}

#[test]
fn choices_add_to_the_price_and_to_the_allergens() {
    let priced = price(&pizzeria(), "pizza", &["walnuts", "large"]).unwrap();
    assert_eq!(priced.price.to_string(), "12.70");
    assert_eq!(priced.options, ["LARGE", "WALNUTS"]);
    assert_eq!(priced.allergens, [Allergen::Gluten, Allergen::Milk, Allergen::Nuts]);
    assert_eq!(price(&pizzeria(), "pizza", &["small"]).unwrap().price.to_string(), "7.50");
}

#[test]
fn what_is_wrong_with_choices_is_said_at_once() {
    let menu = pizzeria();
    assert_eq!(price(&menu, "piza", &[]), Err(vec!["/menu_item_id".to_owned()]));
    assert_eq!(price(&menu, "pizza", &[]), Err(vec!["/options".to_owned()]));
    let wrong = ["small", "large", "tuna", "olives", "olives"];
    let expected = ["/options/2", "/options/4", "/options"].map(str::to_owned);
    assert_eq!(price(&menu, "pizza", &wrong), Err(expected.to_vec()));
    let expected = vec!["/options".to_owned()];
    assert_eq!(price(&menu, "pizza", &["small", "olives", "walnuts", "basil"]), Err(expected));
}

#[test]
fn the_type_and_the_hours_are_kept() {
    let menu = pizzeria();
    let (item, choices) = (&id("pizza"), [id("small")]);
    let wish = |order_type, hour| Wish { item, choices: &choices, order_type, at: time(hour, 30, 0, 0) };
    assert!(menu.price(&wish(Some(OrderType::DineIn), 0)).is_ok());
    assert!(menu.price(&wish(None, 17)).is_ok());
    let violations = menu.price(&wish(Some(OrderType::Delivery), 12)).unwrap_err();
    let details: Vec<&str> = violations.iter().map(|v| v.detail.as_str()).collect();
    assert_eq!(
        details,
        ["is for dine_in and takeout, not for delivery", "can be ordered from 17:00 until 01:00 only"]
    );
}

#[test]
fn a_default_counts_where_a_choice_is_needed_and_none_is_made() {
    let mut menu = pizzeria();
    let options = &mut menu.categories[0].items[0].options;
    (options[0].choices[1].default, options[1].choices[0].default) = (true, true);
    assert_eq!(price(&menu, "pizza", &[]).unwrap().price.to_string(), "11.50");
    assert_eq!(price(&menu, "pizza", &["small"]).unwrap().price.to_string(), "7.50");
}

#[test]
fn parts_that_do_not_fit_together_are_faults() {
    let choices = || vec![choice("a", 0, &[]), choice("b", 0, &[])];
    for (bounds, choices) in [((0, 0), choices()), ((2, 1), choices()), ((0, 3), choices()), ((0, 1), vec![])]
    {
        assert_eq!(option("size", bounds, choices).faults().len(), 1, "{bounds:?}");
    }
    let mut two = option("size", (2, 2), choices());
    assert_eq!(two.faults(), [""; 0]);
    two.choices[0].default = true;
    assert_eq!(two.faults(), ["1 choices are default, and min is 2"]);
    let dish = |deltas: &[i64]| {
        let choices = deltas.iter().enumerate().map(|(n, delta)| choice(&format!("c{n}"), *delta, &[]));
        pizza(vec![option("size", (1, 2), choices.collect())])
    };
    assert_eq!(dish(&[0, -899, 60_000]).faults(), [""; 0]);
    assert_eq!(dish(&[-500, -400]).faults(), ["costs 0.00 with its cheapest choices; must cost 0.01"]);
    assert_eq!(dish(&[50_000, 49_100]).faults().len(), 1);
    let mut vegan = pizza(vec![]);
    (vegan.diets, vegan.available_until) = (vec![Diet::Vegan], vegan.available_from);
    assert_eq!(vegan.faults().len(), 2);
}

#[test]
fn an_id_is_a_slug() {
    for text in ["a", "margherita", "quattro-formaggi", "no_4", "7up"] {
        assert!(text.parse::<MenuId>().is_ok(), "{text}");
    }
    for text in ["", "-a", "a-", "a--b", "Pizza", "a b", "ä", "a/b", &"a".repeat(51)] {
        assert!(text.parse::<MenuId>().is_err(), "{text}");
    }
}

#[test]
fn a_menu_survives_json() {
    let json = serde_json::to_string(&pizzeria()).unwrap();
    assert_eq!(serde_json::from_str::<Menu>(&json).unwrap(), pizzeria());
}

proptest! {
    #[test]
    fn each_price_is_exact_and_within_the_range(
        cents in 1_i64..=99_999,
        deltas in proptest::collection::vec(-5_000_i64..5_000, 1..8),
        (min, max) in (0_u8..4, 1_u8..8),
        picks in proptest::collection::vec(any::<bool>(), 8),
        quantity in 1_u8..=10,
    ) {
        let choices = deltas.iter().enumerate().map(|(n, delta)| choice(&format!("c{n}"), *delta, &[]));
        let item = MenuItem { price: Money::from_cents(cents), ..pizza(vec![option("any", (min, max), choices.collect())]) };
        let (cheapest, dearest) = item.price_range();
        let chosen: Vec<usize> = (0..deltas.len()).filter(|n| picks[*n]).collect();
        let fits = item.options[0].faults().is_empty() && (usize::from(min)..=usize::from(max)).contains(&chosen.len());
        let names: Vec<String> = chosen.iter().map(|n| format!("c{n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        match price(&with(item), "pizza", &names) {
            Ok(priced) => {
                let expected = cents + chosen.iter().map(|n| deltas[*n]).sum::<i64>();
                prop_assert_eq!(priced.price.times(quantity).cents(), expected * i64::from(quantity));
                prop_assert!((cheapest..=dearest).contains(&priced.price));
            }
            Err(pointers) => prop_assert!(!fits, "{:?}", pointers),
        }
    }
}
