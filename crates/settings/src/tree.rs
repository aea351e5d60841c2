//! A file beside the configuration whose values nest: a tree of fields and lists. Every fault has its line and its path.

use std::cell::RefCell;
use std::fmt::Display;
use std::path::Path;
use std::str::FromStr;

use crate::error::{ConfigError, Diagnostic, Origin};
use crate::files::read_bounded;
use crate::table::suggestion;
use crate::yaml::{self, Entry, Node, Value, shown_key};

/// What people write and change by hand; more is the wrong file.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Reads the YAML file at `path`: `read` takes what it needs from the root, and notes what is wrong.
///
/// # Errors
/// The file can't be read or is not YAML, or every fault that was noted.
pub fn read_tree<T>(path: &Path, read: impl FnOnce(&Place<'_>) -> Option<T>) -> Result<T, ConfigError> {
    let origin = |line| Origin::File { path: path.to_owned(), line };
    let (bytes, _) = read_bounded(path, MAX_FILE_BYTES)
        .map_err(|error| Diagnostic::new(origin(None), None, format!("can't be read: {error}")))?;
    let root = yaml::parse(&bytes)
        .map_err(|error| Diagnostic::new(origin(Some(error.line)), error.key.as_deref(), error.message))?;
    let faults = RefCell::new(Vec::new());
    let tree =
        read(&Place { node: &root, line: root.line, path: String::new(), file: path, faults: &faults });
    match (tree, ConfigError::from_problems(faults.into_inner())) {
        (_, Some(error)) => Err(error),
        (Some(tree), None) => Ok(tree),
        (None, None) => Err(Diagnostic::new(origin(None), None, "can't be used").into()),
    }
}

/// A value of the file.
pub struct Place<'a> {
    node: &'a Node,
    /// Where its key stands.
    line: usize,
    path: String,
    file: &'a Path,
    faults: &'a RefCell<Vec<Diagnostic>>,
}

/// The fields at a place.
pub struct Fields<'a> {
    of: &'a Place<'a>,
    entries: &'a [Entry],
}

impl<'a> Place<'a> {
    /// The line of its key, from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// Notes that something is wrong here.
    pub fn fault(&self, message: impl Into<String>) {
        self.note(self.line, &self.path, message);
    }

    /// Whether anything is noted yet, here or elsewhere in the file.
    pub fn is_faulty(&self) -> bool {
        !self.faults.borrow().is_empty()
    }

    fn note(&self, line: usize, path: &str, message: impl Into<String>) {
        let origin = Origin::File { path: self.file.to_owned(), line: Some(line) };
        let path = Some(path).filter(|path| !path.is_empty());
        self.faults.borrow_mut().push(Diagnostic::new(origin, path, message));
    }

    fn below(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// The value where it is a text (a number is one, too); else that is noted.
    pub fn text(&self) -> Option<&'a str> {
        if let Value::Text(text) = &self.node.value {
            return Some(text);
        }
        self.fault("must be a text");
        None
    }

    /// What the text says, as `read` has it; else its error is noted.
    pub fn read<T, E: Display>(&self, read: impl FnOnce(&str) -> Result<T, E>) -> Option<T> {
        read(self.text()?).map_err(|error| self.fault(error.to_string())).ok()
    }

    /// As [`Self::read`].
    pub fn parse<T: FromStr<Err: Display>>(&self) -> Option<T> {
        self.read(str::parse)
    }

    /// The one of these whose name this is; else the nearest name is proposed.
    pub fn one_of<T: Copy>(&self, all: &[T], name: impl Fn(T) -> &'static str) -> Option<T> {
        let text = self.text()?;
        let found = all.iter().copied().find(|one| name(*one) == text);
        if found.is_none() {
            let names: Vec<&str> = all.iter().map(|one| name(*one)).collect();
            let near = suggestion(text, names.iter().copied());
            self.fault(format!("must be one of {}{near}", names.join(", ")));
        }
        found
    }

    /// The values of a list; that it is none is noted.
    pub fn list(&self) -> Vec<Self> {
        let Value::List(nodes) = &self.node.value else {
            self.fault("must be a list");
            return Vec::new();
        };
        let place = |(index, node): (usize, &'a Node)| Place {
            node,
            line: node.line,
            path: self.below(&index.to_string()),
            file: self.file,
            faults: self.faults,
        };
        nodes.iter().enumerate().map(place).collect()
    }

