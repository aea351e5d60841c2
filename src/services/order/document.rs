//! What the OpenAPI document says of an order as it is placed: the rules of the validation table, as far as JSON Schema
//! can say them. Nothing is read by it: `reading` reads, and the domain decides.

use std::ops::RangeInclusive;

use clean_text::HIDDEN_SIGNS;
use http_kit::schema_type;
use http_kit::schemas::one_of_texts;
use poem_openapi::registry::{MetaSchema, MetaSchemaRef, Registry};
use serde_json::{Value, json};

use super::reading::MAX_ELEMENTS;
use crate::domain::{Money, OrderType, bounds};

/// Letters with their marks; among them spaces, hyphens, apostrophes and full stops; between two letters middle dots and
/// joiners.
const CUSTOMER_NAME: &str = r"[ .'’‐\u2011\u05BE\u00A0\u1680\u2000-\u200A\u202F\u205F\u3000-]*\p{L}\p{M}*(([\u200C\u200D]\p{M}*|[\u00B7\u0387\u2027\u30FB\uFF65]|[ .'’‐\u2011\u05BE\u00A0\u1680\u2000-\u200A\u202F\u205F\u3000-]*)\p{L}\p{M}*)*[ .'’‐\u2011\u05BE\u00A0\u1680\u2000-\u200A\u202F\u205F\u3000-]*";
/// The id of an item or of a choice of the menu.
const MENU_ID: &str = "^[a-z0-9]+([_-][a-z0-9]+)*$";
/// What can be seen, but for [`HIDDEN_SIGNS`]: letters, numbers, punctuation and symbols.
const VISIBLE: &str = r"\p{L}\p{N}\p{P}\p{S}";
/// What a text may hold beside those (`clean_text` has the rule): marks, spaces, marks of direction, and signs around numbers.
const BESIDE: &str = r"\p{M} \u00A0\u1680\u2000-\u200A\u202F\u205F\u3000\u061C\u200E\u200F\u0600-\u0605\u06DD\u070F\u0890\u0891\u08E2";
/// Letters with joiners between them.
const JOINED_LETTERS: &str = r"\p{L}\p{M}*([\u200C\u200D]\p{M}*\p{L}\p{M}*)+";
/// A picture, of those that joiners make one of: arrows, signs and emoji, as far as each character of a range is assigned.
const PICTURE: &str = "[\\u2190-\\u21FF\\u2600-\\u27BF\\u2B00-\\u2B73\
                       \u{1f300}-\u{1f64f}\u{1f680}-\u{1f6c5}\u{1f900}-\u{1f9ff}\u{1fa70}-\u{1fa74}\u{1faf0}-\u{1faf6}]";

/// Texts that hold what a text may hold and these controls, with at least one character that can be seen. Written with what
/// generators of test data can read: no `\p{…}` in a negated class, no category within a group, and no range beyond U+FFFF with an
/// end that does not show.
fn text_pattern(controls: &str) -> String {
    let joined = format!(r"{JOINED_LETTERS}|{PICTURE}\p{{M}}*(\u200D{PICTURE}\p{{M}}*)+");
    let any = format!("([{VISIBLE}{BESIDE}{controls}]|{joined})*");
    format!("{}{any}([{VISIBLE}]|{joined}){any}$", beginning())
}

/// The beginning of each pattern: nothing of what shows as nothing, which a class of letters cannot leave out.
fn beginning() -> String {
    let hidden: String = HIDDEN_SIGNS.iter().map(|c| format!("\\u{:04X}", u32::from(*c))).collect();
    format!(r"^(?![\s\S]*[{hidden}])")
}

fn customer_name_pattern() -> String {
    format!("{}{CUSTOMER_NAME}$", beginning())
}

/// Of one line.
fn line_pattern() -> String {
    text_pattern("")
}

/// Lines and tabs are part of addresses.
fn address_pattern() -> String {
    text_pattern(r"\t\n\r")
}

/// The body of `POST /orders`.
pub(super) struct OrderRequest;

