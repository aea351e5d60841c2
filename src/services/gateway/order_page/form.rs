//! What a customer has typed into the page's form, and the order that comes of it.

use std::collections::HashMap;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::documents::{Choice, Question};

/// A key that this page has made has no more characters.
const KEY_MAX_BYTES: usize = 64;
/// A form's fields, and what is before the ids of a dish's own.
const QUANTITY: &str = "q.";
const CHOICE: &str = "o.";
const NOTES: &str = "n.";
const SEEN: &str = "p.";

/// A form as it was sent. One that was not has the key that is born with the page.
#[derive(Debug)]
pub(super) struct Typed {
    /// One order has one, whenever and however often it is sent.
    pub(super) key: String,
    /// The token of a table.
    pub(super) table: String,
    pub(super) customer_name: String,
    pub(super) order_type: String,
    pub(super) table_number: String,
    pub(super) delivery_address: String,
    pub(super) notes: String,
    /// Something of each dish is typed.
    pub(super) wishes: Vec<Wish>,
    /// The customer wants to see the sum, and not to order yet.
    pub(super) is_look: bool,
}

/// What is typed for one dish.
#[derive(Debug, Default)]
pub(super) struct Wish {
    pub(super) dish: String,
    pub(super) quantity: String,
    /// Ids of choices, with those of their questions.
    pub(super) choices: Vec<(String, String)>,
    pub(super) notes: String,
    /// The prices that the customer has seen.
    pub(super) seen: String,
}

impl Typed {
    /// Nothing yet.
    pub(super) fn new(table: &str) -> Self {
        Self::of(vec![("table".to_owned(), table.to_owned())])
    }

    pub(super) fn of(fields: Vec<(String, String)>) -> Self {
        let mut typed = Self {
            key: String::new(),
            table: String::new(),
            customer_name: String::new(),
            order_type: String::new(),
            table_number: String::new(),
            delivery_address: String::new(),
            notes: String::new(),
            wishes: Vec::new(),
            is_look: false,
        };
        let mut places = HashMap::new();
        for (name, text) in fields {
            typed.take(&name, text, &mut places);
        }
        if !is_key(&typed.key) {
            typed.renew_key();
        }
        typed
    }

    pub(super) fn renew_key(&mut self) {
        self.key = BASE64_URL_SAFE_NO_PAD.encode(Uuid::new_v4());
    }

    /// The dishes that are wanted, in the order of the entries of [`Self::order`].
    pub(super) fn wanted(&self) -> impl Iterator<Item = &Wish> {
        self.wishes.iter().filter(|wish| !matches!(wish.quantity.trim(), "" | "0"))
    }

    pub(super) fn wish(&self, dish: &str) -> Option<&Wish> {
        self.wishes.iter().find(|wish| wish.dish == dish)
    }

    /// The body of the call that places it. It has no prices: the same form is the same order after a price has changed.
    pub(super) fn order(&self, is_at_table: bool) -> Value {
        let mut order = json!({"customer_name": self.customer_name.trim(), "items": []});
        let mut put = |name: &str, text: &str| order[name] = text.into();
        let order_type = if is_at_table { "dine_in" } else { self.order_type.as_str() };
        if !order_type.is_empty() {
            put("order_type", order_type);
        }
        if order_type == "delivery" {
            put(
                "delivery_address",
                self.delivery_address.split_whitespace().collect::<Vec<_>>().join(" ").as_str(),
            );
        }
        if !self.notes.trim().is_empty() {
            put("notes", &one_line(&self.notes));
        }
        if order_type == "dine_in" && !is_at_table && !self.table_number.trim().is_empty() {
            order["table_number"] = number_or_text(&self.table_number);
        }
        order["items"] = self.wanted().map(Wish::entry).collect();
        order
    }

    /// A key for another order from a form whose first one the customer knows of: the same whenever that form is sent.
    pub(super) fn next_key(&self, order: &Value) -> String {
        let hash = Sha256::new().chain_update(&self.key).chain_update(order.to_string()).finalize();
        BASE64_URL_SAFE_NO_PAD.encode(&hash[..16])
    }

    fn take(&mut self, name: &str, text: String, places: &mut HashMap<String, usize>) {
        match name {
            "key" => self.key = text,
            "table" => self.table = text,
            "customer_name" => self.customer_name = text,
            "order_type" => self.order_type = text,
            "table_number" => self.table_number = text,
            "delivery_address" => self.delivery_address = text,
            "notes" => self.notes = text,
            "do" => self.is_look = text == "look",
            _ => self.take_of_dish(name, text, places),
        }
    }

