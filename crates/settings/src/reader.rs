//! Typed access to the layered settings. Every problem is noted with its key and place, and any value stands in for the
//! right one, so that one run reports all of them.
//!
//! No message repeats a value: under a wrong key it may be a password.

use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;

use crate::error::{ConfigError, Diagnostic, Origin};
use crate::files;
use crate::host::HostPort;
use crate::source::{ConfigSources, Found, Layers, Setting};
use crate::table::{Kind, Table};

/// The longest time that may be configured, in seconds: a day.
const MAX_SECONDS: f64 = 86_400.0;
/// A mistake of the program, which the first load of a configuration shows.
const NOT_IN_TABLE: &str = "the table of keys has no such key of this kind";

/// Reads values by their keys and gathers what is wrong with them.
pub struct Reader {
    layers: Layers,
    problems: Vec<Diagnostic>,
    /// Settings that can be used, and should not be as they are.
    warnings: Vec<Diagnostic>,
}

impl Reader {
    /// Gathers the sources of a configuration that has these keys.
    ///
    /// # Errors
    /// A file that cannot be read or is not YAML: nothing more can be said about it then.
    pub fn new(table: &'static Table, sources: &ConfigSources) -> Result<Self, ConfigError> {
        let mut problems = Vec::new();
        let layers = Layers::gather(table, sources, &mut problems)?;
        Ok(Self { layers, problems, warnings: Vec::new() })
    }

    /// The configuration file that is read, if any.
    pub fn file(&self) -> Option<&Path> {
        self.layers.file.as_deref()
    }

    /// The settings that are only doubtful.
    ///
    /// # Errors
    /// Every problem that was found.
    pub fn finish(self) -> Result<Vec<Diagnostic>, ConfigError> {
        match ConfigError::from_problems(self.problems) {
            Some(error) => Err(error),
            None => Ok(self.warnings),
        }
    }

    /// Notes a secret that everybody on this machine can read.
    pub(crate) fn warn_of_readers(&mut self, key: &str, origin: Origin, file: &Path) {
        let message = format!("others may read the secret in {0}: `chmod o-r {0}`", file.display());
        self.warnings.push(Diagnostic::new(origin, Some(key), message));
    }

    /// Notes what is doubtful about the first of these keys that is given.
    pub fn warn(&mut self, keys: &[&str], message: &str) {
        if let Some((key, found)) = self.layers.strongest(keys).first() {
            self.warnings.push(Diagnostic::new(found.origin.clone(), Some(key), message));
        }
    }

    pub(crate) fn problem(&mut self, key: &str, origin: Origin, message: impl Into<String>) {
        self.problems.push(Diagnostic::new(origin, Some(key), message));
    }

    pub(crate) fn note_all(&mut self, problems: Vec<Diagnostic>) {
        self.problems.extend(problems);
    }

    /// See [`ConfigSources::without_files`].
    pub(crate) fn is_without_files(&self) -> bool {
        self.layers.without_files
    }

    /// Whether a flag, the environment or the file has one of these keys.
    pub fn is_given(&self, keys: &[&str]) -> bool {
        self.layers.strongest(keys).first().is_some_and(|(_, found)| found.origin != Origin::Default)
    }

    /// The text of this key and where it stands.
    fn found(&self, key: &str) -> Option<(Zeroizing<String>, Origin)> {
        match self.layers.strongest(&[key]).first()? {
            (_, Found { setting: Setting::Text(text), origin }) => Some((text.clone(), origin.clone())),
            _ => None,
        }
    }

    fn kind(&self, key: &str) -> Option<Kind> {
        self.layers.table.find(key).map(|row| row.kind)
    }

    /// The value of a key where there is one, made by `parse`, whose error text says what is expected.
    pub fn optional<T>(&mut self, key: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let (text, origin) = self.found(key)?;
        parse(&text).map_err(|message| self.problem(key, origin, message)).ok()
    }

