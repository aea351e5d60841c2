//! What the documents say is what the program does.

use std::path::{Path, PathBuf};

use restaurant_system::config::{Config, ConfigSources};
use restaurant_system::domain::{Status, TRANSITIONS, bounds};

use crate::support::files_below;
use crate::support::markdown::{Block, BlockKind, blocks, documents};

/// The most words of a sentence that a stranger reads once.
const SENTENCE_WORDS_MAX: usize = 30;

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

#[test]
fn the_states_document_shows_the_transition_table() {
    let text = read(&repository().join("docs/STATES.md"));
    let documented: Vec<(Status, Status)> = text
        .lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix('|')?.split('|').map(|cell| cell.trim().trim_matches('`'));
            Some((cells.next()?.parse().ok()?, cells.next()?.parse().ok()?))
        })
        .collect();
    assert_eq!(documented, TRANSITIONS);
}

#[test]
fn the_table_of_an_orders_fields_has_the_domains_bounds() {
    fn range<T: std::fmt::Display>(bounds: std::ops::RangeInclusive<T>) -> String {
        format!("{}–{}", bounds.start(), bounds.end())
    }
    let text = read(&repository().join("docs/CONTRACT.md"));
    for (field, bounds) in [
        ("customer_name", range(bounds::CUSTOMER_NAME_CHARS) + " characters"),
        ("items", range(bounds::ITEMS)),
        ("items[].name", range(bounds::ITEM_NAME_CHARS) + " characters"),
        ("items[].quantity", range(bounds::QUANTITY)),
        ("items[].price", range(bounds::PRICE)),
        ("table_number", range(bounds::TABLES)),
        ("delivery_address", range(bounds::ADDRESS_CHARS) + " characters"),
        ("items[].notes", range(bounds::NOTES_CHARS) + " characters"),
        ("notes", range(bounds::NOTES_CHARS) + " characters"),
    ] {
        let row = text.lines().find(|line| line.starts_with(&format!("| `{field}` |"))).unwrap_or_default();
        assert!(row.contains(&format!(" {bounds}")), "{field} of {bounds}: {row}");
    }
}

#[test]
fn the_example_configuration_has_every_default() {
    let sources = ConfigSources::default().with_file(repository().join("config.example.yaml"));
    let (example, built_in) =
        (Config::load(&sources).unwrap(), Config::load(&ConfigSources::default()).unwrap());
    let shown = |config: &Config| {
        let Config { database, rabbitmq, kitchen, outbox, tracking, http, staff, .. } = config;
        format!("{database:?} {rabbitmq:?} {kitchen:?} {outbox:?} {tracking:?} {http:?} {staff:?}")
    };
    assert_eq!(shown(&example), shown(&built_in));
}

/// What links in a document point to: paths and addresses.
fn targets(document: &str) -> impl Iterator<Item = &str> {
    document.split("](").skip(1).filter_map(|rest| rest.split(')').next())
}

#[test]
fn the_documents_link_to_files_and_headings_that_exist() {
    for document in documents() {
        let text = read(&document);
        for target in targets(&text).filter(|target| !target.starts_with("http")) {
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            let file = if path.is_empty() { document.clone() } else { document.parent().unwrap().join(path) };
            let is_there = if anchor.is_empty() { file.exists() } else { has_heading(&file, anchor) };
            assert!(is_there, "{} links to {target}", document.display());
        }
    }
}

/// Whether a piece of code names a source, a migration or a script, and how its path ends then.
fn named_file(code: &str) -> Option<&str> {
    let path = code.split_whitespace().next()?;
    let is_file = path.ends_with(".rs") || path.ends_with(".sql") || path.starts_with("scripts/");
    (is_file && !path.contains(['<', '*'])).then_some(path)
}

/// What a newcomer reads first: the crate's own page.
fn map_of_the_crate() -> String {
    let source = read(&repository().join("src/lib.rs"));
    let lines = source.lines().filter_map(|line| line.strip_prefix("//!"));
    lines.map(|line| format!("{}\n", line.strip_prefix(' ').unwrap_or(line))).collect()
}

#[test]
fn the_map_names_files_and_folders_that_exist() {
    let root = repository();
    let mut named = 0;
    for block in blocks(&map_of_the_crate()) {
        for path in block.code().into_iter().filter(|code| code.contains('/') && !code.contains(' ')) {
            named += 1;
            assert!(root.join(path).exists() || root.join("src").join(path).exists(), "{path}");
        }
    }
    assert!(named > 20, "{named} paths");
}

#[test]
fn the_documents_name_files_that_exist() {
    let root = repository();
    let mut files: Vec<PathBuf> = ["src", "crates", "tests", "benches", "migrations"]
        .iter()
        .flat_map(|folder| ["rs", "sql"].map(|extension| files_below(&root.join(folder), extension)))
        .flatten()
        .collect();
    files.extend(std::fs::read_dir(root.join("scripts")).unwrap().map(|entry| entry.unwrap().path()));
    for document in documents() {
        for block in blocks(&read(&document)) {
            for name in block.code().into_iter().filter_map(named_file) {
                let is_there = files.iter().any(|file| file.ends_with(name));
                assert!(is_there, "{}:{} names {name}", document.display(), block.line);
            }
        }
    }
}

