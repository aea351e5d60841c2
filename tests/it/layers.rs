//! The arrows between the layers of `src`, read from the source: they point down only. Cargo holds those of `crates`.

use crate::support::markdown::{Block, BlockKind, blocks};
use crate::support::{code_files, files_below};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Each layer with those that it may use. `main` may use `cli`, and `cli` may use all.
const ARROWS: &[(&str, &[&str])] = &[
    ("cli", &["services", "reconciler", "dev", "client", "http", "store", "broker", "config", "domain"]),
    ("config", &["services", "reconciler", "http", "store", "broker", "domain"]),
    ("services", &["relay", "reconciler", "http", "store", "broker", "domain"]),
    ("dev", &["domain"]),
    ("client", &["domain"]),
    ("relay", &["store", "broker", "domain"]),
    ("reconciler", &["relay", "store", "domain"]),
    ("http", &["domain"]),
    ("store", &["domain"]),
    ("broker", &["domain"]),
    ("domain", &[]),
];

/// Crates that some files alone may use, by what their paths begin with.
const KEPT_IN: &[(&str, &[&str])] = &[
    ("tokio_postgres", &["src/store/"]),
    ("deadpool_postgres", &["src/store/"]),
    ("refinery", &["src/store/"]),
    ("amqprs", &["crates/amqp/src/channel.rs", "crates/amqp/src/link.rs", "crates/amqp/src/properties.rs"]),
];

/// What the domain may use beside itself: nothing with a clock, a socket or a runtime in it.
const PURE: &[&str] = &[
    "std",
    "core",
    "serde",
    "thiserror",
    "jiff",
    "argon2",
    "base64",
    "subtle",
    "clean_text",
    "unicode_properties",
    "proptest",
];

/// What the crates of the platform have not heard of.
const RESTAURANT: &[&str] = &["restaurant", "kitchen", "pizza", "customer"];

const MAX_LINES: usize = 500;

struct Source {
    /// Below the repository, for messages.
    path: String,
    /// `http`, `relay`, `main`.
    layer: String,
    /// The parts of its module's path: `["services", "order", "api"]`.
    module: Vec<String>,
    code: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    files_below(&root.join("src"), "rs").iter().map(|file| source(root, file)).collect()
}

/// The sources of the crates, each in a folder of its crate's name.
fn sources_of_crates() -> Vec<Source> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates");
    let mut sources: Vec<Source> =
        files_below(&crates, "rs").iter().map(|file| source(&crates, file)).collect();
    for source in &mut sources {
        source.path = format!("crates/{}", source.path);
        source.module.remove(1);
        source.module.retain(|part| part != "lib");
        source.code = source.code.replace("crate::", &format!("crate::{}::", source.layer));
    }
    sources
}

fn source(root: &Path, file: &Path) -> Source {
    let text = std::fs::read_to_string(file).unwrap();
    let path = file.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
    let module = path.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
    let module: Vec<String> = module.split('/').map(str::to_owned).collect();
    let code = text.lines().map(without_comment).collect::<Vec<_>>().join("\n");
    Source { path, layer: module[0].clone(), module, code }
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

/// Which of a folder's modules use which others. What stands in the folder's own file is common to all of them.
fn uses_within(folder: &[String], sources: &[Source]) -> BTreeMap<String, BTreeSet<String>> {
    let depth = folder.len();
    let inside: Vec<&Source> =
        sources.iter().filter(|s| s.module.len() > depth && s.module.starts_with(folder)).collect();
    let modules: BTreeSet<&String> = inside.iter().map(|source| &source.module[depth]).collect();
    let passed_on: BTreeMap<String, String> = sources
        .iter()
        .filter(|source| source.module == folder)
        .flat_map(|source| source.code.split(';').filter_map(|statement| statement.split_once("use ")))
        .filter_map(|(_, path)| path.split_once("::"))
        .flat_map(|(module, names)| words(names).map(|name| (name, module.to_owned())))
        .collect();
    let mut uses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for source in inside {
        let mut names = names_behind(&source.code, &format!("crate::{}::", folder.join("::")));
        names.extend(names_behind(&source.code, &"super::".repeat(source.module.len() - depth)));
        let used = names.iter().map(|name| passed_on.get(name).unwrap_or(name));
        let own = &source.module[depth];
        let others = used.filter(|name| modules.contains(name) && *name != own).cloned();
        uses.entry(own.clone()).or_default().extend(others);
    }
    uses
}

fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty()).map(str::to_owned)
}

