//! What the keys do.

use super::model::{Board, Effect, Mode, objection};
use super::orders::COLUMNS;
use crate::client::StaffStep;

/// The longest reason that the service takes.
const REASON_MAX_CHARS: usize = 200;
/// A filter of more finds nothing.
const FILTER_MAX_CHARS: usize = 64;
/// What lies over the columns has fewer lines.
const LINE_MAX: u16 = 200;
/// Rows of a page.
const PAGE_ROWS: usize = 10;

/// A key, by what it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Char(char),
    Enter,
    Escape,
    Backspace,
    /// Ctrl-U.
    Erase,
    Up,
    Down,
    Left,
    Right,
    First,
    Last,
    PageUp,
    PageDown,
    /// Ctrl-C.
    Interrupt,
    /// Ctrl-Z.
    Suspend,
    /// Ctrl-L.
    Repaint,
}

impl Board {
    /// Takes a key; tells what is to be done.
    pub(super) fn press(&mut self, key: Key) -> Option<Effect> {
        match key {
            Key::Interrupt => return Some(Effect::Quit),
            Key::Suspend => return Some(Effect::Suspend),
            Key::Repaint => return Some(Effect::Repaint),
            _ => self.settle(),
        }
        match self.mode.clone() {
            Mode::Columns => self.press_in_columns(key),
            Mode::Details { .. } | Mode::Help | Mode::Workers => {
                self.press_over_columns(key);
                None
            }
            Mode::Filter => {
                self.press_in_filter(key);
                None
            }
            Mode::Reason { number, text } => self.press_in_reason(key, number, text),
            Mode::Confirm { number, step } => match key {
                Key::Char('y' | 'Y') => self.step(number, step, None),
                Key::Char('n' | 'N' | 'q') | Key::Escape => self.give_up(),
                _ => None,
            },
        }
    }

    fn press_in_columns(&mut self, key: Key) -> Option<Effect> {
        self.note = None;
        self.line = 0;
        let (column, row) = (self.column, self.row);
        match key {
            Key::Char('q') => return Some(Effect::Quit),
            Key::Up | Key::Char('k') => self.select(column, row.saturating_sub(1)),
            Key::Down | Key::Char('j') => self.select(column, row + 1),
            Key::Left | Key::Char('h') => self.select(column.saturating_sub(1), row),
            Key::Right | Key::Char('l') => self.select(column + 1, row),
            Key::First | Key::Char('g') => self.select(column, 0),
            Key::Last | Key::Char('G') => self.select(column, usize::MAX),
            Key::PageUp => self.select(column, row.saturating_sub(PAGE_ROWS)),
            Key::PageDown => self.select(column, row + PAGE_ROWS),
            Key::Char(digit @ '1'..='9') => {
                let column = usize::from(digit as u8 - b'1');
                if column < COLUMNS.len() {
                    self.select(column, 0);
                }
            }
            Key::Char('?') => self.mode = Mode::Help,
            Key::Char('w') => self.mode = Mode::Workers,
            Key::Char('/') => self.mode = Mode::Filter,
            Key::Escape => self.filter.clear(),
            Key::Enter => {
                let number = self.selected.clone()?;
                (self.mode, self.sheet) = (Mode::Details { number: number.clone() }, None);
                return Some(Effect::Load(number));
            }
            Key::Char(letter) => self.begin(letter),
            _ => {}
        }
        None
    }

    fn press_over_columns(&mut self, key: Key) {
        self.note = None;
        match key {
            Key::Escape | Key::Enter | Key::Char('q') => self.mode = Mode::Columns,
            Key::Up | Key::Char('k') => self.line = self.line.saturating_sub(1),
            Key::Down | Key::Char('j') => self.line = (self.line + 1).min(LINE_MAX),
            Key::First => self.line = 0,
            Key::Char(letter) if matches!(self.mode, Mode::Details { .. }) => self.begin(letter),
            _ => {}
        }
    }

