//! The contract says of each of its parts whether the program has it, and this holds it to that.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use clap::CommandFactory;
use restaurant_system::cli::Cli;
use restaurant_system::config::TABLE;
use serde_json::Value;

use crate::support::markdown::{Block, BlockKind, blocks};
use crate::support::{code_files, files_below};

/// What a part of the contract has that the program has not.
const MARK: &str = "*(not built yet)*";
/// Sections of the configuration that are not there yet.
const PLANNED_SECTIONS: [&str; 3] = ["restaurant", "intake", "menu"];

struct Part {
    section: u32,
    is_built: bool,
    block: Block,
}

/// All parts of the contract. A mark in a heading holds for all below it.
fn parts() -> Vec<Part> {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/CONTRACT.md");
    let (mut section, mut is_section_built) = (0, true);
    let parts = blocks(&std::fs::read_to_string(document).unwrap()).into_iter().map(|block| {
        let is_marked = block.text.contains(MARK);
        if let BlockKind::Heading(2) = block.kind {
            section = block.text.split('.').next().unwrap().parse().unwrap();
            is_section_built = !is_marked;
        }
        Part { section, is_built: is_section_built && !is_marked, block }
    });
    // Before the first section stands what the mark means.
    parts.filter(|part| part.section > 0).collect()
}

/// What the parts have between back-ticks that is of a kind: of those that are built, and of the others.
fn spans(parts: &[Part], is_meant: impl Fn(&str) -> bool) -> (BTreeSet<String>, BTreeSet<String>) {
    let of = |is_built| {
        let parts = parts.iter().filter(|part| part.is_built == is_built);
        parts.flat_map(|part| part.block.code()).filter(|span| is_meant(span)).map(str::to_owned).collect()
    };
    (of(true), of(false))
}

#[test]
fn every_section_that_the_code_cites_is_there() {
    let sections: BTreeSet<u32> = parts().iter().map(|part| part.section).collect();
    assert_eq!(sections, (1..=15).collect());
    let mut files = code_files();
    files.extend(files_below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests"), "rs"));
    let mut cited = 0;
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap().to_lowercase();
        for (_, rest) in text.match_indices("contract").map(|(at, word)| text.split_at(at + word.len())) {
            let Some(rest) = rest.trim_start_matches([',', ' ', '(']).strip_prefix("section ") else {
                continue;
            };
            let number: String = rest.chars().take_while(char::is_ascii_digit).collect();
            cited += 1;
            assert!(sections.contains(&number.parse().unwrap()), "{} cites {number}", file.display());
        }
    }
    assert!(cited > 5, "{cited}");
}

/// The names of the table of commands in a part, and what their second cell has between back-ticks.
fn commands_of(part: &Part) -> (Vec<String>, Vec<String>) {
    let cells = part.block.cells();
    let code = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    (code(&cells[0]), code(&cells[1]))
}

#[test]
fn every_command_and_flag_is_there_unless_it_is_marked() {
    let program = Cli::command();
    let parts = parts();
    let rows = parts.iter().filter(|p| p.section == 1 && p.block.kind == BlockKind::Row);
    let mut built = BTreeSet::new();
    for part in rows {
        let (names, spans) = commands_of(part);
        for name in &names {
            let command = program.find_subcommand(name);
            let has = |span: &str| {
                command.is_some_and(|command| match span.strip_prefix("--") {
                    Some(flag) => {
                        let flag = flag.split(' ').next();
                        command.get_arguments().any(|argument| argument.get_long() == flag)
                    }
                    None => command.find_subcommand(span).is_some(),
                })
            };
            let is_word = |span: &&String| span.bytes().all(|b| b.is_ascii_lowercase());
            let has_commands = command.is_some_and(|command| command.has_subcommands());
            let wanted = spans.iter().filter(|span| span.starts_with("--") || has_commands && is_word(span));
            for span in wanted {
                assert_eq!(has(span), part.is_built, "{name} {span}: {}", part.block.text);
            }
            assert!(!part.is_built || command.is_some(), "{name} is not there");
            let has_flags = spans.iter().any(|span| span.starts_with("--"));
            assert!(part.is_built || command.is_none() || has_flags, "{name} is there: take its mark away");
            if part.is_built {
                built.insert(name.clone());
            }
        }
    }
    let all: BTreeSet<String> = program.get_subcommands().map(|c| c.get_name().to_owned()).collect();
    assert_eq!(built, all);
}

