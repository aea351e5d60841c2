//! Made-up customers: realistic orders, and some that break exactly one rule on purpose. The same seed, the same orders.

use fastrand::Rng;

use super::menu::{CUSTOMERS, DISHES, NOTES, STREETS};
use super::offer::Offer;
use super::orders::{FormItem, OrderForm};
use crate::domain::{Money, bounds};

/// The rules that an order can be made to break.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    NoCustomer,
    DigitsInName,
    LongName,
    UnknownType,
    NoItems,
    TooManyItems,
    BlankDish,
    QuantityZero,
    QuantityHigh,
    /// 9.999.
    PriceDecimals,
    PriceZero,
    PriceHigh,
    NoTable,
    TableOutOfRange,
    TableForTakeout,
    NoAddress,
    /// An address of 9 characters.
    ShortAddress,
    AddressForDineIn,
    LongNotes,
    NotesOfTwoLines,
}

impl Flaw {
    pub const ALL: [Self; 20] = [
        Self::NoCustomer,
        Self::DigitsInName,
        Self::LongName,
        Self::UnknownType,
        Self::NoItems,
        Self::TooManyItems,
        Self::BlankDish,
        Self::QuantityZero,
        Self::QuantityHigh,
        Self::PriceDecimals,
        Self::PriceZero,
        Self::PriceHigh,
        Self::NoTable,
        Self::TableOutOfRange,
        Self::TableForTakeout,
        Self::NoAddress,
        Self::ShortAddress,
        Self::AddressForDineIn,
        Self::LongNotes,
        Self::NotesOfTwoLines,
    ];
}

#[derive(Debug, Clone)]
pub struct GeneratedOrder {
    pub request: OrderForm,
    /// The rule it breaks; `None` for a good order.
    pub flaw: Option<Flaw>,
}

/// An endless line of customers.
#[derive(Debug, Clone)]
pub struct OrderGenerator {
    rng: Rng,
    bad_share: f64,
    offer: Option<Offer>,
}

impl OrderGenerator {
    /// Customers from a seed, `bad_percent` of whose orders break a rule.
    pub fn new(seed: u64, bad_percent: f64) -> Self {
        Self { rng: Rng::with_seed(seed), bad_share: bad_percent / 100.0, offer: None }
    }

    /// The same customers, who order from a menu where there is one.
    #[must_use]
    pub fn with_offer(self, offer: Option<Offer>) -> Self {
        Self { offer, ..self }
    }

    pub fn next_order(&mut self) -> GeneratedOrder {
        let mut request = self.good_order();
        let flaw = (self.rng.f64() < self.bad_share).then(|| Flaw::ALL[self.rng.usize(..Flaw::ALL.len())]);
        if let Some(flaw) = flaw {
            self.spoil(&mut request, flaw);
        }
        GeneratedOrder { request, flaw }
    }

    fn good_order(&mut self) -> OrderForm {
        let mut request = OrderForm {
            customer_name: self.pick(CUSTOMERS).to_owned(),
            order_type: String::new(),
            items: self.items(),
            table_number: None,
            delivery_address: None,
            notes: self.notes(10),
        };
        match self.rng.u32(0..100) {
            0..40 => self.make_dine_in(&mut request),
            40..75 => make_takeout(&mut request),
            _ => self.make_delivery(&mut request),
        }
        if let Some(offer) = &self.offer {
            let mut items = offer.pick(&mut self.rng, &request.order_type, request.items.len());
            for (item, made_up) in items.iter_mut().zip(&request.items) {
                (item.quantity, item.notes) = (made_up.quantity, made_up.notes.clone());
            }
            request.items = items;
        }
        request
    }

    /// Mostly few dishes, now and then a whole party's.
    fn items(&mut self) -> Vec<FormItem> {
        let count = match self.rng.u32(0..100) {
            0..70 => self.rng.usize(1..=3),
            70..97 => self.rng.usize(4..=8),
            _ => self.rng.usize(9..=20),
        };
        let dishes = self.rng.choose_multiple(DISHES.iter(), count);
        dishes
            .into_iter()
            .filter_map(|(name, cents)| {
                let quantity =
                    if self.rng.u32(0..100) < 95 { self.rng.u32(1..=3) } else { self.rng.u32(4..=10) };
                let item = FormItem::new(*name, quantity, &Money::from_cents(*cents).to_string())?;
                Some(FormItem { notes: self.notes(15), ..item })
            })
            .collect()
    }

    /// Notes on so many of a hundred.
    fn notes(&mut self, percent: u32) -> Option<String> {
        (self.rng.u32(0..100) < percent).then(|| self.pick(NOTES).to_owned())
    }

    fn make_dine_in(&mut self, request: &mut OrderForm) {
        request.order_type = "dine_in".to_owned();
        request.table_number = Some(self.rng.u32(1..=100));
        request.delivery_address = None;
    }

    fn make_delivery(&mut self, request: &mut OrderForm) {
        request.order_type = "delivery".to_owned();
        request.table_number = None;
        request.delivery_address = Some(format!("{} {}", self.rng.u32(1..=199), self.pick(STREETS)));
    }

