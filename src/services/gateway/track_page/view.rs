//! From what is known of an order to the page in one language.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::documents::{Item, Key, Known};
use super::life::{Promise, Stage, is_recalled, stages};
use crate::domain::{OrderType, Status};
use crate::http::web::Frame;
use crate::http::web::track::{Bill, Dish, StageView, TrackPage};
use crate::http::words::Language;

/// Of whom and when the page is.
pub(super) struct View<'a> {
    pub(super) frame: Frame<'a>,
    pub(super) zone: &'a TimeZone,
    pub(super) key: Key<'a>,
    pub(super) path: &'a str,
    pub(super) now: Timestamp,
    /// The first estimate that this browser was shown.
    pub(super) first: Option<Timestamp>,
}

impl<'a> View<'a> {
    pub(super) fn page(&self, known: &'a Known, notice: &'a str) -> TrackPage<'a> {
        let (lang, status, number) = (self.frame.lang, known.status(), known.order.order_number.as_str());
        let short = short_number(number);
        let key = |prefix| key_of(lang, prefix, status, known.order.order_type, is_recalled(&known.steps));
        let state = lang.say(&key("track.state."));
        let last = known.steps.last();
        let promise = self.promise(known);
        let is_owner = matches!(self.key, Key::Token(_));
        let reason =
            last.filter(|_| is_owner && status == Status::Cancelled).and_then(|step| step.notes.as_deref());
        TrackPage {
            frame: self.frame,
            title: lang.fill("track.title", &[("number", short), ("state", state)]),
            number,
            short_number: short,
            path: self.path,
            notice,
            status: status.as_str(),
            updated_at: last.map(|step| step.timestamp.to_string()).unwrap_or_default(),
            now: format!("{:.3}", self.now),
            due: self.due(known).map(|due| due.to_string()).unwrap_or_default(),
            is_open: !status.is_final(),
            state,
            todo: lang.fill(&key("track.now."), &[("number", short)]),
            reason: reason
                .map_or_else(String::new, |reason| lang.fill("track.reason", &[("reason", reason)])),
            about: self.about(&promise, known.order.order_type),
            late: self.late(&promise),
            ahead: match known.outlook.orders_ahead.filter(|_| status == Status::Received) {
                None => String::new(),
                Some(0) => lang.say("track.next").to_owned(),
                Some(ahead) => lang.count("track.ahead", ahead),
            },
            as_of: lang.fill("track.as_of", &[("time", &lang.time(self.now, self.zone))]),
            stages: self.stages(known),
            bill: is_owner.then(|| self.bill(known)),
            facts: self.facts(known),
            may_cancel: is_owner && status == Status::Received,
        }
    }

    /// The estimate, where it is one of the status that is shown.
    fn estimate(&self, known: &Known) -> Option<Timestamp> {
        known.outlook.estimated_completion.filter(|_| known.outlook.current_status == known.status())
    }

    fn promise(&self, known: &Known) -> Promise {
        Promise::of(known.status(), self.estimate(known), self.first, self.now)
    }

    /// What the customer is promised, once there is something to promise: the first estimate stays one.
    pub(super) fn due(&self, known: &Known) -> Option<Timestamp> {
        self.first.or(self.estimate(known)).filter(|_| !known.status().is_settled())
    }

    fn about(&self, promise: &Promise, order_type: OrderType) -> String {
        let lang = self.frame.lang;
        match promise {
            Promise::Unknown => lang.say("track.unknown").to_owned(),
            Promise::At(at) | Promise::Later { at, .. } => {
                let is_delivery = order_type == OrderType::Delivery;
                self.with_time(if is_delivery { "track.about_delivery" } else { "track.about" }, *at)
            }
            Promise::Settled | Promise::Overdue(_) => String::new(),
        }
    }

    fn late(&self, promise: &Promise) -> String {
        match promise {
            Promise::Later { first, .. } => self.with_time("track.later", *first),
            Promise::Overdue(first) => self.with_time("track.overdue", *first),
            _ => String::new(),
        }
    }

    fn with_time(&self, key: &str, time: Timestamp) -> String {
        self.frame.lang.fill(key, &[("time", &self.moment(time))])
    }

    fn moment(&self, time: Timestamp) -> String {
        self.frame.lang.moment(time, self.zone, self.now)
    }

    fn stages(&self, known: &Known) -> Vec<StageView<'a>> {
        let (lang, order_type, current) = (self.frame.lang, known.order.order_type, known.status());
        let view = |stage: Stage| StageView {
            status: stage.status.as_str(),
            name: lang.say(&key_of(lang, "track.state.", stage.status, order_type, false)),
            mark: match stage.at {
                None => "to_come",
                Some(_) if stage.status == current && !current.is_final() => "now",
                Some(_) => "done",
            },
            time: stage.at.map(|at| (at.to_string(), self.moment(at))),
        };
        stages(order_type, &known.steps).into_iter().map(view).collect()
    }

    fn bill(&self, known: &'a Known) -> Bill<'a> {
        let (lang, currency) = (self.frame.lang, self.frame.currency);
        let dish = |item: &'a Item| Dish {
            quantity: item.quantity,
            name: &item.name,
            options: item.options.join(", "),
            note: note(lang, item.notes.as_deref()),
            price: lang.money(currency, item.price.times(item.quantity)),
        };
        Bill {
            dishes: known.order.items.iter().map(dish).collect(),
            note: note(lang, known.order.notes.as_deref()),
            total: known.order.total_amount.map(|total| lang.money(currency, total)).unwrap_or_default(),
        }
    }

    fn facts(&self, known: &Known) -> Vec<String> {
        let (lang, order) = (self.frame.lang, &known.order);
        let table = order.table_number.filter(|_| matches!(self.key, Key::Token(_)));
        let served = match table {
            Some(table) => lang.fill("track.table", &[("number", &table.to_string())]),
            None => lang.say_of("track.type.", order.order_type.as_str()).to_owned(),
        };
        let placed = known.steps.first().map(|step| self.with_time("track.placed", step.timestamp));
        [Some(served), placed, Some(order.order_number.clone())].into_iter().flatten().collect()
    }
}

/// The part of an order's number that people say: `042` of `ORD_20261201_042`.
pub(super) fn short_number(number: &str) -> &str {
    number.rsplit_once('_').map_or(number, |(_, short)| short)
}

fn note(lang: Language, text: Option<&str>) -> String {
    text.map(|text| lang.fill("track.note", &[("note", text)])).unwrap_or_default()
}

/// The key of what is said of a status below `prefix`: of orders of a type, where that differs.
fn key_of(lang: Language, prefix: &str, status: Status, order_type: OrderType, is_recalled: bool) -> String {
    if is_recalled && status == Status::Cooking {
        return format!("{prefix}again");
    }
    lang.key_of(prefix, &format!("{status}_{order_type}"), status.as_str())
}