    /// Begins the step of this letter: it is asked for a reason, or whether it is meant.
    fn begin(&mut self, letter: char) {
        let step = match letter {
            'c' => StaffStep::Cancel,
            'd' => StaffStep::Dispatch,
            'f' => StaffStep::Complete,
            'r' => StaffStep::Recall,
            _ => return,
        };
        let Some(card) = self.target() else {
            self.say_failure("there is no order selected");
            return;
        };
        if let Some(objection) = objection(card, step) {
            self.say_failure(&objection);
            return;
        }
        let number = card.number.clone();
        self.mode = match step {
            StaffStep::Cancel => Mode::Reason { number, text: String::new() },
            StaffStep::Dispatch | StaffStep::Complete | StaffStep::Recall => Mode::Confirm { number, step },
        };
    }

    fn press_in_filter(&mut self, key: Key) {
        match key {
            Key::Enter => self.mode = Mode::Columns,
            Key::Escape => {
                self.filter.clear();
                self.mode = Mode::Columns;
            }
            key => edit(&mut self.filter, key, FILTER_MAX_CHARS),
        }
    }

    fn press_in_reason(&mut self, key: Key, number: String, mut text: String) -> Option<Effect> {
        match key {
            Key::Escape => return self.give_up(),
            Key::Enter if text.trim().is_empty() => {}
            Key::Enter => return self.step(number, StaffStep::Cancel, Some(text.trim().to_owned())),
            key => {
                edit(&mut text, key, REASON_MAX_CHARS);
                self.mode = Mode::Reason { number, text };
            }
        }
        None
    }

    fn give_up(&mut self) -> Option<Effect> {
        self.mode = Mode::Columns;
        self.say("nothing was changed".to_owned());
        None
    }

    /// Asks for the step, unless the order has changed meanwhile so that there is no such step, or another one is under way.
    fn step(&mut self, number: String, step: StaffStep, reason: Option<String>) -> Option<Effect> {
        self.mode = Mode::Columns;
        if let Some((other, _)) = &self.acting {
            self.say_failure(&format!("{number} is as it was: the answer for {other} is still awaited"));
            return None;
        }
        match self.orders.get(&number).map(|card| objection(card, step)) {
            Some(None) => {
                self.note = None;
                self.acting = Some((number.clone(), step));
                Some(Effect::Step { number, step, reason })
            }
            Some(Some(objection)) => {
                self.say_failure(&objection);
                None
            }
            None => {
                self.say_failure(&format!("{number} is no longer open"));
                None
            }
        }
    }
}

