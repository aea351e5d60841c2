//! `--once` and `--json`: the board as it is now, for scripts and for where there is no terminal.

use std::collections::BTreeMap;
use std::io::{self, Write};

use comfy_table::{Table, presets};
use jiff::Timestamp;
use serde::Serialize;

use super::model::{Board, title, type_word};
use super::orders::{COLUMNS, Card};
use super::text::{age, clean, passed};
use crate::client::orders::ListedWorker;
use crate::domain::{Money, OrderType, Status};

#[derive(Serialize)]
struct Report<'a> {
    taken_at: Timestamp,
    /// How many orders are in each status.
    counts: BTreeMap<&'static str, usize>,
    late: usize,
    /// Of the orders that are still to be cooked.
    oldest_waiting_seconds: Option<i64>,
    /// Whether these are all that are open.
    is_complete: bool,
    orders: Vec<ReportedOrder<'a>>,
    workers: &'a [ListedWorker],
}

#[derive(Serialize)]
struct ReportedOrder<'a> {
    order_number: &'a str,
    current_status: Status,
    order_type: Option<OrderType>,
    total_amount: Option<Money>,
    processed_by: Option<&'a str>,
    created_at: Timestamp,
    updated_at: Timestamp,
    age_seconds: i64,
    is_late: bool,
}

/// Prints one JSON object.
pub(super) fn print_json(board: &Board, now: Timestamp, out: &mut impl Write) -> io::Result<()> {
    let order = |card: &&'_ Card| -> (usize, Timestamp) {
        (COLUMNS.iter().position(|status| *status == card.status).unwrap_or_default(), card.placed_at)
    };
    let mut cards: Vec<&Card> = board.orders.all().collect();
    cards.sort_by_key(order);
    let report = Report {
        taken_at: now,
        counts: COLUMNS
            .iter()
            .map(|status| (status.as_str(), cards.iter().filter(|card| card.status == *status).count()))
            .collect(),
        late: board.late(now),
        oldest_waiting_seconds: board.oldest_waiting().map(|card| passed(card.placed_at, now).as_secs()),
        is_complete: board.is_whole,
        orders: cards
            .iter()
            .map(|card| ReportedOrder {
                order_number: &card.number,
                current_status: card.status,
                order_type: card.order_type,
                total_amount: card.total,
                processed_by: card.cook.as_deref(),
                created_at: card.placed_at,
                updated_at: card.changed_at,
                age_seconds: passed(card.placed_at, now).as_secs(),
                is_late: card.is_late(now, board.late_after),
            })
            .collect(),
        workers: board.workers.as_deref().unwrap_or_default(),
    };
    serde_json::to_writer(&mut *out, &report)?;
    writeln!(out)
}

/// Prints tables: the orders as they stand on the board, and the workers.
pub(super) fn print_tables(board: &Board, now: Timestamp, out: &mut impl Write) -> io::Result<()> {
    let mut orders = table(&["status", "order", "type", "age", "late", "total", "cook"]);
    for card in COLUMNS.into_iter().flat_map(|status| board.orders.column(status, "")) {
        orders.add_row([
            title(card.status),
            card.number.clone(),
            card.order_type.map_or("", type_word).to_owned(),
            age(card.placed_at, now),
            if card.is_late(now, board.late_after) { "!".to_owned() } else { String::new() },
            card.total.map(|total| total.to_string()).unwrap_or_default(),
            card.cook.clone().unwrap_or_default(),
        ]);
    }
    let mut workers = table(&["worker", "is", "cooks", "cooked"]);
    for worker in board.workers.iter().flatten() {
        workers.add_row([
            clean(&worker.worker_name),
            clean(&worker.status),
            clean(&worker.order_types.join(", ")),
            worker.orders_processed.to_string(),
        ]);
    }
    let oldest =
        board.oldest_waiting().map(|card| format!(", the oldest waiting for {}", age(card.placed_at, now)));
    let missing = if board.is_whole { "" } else { "; more are open than are shown" };
    let (open, late) = (board.orders.len(), board.late(now));
    writeln!(out, "{open} open, {late} late{}{missing}", oldest.unwrap_or_default())?;
    writeln!(out, "{orders}\n{workers}")
}

fn table(head: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header(head.to_vec());
    table
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use serde_json::{Value, json};

    use super::*;
    use crate::cli::board::model::Told;
    use crate::cli::board::samples::{listed, minute, worker};

    fn board() -> Board {
        let mut board = Board::new(SignedDuration::from_mins(20));
        let mut cooking = listed("ORD_20261201_002", "delivery", "cooking", 5);
        cooking.processed_by = Some("chef_anna".to_owned());
        let orders = vec![
            cooking,
            listed("ORD_20261201_001", "takeout", "ready", 0),
            listed("ORD_20261201_003", "dine_in", "received", 9),
        ];
        board.tell(Told::Listed { orders, is_whole: true }, minute(10));
        board.tell(
            Told::Workers(Ok(vec![worker("chef\u{1b}_anna", "processing", &["delivery"])])),
            minute(10),
        );
        board
    }

    #[test]
    fn the_object_holds_what_the_board_shows() {
        let mut out = Vec::new();
        print_json(&board(), minute(22), &mut out).unwrap();
        let report: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(report["counts"], json!({"received": 1, "cooking": 1, "ready": 1, "out_for_delivery": 0}));
        assert_eq!((&report["late"], &report["oldest_waiting_seconds"]), (&json!(1), &json!(17 * 60)));
        let numbers: Vec<&Value> =
            report["orders"].as_array().unwrap().iter().map(|order| &order["order_number"]).collect();
        assert_eq!(numbers, ["ORD_20261201_003", "ORD_20261201_002", "ORD_20261201_001"]);
        assert_eq!(report["orders"][1]["processed_by"], "chef_anna");
        assert_eq!(report["workers"][0]["status"], "processing");
    }

    #[test]
    fn the_tables_hold_the_same_with_no_control_character() {
        let mut out = Vec::new();
        print_tables(&board(), minute(22), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with("3 open, 1 late, the oldest waiting for 17m\n"), "{text}");
        assert!(text.contains("ORD_20261201_002") && text.contains("chef\u{fffd}_anna"), "{text}");
        assert!(!text.contains('\u{1b}'));
    }
}