    fn pick(&mut self, from: &'static [&'static str]) -> &'static str {
        from[self.rng.usize(..from.len())]
    }

    /// Makes a good order break one rule and no other.
    fn spoil(&mut self, request: &mut OrderForm, flaw: Flaw) {
        let soup = |quantity, price| FormItem::new("Soup of the Day", quantity, price);
        let name = |text: &str| text.to_owned();
        match flaw {
            Flaw::NoCustomer => request.customer_name.clear(),
            Flaw::DigitsInName => request.customer_name = name("R2-D2"),
            Flaw::LongName => request.customer_name = "a".repeat(bounds::CUSTOMER_NAME_CHARS.end() + 1),
            Flaw::UnknownType => {
                make_takeout(request);
                request.order_type = name("drive_in");
            }
            Flaw::NoItems => request.items.clear(),
            Flaw::TooManyItems => {
                let lines = (0..=*bounds::ITEMS.end())
                    .filter_map(|n| FormItem::new(format!("Tapas no. {n}"), 1, "3.50"));
                request.items = lines.collect();
            }
            Flaw::BlankDish => request.items = FormItem::new("  ", 1, "5.00").into_iter().collect(),
            Flaw::QuantityZero => request.items = soup(0, "6.50").into_iter().collect(),
            Flaw::QuantityHigh => {
                request.items = soup(u32::from(*bounds::QUANTITY.end()) + 1, "6.50").into_iter().collect()
            }
            Flaw::PriceDecimals => request.items = soup(1, "9.999").into_iter().collect(),
            Flaw::PriceZero => request.items = soup(1, "0.00").into_iter().collect(),
            Flaw::PriceHigh => {
                let price = Money::from_cents(bounds::PRICE.end().cents() + 1).to_string();
                request.items = soup(1, &price).into_iter().collect();
            }
            Flaw::NoTable => {
                self.make_dine_in(request);
                request.table_number = None;
            }
            Flaw::TableOutOfRange => {
                self.make_dine_in(request);
                request.table_number = Some(u32::from(*bounds::TABLES.end()) + 1);
            }
            Flaw::TableForTakeout => {
                make_takeout(request);
                request.table_number = Some(7);
            }
            Flaw::NoAddress => {
                self.make_delivery(request);
                request.delivery_address = None;
            }
            Flaw::ShortAddress => {
                self.make_delivery(request);
                request.delivery_address = Some(name("Here, 2nd"));
            }
            Flaw::AddressForDineIn => {
                self.make_dine_in(request);
                request.delivery_address = Some(name("At the table by the window"));
            }
            Flaw::LongNotes => request.notes = Some("a".repeat(bounds::NOTES_CHARS.end() + 1)),
            Flaw::NotesOfTwoLines => {
                request
                    .items
                    .iter_mut()
                    .take(1)
                    .for_each(|item| item.notes = Some(name("No onions\nNo salt")));
            }
        }
    }
}

fn make_takeout(request: &mut OrderForm) {
    request.order_type = "takeout".to_owned();
    request.table_number = None;
    request.delivery_address = None;
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashSet};

    use super::super::rules::violations;
    use super::*;

    fn json(order: &OrderForm) -> serde_json::Value {
        serde_json::to_value(order).unwrap()
    }

    #[test]
    fn every_good_order_satisfies_the_validation_table() {
        for seed in 0..20 {
            let mut generator = OrderGenerator::new(seed, 0.0);
            for _ in 0..200 {
                let order = generator.next_order();
                assert_eq!(order.flaw, None);
                assert_eq!(violations(&json(&order.request)), Vec::<String>::new(), "{:?}", order.request);
            }
        }
    }

    #[test]
    fn every_flaw_breaks_exactly_one_rule() {
        let mut generator = OrderGenerator::new(1, 0.0);
        for flaw in Flaw::ALL {
            for _ in 0..30 {
                let mut request = generator.next_order().request;
                generator.spoil(&mut request, flaw);
                assert_eq!(violations(&json(&request)).len(), 1, "{flaw:?}: {request:?}");
            }
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_orders() {
        let orders = |seed| -> Vec<String> {
            let mut generator = OrderGenerator::new(seed, 10.0);
            (0..100).map(|_| serde_json::to_string(&generator.next_order().request).unwrap()).collect()
        };
        assert_eq!(orders(7), orders(7));
        assert_ne!(orders(7), orders(8));
    }

    #[test]
    fn orders_vary_in_everything_and_the_bad_share_is_kept() {
        let mut generator = OrderGenerator::new(3, 10.0);
        let orders: Vec<_> = (0..5000).map(|_| generator.next_order()).collect();
        let good = || orders.iter().filter(|order| order.flaw.is_none()).map(|order| &order.request);
        assert_eq!(good().map(|order| order.items.len()).collect::<BTreeSet<_>>().len(), 20);
        assert_eq!(good().map(|order| &order.order_type).collect::<BTreeSet<_>>().len(), 3);
        assert_eq!(good().map(|order| &order.customer_name).collect::<BTreeSet<_>>().len(), CUSTOMERS.len());
        assert_eq!(
            good().filter_map(|order| order.notes.as_ref()).collect::<BTreeSet<_>>().len(),
            NOTES.len()
        );
        assert!(good().flat_map(|order| &order.items).any(|item| item.notes.is_some()));
        let bad = orders.iter().filter(|order| order.flaw.is_some()).count();
        assert!((400..600).contains(&bad), "{bad} of 5000");
    }

    #[test]
    fn dishes_are_distinct() {
        let names: HashSet<_> = DISHES.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), DISHES.len());
    }
}
