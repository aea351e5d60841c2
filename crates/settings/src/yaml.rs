//! The configuration file as a tree of texts with their lines.
//!
//! Built from the parser's events rather than through serde, so that a scalar stays the text that was written
//! (`password: 0123`, `user: yes`), every problem knows its line, and no error carries a snippet of the file,
//! which could show a password.

use secrecy::zeroize::Zeroizing;
use serde_saphyr::granit_parser::{ErrorKind, Event, Options, Parser, ScalarStyle, ScanError, StrInput};

/// Deeper than any key; bounds the recursion on a hostile file.
const MAX_DEPTH: usize = 16;
/// More than any section has; bounds the search for a key that is there twice, and how much is wrong at once.
const MAX_KEYS: usize = 200;
/// A list of hosts is the longest there is.
const MAX_ITEMS: usize = 20_000;

/// A value with the line (from 1) on which it begins. No `Debug`: it may hold a password.
pub(crate) struct Node {
    pub(crate) line: usize,
    pub(crate) value: Value,
}

/// The value at a place of the file.
pub(crate) enum Value {
    /// Nothing at all after the colon.
    Empty,
    /// An explicit `null` or `~`.
    Null,
    Text(Zeroizing<String>),
    List(Vec<Node>),
    Mapping(Vec<Entry>),
}

/// One `key: value` of a mapping.
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) line: usize,
    pub(crate) node: Node,
}

/// Why a text is not a usable YAML document.
pub(crate) struct YamlError {
    pub(crate) line: usize,
    /// The key concerned, for a key that is there twice.
    pub(crate) key: Option<String>,
    pub(crate) message: String,
}

impl YamlError {
    fn new(line: usize, message: impl Into<String>) -> Self {
        Self { line: line.max(1), key: None, message: message.into() }
    }
}

impl From<ScanError> for YamlError {
    fn from(error: ScanError) -> Self {
        let message = match error.kind() {
            // The character is the file's and might be a password's.
            ErrorKind::UnexpectedCharacter { .. } => "an unexpected character".to_owned(),
            ErrorKind::TabInBlockIndentation => "a tab in the indentation; use spaces".to_owned(),
            kind => kind.to_string(),
        };
        Self::new(error.marker().line(), format!("not valid YAML: {message}"))
    }
}

/// Reads a file's bytes.
///
/// # Errors
/// Not UTF-8, not YAML, a key twice in one mapping, several documents, anchors, aliases, foreign tags.
pub(crate) fn parse(bytes: &[u8]) -> Result<Node, YamlError> {
    let text = decode(bytes)?;
    let mut options = Options::default();
    options.emit_unresolved_aliases = true;
    let mut reader = Reader { parser: Parser::new_from_str_with_options(text, options), path: Vec::new() };
    reader.document()
}

/// The bytes as text, without the byte order mark that some editors put in front.
fn decode(bytes: &[u8]) -> Result<&str, YamlError> {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    if bytes.starts_with(b"\xFF\xFE") || bytes.starts_with(b"\xFE\xFF") {
        return Err(YamlError::new(1, "the file is UTF-16; save it as UTF-8"));
    }
    std::str::from_utf8(bytes).map_err(|error| {
        let line = 1 + bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
        YamlError::new(line, "the file is not UTF-8 text")
    })
}