    /// The fields here, which have these names alone; others, and that there are none, are noted.
    pub fn fields(&'a self, names: &[&'static str]) -> Option<Fields<'a>> {
        let Value::Mapping(entries) = &self.node.value else {
            self.fault(format!("must have the fields {}", names.join(", ")));
            return None;
        };
        for entry in entries.iter().filter(|entry| !names.contains(&entry.key.as_str())) {
            let near = suggestion(&entry.key, names.iter().copied());
            self.note(entry.line, &self.below(shown_key(&entry.key)), format!("unknown key{near}"));
        }
        Some(Fields { of: self, entries })
    }
}

impl<'a> Fields<'a> {
    /// The field of this name; one without a value is as good as none.
    pub fn get(&self, name: &str) -> Option<Place<'a>> {
        let entry = self.entries.iter().find(|entry| entry.key == name)?;
        let is_there = !matches!(entry.node.value, Value::Empty | Value::Null);
        let path = self.of.below(name);
        is_there.then_some(Place {
            node: &entry.node,
            line: entry.line,
            path,
            file: self.of.file,
            faults: self.of.faults,
        })
    }

    /// As [`Self::get`]; that it is missing is noted.
    pub fn required(&self, name: &str) -> Option<Place<'a>> {
        let found = self.get(name);
        if found.is_none() {
            self.of.note(self.of.line, &self.of.below(name), "is missing");
        }
        found
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    struct Shelf {
        name: String,
        sizes: Vec<u8>,
    }

    fn shelf(place: &Place<'_>) -> Option<Shelf> {
        let fields = place.fields(&["name", "sizes", "colour"])?;
        let sizes = fields.required("sizes")?.list().iter().filter_map(Place::parse).collect();
        fields.get("colour").and_then(|colour| colour.one_of(&["green", "blue"], |name| name));
        Some(Shelf { name: fields.required("name")?.text()?.to_owned(), sizes })
    }

    fn read(content: &str) -> Result<Vec<Shelf>, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        let shelves = |root: &Place<'_>| {
            Some(root.fields(&["shelves"])?.required("shelves")?.list().iter().filter_map(shelf).collect())
        };
        let path = format!("{}:", file.path().display());
        read_tree(file.path(), shelves).map_err(|error| error.to_string().replace(&path, ""))
    }

    #[test]
    fn values_are_where_they_are_expected() {
        let shelf = Shelf { name: "007".to_owned(), sizes: vec![1, 2] };
        assert_eq!(read("shelves:\n  - name: 007\n    sizes: [1, 2]\n    colour: ~\n"), Ok(vec![shelf]));
    }

    #[test]
    fn every_fault_has_its_line_and_path_and_the_nearest_name() {
        let faults = read(
            "shelves:\n  - nam: A\n    sizes: [1, x,\n      300]\n    colour: gren\n  - 7\n  - sizes: 3\n",
        );
        let expected = "2: shelves.0.nam: unknown key (did you mean \"name\"?)\n\
                        2: shelves.0.name: is missing\n\
                        3: shelves.0.sizes.1: invalid digit found in string\n\
                        4: shelves.0.sizes.2: number too large to fit in target type\n\
                        5: shelves.0.colour: must be one of green, blue (did you mean \"green\"?)\n\
                        6: shelves.1: must have the fields name, sizes, colour\n\
                        7: shelves.2.name: is missing\n\
                        7: shelves.2.sizes: must be a list";
        assert_eq!(read_sorted(faults), expected);
        assert_eq!(read("").unwrap_err(), "1: must have the fields shelves");
        assert_eq!(read("shelves: [\n").unwrap_err().lines().count(), 1);
    }

    /// Of one line they stand in the order in which they were noted.
    fn read_sorted(faults: Result<Vec<Shelf>, String>) -> String {
        let error = faults.unwrap_err();
        let mut lines: Vec<&str> = error.lines().collect();
        lines.sort();
        lines.join("\n")
    }
}