fn has_heading(file: &Path, anchor: &str) -> bool {
    let is_heading = |block: &Block| matches!(block.kind, BlockKind::Heading(_));
    blocks(&read(file)).iter().any(|block| is_heading(block) && block.anchor() == anchor)
}

/// The sentences of a block, with one word for each piece of code and without what its links point to.
fn sentences(block: &Block) -> Vec<String> {
    let mut prose = String::new();
    for (at, part) in block.text.split('`').enumerate() {
        prose.push_str(if at % 2 == 0 { part } else { "CODE" });
    }
    for target in targets(&prose.clone()) {
        prose = prose.replace(&format!("]({target})"), "]");
    }
    let (mut sentences, mut sentence) = (Vec::new(), Vec::new());
    let mut words = prose.split_whitespace().peekable();
    while let Some(word) = words.next() {
        sentence.push(word);
        let is_end = word.trim_end_matches([')', '*', '"', '”', ']']).ends_with(['.', '!', '?']);
        let goes_on = words.peek().is_some_and(|next| {
            next.trim_start_matches(['(', '*', '"', '“']).starts_with(char::is_lowercase)
        });
        if is_end && !goes_on {
            sentences.push(sentence.join(" "));
            sentence.clear();
        }
    }
    sentences.push(sentence.join(" "));
    sentences
}

#[test]
fn a_sentence_names_its_subject_and_has_thirty_words_at_most() {
    let mut wrong = Vec::new();
    for document in documents() {
        let name = document.file_name().unwrap().to_string_lossy().into_owned();
        let prose = blocks(&read(&document))
            .into_iter()
            .filter(|b| matches!(b.kind, BlockKind::Item | BlockKind::Paragraph));
        for (line, sentence) in prose.flat_map(|b| sentences(&b).into_iter().map(move |s| (b.line, s))) {
            let count = sentence.split(' ').filter(|word| word.contains(char::is_alphanumeric)).count();
            let first =
                sentence.trim_start_matches(['(', '*', '"']).split([' ', ',']).next().unwrap_or_default();
            let is_question = sentence.trim_end_matches(['*', '"']).ends_with('?');
            if count > SENTENCE_WORDS_MAX {
                wrong.push(format!("{name}:{line}: {count} words: {sentence}"));
            } else if ["Who", "Whoever", "What", "Whatever"].contains(&first) && !is_question {
                wrong.push(format!("{name}:{line}: name the subject: {sentence}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// `kitchen::sweep::a_test` → the source of its module, which is below `tests/`.
fn module_of(path: &str) -> Option<(PathBuf, &str)> {
    let (module, test) = path.rsplit_once("::")?;
    let file = module.replace("::", "/");
    let below = ["tests/it/", "tests/"].map(|folder| repository().join(folder).join(&file));
    let candidates = below.iter().flat_map(|base| [base.with_extension("rs"), base.join("mod.rs")]);
    candidates.into_iter().find(|file| file.exists()).map(|file| (file, test))
}

/// The tests that a block names.
fn tests_of(block: &Block) -> Vec<&str> {
    block.code().into_iter().filter(|name| name.contains("::")).collect()
}

#[test]
fn every_test_that_the_guarantees_name_exists() {
    let documents =
        ["GUARANTEES", "SECURITY"].map(|name| read(&repository().join(format!("docs/{name}.md"))));
    let blocks: Vec<Block> = documents.iter().flat_map(|text| blocks(text)).collect();
    let names: Vec<&str> = blocks.iter().flat_map(tests_of).collect();
    assert!(names.len() > 30, "{names:?}");
    for name in names {
        let (file, test) = module_of(name).unwrap_or_else(|| panic!("{name}: no such module"));
        assert!(read(&file).contains(&format!("fn {test}(")), "{name} is not in {}", file.display());
    }
}

#[test]
fn each_guarantee_names_its_tests_one_a_line() {
    let text = read(&repository().join("docs/GUARANTEES.md"));
    let blocks = blocks(&text);
    for block in &blocks {
        assert!(tests_of(block).len() <= 1, "line {}: {}", block.line, block.text);
    }
    let (mut promises, mut is_promise) = (Vec::<(&Block, usize)>::new(), false);
    for block in &blocks {
        match (block.kind, promises.last_mut()) {
            (BlockKind::Heading(level), _) => {
                is_promise = level == 3;
                promises.extend(is_promise.then_some((block, 0)));
            }
            (_, Some((_, tests))) if is_promise => *tests += tests_of(block).len(),
            _ => {}
        }
    }
    assert!(promises.len() > 20, "{}", promises.len());
    for (promise, tests) in promises {
        assert!(tests > 0, "no test holds: {}", promise.text);
    }
}