schema_type!(
    OrderRequest,
    "OrderRequest",
    MetaSchemaRef::Reference(Self::name().into_owned()),
    fn register(registry: &mut Registry) {
        let one_of = OrderType::ALL.map(|order_type| {
            let (name, schema) = order_of(order_type);
            registry.schemas.insert(name.to_owned(), schema);
            MetaSchemaRef::Reference(name.to_owned())
        });
        registry.schemas.insert("OrderItemRequest".to_owned(), item());
        let order =
            MetaSchema { one_of: one_of.to_vec(), ..described(MetaSchema::ANY, "An order as it is placed.") };
        registry.schemas.insert(Self::name().into_owned(), order);
    }
);

/// The name and the schema of an order of one type.
fn order_of(order_type: OrderType) -> (&'static str, MetaSchema) {
    let (name, needs, table_number, delivery_address) = match order_type {
        OrderType::DineIn => ("DineInOrder", Some("table_number"), table_number(), only_null()),
        OrderType::Takeout => ("TakeoutOrder", None, only_null(), only_null()),
        OrderType::Delivery => ("DeliveryOrder", Some("delivery_address"), only_null(), delivery_address()),
    };
    let required = ["customer_name", "order_type", "items"].into_iter().chain(needs).collect();
    let items = MetaSchema {
        items: Some(Box::new(MetaSchemaRef::Reference("OrderItemRequest".to_owned()))),
        min_items: Some(*bounds::ITEMS.start()),
        max_items: Some(*bounds::ITEMS.end()),
        ..described(MetaSchema::new("array"), "Several entries may name the same dish.")
    };
    let properties = vec![
        ("customer_name", inline(customer_name())),
        ("order_type", inline(one_of_texts(std::iter::once(order_type.as_str())))),
        ("items", inline(items)),
        ("table_number", inline(table_number)),
        ("delivery_address", inline(delivery_address)),
        ("notes", inline(notes())),
    ];
    (
        name,
        MetaSchema { required, properties, example: Some(example(order_type)), ..MetaSchema::new("object") },
    )
}

fn item() -> MetaSchema {
    let name = MetaSchema {
        pattern: Some(line_pattern()),
        ..described(
            text(bounds::ITEM_NAME_CHARS),
            "Not blank, without characters that break or turn a line or are hidden; joiners between letters.",
        )
    };
    let price = MetaSchema {
        minimum: Some(number(*bounds::PRICE.start())),
        maximum: Some(number(*bounds::PRICE.end())),
        multiple_of: Some(0.01),
        ..described(MetaSchema::new("number"), "What one costs, with at most two decimals.")
    };
    MetaSchema {
        required: vec!["name", "quantity", "price"],
        properties: vec![
            ("name", inline(name)),
            ("quantity", inline(described(integer(bounds::QUANTITY), "How many, for this entry."))),
            ("price", inline(price)),
            (
                "menu_item_id",
                inline(nullable(menu_id(
                    "Where there is a menu it is needed, and the name and the price are the menu's.",
                ))),
            ),
            ("options", inline(options())),
            ("notes", inline(notes())),
        ],
        ..described(
            MetaSchema::new("object"),
            "An entry of an order. Where there is a menu, the name may be left out, and the price: one that differs is refused.",
        )
    }
}

fn menu_id(description: &'static str) -> MetaSchema {
    MetaSchema {
        pattern: Some(MENU_ID.to_owned()),
        ..described(text(1..=*bounds::ITEM_NAME_CHARS.end()), description)
    }
}

fn options() -> MetaSchema {
    MetaSchema {
        items: Some(Box::new(inline(menu_id("The id of a choice.")))),
        max_items: Some(MAX_ELEMENTS),
        ..nullable(described(MetaSchema::new("array"), "What is chosen of the menu's options, in any order."))
    }
}

fn nullable(schema: MetaSchema) -> MetaSchema {
    MetaSchema { nullable: true, ..schema }
}

fn customer_name() -> MetaSchema {
    MetaSchema {
        pattern: Some(customer_name_pattern()),
        ..described(
            text(bounds::CUSTOMER_NAME_CHARS),
            "Letters of any script with their marks, spaces (a run of them is kept as one), hyphens, apostrophes and full \
             stops; between letters, middle dots and joiners.",
        )
    }
}

fn table_number() -> MetaSchema {
    described(integer(bounds::TABLES), "The table.")
}

fn delivery_address() -> MetaSchema {
    MetaSchema {
        pattern: Some(address_pattern()),
        ..described(
            text(bounds::ADDRESS_CHARS),
            "Where to bring it: not blank; of the characters that break or turn a line or are hidden, only line breaks and tabs, and \
             joiners between letters.",
        )
    }
}

