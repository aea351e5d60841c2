//! How the workers are shown.

use std::cmp::Reverse;

use jiff::Timestamp;
use ratatui::style::Color;
use ratatui::text::{Line, Span};

use super::model::{Board, type_word};
use super::palette::Palette;
use super::text::{age, clean};
use crate::client::orders::ListedWorker;
use crate::domain::{OrderType, Status};

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
    workers.sort_by_key(|worker| Reverse(worker.status != "offline"));
    let widest =
        workers.iter().map(|worker| Line::from(clean(&worker.worker_name)).width()).max().unwrap_or(0);
    let line = |worker: &&ListedWorker| {
        let name = clean(&worker.worker_name);
        let padding = " ".repeat(widest.saturating_sub(Line::from(name.as_str()).width()));
        let held = board
            .orders
            .all()
            .filter(|card| card.status == Status::Cooking && card.cook.as_deref() == Some(name.as_str()));
        let held: Vec<String> = held.map(|card| board.short(&card.number)).collect();
        let (sign, style, doing) = match worker.status.as_str() {
            "offline" => ("○", palette.of(Color::DarkGray), format!("away {}", age(worker.last_seen, now))),
            _ if held.is_empty() => ("●", palette.of(Color::Green), "free".to_owned()),
            _ => ("●", palette.of(Color::Yellow), format!("cooks {}", held.join(", "))),
        };
        let types: Vec<String> = worker
            .order_types
            .iter()
            .map(|name| {
                name.parse::<OrderType>().map_or_else(|_| clean(name), |known| type_word(known).to_owned())
            })
            .collect();
        let rest = format!("  {}  {} cooked", types.join(", "), worker.orders_processed);
        Line::from(vec![
            Span::styled(format!(" {sign} "), style),
            Span::from(format!("{name}{padding}  {doing:<11}")),
            Span::styled(rest, palette.of(Color::DarkGray)),
        ])
    };
    workers.iter().map(line).collect()
}
