//! The documents, as far as tests look into them.

use std::path::{Path, PathBuf};

/// What a [`Block`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockKind {
    Heading(usize),
    Row,
    Item,
    Paragraph,
}

/// A heading, a row of a table, an item of a list or a paragraph. What stands in fences, comments and pictures is none.
#[derive(Debug, Clone)]
pub struct Block {
    pub kind: BlockKind,
    /// Where it begins, counted from 1.
    pub line: usize,
    pub text: String,
}

impl Block {
    /// What stands between single back-ticks.
    pub fn code(&self) -> Vec<&str> {
        self.text.split('`').skip(1).step_by(2).collect()
    }

    /// The cells of a row.
    pub fn cells(&self) -> Vec<String> {
        // A bar that a backslash hides is part of its cell.
        let hidden = self.text.replace("\\|", "\u{1}");
        let cells = hidden.trim_matches('|').split('|');
        cells.map(|cell| cell.trim().replace('\u{1}', "|")).collect()
    }

    /// The name by which links point to a heading.
    pub fn anchor(&self) -> String {
        let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
        self.text.to_lowercase().chars().filter(kept).map(|c| if c == ' ' { '-' } else { c }).collect()
    }
}

/// All blocks of a document, in their order.
pub fn blocks(document: &str) -> Vec<Block> {
    let (mut blocks, mut is_open, mut in_fence) = (Vec::<Block>::new(), false, false);
    for (line, text) in (1..).zip(document.lines()) {
        let text = text.trim();
        let is_fence = text.starts_with("```");
        in_fence ^= is_fence;
        let is_outside =
            is_fence || in_fence || text.is_empty() || text.starts_with("<!--") || text.starts_with("![");
        let (kind, text) = match (heading(text), item(text)) {
            _ if is_outside => {
                is_open = false;
                continue;
            }
            (Some((level, heading)), _) => (BlockKind::Heading(level), heading),
            _ if text.starts_with('|') => (BlockKind::Row, text),
            (_, Some(item)) => (BlockKind::Item, item),
            _ => (BlockKind::Paragraph, text),
        };
        match blocks.last_mut() {
            Some(block) if is_open && kind == BlockKind::Paragraph => {
                block.text.push(' ');
                block.text.push_str(text);
            }
            _ => {
                is_open = matches!(kind, BlockKind::Item | BlockKind::Paragraph);
                blocks.push(Block { kind, line, text: text.to_owned() });
            }
        }
    }
    blocks
}

fn heading(line: &str) -> Option<(usize, &str)> {
    let text = line.trim_start_matches('#');
    let level = line.len() - text.len();
    (level > 0).then(|| text.strip_prefix(' ').map(|text| (level, text))).flatten()
}

/// The text of a line that begins an item: `- `, `> ` or `1. `.
fn item(line: &str) -> Option<&str> {
    let digits = line.trim_start_matches(|c: char| c.is_ascii_digit());
    let number = (digits.len() < line.len()).then(|| digits.strip_prefix(". ")).flatten();
    line.strip_prefix("- ").or_else(|| line.strip_prefix("> ")).or(number)
}

/// Every document of the repository that people read.
pub fn documents() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut documents = vec![root.join("README.md"), root.join("CONTRIBUTING.md")];
    documents
        .extend(["docs", "crates"].iter().flat_map(|folder| super::files_below(&root.join(folder), "md")));
    documents
}
