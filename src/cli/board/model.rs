//! What the board knows and shows: a state that changes by what is told and by the keys that are pressed (`keys.rs`). It does no
//! I/O and has no clock.

use jiff::{SignedDuration, Timestamp};

use super::orders::{COLUMNS, Card, Orders};
use super::text::clean;
use crate::client::StaffStep;
use crate::client::orders::{ListedOrder, ListedWorker, OrderSheet};
use crate::domain::{OrderType, Status, StatusUpdate};

/// Whether what is shown is as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Link {
    /// No connection was made yet.
    Connecting,
    Live,
    /// The connection is lost since then, and is tried again.
    Lost {
        since: Timestamp,
        reason: String,
    },
}

/// What lies over the columns, and what keys mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mode {
    Columns,
    Help,
    Workers,
    Details {
        number: String,
    },
    /// The filter is typed.
    Filter,
    /// The reason of a cancellation is typed.
    Reason {
        number: String,
        text: String,
    },
    /// A step is to be confirmed.
    Confirm {
        number: String,
        step: StaffStep,
    },
}

/// The result of what was done last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) text: String,
    pub(super) is_failure: bool,
}

/// What the services tell.
#[derive(Debug)]
pub(super) enum Told {
    Connected,
    Changed(StatusUpdate),
    Interrupted(String),
    /// What was told is void.
    Reset,
    Listed {
        orders: Vec<ListedOrder>,
        is_whole: bool,
    },
    NotListed(String),
    Workers(Result<Vec<ListedWorker>, String>),
    Sheet {
        number: String,
        sheet: Result<OrderSheet, String>,
    },
    Stepped {
        number: String,
        step: StaffStep,
        result: Result<(), String>,
    },
}

/// What is asked of the world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Effect {
    Quit,
    /// Stops the process until the shell continues it.
    Suspend,
    /// Paints everything anew.
    Repaint,
    /// Asks for an order in full.
    Load(String),
    Step {
        number: String,
        step: StaffStep,
        reason: Option<String>,
    },
}

#[derive(Debug)]
pub(super) struct Board {
    pub(super) orders: Orders,
    /// Whether the lists hold every open order.
    pub(super) is_whole: bool,
    /// `None` while nothing is known of them.
    pub(super) workers: Option<Vec<ListedWorker>>,
    pub(super) link: Link,
    /// The column of the selection.
    pub(super) column: usize,
    /// The selected order. It has stood in this row last.
    pub(super) selected: Option<String>,
    pub(super) row: usize,
    pub(super) filter: String,
    pub(super) mode: Mode,
    /// The first line that is shown of what lies over the columns.
    pub(super) line: u16,
    /// What the order service says of the order that is shown in full; `None` until it has answered.
    pub(super) sheet: Option<Result<OrderSheet, String>>,
    pub(super) note: Option<Note>,
    pub(super) late_after: SignedDuration,
    /// The step whose answer is awaited.
    pub(super) acting: Option<(String, StaffStep)>,
    pub(super) wants_list: bool,
}

impl Board {
    pub(super) fn new(late_after: SignedDuration) -> Self {
        Self {
            orders: Orders::default(),
            is_whole: true,
            workers: None,
            link: Link::Connecting,
            column: 0,
            selected: None,
            row: 0,
            filter: String::new(),
            mode: Mode::Columns,
            line: 0,
            sheet: None,
            note: None,
            late_after,
            acting: None,
            wants_list: false,
        }
    }

    /// Takes in what a service tells.
    pub(super) fn tell(&mut self, told: Told, now: Timestamp) {
        match told {
            Told::Connected => {
                self.link = Link::Live;
                self.wants_list = true;
            }
            Told::Changed(update) => self.wants_list |= self.orders.changed(&update),
            Told::Interrupted(reason) => self.lost(&reason, now),
            Told::Reset => {
                self.orders.clear();
                self.wants_list = true;
            }
            Told::Listed { orders, is_whole } => {
                self.orders.listed(&orders, is_whole);
                self.is_whole = is_whole;
            }
            Told::NotListed(reason) => {
                self.orders.list_failed();
                self.wants_list = true;
                self.say_failure(&format!("the orders cannot be listed: {reason}"));
            }
            Told::Workers(Ok(workers)) => self.workers = Some(workers),
            Told::Workers(Err(_)) => self.workers = None,
            Told::Sheet { number, sheet } => {
                if self.mode == (Mode::Details { number }) {
                    self.sheet = Some(sheet);
                }
            }
            Told::Stepped { number, step, result } => {
                self.acting = None;
                match result {
                    Ok(()) => self.say(format!("{number} is {}", done(step))),
                    Err(reason) => self.say_failure(&format!("{number} was not {}: {reason}", done(step))),
                }
            }
        }
    }

