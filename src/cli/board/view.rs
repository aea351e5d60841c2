//! The picture of the board: the same state at the same time in the same size is always the same picture.

use jiff::Timestamp;
use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Wrap};

use super::model::{Board, Link, Mode, title, type_word};
use super::orders::{COLUMNS, Card};
use super::palette::Palette;
use super::text::{age, clean};
use super::{popup, workers};
use crate::domain::Status;

/// The columns stand beside each other where each has so much room: sign, number, type and age.
const COLUMN_MIN_WIDTH: u16 = 18;
/// Columns of so much room have whole order numbers.
const WHOLE_NUMBER_MIN_WIDTH: u16 = 42;
/// Less of a cook's name says nothing.
const COOK_MIN_WIDTH: usize = 6;
/// The workers have a place below the columns where the terminal is so high.
const WORKERS_MIN_HEIGHT: u16 = 20;
/// Workers that are shown there at most.
const WORKERS_MAX_ROWS: usize = 6;
/// Rows that the result of a step may take.
const NOTE_MAX_ROWS: u16 = 3;
/// The longest age.
const AGE_WIDTH: u16 = 4;

/// Paints the board as it is at `now`.
pub(super) fn draw(frame: &mut Frame<'_>, board: &Board, now: Timestamp, palette: Palette) {
    let area = frame.area();
    let has_filter = board.mode == Mode::Filter || !board.filter.is_empty();
    let workers = if area.height < WORKERS_MIN_HEIGHT { 0 } else { workers_rows(board) };
    let note = note(board, palette);
    let note_rows = match note.width() as u16 / area.width.max(1) {
        0 => 1,
        more => (more + 2).min(NOTE_MAX_ROWS),
    };
    let rows = [1, u16::from(has_filter)].map(Constraint::Length).into_iter();
    let rows = rows.chain([Constraint::Min(3)]).chain([workers, note_rows, 1].map(Constraint::Length));
    let [head, filter, body, below, result, hints] = Layout::vertical(rows).areas(area);
    frame.render_widget(header(board, now, head.width, palette), head);
    if has_filter {
        let cursor = if board.mode == Mode::Filter { "▏" } else { "  (Esc takes it away)" };
        frame.render_widget(Line::from(format!(" filter: {}{cursor}", clean(&board.filter))), filter);
    }
    columns(frame.buffer_mut(), body, board, now, palette);
    if below.height > 0 {
        workers_below(frame.buffer_mut(), below, board, now, palette);
    }
    frame.render_widget(Paragraph::new(note).wrap(Wrap { trim: true }), result);
    frame.render_widget(key_hints(&board.mode, hints.width).style(palette.of(Color::DarkGray)), hints);
    popup::draw(frame, board, now, palette);
}

/// One line: whether the picture is live, and what matters most; what has no room is left out from the end.
fn header(board: &Board, now: Timestamp, width: u16, palette: Palette) -> Line<'static> {
    let mut spans = vec![match &board.link {
        Link::Connecting => Span::from(" … connecting"),
        Link::Live => Span::styled(" ● live", palette.of(Color::Green).bold()),
        Link::Lost { since, reason } => Span::styled(
            format!(" ✗ NOT LIVE for {}, trying again: {reason} ", age(*since, now)),
            palette.failure().reversed(),
        ),
    }];
    let is_narrow = width < 80;
    let mut more = vec![Span::from(format!("{} open", board.orders.len()))];
    let late = board.late(now);
    if late > 0 {
        more.push(Span::styled(format!("!{late} late"), palette.failure()));
    }
    if let Some(oldest) = board.oldest_waiting() {
        let (word, number) = match is_narrow {
            true => ("oldest", String::new()),
            false => ("oldest waiting", format!(" ({})", board.short(&oldest.number))),
        };
        more.push(Span::from(format!("{word} {}{number}", age(oldest.placed_at, now))));
    }
    if !board.is_whole {
        more.push(Span::styled("too many to show all: the oldest are missing", palette.failure()));
    }
    more.push(Span::from(workers::count(board)));
    for span in more {
        let used: usize = spans.iter().map(Span::width).sum();
        if used + 2 + span.width() > usize::from(width) {
            break;
        }
        spans.extend([Span::from("  "), span]);
    }
    Line::from(spans)
}

fn note(board: &Board, palette: Palette) -> Line<'static> {
    match (&board.acting, &board.note) {
        (Some((number, _)), _) => Line::from(format!(" {number}: waiting for the answer …")),
        (None, Some(note)) if note.is_failure => Line::styled(format!(" ✗ {}", note.text), palette.failure()),
        (None, Some(note)) => Line::styled(format!(" ✓ {}", note.text), palette.of(Color::Green)),
        (None, None) => Line::default(),
    }
}

/// The keys that matter now; those without room are left out, and the help has them all.
fn key_hints(mode: &Mode, width: u16) -> Line<'static> {
    let hints: &[&str] = match mode {
        Mode::Columns => &[
            "? help",
            "q quit",
            "Enter details",
            "c cancel",
            "d dispatch",
            "f finish",
            "r recall",
            "/ filter",
            "w workers",
        ],
        Mode::Details { .. } => &["Esc back", "c cancel", "d dispatch", "f finish", "r recall", "↑↓ scroll"],
        Mode::Help | Mode::Workers => &["Esc back"],
        Mode::Filter => &["Enter keeps it", "Esc takes it away"],
        Mode::Reason { .. } => &["Enter cancels the order", "Esc does not"],
        Mode::Confirm { .. } => &["y yes", "n no"],
    };
    let mut text = String::new();
    for hint in hints {
        let more = format!("{text} {hint} ");
        if Line::from(more.as_str()).width() > usize::from(width) {
            break;
        }
        text = more;
    }
    Line::from(text)
}

