//! The pictures of the board, in the sizes that terminals have.

use jiff::SignedDuration;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier};

use super::keys::Key;
use super::model::{Board, Told};
use super::palette::Palette;
use super::samples::{change, listed, minute, worker};
use super::view;
use crate::client::StaffStep;
use crate::client::orders::{OrderSheet, SheetItem};
use crate::domain::Money;

/// An evening: an order of the day before, one that is late by its cook's word, and a hostile name.
fn evening() -> Board {
    let mut board = Board::new(SignedDuration::from_mins(20));
    board.tell(Told::Connected, minute(0));
    let mut orders: Vec<_> = (7..=21)
        .map(|n| {
            let order_type = ["dine_in", "takeout", "delivery"][n % 3];
            listed(&format!("ORD_20261201_{n:03}"), order_type, "received", 10 + n as i64 / 2)
        })
        .collect();
    orders.push(listed("ORD_20261130_118", "delivery", "out_for_delivery", -22));
    orders.push(listed("ORD_20261201_001", "takeout", "ready", 2));
    orders.push(listed("ORD_20261201_002", "delivery", "ready", 3));
    for n in 3..=6 {
        let mut cooking = listed(&format!("ORD_20261201_{n:03}"), "dine_in", "cooking", 4 + n);
        cooking.processed_by = Some(["chef_anna", "辣子鸡 \u{202e}\u{1b}[2J"][n as usize % 2].to_owned());
        orders.push(cooking);
    }
    board.tell(Told::Listed { orders, is_whole: true }, minute(20));
    let mut late = change("ORD_20261201_004", Some("received"), "cooking", 12);
    late.estimated_completion = Some(minute(18));
    board.tell(Told::Changed(late), minute(20));
    let workers = vec![
        worker("bruno", "offline", &["delivery"]),
        worker("chef_anna", "processing", &["dine_in", "takeout"]),
        worker("zoë", "online", &["dine_in", "takeout", "delivery"]),
    ];
    board.tell(Told::Workers(Ok(workers)), minute(20));
    board
}

fn sheet() -> OrderSheet {
    OrderSheet {
        order_number: "ORD_20261201_002".to_owned(),
        status: "ready".to_owned(),
        order_type: "delivery".to_owned(),
        items: vec![
            SheetItem {
                name: "Margherita Pizza".to_owned(),
                quantity: 2,
                price: Money::from_cents(1_599),
                options: vec!["large".to_owned(), "extra cheese".to_owned()],
                allergens: vec!["gluten".to_owned(), "milk".to_owned()],
                notes: Some("well\ndone".to_owned()),
            },
            SheetItem {
                name: "Minestrone\u{9b}31m".to_owned(),
                quantity: 1,
                price: Money::from_cents(650),
                options: Vec::new(),
                allergens: Vec::new(),
                notes: None,
            },
        ],
        total_amount: Some(Money::from_cents(3_848)),
        created_at: minute(3),
        updated_at: minute(15),
        processed_by: Some("chef_anna".to_owned()),
        table_number: None,
        customer_name: Some("Ada Lovelace".to_owned()),
        delivery_address: Some("12 Analytical Row, London".to_owned()),
        notes: Some("the bell is broken, so please knock loudly".to_owned()),
    }
}

fn press(board: &mut Board, keys: &str) {
    for c in keys.chars() {
        board.press(if c == '\n' { Key::Enter } else { Key::Char(c) });
    }
}

fn painted(board: &mut Board, width: u16, height: u16, has_colours: bool) -> TestBackend {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    board.settle();
    terminal.draw(|frame| view::draw(frame, board, minute(20), Palette { has_colours })).unwrap();
    terminal.backend().clone()
}

#[test]
fn an_evening_in_three_sizes() {
    for (width, height) in [(120, 40), (80, 24), (40, 12)] {
        let mut board = evening();
        press(&mut board, "j");
        insta::assert_snapshot!(
            format!("evening_{width}x{height}"),
            painted(&mut board, width, height, true)
        );
    }
}

#[test]
fn an_empty_evening_and_a_lost_connection() {
    let mut board = Board::new(SignedDuration::from_mins(20));
    insta::assert_snapshot!("connecting", painted(&mut board, 80, 24, true));
    board.tell(Told::Interrupted("no answer from http://127.0.0.1:3002/events".to_owned()), minute(17));
    insta::assert_snapshot!("lost", painted(&mut board, 80, 24, true));
}

#[test]
fn what_lies_over_the_columns() {
    for (name, keys) in
        [("help", "?"), ("workers", "w"), ("reason", "2coven broke"), ("confirm", "3f"), ("filter", "/deliv")]
    {
        for (width, height) in [(80, 24), (40, 12)] {
            let mut board = evening();
            press(&mut board, keys);
            insta::assert_snapshot!(
                format!("{name}_{width}x{height}"),
                painted(&mut board, width, height, true)
            );
        }
    }
}

#[test]
fn an_order_in_full() {
    for (width, height) in [(80, 24), (40, 12)] {
        let mut board = evening();
        press(&mut board, "3j\n");
        let number = "ORD_20261201_002".to_owned();
        board.tell(Told::Sheet { number, sheet: Ok(sheet()) }, minute(20));
        insta::assert_snapshot!(
            format!("details_{width}x{height}"),
            painted(&mut board, width, height, true)
        );
    }
}

#[test]
fn a_refusal_has_room_for_its_words() {
    let mut board = evening();
    let result =
        Err("Conflict (409): the order is completed; only one that is ready can be recalled".to_owned());
    board.tell(
        Told::Stepped { number: "ORD_20261201_001".to_owned(), step: StaffStep::Recall, result },
        minute(20),
    );
    insta::assert_snapshot!("refusal_40x12", painted(&mut board, 40, 12, true));
}

/// The colours of a picture, each once.
fn colours(buffer: &Buffer) -> Vec<Color> {
    let mut colours: Vec<Color> = buffer.content().iter().flat_map(|cell| [cell.fg, cell.bg]).collect();
    colours.sort_by_key(|colour| format!("{colour:?}"));
    colours.dedup();
    colours
}

#[test]
fn late_is_a_colour_and_a_sign_and_without_colours_still_a_sign() {
    for has_colours in [true, false] {
        let backend = painted(&mut evening(), 80, 24, has_colours);
        let text = backend.to_string();
        assert!(text.contains("!004") && text.contains("!1130-118") && text.contains("!2 late"), "{text}");
        let found = colours(backend.buffer());
        assert_eq!(found.contains(&Color::Red), has_colours);
        assert!(has_colours || found == [Color::Reset], "{found:?}");
    }
}

#[test]
fn the_selected_order_is_marked_without_a_colour() {
    let mut board = evening();
    press(&mut board, "2j");
    let backend = painted(&mut board, 80, 24, false);
    let marked: String = (20..40)
        .map(|x| &backend.buffer()[(x, 3)])
        .filter(|cell| cell.modifier.contains(Modifier::REVERSED))
        .map(|cell| cell.symbol())
        .collect();
    assert_eq!(marked, "!004 dine-in     12m");
}

#[test]
fn no_size_is_too_small_to_be_painted() {
    for keys in ["", "?", "w", "3\n", "2cx", "3f", "/d"] {
        for (width, height) in [(1, 1), (2, 5), (5, 2), (12, 3), (20, 4), (300, 100)] {
            let mut board = evening();
            press(&mut board, keys);
            painted(&mut board, width, height, true);
        }
    }
}
