//! What the page shows: the menu with what is typed into it, in a language.

use askama::Template;
use jiff::{Timestamp, tz::TimeZone};

use super::documents::{Choice, Dish, IntakeState, Menu, Question};
use super::faults::Faults;
use super::form::{Typed, Wish};
use crate::domain::Money;
use crate::http::web::{Frame, version};

/// The types of orders, as the order service names them.
pub(super) const ORDER_TYPES: [&str; 3] = ["dine_in", "takeout", "delivery"];
/// The type that most customers of a page want, until they say another.
const USUAL_TYPE: &str = "takeout";

/// The menu and the form.
#[derive(Template)]
#[template(path = "order.html", whitespace = "minimize")]
pub(super) struct OrderView<'a> {
    pub(super) frame: Frame<'a>,
    pub(super) typed: &'a Typed,
    pub(super) faults: &'a Faults,
    /// The number of the table whose token is shown.
    pub(super) table: Option<u8>,
    pub(super) standing: Standing,
    pub(super) types: Vec<TypeView>,
    pub(super) categories: Vec<CategoryView<'a>>,
    pub(super) lines: Vec<LineView<'a>>,
    pub(super) total: String,
}

/// A page that says why there is no menu to show.
#[derive(Template)]
#[template(path = "order-message.html")]
pub(super) struct MessageView<'a> {
    pub(super) frame: Frame<'a>,
    pub(super) heading: &'a str,
    pub(super) text: &'a str,
    /// For the one who runs the restaurant.
    pub(super) hint: &'a str,
    /// What was typed, which is sent again as it is.
    pub(super) fields: &'a [(String, String)],
    pub(super) can_try_again: bool,
}

/// Whether orders are taken.
pub(super) struct Standing {
    /// `open`, `busy`, `paused`, `closed`; empty where that is not known.
    pub(super) state: String,
    pub(super) text: String,
}

pub(super) struct TypeView {
    pub(super) id: &'static str,
    pub(super) name: &'static str,
    pub(super) is_chosen: bool,
    pub(super) is_paused: bool,
    /// How long it takes; empty where that is not known.
    pub(super) time: String,
}

pub(super) struct CategoryView<'a> {
    pub(super) name: &'a str,
    pub(super) dishes: Vec<DishView<'a>>,
}

pub(super) struct DishView<'a> {
    pub(super) dish: &'a Dish,
    /// How much of it can be in one entry.
    pub(super) most: u32,
    pub(super) seen: String,
    pub(super) price: String,
    pub(super) diets: Vec<&'a str>,
    pub(super) allergens: String,
    /// When and how alone it can be had, and how few are left.
    pub(super) limits: Vec<String>,
    pub(super) quantity: &'a str,
    pub(super) notes: &'a str,
    pub(super) is_typed: bool,
    pub(super) questions: Vec<QuestionView<'a>>,
}

pub(super) struct QuestionView<'a> {
    pub(super) question: &'a Question,
    pub(super) hint: String,
    /// One choice at most: radio buttons.
    pub(super) is_single: bool,
    /// And none may be made.
    pub(super) has_none: bool,
    pub(super) is_none_chosen: bool,
    pub(super) choices: Vec<ChoiceView<'a>>,
}

pub(super) struct ChoiceView<'a> {
    pub(super) choice: &'a Choice,
    pub(super) delta: String,
    pub(super) allergens: String,
    pub(super) is_chosen: bool,
}

/// A line of what has been put together.
pub(super) struct LineView<'a> {
    pub(super) quantity: u8,
    pub(super) name: &'a str,
    pub(super) choices: String,
    pub(super) price: String,
}

/// Writes a view in the language and the money of its frame.
#[derive(Clone, Copy)]
pub(super) struct Writer<'a> {
    pub(super) frame: Frame<'a>,
    pub(super) zone: &'a TimeZone,
    pub(super) now: Timestamp,
}