fn notes() -> MetaSchema {
    MetaSchema {
        nullable: true,
        pattern: Some(line_pattern()),
        ..described(
            text(bounds::NOTES_CHARS),
            "What the kitchen should heed: not blank, without characters that break or turn a line or are hidden; joiners between \
             letters.",
        )
    }
}

/// What an order of this type does not have: absent, or `null`, which is the same.
fn only_null() -> MetaSchema {
    let schema = MetaSchema { nullable: true, enum_items: vec![Value::Null], ..MetaSchema::ANY };
    described(schema, "Not for this type of order.")
}

fn integer(bounds: RangeInclusive<u8>) -> MetaSchema {
    let (minimum, maximum) = bounds.into_inner();
    MetaSchema { minimum: Some(minimum.into()), maximum: Some(maximum.into()), ..MetaSchema::new("integer") }
}

fn text(chars: RangeInclusive<usize>) -> MetaSchema {
    let (min_length, max_length) = chars.into_inner();
    MetaSchema { min_length: Some(min_length), max_length: Some(max_length), ..MetaSchema::new("string") }
}

/// An amount as the document shows it: the nearest binary fraction prints as the amount.
fn number(amount: Money) -> f64 {
    amount.cents() as f64 / 100.0
}

fn described(schema: MetaSchema, description: &'static str) -> MetaSchema {
    MetaSchema { description: Some(description), ..schema }
}

fn inline(schema: MetaSchema) -> MetaSchemaRef {
    MetaSchemaRef::Inline(Box::new(schema))
}

fn example(order_type: OrderType) -> Value {
    let mut order = json!({
        "customer_name": "Ada Lovelace",
        "order_type": order_type.as_str(),
        "items": [{"menu_item_id": "margherita", "name": "Pizza Margherita", "quantity": 1, "price": 9.8}],
    });
    match order_type {
        OrderType::DineIn => order["table_number"] = json!(7),
        OrderType::Takeout => {}
        OrderType::Delivery => order["delivery_address"] = json!("12 Analytical Row, London"),
    }
    order
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::string::string_regex;

    use super::*;
    use crate::services::order::parse_order;
    use crate::services::order::reading::{ITEM_FIELDS, ORDER_FIELDS};

    /// Texts of a pattern of ours. The generator takes anchors for granted, and cannot look ahead: others of their kind stand in
    /// for hidden letters and marks.
    fn texts_of(pattern: &str) -> impl Strategy<Value = String> + use<> {
        let pattern = pattern.strip_prefix(&beginning()).unwrap().trim_end_matches('$');
        let shown = |c| match c {
            _ if !HIDDEN_SIGNS.contains(&c) => c,
            _ if clean_text::is_mark(c) => '\u{301}',
            _ => 'x',
        };
        string_regex(pattern).unwrap().prop_map(move |text| text.chars().map(shown).collect())
    }

    #[test]
    fn the_document_has_the_fields_that_are_read() {
        let names = |schema: &MetaSchema| schema.properties.iter().map(|(name, _)| *name).collect::<Vec<_>>();
        for order_type in OrderType::ALL {
            assert_eq!(names(&order_of(order_type).1), ORDER_FIELDS, "{order_type}");
        }
        assert_eq!(names(&item()), ITEM_FIELDS);
    }

    proptest! {
        #[test]
        fn what_the_document_calls_valid_is_taken(
            name in texts_of(&customer_name_pattern()),
            dish in texts_of(&line_pattern()),
            notes in texts_of(&line_pattern()),
            address in texts_of(&address_pattern()),
        ) {
            let mut order = example(OrderType::Delivery);
            order["customer_name"] = name.into();
            order["items"][0]["name"] = dish.into();
            order["items"][0]["notes"] = notes.as_str().into();
            order["notes"] = notes.into();
            order["delivery_address"] = address.into();
            if let Err(problem) = parse_order(order.to_string().as_bytes(), None, None) {
                let too_long_or_short = |detail: &str| detail.starts_with("must have ");
                let broken: Vec<_> = problem.field_errors().iter().filter(|e| !too_long_or_short(&e.detail)).collect();
                prop_assert!(broken.is_empty(), "{order}: {broken:?}");
            }
        }
    }
}
