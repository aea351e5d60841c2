//! From a request's body to an [`OrderDraft`]: what is there and of which kind. Which values are right is the domain's.

use http_kit::members::{Members, MembersError, elements, pointer};
use http_kit::problem::{Kind, OwnKind};
use http_kit::{FieldError, Problem};
use poem::http::{HeaderMap, HeaderName, StatusCode};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::domain::{
    Input, ItemDraft, NewOrder, Offer, OrderDraft, OrderType, Violation, ViolationKind, reason_faults,
};
use crate::store::IdempotencyKey;

pub(super) const ORDER_FIELDS: [&str; 6] =
    ["customer_name", "order_type", "items", "table_number", "delivery_address", "notes"];
pub(super) const ITEM_FIELDS: [&str; 6] = ["name", "quantity", "price", "menu_item_id", "options", "notes"];
/// So many elements of a list are looked into; the domain refuses far fewer.
pub(super) const MAX_ELEMENTS: usize = 100;
const MAX_KEY_BYTES: usize = 255;
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
static PRICE_CHANGED: OwnKind = OwnKind {
    status: StatusCode::UNPROCESSABLE_ENTITY,
    slug: "price-changed",
    title: "The price is another one now",
};

/// The key as it was sent. One that cannot be used is refused: passed over, it would let a repetition order twice.
pub(super) fn idempotency(headers: &HeaderMap, body: &[u8]) -> Result<Option<IdempotencyKey>, Problem> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let printable = value.as_bytes().iter().all(|b| b.is_ascii_graphic() || *b == b' ');
    match value.to_str() {
        Ok(key) if printable && (1..=MAX_KEY_BYTES).contains(&key.len()) && values.next().is_none() => {
            Ok(Some(IdempotencyKey { key: key.to_owned(), body_sha256: Sha256::digest(body).into() }))
        }
        _ => Err(Problem::invalid_parameter(format!(
            "there must be one Idempotency-Key, of 1 to {MAX_KEY_BYTES} printable ASCII characters"
        ))),
    }
}

/// Reads and checks an order, by the menu where one is offered, for the table where its customer has shown one's token.
///
/// # Errors
/// 400 for malformed JSON or unknown fields, 422 with every violation of a rule.
pub fn parse_order(body: &[u8], offer: Option<&Offer<'_>>, table: Option<u8>) -> Result<NewOrder, Problem> {
    let members = Members::read(body)?;
    let mut unknown = members.unknown("", &ORDER_FIELDS);
    let mut draft = OrderDraft {
        customer_name: text(members.get("customer_name")),
        order_type: text(members.get("order_type")),
        items: items(members.get("items"), &mut unknown)?,
        table_number: integer(members.get("table_number")),
        delivery_address: text(members.get("delivery_address")),
        notes: text(members.get("notes")),
    };
    if !unknown.is_empty() {
        return Err(Problem::unknown_fields(unknown));
    }
    let elsewhere = table.and_then(|table| set_table(&mut draft, table));
    match NewOrder::parse(draft, offer) {
        Ok(order) if elsewhere.is_none() => Ok(order),
        Ok(_) => Err(unprocessable(elsewhere.into_iter().collect())),
        Err(mut violations) => {
            violations.extend(elsewhere);
            Err(unprocessable(violations))
        }
    }
}

/// Makes an order one for this table. Says why it is not.
fn set_table(draft: &mut OrderDraft, table: u8) -> Option<Violation> {
    let order_type = match &draft.order_type {
        Input::Given(order_type) => order_type.parse().ok(),
        Input::Missing | Input::Invalid(_) => None,
    };
    if order_type.is_some_and(|order_type: OrderType| order_type != OrderType::DineIn) {
        return Some(Violation::new("/order_type", "must be dine_in where a table's token is shown"));
    }
    match draft.table_number {
        Input::Given(number) if number != i64::from(table) => {
            let detail = format!("must be {table}, the table whose token is shown, or be left out");
            draft.table_number = Input::Given(table.into());
            Some(Violation::new("/table_number", detail))
        }
        Input::Missing => {
            draft.table_number = Input::Given(table.into());
            None
        }
        Input::Given(_) | Input::Invalid(_) => None,
    }
}

