//! `config.example.yaml` is the table of keys, written for people.

use restaurant_system::config::TABLE;
use settings::{Key, Kind};
use std::path::Path;

const HEAD: &str = "\
# Every key with its default; what begins with a # has none. A flag beats an environment variable beats this file; the
# variable's name is RESTAURANT_ and the key's path in capitals: RESTAURANT_DATABASE_HOST,
# RESTAURANT_KITCHEN_COOK_SECONDS_DINE_IN.
";
/// Where the words behind a key begin.
const HELP_COLUMN: usize = 30;
const WIDTH: usize = 125;

/// Whether all that a section has is without a default.
fn is_optional(row: &Key) -> bool {
    let below = |key: &&Key| key.path.starts_with(&format!("{}.", row.path));
    row.is_unset && TABLE.keys().filter(below).all(|key| key.is_unset)
}

/// A line with the key, and what there is to say of it behind it, as long as it takes.
fn line(key: &str, help: &str) -> String {
    let mut lines = vec![if help.is_empty() { key.to_owned() } else { format!("{key:HELP_COLUMN$} #") }];
    for word in help.split_whitespace() {
        let line = lines.last_mut().unwrap();
        if line.len() + 1 + word.len() <= WIDTH {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(format!("{:HELP_COLUMN$} # {word}", ""));
        }
    }
    lines.join("\n") + "\n"
}

fn example() -> String {
    let mut text = HEAD.to_owned();
    let mut off = "";
    for row in TABLE.rows {
        let (parent, name) = row.path.rsplit_once('.').unwrap_or(("", row.path));
        if TABLE.find(parent).is_some() {
            continue; // The short form of its parent stands there.
        }
        if parent.is_empty() {
            text.push('\n');
            off = if is_optional(row) { "# " } else { "" };
        }
        let indent = "  ".repeat(row.path.split('.').count() - 1);
        let mark = if off.is_empty() && is_optional(row) { "# " } else { off };
        let value = if row.kind == Kind::Section { String::new() } else { format!(" {}", row.default) };
        let key = match off {
            "" => format!("{indent}{mark}{name}:{value}"),
            _ => format!("{mark}{indent}{name}:{value}"),
        };
        text.push_str(&line(&key, row.help));
    }
    text
}

#[test]
fn has_what_the_table_has() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("config.example.yaml");
    if std::env::var_os("INSTA_UPDATE").is_some_and(|how| how == "always") {
        std::fs::write(&file, example()).unwrap();
    }
    assert_eq!(std::fs::read_to_string(file).unwrap(), example(), "INSTA_UPDATE=always writes it anew");
}
