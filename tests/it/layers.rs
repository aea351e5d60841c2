//! The arrows between the layers, read from the source: they point down only.

use crate::support::files_below;
use crate::support::markdown::{Block, BlockKind, blocks};
use std::collections::BTreeSet;
use std::path::Path;

/// Each layer with those that it may use. `main` may use `cli`, and `cli` may use all.
const ARROWS: &[(&str, &[&str])] = &[
    (
        "cli",
        &[
            "services",
            "reconciler",
            "dev",
            "client",
            "http",
            "store",
            "broker",
            "config",
            "runtime",
            "domain",
        ],
    ),
    ("services", &["relay", "reconciler", "http", "store", "broker", "config", "runtime", "domain"]),
    ("dev", &["config", "runtime", "domain"]),
    ("client", &["runtime", "domain"]),
    ("relay", &["store", "broker", "runtime", "domain"]),
    ("reconciler", &["relay", "store", "broker", "runtime", "domain"]),
    ("http", &["config", "runtime", "domain"]),
    ("store", &["config", "runtime", "domain"]),
    ("broker", &["config", "runtime", "domain"]),
    ("config", &["runtime", "domain"]),
    ("runtime", &["domain"]),
    ("domain", &[]),
];

/// Crates that belong to one layer alone.
const KEPT_IN: &[(&str, &str)] = &[
    ("tokio_postgres", "store"),
    ("deadpool_postgres", "store"),
    ("refinery", "store"),
    ("amqprs", "broker"),
];

/// What the domain may use beside itself: nothing with a clock, a socket or a runtime in it.
const PURE: &[&str] = &["std", "core", "serde", "thiserror", "jiff", "unicode_properties", "proptest"];

const MAX_LINES: usize = 500;

struct Source {
    /// Below the repository, for messages.
    path: String,
    /// `http`, `relay`, `main`.
    layer: String,
    /// The parts of its module's path: `["services", "order", "api"]`.
    module: Vec<String>,
    code: String,
    lines: usize,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    files_below(&root.join("src"), "rs").iter().map(|file| source(root, file)).collect()
}

fn source(root: &Path, file: &Path) -> Source {
    let text = std::fs::read_to_string(file).unwrap();
    let path = file.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
    let module = path.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
    let module: Vec<String> = module.split('/').map(str::to_owned).collect();
    let code = text.lines().map(without_comment).collect::<Vec<_>>().join("\n");
    Source { path, layer: module[0].clone(), module, code, lines: text.lines().count() }
}

fn without_comment(line: &str) -> &str {
    line.split_once("//").map_or(line, |(code, _)| code)
}

/// The first names behind each `prefix` in the code, those of a `{…}` list among them.
fn names_behind(code: &str, prefix: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (at, _) in code.match_indices(prefix) {
        let before = code[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
            continue;
        }
        let rest = &code[at + prefix.len()..];
        match rest.strip_prefix('{') {
            Some(list) => names.extend(top_level_items(list)),
            None => names.extend(first_word(rest)),
        }
    }
    names
}

fn first_word(text: &str) -> Option<String> {
    let word: String = text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    (!word.is_empty()).then_some(word)
}

/// The first word of each item of a list, up to its closing brace.
fn top_level_items(list: &str) -> Vec<String> {
    let (mut items, mut item, mut depth) = (Vec::new(), String::new(), 0);
    for c in list.chars() {
        match c {
            '}' if depth == 0 => break,
            ',' if depth == 0 => items.extend(first_word(&std::mem::take(&mut item))),
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => item.push(c),
        }
    }
    items.extend(first_word(&item));
    items
}

#[test]
fn arrows_point_down_only() {
    let known: BTreeSet<&str> = ARROWS.iter().map(|(layer, _)| *layer).collect();
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| source.layer != "main" && source.layer != "lib") {
        let Some((_, allowed)) = ARROWS.iter().find(|(layer, _)| *layer == source.layer) else {
            wrong.push(format!("{}: the layer {} has no place among the arrows", source.path, source.layer));
            continue;
        };
        let mut used = names_behind(&source.code, "crate::");
        // `super::` that climbs to the crate's root is the same in other words.
        used.extend(names_behind(&source.code, &"super::".repeat(source.module.len())));
        for layer in used.iter().filter(|name| known.contains(name.as_str())) {
            if *layer != source.layer && !allowed.contains(&layer.as_str()) {
                wrong.push(format!("{}: {} must not use {layer}", source.path, source.layer));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_architecture_shows_these_arrows() {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/ARCHITECTURE.md");
    let blocks = blocks(&std::fs::read_to_string(document).unwrap());
    let rows: Vec<_> = blocks.iter().filter(|block| block.kind == BlockKind::Row).map(Block::code).collect();
    for (layer, allowed) in ARROWS {
        let row: Vec<&str> = [*layer].iter().chain(*allowed).copied().collect();
        assert!(rows.contains(&row), "no row has {row:?}");
    }
}

#[test]
fn the_program_only_calls_the_command_line() {
    let main = sources().into_iter().find(|source| source.layer == "main").unwrap();
    let used = names_behind(&main.code, "restaurant_system::");
    assert_eq!(used, BTreeSet::from(["cli".to_owned()]));
}

#[test]
fn services_never_use_each_other() {
    let sources = sources();
    let is_role = |name: &String| {
        sources.iter().any(|s| s.module.len() > 2 && s.module[0] == "services" && s.module[1] == *name)
    };
    for source in sources.iter().filter(|source| source.layer == "services" && source.module.len() > 1) {
        let mut used = names_behind(&source.code, "crate::services::");
        used.extend(names_behind(&source.code, &"super::".repeat(source.module.len() - 1)));
        let others: Vec<_> = used.iter().filter(|name| is_role(name) && **name != source.module[1]).collect();
        assert!(others.is_empty(), "{} uses {others:?}", source.path);
    }
}

#[test]
fn only_the_store_speaks_sql_and_only_the_broker_amqp() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (krate, home) in KEPT_IN {
            if source.layer != *home && source.code.contains(&format!("{krate}::")) {
                wrong.push(format!("{} uses {krate}, which is for {home}", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_domain_is_pure() {
    let sources = sources();
    let domain: Vec<_> = sources.iter().filter(|source| source.layer == "domain").collect();
    for source in &domain {
        for name in names_behind(&source.code, "use ") {
            let own = ["super", "crate", "self"].contains(&name.as_str())
                || domain.iter().any(|other| other.module.last() == Some(&name));
            assert!(own || PURE.contains(&name.as_str()), "{} uses {name}", source.path);
        }
        for impure in
            ["async fn", "SystemTime", "Instant::now", "Timestamp::now", "std::fs", "std::net", "std::env"]
        {
            assert!(!source.code.contains(impure), "{} has {impure}", source.path);
        }
    }
}

#[test]
fn no_file_is_longer_than_five_hundred_lines() {
    let long: Vec<_> =
        sources().into_iter().filter(|s| s.lines > MAX_LINES).map(|s| (s.path, s.lines)).collect();
    assert!(long.is_empty(), "{long:?}");
}

#[test]
fn the_reader_of_this_test_sees_every_spelling() {
    let code = "use crate::store::Store;\nuse crate::{http::{App, app}, domain};\nlet x: crate::broker::Broker;\nmycrate::cli::x";
    let seen: Vec<_> = names_behind(code, "crate::").into_iter().collect();
    assert_eq!(seen, ["broker", "domain", "http", "store"]);
}