/// Changes a line of text that is typed.
fn edit(text: &mut String, key: Key, max_chars: usize) {
    match key {
        Key::Char(c) if !c.is_control() && text.chars().count() < max_chars => text.push(c),
        Key::Backspace => {
            text.pop();
        }
        Key::Erase => text.clear(),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::cli::board::model::Told;
    use crate::cli::board::samples::{change, listed, minute};

    const READY: &str = "ORD_20261201_001";

    fn board() -> Board {
        let mut board = Board::new(SignedDuration::from_mins(20));
        let orders = vec![
            listed(READY, "takeout", "ready", 0),
            listed("ORD_20261201_002", "delivery", "ready", 1),
            listed("ORD_20261201_003", "dine_in", "cooking", 2),
        ];
        board.tell(Told::Listed { orders, is_whole: true }, minute(2));
        board
    }

    fn press(board: &mut Board, keys: &str) -> Option<Effect> {
        keys.chars().fold(None, |_, c| board.press(if c == '\n' { Key::Enter } else { Key::Char(c) }))
    }

    #[test]
    fn letters_arrows_and_digits_select() {
        let mut board = board();
        let mut at = |keys: &str| {
            press(&mut board, keys);
            board.selected.clone().map(|number| number[13..].to_owned())
        };
        assert_eq!(at(""), None);
        assert_eq!(at("l").as_deref(), Some("003"));
        assert_eq!(at("3").as_deref(), Some("001"));
        assert_eq!(at("j").as_deref(), Some("002"));
        assert_eq!(at("jj").as_deref(), Some("002"), "there is none below");
        assert_eq!(at("g").as_deref(), Some("001"));
        assert_eq!(at("G").as_deref(), Some("002"));
        board.press(Key::Left);
        board.press(Key::Right);
        board.press(Key::Up);
        assert_eq!(board.selected.as_deref(), Some(READY));
    }

    #[test]
    fn a_step_is_asked_for_once_it_is_confirmed() {
        let mut board = board();
        assert_eq!(press(&mut board, "3f"), None);
        assert_eq!(board.mode, Mode::Confirm { number: READY.to_owned(), step: StaffStep::Complete });
        assert_eq!(press(&mut board, "n"), None);
        assert_eq!(board.note.as_ref().unwrap().text, "nothing was changed");
        let step = StaffStep::Complete;
        let asked = Some(Effect::Step { number: READY.to_owned(), step, reason: None });
        assert_eq!(press(&mut board, "fy"), asked);
        assert_eq!(press(&mut board, "jfy"), None, "one at a time");
        assert!(board.note.as_ref().unwrap().text.contains("still awaited"));
        board.tell(Told::Stepped { number: READY.to_owned(), step, result: Ok(()) }, minute(3));
        assert_eq!(board.note.as_ref().unwrap().text, "ORD_20261201_001 is completed");
    }

    #[test]
    fn a_confirmation_is_for_the_order_that_it_names() {
        let mut board = board();
        press(&mut board, "3f");
        board.tell(Told::Changed(change(READY, Some("ready"), "completed", 3)), minute(3));
        assert_eq!(press(&mut board, "y"), None, "the selection is on another order now");
        assert_eq!(board.note.as_ref().unwrap().text, "ORD_20261201_001 is no longer open");
    }

    #[test]
    fn a_cancellation_wants_a_reason() {
        let mut board = board();
        assert_eq!(press(&mut board, "2c\n \n"), None);
        assert!(matches!(board.mode, Mode::Reason { .. }));
        board.press(Key::Erase);
        let number = "ORD_20261201_003".to_owned();
        let reason = Some("oven broke".to_owned());
        let asked = press(&mut board, "oven brokee");
        assert_eq!(asked, None);
        board.press(Key::Backspace);
        assert_eq!(press(&mut board, "\n"), Some(Effect::Step { number, step: StaffStep::Cancel, reason }));
    }

    #[test]
    fn a_step_that_there_is_not_is_refused_in_words_and_asks_for_nothing() {
        let mut board = board();
        press(&mut board, "3d");
        assert_eq!(
            board.note.as_ref().unwrap().text,
            "ORD_20261201_001 (takeout) is ready; only one that is a ready delivery can be dispatched"
        );
        assert_eq!(board.mode, Mode::Columns);
        press(&mut board, "1f");
        assert_eq!(board.note.as_ref().unwrap().text, "there is no order selected");
    }

    #[test]
    fn a_filter_holds_until_it_is_taken_away() {
        let mut board = board();
        press(&mut board, "3/deliv\n");
        board.settle();
        assert_eq!((board.filter.as_str(), board.selected.as_deref()), ("deliv", Some("ORD_20261201_002")));
        board.press(Key::Escape);
        assert_eq!(board.filter, "");
    }

    #[test]
    fn details_are_loaded_and_take_the_same_steps() {
        let mut board = board();
        assert_eq!(press(&mut board, "3\n"), Some(Effect::Load(READY.to_owned())));
        let sheet = Err("no such order".to_owned());
        board.tell(Told::Sheet { number: "ORD_20261201_009".to_owned(), sheet: sheet.clone() }, minute(3));
        assert_eq!(board.sheet, None, "it is of another order");
        board.tell(Told::Sheet { number: READY.to_owned(), sheet }, minute(3));
        assert!(board.sheet.is_some());
        press(&mut board, "f");
        assert!(matches!(board.mode, Mode::Confirm { .. }));
    }

    #[test]
    fn the_program_ends_and_stops_from_everywhere() {
        for keys in ["", "?", "w", "/", "2c", "3f", "3\n"] {
            let mut board = board();
            press(&mut board, keys);
            assert_eq!(board.press(Key::Interrupt), Some(Effect::Quit), "{keys}");
            assert_eq!(board.press(Key::Suspend), Some(Effect::Suspend), "{keys}");
        }
        assert_eq!(press(&mut board(), "q"), Some(Effect::Quit));
    }
}