    fn lost(&mut self, reason: &str, now: Timestamp) {
        let since = match self.link {
            Link::Lost { since, .. } => since,
            Link::Connecting | Link::Live => now,
        };
        self.link = Link::Lost { since, reason: clean(reason) };
    }

    pub(super) fn say(&mut self, text: String) {
        self.note = Some(Note { text, is_failure: false });
    }

    pub(super) fn say_failure(&mut self, text: &str) {
        self.note = Some(Note { text: clean(text), is_failure: true });
    }

    /// Whether a list is to be asked for; then one is under way.
    pub(super) fn takes_list(&mut self) -> bool {
        let wants_list = std::mem::take(&mut self.wants_list);
        if wants_list {
            self.orders.list_asked();
        }
        wants_list
    }

    /// The orders of the column that is selected.
    pub(super) fn selected_column(&self) -> Vec<&Card> {
        self.orders.column(COLUMNS[self.column], &self.filter)
    }

    /// Keeps the selection on its order; once that has left the column, it is on the order that came into its place.
    pub(super) fn settle(&mut self) {
        let cards = self.selected_column();
        let at = cards.iter().position(|card| Some(&card.number) == self.selected.as_ref());
        let row = at.unwrap_or(self.row).min(cards.len().saturating_sub(1));
        let selected = cards.get(row).map(|card| card.number.clone());
        (self.row, self.selected) = (row, selected);
    }

    /// Selects this row of this column, or the nearest that there is.
    pub(super) fn select(&mut self, column: usize, row: usize) {
        (self.column, self.row, self.selected) = (column.min(COLUMNS.len() - 1), row, None);
        self.settle();
    }

    /// The order that a step is for: the one that is shown in full, else the selected one.
    pub(super) fn target(&self) -> Option<&Card> {
        match &self.mode {
            Mode::Details { number } => self.orders.get(number),
            _ => self.orders.get(self.selected.as_ref()?),
        }
    }

    /// The order that was placed first of those that are still to be cooked.
    pub(super) fn oldest_waiting(&self) -> Option<&Card> {
        self.orders.all().filter(|card| card.is_waiting()).min_by_key(|card| card.placed_at)
    }

    /// The number of the day's order: `003`; of another day than the newest order's with its month and day: `1130-003`.
    pub(super) fn short(&self, number: &str) -> String {
        let day_of = |number: &str| number.get(8..12).map(str::to_owned);
        let newest = self.orders.newest().and_then(day_of);
        match (number.rsplit_once('_'), day_of(number)) {
            (Some((_, counted)), day) if day == newest => counted.to_owned(),
            (Some((_, counted)), Some(day)) => format!("{day}-{counted}"),
            _ => number.to_owned(),
        }
    }

    pub(super) fn late(&self, now: Timestamp) -> usize {
        self.orders.all().filter(|card| card.is_late(now, self.late_after)).count()
    }
}

/// What an order is after this step.
pub(super) fn done(step: StaffStep) -> &'static str {
    match step {
        StaffStep::Cancel => "cancelled",
        StaffStep::Dispatch => "dispatched",
        StaffStep::Complete => "completed",
        StaffStep::Recall => "recalled",
    }
}

/// Why an order cannot go this step, as far as the board knows; the service knows better.
pub(super) fn objection(card: &Card, step: StaffStep) -> Option<String> {
    let (is_possible, needed) = match step {
        StaffStep::Cancel => (card.status.may_become(Status::Cancelled), "received or cooking"),
        StaffStep::Complete => (card.status.may_become(Status::Completed), "ready or out for delivery"),
        StaffStep::Recall => (card.status == Status::Ready, "ready"),
        StaffStep::Dispatch => {
            let types = Status::OutForDelivery.order_types();
            let has_type = card.order_type.is_none_or(|order_type| types.contains(&order_type));
            (card.status.may_become(Status::OutForDelivery) && has_type, "a ready delivery")
        }
    };
    let status = words(card.status);
    let order_type = card.order_type.map_or("order", type_word);
    let number = &card.number;
    (!is_possible).then(|| {
        format!("{number} ({order_type}) is {status}; only one that is {needed} can be {}", done(step))
    })
}

/// A status for people, as it stands alone.
pub(super) fn title(status: Status) -> String {
    let words = words(status);
    words[..1].to_uppercase() + &words[1..]
}

/// A status for people, in a sentence.
fn words(status: Status) -> String {
    status.as_str().replace('_', " ")
}

