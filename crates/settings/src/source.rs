//! Where settings come from: flags over the environment over the file, each with its place kept for the messages.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use secrecy::zeroize::Zeroizing;

use crate::error::{ConfigError, Diagnostic, Origin};
use crate::files::read_bounded;
use crate::table::{Key, Kind, Table, suggestion};
use crate::yaml::{self, Entry, Value, shown_key};

/// The file that is read when none is named and it exists.
const DEFAULT_FILE: &str = "config.yaml";

/// A configuration file is a page; more is a mistake such as the wrong file.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// The sources of a configuration. Everything is passed in, so that loading can be tried without touching the
/// process: [`ConfigSources::from_process`] fills it with the real environment.
#[derive(Default)]
pub struct ConfigSources {
    /// The file that was asked for: it must exist.
    pub file: Option<PathBuf>,
    /// The file that is used when it exists and no other was asked for.
    pub default_file: Option<PathBuf>,
    /// The environment. No value of it is ever printed.
    pub env: Vec<(OsString, OsString)>,
    /// Leave alone the files that the settings name, and take empty secrets for theirs.
    pub without_files: bool,
    pub(crate) overrides: Vec<(String, String, Zeroizing<String>)>,
}

impl ConfigSources {
    /// The given file (the value of `--config`), else `./config.yaml` where it exists, under this process'
    /// environment.
    pub fn from_process(file: Option<PathBuf>) -> Self {
        let default_file = Some(PathBuf::from(DEFAULT_FILE));
        Self { file, default_file, env: std::env::vars_os().collect(), ..Self::default() }
    }

    /// Only these environment variables, and no file.
    pub fn from_env<K: Into<OsString>, V: Into<OsString>>(vars: impl IntoIterator<Item = (K, V)>) -> Self {
        let env = vars.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        Self { env, ..Self::default() }
    }

    /// The same with this file, which must exist.
    #[must_use]
    pub fn with_file(self, file: impl Into<PathBuf>) -> Self {
        Self { file: Some(file.into()), ..self }
    }

    /// Sets `key` (`cache.wait_seconds`) from a command-line flag (`--cache-wait`), which beats
    /// everything else. A key that does not exist is reported by [`crate::Reader::finish`].
    #[must_use]
    pub fn with_flag(mut self, key: &str, flag: &str, value: impl Into<String>) -> Self {
        self.overrides.push((key.to_owned(), flag.to_owned(), value.into().into()));
        self
    }
}

impl std::fmt::Debug for ConfigSources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The environment and the flags may hold passwords.
        f.debug_struct("ConfigSources")
            .field("file", &self.file)
            .field("default_file", &self.default_file)
            .finish_non_exhaustive()
    }
}

/// A setting as it was written. No `Debug`: it may be a password.
pub(crate) enum Setting {
    Text(Zeroizing<String>),
    List(Vec<(String, Origin)>),
}

/// A setting and where it was written.
pub(crate) struct Found {
    pub(crate) setting: Setting,
    pub(crate) origin: Origin,
}

/// The settings of one source by their key.
type Layer = HashMap<&'static str, Found>;

/// All sources, the strongest first.
pub(crate) struct Layers {
    layers: Vec<Layer>,
    /// The keys that there are.
    pub(crate) table: &'static Table,
    /// The file that was read, if any.
    pub(crate) file: Option<PathBuf>,
    /// systemd's folder of credentials (`LoadCredential=`).
    pub(crate) credentials: Option<PathBuf>,
    /// See [`ConfigSources::without_files`].
    pub(crate) without_files: bool,
}

impl Layers {
    /// Gathers all sources; what is wrong in their shape goes to `problems`.
    ///
    /// # Errors
    /// A file that can't be read or is not YAML: nothing more can be said about it then.
    pub(crate) fn gather(
        table: &'static Table,
        sources: &ConfigSources,
        problems: &mut Vec<Diagnostic>,
    ) -> Result<Self, ConfigError> {
        let file = match (&sources.file, &sources.default_file) {
            (Some(file), _) => Some(file.clone()),
            (None, Some(file)) if file.exists() => Some(file.clone()),
            _ => None,
        };
        let from_file =
            file.as_deref().map(|path| file_layer(table, path, problems)).transpose()?.unwrap_or_default();
        let from_env = env_layer(table, &sources.env, problems);
        let from_flags = flag_layer(table, &sources.overrides, problems);
        let credentials = sources.env.iter().find(|(name, _)| name == "CREDENTIALS_DIRECTORY");
        Ok(Self {
            layers: vec![from_flags, from_env, from_file, default_layer(table)],
            table,
            file,
            credentials: credentials.map(|(_, folder)| PathBuf::from(folder)),
            without_files: sources.without_files,
        })
    }

    /// The strongest source that has any of these keys, with all of them that it has, in the order asked for.
    pub(crate) fn strongest(&self, keys: &[&str]) -> Vec<(&'static str, &Found)> {
        self.layers
            .iter()
            .map(|layer| keys.iter().filter_map(|key| layer.get_key_value(*key)).collect::<Vec<_>>())
            .find(|found| !found.is_empty())
            .unwrap_or_default()
            .into_iter()
            .map(|(key, found)| (*key, found))
            .collect()
    }
}

fn default_layer(table: &Table) -> Layer {
    let set = table.keys().filter(|key| !key.is_unset);
    set.map(|key| (key.path, from_line(key, key.default, Origin::Default))).collect()
}

