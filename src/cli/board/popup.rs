//! What lies over the columns: the help, the workers, an order in full, and questions.

use jiff::Timestamp;
use ratatui::Frame;
use ratatui::layout::{Constraint, Rect};
use ratatui::style::{Color, Stylize};
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{Block, Clear, Paragraph, Wrap};

use super::model::{Board, Mode, shown_type, title};
use super::palette::Palette;
use super::text::{age, clean};
use super::workers;
use crate::client::StaffStep;
use crate::client::orders::OrderSheet;
use crate::domain::Status;

/// The widest that it gets: longer lines are hard to read.
const MAX_WIDTH: u16 = 76;

const HELP: [(&str, &str); 13] = [
    ("↑ ↓ k j", "select an order"),
    ("← → h l 1-4", "select a column"),
    ("g G", "first and last order"),
    ("Enter", "the order in full"),
    ("c", "cancel, for a reason"),
    ("d", "dispatch a ready delivery"),
    ("f", "finish, once handed over"),
    ("r", "recall: cook it again"),
    ("/", "filter the orders"),
    ("w", "the workers"),
    ("Ctrl-L", "paint everything anew"),
    ("Ctrl-Z", "stop, until fg"),
    ("q Ctrl-C", "quit"),
];

/// Paints what the mode has, over what is there.
pub(super) fn draw(frame: &mut Frame<'_>, board: &Board, now: Timestamp, palette: Palette) {
    match &board.mode {
        Mode::Columns | Mode::Filter => {}
        Mode::Help => show(frame, "Help", help(board), board.line),
        Mode::Workers => match workers::lines(board, now, palette) {
            lines if lines.is_empty() => show(frame, "Workers", Text::from("nothing is known of them"), 0),
            lines => show(frame, "Workers", Text::from(lines), board.line),
        },
        Mode::Details { number } => show(frame, number, of_order(number, board, now, palette), board.line),
        Mode::Reason { number, text } => {
            let question = [
                format!("Why is {number} cancelled? Everybody can read the reason."),
                format!("> {}▏", clean(text)),
            ];
            ask(frame, "Cancel", Text::from_iter(question));
        }
        Mode::Confirm { number, step } => {
            let (name, question) = match step {
                StaffStep::Complete => ("Finish", "was handed to its customer?"),
                StaffStep::Dispatch => ("Dispatch", "is on its way now?"),
                StaffStep::Recall => ("Recall", "is to be cooked again?"),
                StaffStep::Cancel => ("Cancel", "is cancelled?"),
            };
            let lines = [format!("{number} {question} This cannot be undone."), "y yes   n no".to_owned()];
            ask(frame, name, Text::from_iter(lines));
        }
    }
}

/// A box in the middle, as high as its text. It leaves the result of a step and the keys to be seen.
fn show(frame: &mut Frame<'_>, name: &str, text: Text<'static>, line: u16) {
    let whole = frame.area();
    let area = Rect { height: whole.height.saturating_sub(2), ..whole };
    let width = area.width.min(MAX_WIDTH);
    let whole_height = whole_height(&text, width);
    let height = area.height.min(whole_height);
    let last_line = whole_height - height;
    let place = area.centered(Constraint::Length(width), Constraint::Length(height));
    paint(frame, place, name, text, line.min(last_line));
}

/// A box at the lower edge, which leaves the columns to be seen.
fn ask(frame: &mut Frame<'_>, name: &str, text: Text<'static>) {
    let area = frame.area();
    let height = area.height.min(whole_height(&text, area.width));
    let y = area.bottom().saturating_sub(height + 1).max(area.y);
    paint(frame, Rect { y, height, ..area }.intersection(area), name, text, 0);
}