    fn take_of_dish(&mut self, name: &str, text: String, places: &mut HashMap<String, usize>) {
        if let Some(dish) = name.strip_prefix(QUANTITY) {
            self.wish_for(dish, places).quantity = text;
        } else if let Some(dish) = name.strip_prefix(NOTES) {
            self.wish_for(dish, places).notes = text;
        } else if let Some(dish) = name.strip_prefix(SEEN) {
            self.wish_for(dish, places).seen = text;
        } else if let Some((dish, question)) = name.strip_prefix(CHOICE).and_then(|name| name.split_once('.'))
            && !text.is_empty()
        {
            self.wish_for(dish, places).choices.push((question.to_owned(), text));
        }
    }

    fn wish_for(&mut self, dish: &str, places: &mut HashMap<String, usize>) -> &mut Wish {
        let place = *places.entry(dish.to_owned()).or_insert(self.wishes.len());
        if place == self.wishes.len() {
            self.wishes.push(Wish { dish: dish.to_owned(), ..Wish::default() });
        }
        &mut self.wishes[place]
    }
}

impl Wish {
    pub(super) fn has(&self, question: &Question, choice: &Choice) -> bool {
        self.choices.iter().any(|(asked, chosen)| *asked == question.id && *chosen == choice.id)
    }

    /// 0 where it is no number of pieces.
    pub(super) fn pieces(&self) -> u8 {
        self.quantity.trim().parse().unwrap_or_default()
    }

    fn entry(&self) -> Value {
        let choices: Vec<&str> = self.choices.iter().map(|(_, choice)| choice.as_str()).collect();
        let mut entry = json!({"menu_item_id": self.dish, "quantity": number_or_text(&self.quantity), "options": choices});
        if !self.notes.trim().is_empty() {
            entry["notes"] = one_line(&self.notes).into();
        }
        entry
    }
}

/// Whether a form's key is one that this page may have made.
pub(super) fn is_key(text: &str) -> bool {
    let of_key = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    (16..=KEY_MAX_BYTES).contains(&text.len()) && text.bytes().all(of_key)
}

/// The order service says what is wrong with what is no number.
fn number_or_text(text: &str) -> Value {
    let text = text.trim();
    text.parse::<i64>().map_or_else(|_| text.into(), Value::from)
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(body: &str) -> Typed {
        let fields = body.split('&').filter_map(|pair| pair.split_once('='));
        Typed::of(fields.map(|(name, text)| (name.to_owned(), text.to_owned())).collect())
    }

    #[test]
    fn the_order_has_what_is_wanted_with_its_choices() {
        let form = typed(
            "key=abcdefghijklmnop&customer_name= Ada &order_type=delivery&table_number=7&delivery_address=1 Way\r\n2 Town\
             &q.soup=0&n.soup=hot&p.soup=aa&q.pizza=2&o.pizza.size=large&o.pizza.extra=&o.pizza.extra=ham&q.pasta=x",
        );
        let expected = json!({
            "customer_name": "Ada", "order_type": "delivery", "delivery_address": "1 Way 2 Town", "items": [
                {"menu_item_id": "pizza", "quantity": 2, "options": ["large", "ham"]},
                {"menu_item_id": "pasta", "quantity": "x", "options": []},
            ],
        });
        assert_eq!(form.order(false), expected);
        assert_eq!(form.key, "abcdefghijklmnop");
        assert_eq!(form.wish("soup").map(|wish| (wish.pieces(), wish.notes.as_str())), Some((0, "hot")));
    }

    #[test]
    fn a_table_goes_with_orders_at_the_table_alone_and_its_token_stands_for_it() {
        let form = typed("order_type=dine_in&table_number=7");
        assert_eq!(form.order(false)["table_number"], 7);
        let at_table = form.order(true);
        assert_eq!((at_table.get("table_number"), &at_table["order_type"]), (None, &json!("dine_in")));
    }

    #[test]
    fn a_form_without_a_good_key_gets_one_and_another_order_of_it_another() {
        for bad in ["", "key=short", "key=with spaces in between!", &format!("key={}", "a".repeat(65))] {
            let form = typed(bad);
            assert!(is_key(&form.key) && !bad.contains(&form.key), "{bad}");
        }
        let form = typed("key=abcdefghijklmnop");
        let (one, other) = (form.next_key(&json!({"a": 1})), form.next_key(&json!({"a": 2})));
        assert!(is_key(&one) && one != other && one == form.next_key(&json!({"a": 1})));
    }
}