fn flag_layer(
    table: &Table,
    overrides: &[(String, String, Zeroizing<String>)],
    problems: &mut Vec<Diagnostic>,
) -> Layer {
    let mut layer = Layer::new();
    for (path, flag, text) in overrides {
        let origin = Origin::Flag(flag.clone());
        match table.find(path) {
            Some(key) => drop(layer.insert(key.path, from_line(key, text, origin))),
            None => problems.push(Diagnostic::new(origin, Some(path), "unknown key")),
        }
    }
    layer
}

fn env_layer(table: &Table, env: &[(OsString, OsString)], problems: &mut Vec<Diagnostic>) -> Layer {
    let names: HashMap<String, &'static Key> = table.keys().map(|key| (table.env_name(key), key)).collect();
    let mut layer = Layer::new();
    for (name, value) in env {
        let Some(name) = name.to_str() else { continue };
        let origin = Origin::Environment(name.to_owned());
        match (names.get(name), value.to_str()) {
            (Some(key), Some(text)) => drop(layer.insert(key.path, from_line(key, text, origin))),
            (Some(key), None) => problems.push(Diagnostic::new(origin, Some(key.path), "must be UTF-8 text")),
            (None, _) if table.is_section_variable(name) => {
                let suggestion = suggestion(name, names.keys().map(String::as_str));
                problems.push(Diagnostic::new(origin, None, format!("no setting has this name{suggestion}")));
            }
            (None, _) => {}
        }
    }
    layer
}

/// A value that comes as one line: a list is separated by commas.
fn from_line(key: &Key, text: &str, origin: Origin) -> Found {
    let setting = if key.kind == Kind::List {
        Setting::List(text.split(',').map(|item| (item.trim().to_owned(), origin.clone())).collect())
    } else {
        Setting::Text(text.to_owned().into())
    };
    Found { setting, origin }
}

fn file_layer(
    table: &'static Table,
    path: &Path,
    problems: &mut Vec<Diagnostic>,
) -> Result<Layer, ConfigError> {
    let problem = |line: Option<usize>, key: Option<String>, message: String| {
        Diagnostic::new(Origin::File { path: path.to_owned(), line }, key.as_deref(), message)
    };
    let (bytes, _) = read_bounded(path, MAX_FILE_BYTES)
        .map_err(|error| problem(None, None, format!("the configuration file can't be read: {error}")))?;
    let root = yaml::parse(&bytes).map_err(|error| problem(Some(error.line), error.key, error.message))?;
    let mut file = FileReader { table, path, layer: Layer::new(), problems };
    match &root.value {
        Value::Mapping(entries) => file.mapping("", entries),
        Value::Empty | Value::Null => {}
        Value::Text(_) | Value::List(_) => {
            return Err(problem(Some(root.line), None, must_be_mapping(table, "")).into());
        }
    }
    Ok(file.layer)
}

/// Flattens the tree of a file into settings by their key.
struct FileReader<'a> {
    table: &'static Table,
    path: &'a Path,
    layer: Layer,
    problems: &'a mut Vec<Diagnostic>,
}

impl FileReader<'_> {
    fn mapping(&mut self, parent: &str, entries: &[Entry]) {
        for entry in entries {
            let path = match parent {
                "" => shown_key(&entry.key).to_owned(),
                _ => format!("{parent}.{}", shown_key(&entry.key)),
            };
            let known = self.table.children(parent);
            if !known.contains(&entry.key.as_str()) {
                let suggestion = suggestion(&entry.key, known.iter().copied());
                self.problem(entry.line, &path, format!("unknown key{suggestion}"));
                continue;
            }
            let has_children = !self.table.children(&path).is_empty();
            match (&entry.node.value, self.table.find(&path)) {
                (Value::Null, _) => {}
                (Value::Mapping(entries), _) if has_children => self.mapping(&path, entries),
                (Value::Empty, None) => {}
                (_, None) => self.problem(entry.node.line, &path, must_be_mapping(self.table, &path)),
                (_, Some(key)) => self.leaf(key, entry),
            }
        }
    }

    fn leaf(&mut self, key: &'static Key, entry: &Entry) {
        let line = entry.node.line;
        let setting = match &entry.node.value {
            Value::Text(text) if key.kind == Kind::List => {
                Setting::List(vec![(text.to_string(), self.origin(line))])
            }
            Value::Text(text) => Setting::Text(text.clone()),
            Value::List(items) if key.kind == Kind::List => {
                let texts = items.iter().map(|item| match &item.value {
                    Value::Text(text) => Some((text.to_string(), self.origin(item.line))),
                    _ => None,
                });
                match texts.collect::<Option<Vec<_>>>() {
                    Some(texts) => Setting::List(texts),
                    None => {
                        return self.problem(line, key.path, "must be a list of single values");
                    }
                }
            }
            Value::Empty => {
                let message =
                    "has no value (leave the key out for the default, write \"\" for an empty text)";
                return self.problem(entry.line, key.path, message);
            }
            _ => return self.problem(line, key.path, "must be a single value"),
        };
        self.layer.insert(key.path, Found { setting, origin: self.origin(line) });
    }

    fn origin(&self, line: usize) -> Origin {
        Origin::File { path: self.path.to_owned(), line: Some(line) }
    }

    fn problem(&mut self, line: usize, key: &str, message: impl Into<String>) {
        self.problems.push(Diagnostic::new(self.origin(line), Some(key), message));
    }
}

fn must_be_mapping(table: &Table, path: &str) -> String {
    format!("must be a mapping with the keys {}", table.children(path).join(", "))
}