/// A way from a module back to itself.
fn circle(uses: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    let mut ways: Vec<Vec<String>> = uses.keys().map(|module| vec![module.clone()]).collect();
    // The shortest first; a module is on a way once.
    while !ways.is_empty() {
        let mut longer = Vec::new();
        for way in &ways {
            for next in uses.get(&way[way.len() - 1]).into_iter().flatten() {
                if *next == way[0] {
                    return Some(way.clone());
                }
                // Each circle is found from its first module in the alphabet.
                if *next > way[0] && !way.contains(next) {
                    longer.push([&way[..], std::slice::from_ref(next)].concat());
                }
            }
        }
        ways = longer;
    }
    None
}

#[test]
fn no_modules_of_a_folder_use_each_other_in_a_circle() {
    let mut sources = sources();
    sources.extend(sources_of_crates());
    sources.retain(|source| !source.module.contains(&"tests".to_owned()));
    for source in &mut sources {
        source.code = before_tests(&source.code).to_owned();
    }
    let folders: BTreeSet<Vec<String>> =
        sources.iter().flat_map(|s| (1..s.module.len()).map(|depth| s.module[..depth].to_vec())).collect();
    let circles: Vec<_> = folders
        .iter()
        .filter_map(|folder| Some((folder.join("/"), circle(&uses_within(folder, &sources))?.join(" → "))))
        .collect();
    assert!(circles.is_empty(), "{circles:?}");
}

/// The code without the tests at its end.
fn before_tests(code: &str) -> &str {
    let tests = code.match_indices("#[cfg(test)]").find(|(at, _)| {
        let item = code[*at..].lines().find(|line| !line.trim_start().starts_with('#')).unwrap_or("");
        item.starts_with("mod ") && item.ends_with('{')
    });
    tests.map_or(code, |(at, _)| &code[..at])
}

#[test]
fn only_the_store_speaks_sql_and_only_three_files_of_the_client_amqp() {
    let mut wrong = Vec::new();
    for source in sources().into_iter().chain(sources_of_crates()) {
        for (krate, homes) in KEPT_IN {
            let is_home = homes.iter().any(|home| source.path.starts_with(home));
            if !is_home && source.code.contains(&format!("{krate}::")) {
                wrong.push(format!("{} uses {krate}, which is for {homes:?}", source.path));
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
fn no_crate_of_the_platform_knows_what_a_pizza_is() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates");
    let files = ["rs", "md", "toml"].iter().flat_map(|extension| files_below(&crates, extension));
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap().to_lowercase();
        let known: Vec<_> = RESTAURANT.iter().filter(|word| text.contains(**word)).collect();
        assert!(known.is_empty(), "{} has {known:?}", file.display());
    }
}

#[test]
fn no_file_is_longer_than_five_hundred_lines() {
    let lines = |file: &PathBuf| std::fs::read_to_string(file).unwrap().lines().count();
    let files = code_files().into_iter().map(|file| (lines(&file), file));
    let long: Vec<_> = files.filter(|(lines, _)| *lines > MAX_LINES).collect();
    assert!(long.is_empty(), "{long:?}");
}

#[test]
fn the_reader_of_this_test_sees_every_spelling() {
    let code = "use crate::store::Store;\nuse crate::{http::{App, app}, domain};\nlet x: crate::broker::Broker;\nmycrate::cli::x";
    let seen: Vec<_> = names_behind(code, "crate::").into_iter().collect();
    assert_eq!(seen, ["broker", "domain", "http", "store"]);
    let file = |module: &[&str], code: &str| Source {
        path: String::new(),
        layer: module[0].to_owned(),
        module: module.iter().map(|part| (*part).to_owned()).collect(),
        code: code.to_owned(),
    };
    let folder = [
        file(&["a"], "mod b;\npub use b::{B, Other};\npub(super) use d::D;"),
        file(&["a", "b"], "use super::c::C;"),
        file(&["a", "c"], "use super::{D, nowhere};"),
        file(&["a", "d", "deep"], "fn f(b: super::super::B) {}"),
        file(&["a", "e"], "use super::B;"),
    ];
    let uses = uses_within(&["a".to_owned()], &folder);
    assert_eq!(circle(&uses), Some(vec!["b".to_owned(), "c".to_owned(), "d".to_owned()]));
}