/// The height of a box for this text. Words are not cut, so that a line that is too long may take a row more.
fn whole_height(text: &Text<'_>, width: u16) -> u16 {
    let inner_width = usize::from(width.saturating_sub(2).max(1));
    let rows_of = |line: &Line<'_>| match line.width() {
        fitting if fitting <= inner_width => 1,
        more => more / inner_width + 2,
    };
    u16::try_from(text.iter().map(rows_of).sum::<usize>() + 2).unwrap_or(u16::MAX)
}

fn paint(frame: &mut Frame<'_>, place: Rect, name: &str, text: Text<'static>, line: u16) {
    let block = Block::bordered().title(Span::from(format!(" {name} ")).bold());
    frame.render_widget(Clear, place);
    frame
        .render_widget(Paragraph::new(text).wrap(Wrap { trim: false }).scroll((line, 0)).block(block), place);
}

fn help(board: &Board) -> Text<'static> {
    let mut lines: Vec<Line<'static>> = HELP
        .iter()
        .map(|(keys, text)| Line::from(vec![Span::from(format!("{keys:<12} ")).bold(), Span::from(*text)]))
        .collect();
    lines.push(Line::default());
    let minutes = board.late_after.as_mins();
    lines.push(Line::from(format!(
        "! late: past what its cook said, or placed more than {minutes} minutes ago"
    )));
    Text::from(lines)
}

/// The order as the board has it, and what only the order service knows, once it has answered.
fn of_order(number: &str, board: &Board, now: Timestamp, palette: Palette) -> Text<'static> {
    let mut lines = Vec::new();
    match board.orders.get(number) {
        None => lines.push(Line::from("no longer open").bold()),
        Some(card) => {
            let since = age(card.changed_at, now);
            let mut state =
                format!("{} for {since}, placed {} ago", title(card.status), age(card.placed_at, now));
            if let Some(ready_at) = card.ready_at.filter(|_| card.status == Status::Cooking) {
                state.push_str(&match ready_at.duration_since(now).as_mins() {
                    minutes if ready_at < now => format!(", should be ready since {}m", -minutes),
                    minutes => format!(", ready in about {}m", minutes + 1),
                });
            }
            lines.push(Line::from(state).bold());
            if let Some(cook) = &card.cook {
                lines.push(Line::from(format!("cook      {cook}")));
            }
        }
    }
    match &board.sheet {
        None => lines.push(Line::from("asking the order service …")),
        Some(Err(reason)) => {
            lines.push(Line::styled(format!("✗ {}", clean(reason)), palette.of(Color::Red)));
        }
        Some(Ok(sheet)) => lines.extend(of_sheet(sheet, palette)),
    }
    Text::from(lines)
}

fn of_sheet(sheet: &OrderSheet, palette: Palette) -> Vec<Line<'static>> {
    let table = sheet.table_number.map(|table| format!(", table {table}")).unwrap_or_default();
    let mut lines = vec![Line::from(format!("type      {}{table}", shown_type(&sheet.order_type)))];
    let people =
        [("customer", &sheet.customer_name), ("address", &sheet.delivery_address), ("notes", &sheet.notes)];
    for (name, value) in people {
        if let Some(value) = value {
            lines.push(Line::from(format!("{name:<9} {}", clean(value))));
        }
    }
    lines.push(Line::default());
    for item in &sheet.items {
        lines.push(Line::from(format!("{:>2} × {}  {}", item.quantity, clean(&item.name), item.price)));
        let more = [("with", item.options.join(", ")), ("contains", item.allergens.join(", "))];
        let notes = item.notes.clone().unwrap_or_default();
        for (word, text) in more.into_iter().chain([("note:", notes)]).filter(|(_, text)| !text.is_empty()) {
            lines.push(Line::styled(format!("     {word} {}", clean(&text)), palette.of(Color::DarkGray)));
        }
    }
    match sheet.total_amount {
        Some(total) => lines.push(Line::from(format!("total     {total}")).bold()),
        None => lines.push(Line::from("what was ordered is shown to staff: log in, or show a token")),
    }
    lines
}
