//! A file beside the configuration that holds records: a YAML list of mappings which all have the same fields.

use std::path::{Path, PathBuf};

use crate::error::{Diagnostic, Origin};
use crate::files::{others_may_read, read_bounded};
use crate::reader::Reader;
use crate::table::suggestion;
use crate::yaml::{self, Node, Value, shown_key};

/// Records for a few hundred people; more is the wrong file.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// What is wrong with the fields of a record: each field with what is expected there.
pub type Faults = Vec<(&'static str, String)>;

impl Reader {
    /// The records in the file that `key` names: a list, or a mapping whose one key `under` has the list. There is one at
    /// least, and each has all `fields`, which are handed to `parse` in their order. Every fault is noted with the file and
    /// the line. A file that others may read is a warning, since there may be secrets in it.
    pub fn records<const N: usize, T>(
        &mut self,
        key: &str,
        under: &str,
        fields: [&'static str; N],
        mut parse: impl FnMut([&str; N]) -> Result<T, Faults>,
    ) -> Option<Vec<T>> {
        let (path, origin) = self.path(key)?;
        if self.is_without_files() {
            return Some(Vec::new());
        }
        let (bytes, meta) = match read_bounded(&path, MAX_FILE_BYTES) {
            Ok(read) => read,
            Err(error) => {
                self.problem(key, origin, format!("{} can't be read: {error}", path.display()));
                return None;
            }
        };
        if others_may_read(&meta) {
            self.warn_of_readers(key, origin, &path);
        }
        let mut faults = FileFaults { path: &path, found: Vec::new() };
        let mut records = Vec::new();
        for record in list_of(&bytes, under, &mut faults) {
            let line = record.line;
            let Some(found) = fields_of(record, &fields, &mut faults) else { continue };
            match parse(std::array::from_fn(|n| found[n].1.as_str())) {
                Ok(parsed) => records.push(parsed),
                Err(wrong) => {
                    for (field, message) in wrong {
                        let at = fields.iter().position(|name| *name == field);
                        faults.note(at.map_or(line, |n| found[n].0), Some(field), message);
                    }
                }
            }
        }
        let found = faults.found;
        if found.is_empty() && records.is_empty() {
            self.problem(key, origin_of(&path, None), format!("{} is empty", path.display()));
        }
        self.note_all(found);
        Some(records)
    }
}

/// What is wrong in one file.
struct FileFaults<'a> {
    path: &'a Path,
    found: Vec<Diagnostic>,
}

impl FileFaults<'_> {
    fn note(&mut self, line: usize, key: Option<&str>, message: impl Into<String>) {
        self.found.push(Diagnostic::new(origin_of(self.path, Some(line)), key, message));
    }
}

fn origin_of(path: &Path, line: Option<usize>) -> Origin {
    Origin::File { path: PathBuf::from(path), line }
}

fn list_of(bytes: &[u8], under: &str, faults: &mut FileFaults<'_>) -> Vec<Node> {
    let root = match yaml::parse(bytes) {
        Ok(root) => root,
        Err(error) => {
            faults.note(error.line, error.key.as_deref(), error.message);
            return Vec::new();
        }
    };
    match root.value {
        Value::List(records) => return records,
        Value::Empty | Value::Null => return Vec::new(),
        Value::Mapping(mut entries) if entries.len() == 1 && entries[0].key == under => {
            if let Some(Node { value: Value::List(records), .. }) = entries.pop().map(|entry| entry.node) {
                return records;
            }
        }
        Value::Mapping(_) | Value::Text(_) => {}
    }
    faults.note(root.line, None, format!("must be a list, or {under}: with a list"));
    Vec::new()
}

/// The texts of a record's fields with their lines, if it has all of them and no others.
fn fields_of<const N: usize>(
    record: Node,
    fields: &[&'static str; N],
    faults: &mut FileFaults<'_>,
) -> Option<Vec<(usize, String)>> {
    let Value::Mapping(entries) = record.value else {
        faults.note(record.line, None, format!("must have {}", fields.join(", ")));
        return None;
    };
    let before = faults.found.len();
    for entry in entries.iter().filter(|entry| !fields.contains(&entry.key.as_str())) {
        let near = suggestion(&entry.key, fields.iter().copied());
        faults.note(entry.line, Some(shown_key(&entry.key)), format!("unknown key{near}"));
    }
    let found: Vec<_> = fields
        .iter()
        .filter_map(|field| match entries.iter().find(|entry| entry.key == *field) {
            Some(entry) => match &entry.node.value {
                Value::Text(text) => Some((entry.line, text.to_string())),
                _ => {
                    faults.note(entry.line, Some(field), "must be a text");
                    None
                }
            },
            None => {
                faults.note(record.line, Some(field), "is missing");
                None
            }
        })
        .collect();
    (faults.found.len() == before).then_some(found)
}
