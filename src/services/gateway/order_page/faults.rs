//! What is wrong with a form, in the customer's words: beside its fields, and all together above them.

use jiff::{Timestamp, tz::TimeZone};
use poem::http::StatusCode;
use serde_json::Value;

use super::documents::Menu;
use super::form::{Typed, Wish};
use crate::http::PROBLEM_TYPES;
use crate::http::words::Language;

/// The fields of the form by the pointers of an order, each with an id of its own in the page.
const FIELDS: [&str; 5] = ["customer_name", "order_type", "table_number", "delivery_address", "notes"];
/// The part of the page that shows what is in the order.
const BASKET: &str = "basket";

/// Nothing is wrong where there is no heading.
#[derive(Debug, Default)]
pub(super) struct Faults {
    pub(super) heading: String,
    pub(super) each: Vec<Fault>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// The id of the element that it is about; empty where there is none.
    pub(super) place: String,
    /// What is said beside it.
    pub(super) text: String,
    /// What it is about, for the summary; empty where the text says it.
    pub(super) subject: String,
}

impl Faults {
    /// A heading alone.
    pub(super) fn headed(heading: impl Into<String>) -> Self {
        Self { heading: heading.into(), each: Vec::new() }
    }

    /// The first fault of a place; empty where there is none.
    pub(super) fn of(&self, place: &str) -> &str {
        self.each.iter().find(|fault| fault.place == place).map_or("", |fault| &fault.text)
    }

    /// That of a dish.
    pub(super) fn of_dish(&self, id: &str) -> &str {
        self.of(&place_of(id))
    }

    /// Of the dishes whose prices are others than the customer has seen.
    pub(super) fn of_prices(lang: Language, typed: &Typed, menu: &Menu) -> Self {
        let changed = typed.wanted().filter_map(|wish| {
            let dish = menu.dish(&wish.dish)?;
            let has_changed = !wish.seen.is_empty() && wish.seen != dish.seen();
            has_changed.then(|| of_dish(wish, menu, lang.say("order.fault.price")))
        });
        let each: Vec<_> = changed.collect();
        let heading = if each.is_empty() { "" } else { lang.say("order.faults") };
        Self { heading: heading.to_owned(), each }
    }

    /// From what the order service says of an order.
    pub(super) fn of_problem(
        lang: Language,
        (status, problem): (StatusCode, &Value),
        typed: &Typed,
        menu: &Menu,
        (zone, now): (&TimeZone, Timestamp),
    ) -> Self {
        let errors = problem["errors"].as_array().map_or(&[][..], Vec::as_slice);
        let each = errors.iter().map(|error| {
            let text = |member: &str| error[member].as_str().unwrap_or_default();
            fault(lang, text("pointer"), text("detail"), typed, menu)
        });
        let each: Vec<_> = each.collect();
        let opens_at = problem["opens_at"].as_str().and_then(|time| time.parse::<Timestamp>().ok());
        let heading = match (kind(problem), opens_at) {
            ("closed", Some(opens)) => {
                lang.fill("order.closed_until", &[("time", &lang.moment(opens, zone, now))])
            }
            ("closed", None) => lang.say("order.closed").to_owned(),
            ("paused", _) => lang.say("order.paused").to_owned(),
            ("intake-full" | "service-full", _) => lang.say("order.full").to_owned(),
            ("too-many-open-orders" | "too-many-requests", _) => lang.say("order.too_many").to_owned(),
            ("idempotency-key-reused", _) => lang.say("order.reused").to_owned(),
            ("conflict", _) => lang.say("order.lost").to_owned(),
            _ if status.is_server_error() => lang.say("order.lost").to_owned(),
            _ if !each.is_empty() => lang.say("order.faults").to_owned(),
            _ => problem["detail"].as_str().unwrap_or_default().to_owned(),
        };
        Self { heading, each }
    }
}

/// The last part of a problem's type.
pub(super) fn kind(problem: &Value) -> &str {
    problem["type"].as_str().and_then(|kind| kind.strip_prefix(PROBLEM_TYPES)).unwrap_or_default()
}

fn place_of(dish: &str) -> String {
    format!("dish-{dish}")
}

fn fault(lang: Language, pointer: &str, detail: &str, typed: &Typed, menu: &Menu) -> Fault {
    let name = pointer.trim_start_matches('/');
    if FIELDS.contains(&name) {
        let text = lang.say_of("order.fault.", name).to_owned();
        return Fault { place: name.to_owned(), text, subject: String::new() };
    }
    if name == "items" {
        return Fault {
            place: BASKET.to_owned(),
            text: lang.say("order.fault.items").to_owned(),
            subject: String::new(),
        };
    }
    let entry = name.strip_prefix("items/").map(|rest| rest.split_once('/').unwrap_or((rest, "")));
    let wish = entry.and_then(|(index, _)| typed.wanted().nth(index.parse().ok()?));
    let Some((wish, (_, member))) = wish.zip(entry) else {
        return Fault { place: String::new(), text: detail.to_owned(), subject: name.to_owned() };
    };
    let text = match member.split('/').next().unwrap_or_default() {
        "" => lang.say("order.fault.sold_out"),
        "menu_item_id" => lang.say("order.fault.not_now"),
        "options" => lang.say("order.fault.options"),
        "quantity" => lang.say("order.fault.quantity"),
        "notes" => lang.say("order.fault.notes"),
        "price" => lang.say("order.fault.price"),
        _ => detail,
    };
    of_dish(wish, menu, text)
}

fn of_dish(wish: &Wish, menu: &Menu, text: &str) -> Fault {
    let dish = menu.dish(&wish.dish);
    let place = dish.map_or_else(String::new, |dish| place_of(&dish.id));
    let subject = dish.map_or(&wish.dish, |dish| &dish.name).clone();
    Fault { place, text: text.to_owned(), subject }
}