    /// The same of a key that has a default.
    fn value<T: Default>(&mut self, key: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> T {
        if self.layers.strongest(&[key]).is_empty() {
            self.problem(key, Origin::Default, NOT_IN_TABLE);
        }
        self.optional(key, parse).unwrap_or_default()
    }

    /// A text of 1 to 255 bytes (AMQP's limit for a name) that is not blank and has no control characters.
    pub fn text(&mut self, key: &str) -> String {
        self.value(key, |text| match text {
            _ if text.trim().is_empty() => Err("must not be empty".to_owned()),
            _ if text.len() > 255 => Err("must not be longer than 255 bytes".to_owned()),
            _ if text.chars().any(char::is_control) => Err("must not contain control characters".to_owned()),
            _ => Ok(text.to_owned()),
        })
    }

    /// A whole number within the bounds of the table.
    pub fn number<T: TryFrom<u64> + Default>(&mut self, key: &str) -> T {
        let kind = self.kind(key);
        self.value(key, |text| parse_number(text, kind))
    }

    /// The same of a key without a default.
    pub fn optional_number<T: TryFrom<u64>>(&mut self, key: &str) -> Option<T> {
        let kind = self.kind(key);
        self.optional(key, |text| parse_number(text, kind))
    }

    /// A time in seconds, decimals allowed, from the table's minimum to a day.
    pub fn seconds(&mut self, key: &str) -> Duration {
        let kind = self.kind(key);
        self.value(key, |text| {
            let Some(Kind::Seconds(min)) = kind else { return Err(NOT_IN_TABLE.to_owned()) };
            let seconds = text.trim().parse().ok().filter(|seconds| (min..=MAX_SECONDS).contains(seconds));
            seconds
                .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
                .ok_or_else(|| format!("must be a number of seconds from {min} to {MAX_SECONDS}"))
        })
    }

    /// A number within the bounds of the table, decimals allowed.
    pub fn decimal(&mut self, key: &str) -> f64 {
        let kind = self.kind(key);
        self.value(key, |text| {
            let Some(Kind::Decimal(min, max)) = kind else { return Err(NOT_IN_TABLE.to_owned()) };
            let number = text.trim().parse().ok().filter(|number| (min..=max).contains(number));
            number.ok_or_else(|| format!("must be a number from {min} to {max}"))
        })
    }

    /// The address of an HTTP API where one is given: `http://host:port`, without a slash at its end. Encryption is left
    /// out on purpose. The error does not repeat the text, which might have a password in it.
    pub fn http_url(&mut self, key: &str, default_port: u16) -> Option<String> {
        self.optional(key, |text| {
            let host = text.trim().strip_prefix("http://").map(|rest| rest.trim_end_matches('/'));
            let host = host.and_then(|host| HostPort::parse_network(host, default_port).ok());
            host.map(|host| format!("http://{host}"))
                .ok_or_else(|| "must be http://host:port, without a user, a path or a query".to_owned())
        })
    }

    /// On or off.
    pub fn switch(&mut self, key: &str) -> bool {
        self.value(key, parse_bool)
    }

    /// On or off, by the first of these keys that the strongest source has.
    pub fn switch_of(&mut self, keys: &[&str]) -> Option<bool> {
        let key = self.layers.strongest(keys).first().map(|(key, _)| *key)?;
        self.optional(key, parse_bool)
    }

    /// One of a few words.
    pub fn word<T: Copy + Default>(&mut self, key: &str, words: &[(impl AsRef<str>, T)]) -> T {
        self.value(key, |text| {
            let value = words.iter().find(|(word, _)| word.as_ref() == text.trim()).map(|(_, value)| *value);
            value.ok_or_else(|| {
                let words: Vec<_> = words.iter().map(|(word, _)| word.as_ref()).collect();
                format!("must be {}", words.join(" or "))
            })
        })
    }

    /// The hosts of a server, in the order in which they are tried, each made by `parse`. There is one at least.
    pub fn hosts<T>(&mut self, key: &str, parse: impl Fn(&str) -> Result<T, String>) -> Vec<T> {
        let (items, origin) = self.items(key);
        if items.is_empty() {
            self.problem(key, origin, "must name at least one host");
        }
        self.each(key, items, parse)
    }

    /// A list of values that may have none, each made by `parse`.
    pub fn list<T>(&mut self, key: &str, parse: impl Fn(&str) -> Result<T, String>) -> Vec<T> {
        let (mut items, _) = self.items(key);
        items.retain(|(text, _)| !text.trim().is_empty());
        self.each(key, items, |text| parse(text.trim()))
    }

    /// The values of a list and where it stands.
    fn items(&self, key: &str) -> (Vec<(String, Origin)>, Origin) {
        match self.layers.strongest(&[key]).first() {
            Some((_, Found { setting: Setting::List(items), origin })) => (items.clone(), origin.clone()),
            _ => (Vec::new(), Origin::Default),
        }
    }

    fn each<T>(
        &mut self,
        key: &str,
        items: Vec<(String, Origin)>,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Vec<T> {
        let parsed =
            items.into_iter().map(|(text, origin)| parse(&text).map_err(|message| (origin, message)));
        parsed
            .filter_map(|value| value.map_err(|(origin, message)| self.problem(key, origin, message)).ok())
            .collect()
    }

    /// A secret: the text at `key` or the content of the file at `{key}_file`, whichever the strongest source has.
    pub fn secret(&mut self, key: &str) -> SecretString {
        let file_key = format!("{key}_file");
        let found: Vec<&str> =
            self.layers.strongest(&[key, &file_key]).into_iter().map(|(key, _)| key).collect();
        match found[..] {
            [only] if only == file_key => self.secret_file(&file_key, |_| None).unwrap_or_default(),
            [_, _] => {
                if let Some((_, origin)) = self.found(&file_key) {
                    let name = key.rsplit_once('.').map_or(key, |(_, name)| name);
                    self.problem(&file_key, origin, format!("{name} and {name}_file can't both be given"));
                }
                SecretString::default()
            }
            _ => {
                self.look_for_readers(key);
                let secret = self.value(key, |text| match text {
                    _ if text.contains('\0') => Err("must not contain a NUL character".to_owned()),
                    _ => Ok(text.to_owned()),
                });
                secret.into()
            }
        }
    }

    /// Notes a secret that stands in a configuration file which others may read.
    fn look_for_readers(&mut self, key: &str) {
        if let Some((_, Origin::File { path, line })) = self.found(key)
            && !self.layers.without_files
            && path.metadata().is_ok_and(|meta| files::others_may_read(&meta))
        {
            self.warn_of_readers(key, Origin::File { path: path.clone(), line }, &path);
        }
    }

    /// The content of the file that `key` names, which must not be empty and with which nothing is wrong: `unfit` says what
    /// is, as what the file does or holds.
    pub fn secret_file(
        &mut self,
        key: &str,
        unfit: impl FnOnce(&SecretString) -> Option<String>,
    ) -> Option<SecretString> {
        let (path, origin) = self.path(key)?;
        if self.layers.without_files {
            return Some(SecretString::default());
        }
        let fit = |(secret, others_may_read)| match unfit(&secret) {
            None => Ok((secret, others_may_read)),
            Some(reason) => Err(format!("{} {reason}", path.display())),
        };
        match files::read_secret(&path).and_then(fit) {
            Ok((secret, others_may_read)) => {
                if others_may_read {
                    self.warn_of_readers(key, origin, &path);
                }
                Some(secret)
            }
            Err(message) => {
                self.problem(key, origin, message);
                None
            }
        }
    }

    /// The file that `key` names where it names one, with which nothing is wrong: `check` looks.
    pub fn file_at(&mut self, key: &str, check: impl FnOnce(&Path) -> Result<(), String>) -> Option<PathBuf> {
        let (path, origin) = self.path(key)?;
        if !self.layers.without_files
            && let Err(message) = check(&path)
        {
            self.problem(key, origin, message);
        }
        Some(path)
    }

    /// The path that `key` names: relative to the file in which it stands, `$CREDENTIALS_DIRECTORY` filled in.
    pub(crate) fn path(&mut self, key: &str) -> Option<(PathBuf, Origin)> {
        let (text, origin) = self.found(key)?;
        // Where the files are not looked at there need be no credentials either.
        let nowhere = self.layers.without_files.then_some(Path::new(""));
        match resolve(&text, &origin, self.layers.credentials.as_deref().or(nowhere)) {
            Ok(path) => Some((path, origin)),
            Err(message) => {
                self.problem(key, origin, message);
                None
            }
        }
    }
}

fn resolve(text: &str, origin: &Origin, credentials: Option<&Path>) -> Result<PathBuf, String> {
    if text.trim().is_empty() || text.contains('\0') {
        return Err("must name a file".to_owned());
    }
    let credential = ["${CREDENTIALS_DIRECTORY}/", "$CREDENTIALS_DIRECTORY/"]
        .iter()
        .find_map(|variable| text.strip_prefix(variable));
    if let Some(name) = credential {
        let folder = credentials.ok_or(
            "CREDENTIALS_DIRECTORY is not set; systemd sets it for a unit with LoadCredential= or SetCredential=",
        )?;
        return Ok(folder.join(name));
    }
    let folder = match origin {
        Origin::File { path, .. } => path.parent(),
        _ => None,
    };
    Ok(folder.map_or_else(|| PathBuf::from(text), |folder| folder.join(text)))
}

fn parse_number<T: TryFrom<u64>>(text: &str, kind: Option<Kind>) -> Result<T, String> {
    let Some(Kind::Number(min, max)) = kind else { return Err(NOT_IN_TABLE.to_owned()) };
    let number = text.trim().parse().ok().filter(|number| (min..=max).contains(number));
    number
        .and_then(|number| T::try_from(number).ok())
        .ok_or_else(|| format!("must be a whole number from {min} to {max}"))
}

fn parse_bool(text: &str) -> Result<bool, String> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err("must be true or false".to_owned()),
    }
}
