//! What comes from outside, mutilated: an answer every time, never a panic, and nothing accepted that breaks a rule.
//!
//! Each case takes a file of `corpus/` and a few mutations; the files are tried as they are, too. A mutant that found
//! something becomes a file there. `scripts/fuzz` runs many more cases than a normal test run does.

use clean_text::is_clean_line;
use proptest::prelude::*;
use restaurant_system::config::{Config, ConfigSources};
use restaurant_system::domain::{Money, OrderMessage, OrderNumber, StatusUpdate};
use restaurant_system::services::order::parse_order;
use std::path::Path;

const MAX_MUTATIONS: usize = 6;
/// Pieces that parsers stumble over.
const PIECES: &[&str] = &[
    "0",
    "-",
    "1e999",
    "-0.0",
    "9223372036854775808",
    "0.005",
    "null",
    "true",
    "\"",
    "\\u0000",
    "\\ud800",
    "\u{0}",
    "\n",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "[[[[[[[[",
    "{\"a\":",
    "\u{feff}",
    "\u{202e}",
    "\u{2028}",
    "\u{200d}",
    "\u{3000}",
    "・",
    "é",
    "&a",
    "*a",
    "!!str",
    "---\n",
    "\t",
    "<<",
    "ORD_",
    "_",
    "٣",
];

/// One change of a text: at a place (taken modulo its length) something is cut, repeated, put in or overwritten.
#[derive(Debug, Clone)]
enum Mutation {
    Cut(usize, usize),
    Repeat(usize, usize),
    Insert(usize, Vec<u8>),
    Flip(usize, u8),
}

impl Mutation {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let place = |at: usize, bytes: &Vec<u8>| at.checked_rem(bytes.len()).unwrap_or(0);
        match self {
            Self::Cut(at, length) => {
                let at = place(*at, bytes);
                bytes.drain(at..(at + length).min(bytes.len()));
            }
            Self::Repeat(at, length) => {
                let at = place(*at, bytes);
                let piece = bytes[at..(at + length).min(bytes.len())].to_vec();
                bytes.splice(at..at, piece);
            }
            Self::Insert(at, piece) => {
                let at = place(*at, bytes);
                bytes.splice(at..at, piece.iter().copied());
            }
            Self::Flip(at, with) => {
                let at = place(*at, bytes);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= *with;
                }
            }
        }
    }
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let piece = prop_oneof![
        proptest::sample::select(PIECES).prop_map(|piece| piece.as_bytes().to_vec()),
        proptest::collection::vec(any::<u8>(), 1..4),
    ];
    prop_oneof![
        (any::<usize>(), 1_usize..40).prop_map(|(at, length)| Mutation::Cut(at, length)),
        (any::<usize>(), 1_usize..200).prop_map(|(at, length)| Mutation::Repeat(at, length)),
        (any::<usize>(), piece).prop_map(|(at, piece)| Mutation::Insert(at, piece)),
        (any::<usize>(), 1_u8..).prop_map(|(at, with)| Mutation::Flip(at, with)),
    ]
}

/// A file of this corpus, as it is or with some mutations.
fn mutant(corpus: &str) -> impl Strategy<Value = Vec<u8>> + use<> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/fuzz/corpus").join(corpus);
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let files: Vec<Vec<u8>> = paths.iter().map(|path| std::fs::read(path).unwrap()).collect();
    (proptest::sample::select(files), proptest::collection::vec(mutation(), 0..=MAX_MUTATIONS)).prop_map(
        |(mut bytes, mutations)| {
            mutations.iter().for_each(|mutation| mutation.apply(&mut bytes));
            bytes
        },
    )
}

proptest! {
    #[test]
    fn an_order_that_is_taken_obeys_the_rules(body in mutant("order")) {
        let Ok(order) = parse_order(&body, None, None) else { return Ok(()) };
        prop_assert!((1..=20).contains(&order.items().len()));
        prop_assert!((1..=100).contains(&order.customer_name().chars().count()));
        prop_assert!(is_clean_line(order.customer_name()));
        let runs_of_spaces = ["  ", "\u{3000}"].map(|spaces| order.customer_name().contains(spaces));
        prop_assert_eq!(runs_of_spaces, [false, false]);
        let cents = |item: &restaurant_system::domain::OrderItem| i64::from(item.quantity) * item.price.cents();
        prop_assert_eq!(order.total_amount(), Money::from_cents(order.items().iter().map(cents).sum()));
        for item in order.items() {
            prop_assert!((1..=10).contains(&item.quantity) && (1..=99_999).contains(&item.price.cents()));
            prop_assert!((1..=50).contains(&item.name.chars().count()) && is_clean_line(&item.name));
        }
        for notes in order.items().iter().filter_map(|item| item.notes.as_deref()).chain(order.notes()) {
            prop_assert!((1..=200).contains(&notes.chars().count()) && is_clean_line(notes));
        }
        prop_assert!(order.table_number().is_none_or(|table| (1..=100).contains(&table)));
        prop_assert!(order.delivery_address().is_none_or(|address| (10..=500).contains(&address.chars().count())));
        let lines = order.delivery_address().unwrap_or_default().split(['\n', '\r', '\t']);
        prop_assert!(lines.into_iter().all(is_clean_line));
    }

    #[test]
    fn a_message_of_an_order_is_read_or_refused(body in mutant("message")) {
        if let Ok(message) = serde_json::from_slice::<OrderMessage>(&body) {
            let again = serde_json::from_slice::<OrderMessage>(&serde_json::to_vec(&message).unwrap());
            prop_assert_eq!(again.unwrap(), message);
        }
    }

    #[test]
    fn a_status_update_is_read_or_refused(body in mutant("update")) {
        if let Ok(update) = serde_json::from_slice::<StatusUpdate>(&body) {
            let again = serde_json::from_slice::<StatusUpdate>(&serde_json::to_vec(&update).unwrap());
            prop_assert_eq!(again.unwrap(), update);
        }
    }

    #[test]
    fn a_configuration_is_taken_or_refused_with_its_place(text in mutant("config")) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.yaml");
        std::fs::write(&file, &text).unwrap();
        if let Err(error) = Config::load(&ConfigSources::from_process(Some(file.clone()))) {
            prop_assert_eq!(error.file(), Some(&*file), "{}", error);
            prop_assert!(error.line().is_some(), "{}", error);
        }
    }

    #[test]
    fn an_order_number_that_is_read_is_written_the_same(text in mutant("number")) {
        let text = String::from_utf8_lossy(&text);
        if let Ok(number) = OrderNumber::parse(&text) {
            prop_assert_eq!(number.as_str(), &*text);
            let sequence = text.strip_prefix("ORD_").and_then(|rest| rest.split_once('_')).unwrap().1;
            prop_assert!(sequence.len() >= 3 && sequence.bytes().all(|byte| byte.is_ascii_digit()));
        }
    }
}