/// Reads and checks why an order is cancelled.
///
/// # Errors
/// As for [`parse_order`].
pub(super) fn parse_cancellation(body: &[u8]) -> Result<Option<String>, Problem> {
    let members = Members::read(body)?;
    let unknown = members.unknown("", &["reason"]);
    if !unknown.is_empty() {
        return Err(Problem::unknown_fields(unknown));
    }
    let (reason, faults) = match text(members.get("reason")) {
        Input::Missing => return Ok(None),
        Input::Invalid(fault) => (String::new(), vec![fault]),
        Input::Given(reason) => {
            let faults = reason_faults(&reason);
            (reason, faults)
        }
    };
    if !faults.is_empty() {
        let errors = faults.into_iter().map(|fault| FieldError::new("/reason", fault));
        return Err(Problem::unprocessable(errors.collect()));
    }
    Ok(Some(reason))
}

fn unprocessable(violations: Vec<Violation>) -> Problem {
    let is_price = violations.iter().all(|violation| violation.kind == ViolationKind::PriceChanged);
    let errors = violations.into_iter().map(|v| FieldError::new(v.pointer, v.detail)).collect();
    if is_price {
        let detail = "the menu has other prices than the order; order again with them, or with none";
        return Problem::new(Kind::Own(&PRICE_CHANGED), detail).errors(errors);
    }
    Problem::unprocessable(errors)
}

fn items(
    value: Option<&RawValue>,
    unknown: &mut Vec<String>,
) -> Result<Input<Vec<Input<ItemDraft>>>, Problem> {
    let Some(value) = given(value) else { return Ok(Input::Missing) };
    let Some(elements) = elements(value) else { return Ok(Input::Invalid("must be a list".to_owned())) };
    let mut items = Vec::with_capacity(elements.len().min(MAX_ELEMENTS));
    for (index, element) in elements.iter().enumerate() {
        // The count is what matters of the rest.
        items.push(if index < MAX_ELEMENTS { item(index, element, unknown)? } else { Input::Missing });
    }
    Ok(Input::Given(items))
}

fn item(index: usize, value: &RawValue, unknown: &mut Vec<String>) -> Result<Input<ItemDraft>, Problem> {
    let at = pointer("/items", &index.to_string());
    if given(Some(value)).is_none() {
        return Ok(Input::Missing);
    }
    let members = match Members::parse(value.get()) {
        Ok(members) => members,
        Err(MembersError::NotAnObject) => return Ok(Input::Invalid("must be an object".to_owned())),
        Err(error) => {
            let errors = vec![FieldError::new(at, error.to_string())];
            return Err(Problem::bad_request("an item cannot be read").errors(errors));
        }
    };
    unknown.extend(members.unknown(&at, &ITEM_FIELDS));
    Ok(Input::Given(ItemDraft {
        name: text(members.get("name")),
        quantity: integer(members.get("quantity")),
        price: number(members.get("price")),
        menu_item_id: text(members.get("menu_item_id")),
        options: texts(members.get("options")),
        notes: text(members.get("notes")),
    }))
}

/// `null` is as good as absent.
pub(super) fn given(value: Option<&RawValue>) -> Option<&RawValue> {
    value.filter(|value| value.get() != "null")
}

pub(super) fn text(value: Option<&RawValue>) -> Input<String> {
    match given(value) {
        None => Input::Missing,
        Some(value) => match serde_json::from_str(value.get()) {
            Ok(text) => Input::Given(text),
            Err(_) => Input::Invalid("must be a text".to_owned()),
        },
    }
}

fn texts(value: Option<&RawValue>) -> Input<Vec<Input<String>>> {
    let Some(value) = given(value) else { return Input::Missing };
    match elements(value) {
        None => Input::Invalid("must be a list".to_owned()),
        Some(elements) if elements.len() > MAX_ELEMENTS => {
            Input::Invalid(format!("must have {MAX_ELEMENTS} entries at most"))
        }
        Some(elements) => Input::Given(elements.into_iter().map(|element| text(Some(element))).collect()),
    }
}