struct Reader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    /// The keys and list places above the current value.
    path: Vec<String>,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, usize), YamlError> {
        match self.parser.next_event() {
            // The parser hands out a "~" that nobody wrote where there is no value at all.
            Some(Ok((Event::Scalar(_, style, anchor, tag), span))) if span.is_empty() => {
                Ok((Event::Scalar("".into(), style, anchor, tag), span.start.line()))
            }
            Some(Ok((event, span))) => Ok((event, span.start.line())),
            Some(Err(error)) => Err(error.into()),
            None => Ok((Event::StreamEnd, 1)),
        }
    }

    fn document(&mut self) -> Result<Node, YamlError> {
        let mut root = None;
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => break,
                (Event::StreamStart | Event::DocumentEnd, _) => {}
                (Event::DocumentStart(..), line) if root.is_some() => {
                    return Err(YamlError::new(line, "only one YAML document is expected"));
                }
                (Event::DocumentStart(..), _) => {
                    let (event, line) = self.next()?;
                    root = Some(self.node(event, line)?);
                }
                (_, line) => return Err(YamlError::new(line, "not valid YAML")),
            }
        }
        Ok(root.unwrap_or(Node { line: 1, value: Value::Empty }))
    }

    fn node(&mut self, event: Event<'a>, line: usize) -> Result<Node, YamlError> {
        if self.path.len() > MAX_DEPTH {
            return Err(YamlError::new(line, "nested too deeply"));
        }
        if foreign_tag(&event) {
            return Err(YamlError::new(line, "YAML tags are not supported here; quote the value"));
        }
        let value = match event {
            Event::Scalar(text, style, 0, _) => scalar(&text, style),
            Event::SequenceStart(_, 0, _) => Value::List(self.list()?),
            Event::MappingStart(_, 0, _) => Value::Mapping(self.mapping()?),
            Event::Scalar(..) | Event::SequenceStart(..) | Event::MappingStart(..) => {
                return Err(YamlError::new(
                    line,
                    "YAML anchors (&name) are not supported here; quote the value",
                ));
            }
            Event::Alias(_) | Event::UnresolvedAlias(_) => {
                return Err(YamlError::new(
                    line,
                    "YAML aliases (*name) are not supported here; quote the value",
                ));
            }
            _ => return Err(YamlError::new(line, "not valid YAML: a value is missing")),
        };
        Ok(Node { line, value })
    }

    fn list(&mut self) -> Result<Vec<Node>, YamlError> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(items),
                (_, line) if items.len() == MAX_ITEMS => {
                    return Err(YamlError::new(line, format!("more than {MAX_ITEMS} values in one list")));
                }
                (event, line) => {
                    self.path.push(items.len().to_string());
                    items.push(self.node(event, line)?);
                    self.path.pop();
                }
            }
        }
    }

    fn mapping(&mut self) -> Result<Vec<Entry>, YamlError> {
        let mut entries: Vec<Entry> = Vec::new();
        loop {
            let (key, line) = match self.next()? {
                (Event::MappingEnd, _) => return Ok(entries),
                (Event::Scalar(text, _, 0, None), line) => (text.into_owned(), line),
                (_, line) => return Err(YamlError::new(line, "a key must be a plain word")),
            };
            if entries.len() == MAX_KEYS {
                return Err(YamlError::new(line, format!("more than {MAX_KEYS} keys in one place")));
            }
            if let Some(first) = entries.iter().find(|entry| entry.key == key) {
                let message = format!("this key is already on line {}", first.line);
                self.path.push(shown_key(&key).to_owned());
                return Err(YamlError { key: Some(self.path.join(".")), ..YamlError::new(line, message) });
            }
            self.path.push(shown_key(&key).to_owned());
            let (event, value_line) = self.next()?;
            entries.push(Entry { key, line, node: self.node(event, value_line)? });
            self.path.pop();
        }
    }
}

/// Whether a value has a tag that would change its meaning (`!include`, `!!binary`); the schema's own say nothing new.
fn foreign_tag(event: &Event<'_>) -> bool {
    match event {
        Event::Scalar(_, _, _, Some(tag))
        | Event::SequenceStart(_, _, Some(tag))
        | Event::MappingStart(_, _, Some(tag)) => !tag.is_yaml_core_schema(),
        _ => false,
    }
}

fn scalar(text: &str, style: ScalarStyle) -> Value {
    match (style, text) {
        (ScalarStyle::Plain, "") => Value::Empty,
        (ScalarStyle::Plain, "~" | "null" | "Null" | "NULL") => Value::Null,
        _ => Value::Text(text.to_owned().into()),
    }
}

/// A key as it may be shown: what does not look like a key may be a password that lost its colon.
pub(crate) fn shown_key(key: &str) -> &str {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !key.is_empty() && key.len() <= 40 && key.chars().all(is_plain) { key } else { "(not a key)" }
}
