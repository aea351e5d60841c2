//! What lies over the columns: the help, the workers, an order in full, and questions.

use jiff::Timestamp;
use ratatui::Frame;
use ratatui::layout::{Constraint, Rect};
use ratatui::style::{Color, Stylize};
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{Block, Clear, Paragraph, Wrap};

use super::model::{Board, Details, Mode, title, type_word};
use super::palette::Palette;
use super::text::{age, clean};
use super::workers;
use crate::client::StaffStep;
use crate::client::orders::OrderSheet;
use crate::domain::{OrderType, Status};

/// The widest that it gets: longer lines are hard to read.
const MAX_WIDTH: u16 = 76;

const HELP: [(&str, &str); 13] = [
    ("↑ ↓ k j", "select an order"),
    ("← → h l 1-4", "select a column"),
    ("g G", "the first and the last order"),
    ("Enter", "the order in full"),
    ("c", "cancel: it asks for a reason"),
    ("d", "dispatch a ready delivery"),
    ("f", "finish: hand it to the customer"),
    ("r", "recall: have it cooked again"),
    ("/", "filter by number, type, cook"),
    ("w", "the workers"),
    ("Ctrl-L", "paint everything anew"),
    ("Ctrl-Z", "stop, until fg"),
    ("q Ctrl-C", "quit"),
];

/// Paints what the mode has, over what is there.
pub(super) fn draw(frame: &mut Frame<'_>, board: &Board, now: Timestamp, palette: Palette) {
    match &board.mode {
        Mode::Columns | Mode::Filter => {}
        Mode::Help => show(frame, "Help", help(board), 0),
        Mode::Workers => match workers::lines(board, now, palette) {
            lines if lines.is_empty() => show(frame, "Workers", Text::from("nothing is known of them"), 0),
            lines => show(frame, "Workers", Text::from(lines), 0),
        },
        Mode::Details(details) => {
            show(frame, &details.number, of_order(details, board, now, palette), details.line);
        }
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

/// A box in the middle, as high as its text.
fn show(frame: &mut Frame<'_>, name: &str, text: Text<'static>, line: u16) {
    let area = frame.area();
    let width = area.width.min(MAX_WIDTH);
    let inner_width = usize::from(width.saturating_sub(2).max(1));
    let rows: usize = text.iter().map(|line| line.width().div_ceil(inner_width).max(1)).sum();
    let height = area.height.min(u16::try_from(rows + 2).unwrap_or(u16::MAX));
    let last_line = u16::try_from(rows + 2).unwrap_or(u16::MAX).saturating_sub(height);
    let place = area.centered(Constraint::Length(width), Constraint::Length(height));
    paint(frame, place, name, text, line.min(last_line));
}

/// A box at the lower edge, which leaves the columns to be seen.
fn ask(frame: &mut Frame<'_>, name: &str, text: Text<'static>) {
    let area = frame.area();
    let inner_width = usize::from(area.width.saturating_sub(2).max(1));
    // One more row each, since words are not cut.
    let rows: usize = text.iter().map(|line| line.width() / inner_width + 1).sum();
    let height = area.height.min(u16::try_from(rows + 2).unwrap_or(u16::MAX));
    let y = area.bottom().saturating_sub(height + 1).max(area.y);
    paint(frame, Rect { y, height, ..area }.intersection(area), name, text, 0);
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
fn of_order(details: &Details, board: &Board, now: Timestamp, palette: Palette) -> Text<'static> {
    let mut lines = Vec::new();
    match board.orders.get(&details.number) {
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
    match &details.sheet {
        None => lines.push(Line::from("asking the order service …")),
        Some(Err(reason)) => {
            lines.push(Line::styled(format!("✗ {}", clean(reason)), palette.of(Color::Red)));
        }
        Some(Ok(sheet)) => lines.extend(of_sheet(sheet, palette)),
    }
    Text::from(lines)
}

fn of_sheet(sheet: &OrderSheet, palette: Palette) -> Vec<Line<'static>> {
    let order_type = sheet.order_type.parse::<OrderType>();
    let order_type =
        order_type.map_or_else(|_| clean(&sheet.order_type), |known| type_word(known).to_owned());
    let table = sheet.table_number.map(|table| format!(", table {table}")).unwrap_or_default();
    let mut lines = vec![Line::from(format!("type      {order_type}{table}"))];
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
    lines.push(Line::from(format!("total     {}", sheet.total_amount)).bold());
    lines
}