/// A type for people.
pub(super) fn type_word(order_type: OrderType) -> &'static str {
    match order_type {
        OrderType::DineIn => "dine-in",
        OrderType::Takeout => "takeout",
        OrderType::Delivery => "delivery",
    }
}

/// A type for people, as a service names it; one of a later version is shown by that name.
pub(super) fn shown_type(name: &str) -> String {
    name.parse().map_or_else(|_| clean(name), |known| type_word(known).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::board::samples::{change, listed, minute};

    const FIRST: &str = "ORD_20261201_001";
    const SECOND: &str = "ORD_20261201_002";

    fn board() -> Board {
        let mut board = Board::new(SignedDuration::from_mins(20));
        board.tell(Told::Connected, minute(0));
        assert!(board.takes_list());
        let orders = vec![listed(FIRST, "takeout", "received", 0), listed(SECOND, "delivery", "received", 1)];
        board.tell(Told::Listed { orders, is_whole: true }, minute(1));
        board.settle();
        board
    }

    #[test]
    fn a_lost_connection_is_lost_since_its_first_failure_until_there_is_another() {
        let mut board = board();
        assert_eq!(board.link, Link::Live);
        board.tell(Told::Interrupted("cut".to_owned()), minute(2));
        board.tell(Told::Interrupted("refused".to_owned()), minute(3));
        assert_eq!(board.link, Link::Lost { since: minute(2), reason: "refused".to_owned() });
        board.tell(Told::Connected, minute(4));
        assert_eq!(board.link, Link::Live);
        assert!(board.takes_list() && !board.takes_list(), "orders may have ended meanwhile");
    }

    #[test]
    fn an_order_that_no_list_has_told_of_is_asked_for() {
        let mut board = board();
        board.tell(Told::Changed(change("ORD_20261201_003", None, "received", 2)), minute(2));
        assert!(board.takes_list());
        board.tell(Told::NotListed("too many lists are being read".to_owned()), minute(2));
        assert!(board.takes_list(), "it is asked for again");
    }

    #[test]
    fn the_selection_stays_on_its_order_and_then_on_its_place() {
        let mut board = board();
        board.select(0, 1);
        assert_eq!(board.selected.as_deref(), Some(SECOND));
        board.tell(Told::Changed(change(FIRST, Some("received"), "cooking", 2)), minute(2));
        board.settle();
        assert_eq!((board.row, board.selected.as_deref()), (0, Some(SECOND)));
        board.tell(Told::Changed(change(SECOND, Some("received"), "cooking", 2)), minute(2));
        board.settle();
        assert_eq!((board.row, board.selected.as_deref()), (0, None));
        board.select(1, 9);
        assert_eq!((board.row, board.selected.as_deref()), (1, Some(SECOND)));
    }

    #[test]
    fn the_oldest_waiting_order_is_one_that_is_still_to_be_cooked() {
        let mut board = board();
        assert_eq!(board.oldest_waiting().unwrap().number, FIRST);
        board.tell(Told::Changed(change(FIRST, Some("cooking"), "ready", 2)), minute(2));
        assert_eq!(board.oldest_waiting().unwrap().number, SECOND);
        assert_eq!((board.late(minute(20)), board.late(minute(22))), (0, 2));
    }

    #[test]
    fn a_step_is_possible_where_the_transitions_have_it() {
        let steps = [StaffStep::Cancel, StaffStep::Dispatch, StaffStep::Complete, StaffStep::Recall];
        let possible = |status: &str, order_type: &str| {
            let mut board = board();
            let orders = vec![listed(FIRST, order_type, status, 0)];
            board.tell(Told::Listed { orders, is_whole: true }, minute(0));
            steps.map(|step| objection(board.orders.get(FIRST).unwrap(), step).is_none())
        };
        assert_eq!(possible("received", "takeout"), [true, false, false, false]);
        assert_eq!(possible("cooking", "delivery"), [true, false, false, false]);
        assert_eq!(possible("ready", "takeout"), [false, false, true, true]);
        assert_eq!(possible("ready", "delivery"), [false, true, true, true]);
        assert_eq!(possible("out_for_delivery", "delivery"), [false, false, true, false]);
    }

    #[test]
    fn a_refusal_is_told_in_words_that_cannot_move_the_cursor() {
        let mut board = board();
        let result = Err("\u{1b}[2Jthe order is cooking".to_owned());
        let step = StaffStep::Complete;
        board.tell(Told::Stepped { number: FIRST.to_owned(), step, result }, minute(1));
        let note = board.note.unwrap();
        assert!(note.is_failure);
        assert_eq!(note.text, "ORD_20261201_001 was not completed: \u{fffd}[2Jthe order is cooking");
    }
}
