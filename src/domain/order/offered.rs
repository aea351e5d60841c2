//! An entry of an order by the menu: its id, its choices, and the price that the customer was shown.

use jiff::civil::Time;

use super::super::{Menu, MenuId, OrderType, Violation, ViolationKind, Wish};
use super::{Check, CheckedItem, Input, ItemDraft};

/// The menu, as it is offered at a moment.
#[derive(Debug, Clone, Copy)]
pub struct Offer<'a> {
    pub menu: &'a Menu,
    /// The time of the day in the restaurant.
    pub at: Time,
}

impl Check {
    /// The name and the price are the menu's. A name that is sent has to be one, and is not compared: it may be translated.
    pub(super) fn offered_item(
        &mut self,
        at: &str,
        draft: ItemDraft,
        order_type: Option<OrderType>,
        offer: &Offer<'_>,
    ) -> CheckedItem {
        let price_pointer = format!("{at}/price");
        if draft.name != Input::Missing {
            self.item_name(&format!("{at}/name"), draft.name);
        }
        let quantity = self.quantity(&format!("{at}/quantity"), draft.quantity);
        let is_shown = draft.price != Input::Missing;
        let shown = if is_shown { self.price(&price_pointer, draft.price) } else { None };
        let id = self.menu_id(&format!("{at}/menu_item_id"), draft.menu_item_id);
        let choices = self.choices(&format!("{at}/options"), draft.options);
        let notes = self.notes(&format!("{at}/notes"), draft.notes);
        let checked = CheckedItem { quantity, notes, ..CheckedItem::default() };
        let (Some(id), Some(choices)) = (id, choices) else { return checked };
        match offer.menu.price(&Wish { item: &id, choices: &choices, order_type, at: offer.at }) {
            Ok(priced) => {
                if let Some(shown) = shown.filter(|shown| *shown != priced.price) {
                    let detail = format!("is {} now, not {shown}", priced.price);
                    let kind = ViolationKind::PriceChanged;
                    self.violations.push(Violation { kind, ..Violation::new(price_pointer, detail) });
                }
                CheckedItem {
                    name: Some(priced.name),
                    price: Some(priced.price),
                    options: priced.options,
                    allergens: priced.allergens,
                    menu_item_id: Some(priced.id),
                    ..checked
                }
            }
            Err(violations) => {
                let at_entry = |v: Violation| Violation { pointer: format!("{at}{}", v.pointer), ..v };
                self.violations.extend(violations.into_iter().map(at_entry));
                checked
            }
        }
    }

    pub(super) fn menu_id(&mut self, pointer: &str, input: Input<String>) -> Option<MenuId> {
        let text = self.required(pointer, input)?;
        self.read(pointer, text.parse())
    }

    /// None where one of them is no id; where there are none an empty list.
    pub(super) fn choices(&mut self, pointer: &str, input: Input<Vec<Input<String>>>) -> Option<Vec<MenuId>> {
        if input == Input::Missing {
            return Some(Vec::new());
        }
        let choices = self.required(pointer, input)?.into_iter().enumerate();
        let read: Vec<Option<MenuId>> =
            choices.map(|(index, choice)| self.menu_id(&format!("{pointer}/{index}"), choice)).collect();
        read.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::time;

    use super::super::super::NewOrder;
    use super::super::super::menu::tests::pizzeria;
    use super::super::OrderDraft;
    use super::*;

    fn given(text: &str) -> Input<String> {
        Input::Given(text.to_owned())
    }

    fn draft(id: &str, choices: &[&str], price: Input<String>) -> Input<ItemDraft> {
        Input::Given(ItemDraft {
            quantity: Input::Given(2),
            menu_item_id: given(id),
            options: Input::Given(choices.iter().map(|choice| given(choice)).collect()),
            price,
            ..ItemDraft::default()
        })
    }

    fn parse(items: Vec<Input<ItemDraft>>) -> Result<NewOrder, Vec<Violation>> {
        let menu = pizzeria();
        let draft = OrderDraft {
            customer_name: given("Ada"),
            order_type: given("takeout"),
            items: Input::Given(items),
            ..OrderDraft::default()
        };
        NewOrder::parse(draft, Some(&Offer { menu: &menu, at: time(20, 0, 0, 0) }))
    }

    #[test]
    fn the_name_and_the_price_are_the_menus() {
        let order = parse(vec![draft("pizza", &["large"], Input::Missing)]).unwrap();
        assert_eq!(order.total_amount().to_string(), "23.00");
        assert_eq!(
            (order.items()[0].name.as_str(), &order.items()[0].options[..]),
            ("Pizza", &["LARGE".to_owned()][..])
        );
        assert!(parse(vec![draft("pizza", &["large"], given("11.5"))]).is_ok());
    }

    #[test]
    fn another_price_is_named_and_told_from_a_fault() {
        let violations = parse(vec![draft("pizza", &["large"], given("9.00"))]).unwrap_err();
        let [only] = &violations[..] else { panic!("{violations:?}") };
        assert_eq!((only.pointer.as_str(), only.kind), ("/items/0/price", ViolationKind::PriceChanged));
        assert_eq!(only.detail, "is 11.50 now, not 9.00");
    }

    #[test]
    fn every_fault_of_every_entry_is_told() {
        let mut nameless = ItemDraft { quantity: Input::Given(11), ..ItemDraft::default() };
        nameless.options = Input::Given(vec![Input::Invalid("must be a text".to_owned())]);
        let items = vec![
            draft("soup", &[], Input::Missing),
            draft("pizza", &["small", "tuna"], given("7.50")),
            draft("pizza", &[], Input::Missing),
            Input::Given(nameless),
        ];
        let pointers: Vec<String> = parse(items).unwrap_err().into_iter().map(|v| v.pointer).collect();
        assert_eq!(
            pointers,
            [
                "/items/0/menu_item_id",
                "/items/1/options/1",
                "/items/2/options",
                "/items/3/quantity",
                "/items/3/menu_item_id",
                "/items/3/options/0"
            ]
        );
    }
}