#[test]
fn every_flag_of_a_role_is_named() {
    let section: Vec<Part> = parts().into_iter().filter(|part| part.section == 1).collect();
    let (named, _) = spans(&section, |span| span.starts_with("--"));
    let named: BTreeSet<&str> = named.iter().filter_map(|flag| flag.split([' ', '=']).next()).collect();
    for role in [
        "order-service",
        "kitchen-worker",
        "tracking-service",
        "web-gateway",
        "notification-subscriber",
        "migrate",
    ] {
        let program = Cli::command();
        let flags = program.find_subcommand(role).unwrap().get_arguments().filter_map(|a| a.get_long());
        for flag in flags.filter(|flag| *flag != "help") {
            assert!(named.contains(format!("--{flag}").as_str()), "{role} --{flag}");
        }
    }
}

/// `GET /orders/{order_number}` of everything that a service's OpenAPI document has.
fn routes_of(service: &str) -> BTreeSet<String> {
    let output =
        Command::new(env!("CARGO_BIN_EXE_restaurant-system")).args(["openapi", service]).output().unwrap();
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let paths = document["paths"].as_object().unwrap();
    let routes = paths.iter().flat_map(|(path, methods)| {
        methods.as_object().unwrap().keys().map(move |method| format!("{} {path}", method.to_uppercase()))
    });
    routes.collect()
}

#[test]
fn every_route_is_there_unless_it_is_marked() {
    let mut routes = routes_of("order");
    routes.append(&mut routes_of("tracking"));
    routes.append(&mut routes_of("station"));
    let methods = ["GET /", "POST /", "PUT /", "DELETE /"];
    let (built, others) = spans(&parts(), |span| methods.iter().any(|method| span.starts_with(method)));
    assert_eq!(built, routes);
    let both: Vec<_> = others.intersection(&routes).collect();
    assert!(both.is_empty(), "take the mark away: {both:?}");
}

/// Whether the configuration has this key or section.
fn is_setting(key: &str) -> bool {
    TABLE.find(key).is_some() || !TABLE.children(key).is_empty()
}

#[test]
fn every_configuration_key_is_there_unless_it_is_marked() {
    let is_key = |span: &str| {
        let parts: Vec<&str> = span.split('.').collect();
        let is_word =
            |part: &&str| !part.is_empty() && part.bytes().all(|b| b == b'_' || b.is_ascii_lowercase());
        parts.len() > 1
            && (PLANNED_SECTIONS.contains(&parts[0]) || is_setting(parts[0]))
            && parts.iter().all(is_word)
            && parts.last() != Some(&"yaml")
    };
    let (built, others) = spans(&parts(), is_key);
    assert!(built.len() > 10, "{built:?}");
    let missing: Vec<_> = built.iter().filter(|key| !is_setting(key)).collect();
    assert!(missing.is_empty(), "mark them: {missing:?}");
    let there: Vec<_> = others.iter().filter(|key| is_setting(key)).collect();
    assert!(there.is_empty(), "take the mark away: {there:?}");
}

#[test]
fn every_action_of_the_log_is_there() {
    let code: String = code_files().iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
    let section: Vec<Part> = parts().into_iter().filter(|part| part.section == 9).collect();
    let actions = section.iter().find(|part| part.block.text.starts_with("Actions include")).unwrap();
    let actions = actions.block.code();
    assert!(actions.len() > 10, "{actions:?}");
    for action in actions {
        assert!(code.contains(&format!("action = \"{action}\"")), "{action}");
    }
}