/// The columns beside each other, or where that is too narrow the selected one below the names of all.
fn columns(buffer: &mut Buffer, area: Rect, board: &Board, now: Timestamp, palette: Palette) {
    let gaps = COLUMNS.len() as u16 - 1;
    if area.width >= COLUMNS.len() as u16 * COLUMN_MIN_WIDTH + gaps {
        let areas: [Rect; COLUMNS.len()] =
            Layout::horizontal([Constraint::Fill(1); COLUMNS.len()]).spacing(1).areas(area);
        for (at, area) in areas.into_iter().enumerate() {
            let [head, body] = Layout::vertical([Constraint::Length(1), Constraint::Min(0)]).areas(area);
            let cards = board.orders.column(COLUMNS[at], &board.filter);
            let name = format!(" {} {} ", title(COLUMNS[at]), cards.len());
            let style = head_style(COLUMNS[at], at == board.column, palette);
            buffer.set_style(head, style);
            buffer.set_stringn(head.x, head.y, name, head.width.into(), style);
            column(buffer, body, &cards, at, board, now, palette);
        }
        return;
    }
    let [head, body] = Layout::vertical([Constraint::Length(1), Constraint::Min(0)]).areas(area);
    let names = ["Recv", "Cook", "Ready", "Out"].into_iter().enumerate().map(|(at, name)| {
        let count = board.orders.column(COLUMNS[at], &board.filter).len();
        let style = head_style(COLUMNS[at], at == board.column, palette);
        Span::styled(format!(" {name} {count} "), style)
    });
    buffer.set_line(head.x, head.y, &Line::from_iter(names), head.width);
    column(buffer, body, &board.selected_column(), board.column, board, now, palette);
}

fn head_style(status: Status, is_selected: bool, palette: Palette) -> Style {
    let style = palette.status(status).bold();
    if is_selected { style.reversed() } else { style.underlined() }
}

/// The cards of a column: as many as there is room for, the selected one among them.
fn column(
    buffer: &mut Buffer,
    area: Rect,
    cards: &[&Card],
    at: usize,
    board: &Board,
    now: Timestamp,
    palette: Palette,
) {
    let rows = usize::from(area.height);
    let room = if cards.len() > rows { rows.saturating_sub(1) } else { rows };
    let is_selected = at == board.column;
    let above = if is_selected { (board.row + 1).saturating_sub(room) } else { 0 };
    for (row, card) in area.rows().zip(cards.iter().skip(above).take(room)) {
        card_row(buffer, row, card, board, now, palette);
        if is_selected && board.selected.as_ref() == Some(&card.number) {
            buffer.set_style(row, Style::new().add_modifier(Modifier::REVERSED));
        }
    }
    if cards.len() > room && rows > 0 {
        let below = cards.len() - above - room;
        let text = match above {
            0 => format!(" ↓ {below} more"),
            _ => format!(" ↑ {above}  ↓ {below} more"),
        };
        buffer.set_stringn(area.x, area.bottom() - 1, text, area.width.into(), palette.of(Color::DarkGray));
    }
}

/// One order: `!003 delivery chef_anna  14m`.
fn card_row(buffer: &mut Buffer, row: Rect, card: &Card, board: &Board, now: Timestamp, palette: Palette) {
    let is_late = card.is_late(now, board.late_after);
    let style = if is_late { palette.failure() } else { Style::new() };
    let age = age(card.placed_at, now);
    let age_x = row.right().saturating_sub(age.len() as u16).max(row.x);
    let number = match row.width >= WHOLE_NUMBER_MIN_WIDTH {
        true => card.number.clone(),
        false => board.short(&card.number),
    };
    let sign = if is_late { "!" } else { " " };
    let order_type = card.order_type.map_or("", type_word);
    let mut text = format!("{sign}{number} {order_type:<8} ");
    let room = row.width.saturating_sub(AGE_WIDTH + 1);
    if text.len() + COOK_MIN_WIDTH <= room.into() {
        text.push_str(card.cook.as_deref().unwrap_or_default());
    }
    buffer.set_stringn(row.x, row.y, text, room.into(), style);
    buffer.set_stringn(age_x, row.y, age, AGE_WIDTH.into(), style);
}

fn workers_rows(board: &Board) -> u16 {
    1 + board.workers.as_ref().map_or(0, |workers| workers.len().min(WORKERS_MAX_ROWS)) as u16
}

fn workers_below(buffer: &mut Buffer, area: Rect, board: &Board, now: Timestamp, palette: Palette) {
    let head = format!(" {}{} ", &workers::count(board)[..1].to_uppercase(), &workers::count(board)[1..]);
    buffer.set_style(Rect { height: 1, ..area }, Style::new().bold().underlined());
    buffer.set_stringn(area.x, area.y, head, area.width.into(), Style::new());
    let mut lines = workers::lines(board, now, palette);
    let room = usize::from(area.height) - 1;
    if lines.len() > room {
        let more = lines.len() - room + 1;
        lines.truncate(room - 1);
        lines.push(Line::styled(format!("   {more} more: w shows all"), palette.of(Color::DarkGray)));
    }
    for (row, line) in area.rows().skip(1).zip(&lines) {
        buffer.set_line(row.x, row.y, line, row.width);
    }
}