pub(super) fn integer(value: Option<&RawValue>) -> Input<i64> {
    match given(value) {
        None => Input::Missing,
        Some(value) => match value.get().parse() {
            Ok(number) => Input::Given(number),
            Err(_) => Input::Invalid("must be an integer".to_owned()),
        },
    }
}

/// The text of a number, as it was written.
fn number(value: Option<&RawValue>) -> Input<String> {
    match given(value) {
        None => Input::Missing,
        Some(value) if value.get().starts_with(|c: char| c == '-' || c.is_ascii_digit()) => {
            Input::Given(value.get().to_owned())
        }
        Some(_) => Input::Invalid("must be a number".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn outcome(body: &str) -> (u16, Vec<String>) {
        match parse_order(body.as_bytes(), None, None) {
            Ok(_) => (201, vec![]),
            Err(problem) => {
                let pointers = problem.field_errors().iter().map(|e| e.pointer.clone()).collect();
                (problem.status().as_u16(), pointers)
            }
        }
    }

    const ITEM: &str = r#"{"name": "Soup", "quantity": 1, "price": 4.5, "notes": null}"#;

    #[test]
    fn wrong_kinds_are_violations_beside_broken_rules() {
        let body = r#"{"customer_name": 5, "order_type": "takeout", "items": [{"name": null, "quantity": 1.5, "price": "9"}, 7, null]}"#;
        assert_eq!(
            outcome(body),
            (
                422,
                [
                    "/customer_name",
                    "/items/0/name",
                    "/items/0/quantity",
                    "/items/0/price",
                    "/items/1",
                    "/items/2"
                ]
                .map(String::from)
                .to_vec()
            )
        );
        assert_eq!(outcome("[]"), (400, vec![]));
        assert_eq!(
            outcome(r#"{"customer_name": "A", "order_type": "takeout", "items": {}}"#),
            (422, vec!["/items".into()])
        );
    }

    #[test]
    fn unknown_fields_are_all_named() {
        let body = format!(
            r#"{{"customer_name": "A", "order_type": "takeout", "items": [{ITEM}], "tip": 1, "items ": 2}}"#
        );
        assert_eq!(outcome(&body), (400, vec!["/tip".into(), "/items ".into()]));
        let body = r#"{"customer_name": "A", "order_type": "takeout", "items": [{"name": "a", "quantity": 1, "price": 1, "size": "L"}]}"#;
        assert_eq!(outcome(body), (400, vec!["/items/0/size".into()]));
    }

    #[test]
    fn null_is_as_good_as_absent() {
        let body = format!(
            r#"{{"customer_name": "A", "order_type": "takeout", "items": [{ITEM}], "table_number": null, "delivery_address": null, "notes": null}}"#
        );
        assert_eq!(outcome(&body), (201, vec![]));
    }

    #[test]
    fn a_tables_token_fixes_the_table() {
        let of = |order_type: &str, table: &str| {
            let body = format!(
                r#"{{"customer_name": "A", "order_type": "{order_type}", "items": [{ITEM}]{table}}}"#
            );
            match parse_order(body.as_bytes(), None, Some(7)) {
                Ok(order) => Ok(order.table_number()),
                Err(problem) => {
                    Err(problem.field_errors().iter().map(|e| e.pointer.clone()).collect::<Vec<_>>())
                }
            }
        };
        assert_eq!(of("dine_in", ""), Ok(Some(7)));
        assert_eq!(of("dine_in", r#", "table_number": 7"#), Ok(Some(7)));
        assert_eq!(of("dine_in", r#", "table_number": 8"#), Err(vec!["/table_number".to_owned()]));
        assert_eq!(of("dine_in", r#", "table_number": "8""#), Err(vec!["/table_number".to_owned()]));
        assert_eq!(of("takeout", ""), Err(vec!["/order_type".to_owned()]));
        assert_eq!(of("drone", ""), Err(vec!["/order_type".to_owned()]));
    }

    #[test]
    fn malformed_json_is_not_read() {
        for body in [
            "",
            "{",
            "nonsense",
            "{\"a\":1}}",
            "{\"customer_name\": \"A\", \"customer_name\": \"B\"}",
            "\u{feff}{}",
        ] {
            assert_eq!(outcome(body).0, 400, "{body:?}");
        }
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_order(&body, None, None);
        }
    }
}
