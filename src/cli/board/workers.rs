//! How the workers are shown.

use jiff::Timestamp;
use ratatui::style::Color;
use ratatui::text::{Line, Span};

use super::model::{Board, shown_type};
use super::orders::Card;
use super::palette::Palette;
use super::text::{age, clean};
use crate::client::orders::ListedWorker;
use crate::domain::Status;

/// Those who can cook now, of all.
pub(super) fn count(board: &Board) -> String {
    match &board.workers {
        None => "workers not known".to_owned(),
        Some(workers) => {
            let present = workers.iter().filter(|worker| worker.status != "offline").count();
            format!("workers {present} of {}", workers.len())
        }
    }
}

/// A line for each worker, those who are there first: `● chef_anna  cooks 003, 004  dine-in, takeout  42 cooked`.
pub(super) fn lines(board: &Board, now: Timestamp, palette: Palette) -> Vec<Line<'static>> {
    let mut workers: Vec<&ListedWorker> = board.workers.iter().flatten().collect();
    workers.sort_by_key(|worker| worker.status == "offline");
    let cells: Vec<[String; 2]> =
        workers.iter().map(|worker| [clean(&worker.worker_name), doing(worker, board, now)]).collect();
    let width_of = |text: &str| Line::from(text).width();
    let widest = |cell: usize| cells.iter().map(|cells| width_of(&cells[cell])).max().unwrap_or(0);
    let widths = [widest(0), widest(1)];
    let line = |(worker, cells): (&&ListedWorker, &[String; 2])| {
        let [name, doing] = std::array::from_fn(|cell| {
            let padding = " ".repeat(widths[cell] - width_of(&cells[cell]));
            format!("{}{padding}  ", cells[cell])
        });
        let types: Vec<String> = worker.order_types.iter().map(|name| shown_type(name)).collect();
        let (sign, style) = match worker.status.as_str() {
            "offline" => (" ○ ", palette.of(Color::DarkGray)),
            "processing" => (" ● ", palette.of(Color::Yellow)),
            _ => (" ● ", palette.of(Color::Green)),
        };
        Line::from(vec![
            Span::styled(sign, style),
            Span::from(name),
            Span::from(doing),
            Span::styled(
                format!("{}  {} cooked", types.join(", "), worker.orders_processed),
                palette.of(Color::DarkGray),
            ),
        ])
    };
    workers.iter().zip(&cells).map(line).collect()
}

fn doing(worker: &ListedWorker, board: &Board, now: Timestamp) -> String {
    if worker.status == "offline" {
        return format!("away {}", age(worker.last_seen, now));
    }
    let name = clean(&worker.worker_name);
    let is_held =
        |card: &&Card| card.status == Status::Cooking && card.cook.as_deref() == Some(name.as_str());
    let held: Vec<String> =
        board.orders.all().filter(is_held).map(|card| board.short(&card.number)).collect();
    if held.is_empty() { "free".to_owned() } else { format!("cooks {}", held.join(", ")) }
}