impl<'a> Writer<'a> {
    pub(super) fn order(
        self,
        menu: &'a Menu,
        intake: &IntakeState,
        typed: &'a Typed,
        table: Option<u8>,
        faults: &'a Faults,
    ) -> OrderView<'a> {
        let dishes =
            |dishes: &'a [Dish]| dishes.iter().map(|dish| self.dish(dish, typed.wish(&dish.id))).collect();
        let categories = menu
            .categories
            .iter()
            .map(|category| CategoryView { name: &category.name, dishes: dishes(&category.items) });
        let bought: Vec<_> = typed
            .wanted()
            .filter_map(|wish| Some((wish, menu.dish(&wish.dish)?, price(menu.dish(&wish.dish)?, wish))))
            .collect();
        let total: Money = bought.iter().map(|(_, _, price)| *price).sum();
        OrderView {
            frame: self.frame,
            typed,
            faults,
            table,
            standing: self.standing(intake),
            types: ORDER_TYPES.map(|id| self.order_type(id, intake, typed)).into(),
            categories: categories.collect(),
            lines: bought.iter().map(|(wish, dish, price)| self.line(wish, dish, *price)).collect(),
            total: self.money(total),
        }
    }

    fn standing(self, intake: &IntakeState) -> Standing {
        let lang = self.frame.lang;
        let at = |time: Timestamp| lang.moment(time, self.zone, self.now);
        let text = match (intake.state.as_str(), intake.opens_at, intake.until) {
            ("closed", Some(opens), _) => lang.fill("order.closed_until", &[("time", &at(opens))]),
            ("closed", None, _) => lang.say("order.closed").to_owned(),
            ("paused", _, Some(until)) => lang.fill("order.paused_until", &[("time", &at(until))]),
            ("paused", _, None) => lang.say("order.paused").to_owned(),
            ("busy", ..) => lang.say("order.busy").to_owned(),
            _ => String::new(),
        };
        Standing { state: intake.state.clone(), text }
    }

    fn order_type(self, id: &'static str, intake: &IntakeState, typed: &Typed) -> TypeView {
        let lang = self.frame.lang;
        let time = match intake.estimate_minutes.get(id) {
            Some(Some(minutes)) => lang.fill("order.minutes", &[("minutes", &minutes.to_string())]),
            Some(None) => lang.say("order.no_cook").to_owned(),
            None => String::new(),
        };
        let is_paused = intake.order_types_paused.iter().any(|paused| paused == id);
        let chosen = if typed.order_type.is_empty() { USUAL_TYPE } else { typed.order_type.as_str() };
        TypeView { id, name: lang.say_of("order.type.", id), is_chosen: chosen == id, is_paused, time }
    }

    fn dish(self, dish: &'a Dish, wish: Option<&'a Wish>) -> DishView<'a> {
        let usual = |choice: &Choice| choice.default;
        let questions = dish.options.iter().map(|question| {
            let is_chosen = |choice: &Choice| {
                wish.filter(|wish| wish.pieces() > 0).map_or(usual(choice), |wish| wish.has(question, choice))
            };
            self.question(question, is_chosen)
        });
        DishView {
            dish,
            most: dish.remaining.unwrap_or(u32::MAX).min(10),
            seen: dish.seen(),
            price: self.money(dish.usual_price()),
            diets: dish.diets.iter().map(|diet| self.frame.lang.say_of("order.diet.", diet)).collect(),
            allergens: self.allergens(&dish.allergens),
            limits: self.limits(dish),
            quantity: wish.map_or("0", |wish| &wish.quantity),
            notes: wish.map_or("", |wish| &wish.notes),
            is_typed: wish.is_some_and(|wish| wish.pieces() > 0 || !wish.notes.is_empty()),
            questions: questions.collect(),
        }
    }

    fn question(self, question: &'a Question, is_chosen: impl Fn(&Choice) -> bool) -> QuestionView<'a> {
        let lang = self.frame.lang;
        let (min, max) = (question.min.to_string(), question.max.to_string());
        let hint = match (question.min, question.max) {
            (_, 1) => String::new(),
            (0, _) => lang.fill("order.up_to", &[("max", &max)]),
            (least, most) if least == most => lang.fill("order.exactly", &[("max", &max)]),
            _ => lang.fill("order.from_to", &[("min", &min), ("max", &max)]),
        };
        let choices = question.choices.iter().map(|choice| ChoiceView {
            choice,
            delta: self.delta(choice.price_delta),
            allergens: self.allergens(&choice.allergens),
            is_chosen: is_chosen(choice),
        });
        let choices: Vec<_> = choices.collect();
        let is_single = question.max == 1 && (question.min == 1 || choices.len() > 1);
        QuestionView {
            question,
            hint,
            is_single,
            has_none: is_single && question.min == 0,
            is_none_chosen: !choices.iter().any(|choice| choice.is_chosen),
            choices,
        }
    }

    fn line(self, wish: &Wish, dish: &'a Dish, price: Money) -> LineView<'a> {
        let chosen = dish.options.iter().flat_map(|question| {
            question
                .choices
                .iter()
                .filter(|choice| wish.has(question, choice))
                .map(|choice| choice.name.as_str())
        });
        LineView {
            quantity: wish.pieces(),
            name: &dish.name,
            choices: chosen.collect::<Vec<_>>().join(", "),
            price: self.money(price),
        }
    }

    /// What keeps a dish from being had always, by everybody.
    fn limits(self, dish: &Dish) -> Vec<String> {
        let lang = self.frame.lang;
        let mut limits = Vec::new();
        if !ORDER_TYPES.iter().all(|id| dish.order_types.iter().any(|offered| offered == id)) {
            let types: Vec<_> = dish.order_types.iter().map(|id| lang.say_of("order.type.", id)).collect();
            limits.push(lang.fill("order.only_for", &[("types", &types.join(", "))]));
        }
        if let (Some(from), Some(until)) = (&dish.available_from, &dish.available_until) {
            limits.push(lang.fill("order.daily", &[("from", from), ("until", until)]));
        } else if let Some(until) = &dish.available_until {
            limits.push(lang.fill("order.daily_until", &[("until", until)]));
        }
        if let Some(left @ 1..) = dish.remaining {
            limits.push(lang.count("order.left", left.into()));
        }
        limits
    }

    fn allergens(self, allergens: &[String]) -> String {
        let names = allergens.iter().map(|allergen| self.frame.lang.say_of("order.allergen.", allergen));
        names.collect::<Vec<_>>().join(", ")
    }

    /// What a choice adds; empty where it adds nothing.
    fn delta(self, delta: Money) -> String {
        match delta.cents() {
            0 => String::new(),
            1.. => plus(&self.money(delta)),
            _ => self.money(delta),
        }
    }

    pub(super) fn money(self, amount: Money) -> String {
        self.frame.lang.money(self.frame.currency, amount)
    }
}

/// An amount with its sign, which stands behind the mark of its direction.
fn plus(amount: &str) -> String {
    let (mark, amount) = amount.split_at(amount.len() - amount.trim_start_matches('\u{200f}').len());
    format!("{mark}+{amount}")
}

/// What a line costs.
fn price(dish: &Dish, wish: &Wish) -> Money {
    let is_chosen = |choice: &Choice| wish.choices.iter().any(|(_, id)| *id == choice.id);
    dish.price_of(is_chosen).times(wish.pieces())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_stands_before_the_number_from_right_to_left_too() {
        assert_eq!([plus("€1.50"), plus("\u{200f}1.50 €")], ["+€1.50", "\u{200f}+1.50 €"]);
    }
}
