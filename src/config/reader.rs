//! Typed access to the layered settings. Every problem is noted with its key and place, and the default stands in
//! for the value, so that one run reports all of them.
//!
//! No message repeats a value: under a wrong key it may be a password.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use secrecy::{SecretString, zeroize::Zeroizing};

use super::error::{Origin, Problem};
use super::host::HostPort;
use super::secret;
use super::source::{Found, Layers, Setting};
use crate::runtime::tls::{self, TlsOptions};

/// The longest time that may be configured, in seconds: a day.
const MAX_SECONDS: f64 = 86_400.0;

pub(super) struct Reader {
    layers: Layers,
    problems: Vec<Problem>,
    /// Settings that can be used, and should not be as they are.
    warnings: Vec<Problem>,
}

impl Reader {
    pub(super) fn new(layers: Layers, problems: Vec<Problem>) -> Self {
        Self { layers, problems, warnings: Vec::new() }
    }

    /// All problems, and all settings that are only doubtful.
    pub(super) fn into_problems_and_warnings(self) -> (Vec<Problem>, Vec<Problem>) {
        (self.problems, self.warnings)
    }

    /// Notes a secret that everybody on this machine can read.
    fn warn_of_readers(&mut self, key: &str, origin: Origin, file: &Path) {
        let message = format!("others may read the secret in {0}: `chmod o-r {0}`", file.display());
        self.warnings.push(Problem { origin, key: Some(key.to_owned()), message });
    }

    /// Notes what is doubtful about the first of these keys that is given.
    pub(super) fn warn(&mut self, keys: &[&str], message: &str) {
        if let Some((key, found)) = self.layers.strongest(keys).first() {
            let (key, origin) = (Some((*key).to_owned()), found.origin.clone());
            self.warnings.push(Problem { origin, key, message: message.to_owned() });
        }
    }

    fn problem(&mut self, key: &str, origin: Origin, message: impl Into<String>) {
        self.problems.push(Problem { origin, key: Some(key.to_owned()), message: message.into() });
    }

    /// The strongest text of this key and where it stands.
    fn found(&self, key: &str) -> Option<(Zeroizing<String>, Origin)> {
        self.layers.strongest(&[key]).first().and_then(|(_, found)| text_of(found))
    }

    /// The text of `key` made into a value by `parse`, whose error text says what is expected.
    fn parsed<T>(&mut self, key: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let (text, origin) = self.found(key)?;
        match parse(&text) {
            Ok(value) => Some(value),
            Err(message) => {
                self.problem(key, origin, message);
                None
            }
        }
    }

    /// A text of 1 to 255 bytes (AMQP's limit for a name) that is not blank and has no control characters.
    pub(super) fn text(&mut self, key: &str) -> Option<String> {
        self.parsed(key, |text| match text {
            _ if text.trim().is_empty() => Err("must not be empty".to_owned()),
            _ if text.len() > 255 => Err("must not be longer than 255 bytes".to_owned()),
            _ if text.chars().any(char::is_control) => Err("must not contain control characters".to_owned()),
            _ => Ok(text.to_owned()),
        })
    }

    /// A whole number within `range`.
    pub(super) fn number<T>(&mut self, key: &str, range: RangeInclusive<T>) -> Option<T>
    where
        T: FromStr + PartialOrd + Display,
    {
        self.parsed(key, |text| {
            let number = text.trim().parse::<T>().ok().filter(|number| range.contains(number));
            number.ok_or_else(|| format!("must be a whole number from {} to {}", range.start(), range.end()))
        })
    }

    /// A time in seconds, decimals allowed, from `min_seconds` to a day.
    pub(super) fn seconds(&mut self, key: &str, min_seconds: f64) -> Option<Duration> {
        self.parsed(key, |text| {
            let seconds = text.trim().parse::<f64>().ok();
            let seconds = seconds.filter(|seconds| (min_seconds..=MAX_SECONDS).contains(seconds));
            seconds
                .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
                .ok_or_else(|| format!("must be a number of seconds from {min_seconds} to {MAX_SECONDS}"))
        })
    }

    /// The address of an HTTP API, `http://host:port`, without a slash at its end. What is encrypted is not asked: the
    /// program's HTTP client has no TLS. The error does not repeat the text, which might have a password in it.
    pub(super) fn http_url(&mut self, key: &str, default_port: u16) -> Option<String> {
        self.parsed(key, |text| {
            let host = text.trim().strip_prefix("http://").map(|rest| rest.trim_end_matches('/'));
            let host = host.and_then(|host| HostPort::parse_network(host, default_port).ok());
            host.map(|host| format!("http://{host}"))
                .ok_or_else(|| "must be http://host:port, without a user, a path or a query".to_owned())
        })
    }

    /// On or off.
    pub(super) fn switch(&mut self, key: &str) -> Option<bool> {
        self.parsed(key, parse_bool)
    }

    /// One of a few words.
    pub(super) fn one_of<T: Copy>(&mut self, key: &str, words: &[(impl AsRef<str>, T)]) -> Option<T> {
        self.parsed(key, |text| {
            let value = words.iter().find(|(word, _)| word.as_ref() == text.trim()).map(|(_, value)| *value);
            value.ok_or_else(|| {
                let words: Vec<_> = words.iter().map(|(word, _)| word.as_ref()).collect();
                format!("must be {}", words.join(" or "))
            })
        })
    }

    /// The hosts of a server, in the order in which they are tried, each made by `parse`.
    pub(super) fn hosts(
        &mut self,
        key: &str,
        parse: impl Fn(&str) -> Result<HostPort, String>,
    ) -> Option<Vec<HostPort>> {
        let items = match self.layers.strongest(&[key]).first()? {
            (_, Found { setting: Setting::List(items), .. }) if !items.is_empty() => items.clone(),
            (_, Found { origin, .. }) => {
                let origin = origin.clone();
                self.problem(key, origin, "must name at least one host");
                return None;
            }
        };
        let mut hosts = Vec::with_capacity(items.len());
        for (text, origin) in items {
            match parse(&text) {
                Ok(host) => hosts.push(host),
                Err(message) => self.problem(key, origin, message),
            }
        }
        Some(hosts)
    }

    /// A list of values that may have none.
    pub(super) fn items<T>(&mut self, key: &str, parse: impl Fn(&str) -> Result<T, String>) -> Vec<T> {
        let items = match self.layers.strongest(&[key]).first() {
            Some((_, Found { setting: Setting::List(items), .. })) => items.clone(),
            _ => Vec::new(),
        };
        let mut values = Vec::with_capacity(items.len());
        for (text, origin) in items.into_iter().filter(|(text, _)| !text.trim().is_empty()) {
            match parse(text.trim()) {
                Ok(value) => values.push(value),
                Err(message) => self.problem(key, origin, message),
            }
        }
        values
    }

    /// TLS as `section.tls: true` or `section.tls: {enabled, ca_file}`; a `ca_file` alone turns it on.
    pub(super) fn tls(&mut self, section: &str) -> Option<TlsOptions> {
        let short = format!("{section}.tls");
        let long = format!("{section}.tls.enabled");
        let ca_key = format!("{section}.tls.ca_file");
        let key = self.layers.strongest(&[&long, &short]).first().map(|(key, _)| *key);
        let enabled = key.and_then(|key| self.parsed(key, parse_bool));
        let ca_file = self.path(&ca_key);
        if !enabled.unwrap_or(ca_file.is_some()) {
            return None;
        }
        if let Some((path, origin)) = &ca_file
            && !self.layers.without_files
            && let Err(error) = tls::authorities(path)
        {
            self.problem(&ca_key, origin.clone(), error.to_string());
        }
        Some(TlsOptions { ca_file: ca_file.map(|(path, _)| path) })
    }

    /// The password of `section`: `password` or the content of `password_file`, whichever the strongest source has.
    pub(super) fn password(&mut self, section: &str) -> Option<SecretString> {
        let plain_key = format!("{section}.password");
        let file_key = format!("{section}.password_file");
        let given: Vec<&str> =
            self.layers.strongest(&[&plain_key, &file_key]).into_iter().map(|(key, _)| key).collect();
        match given[..] {
            [] => None,
            [only] if only == file_key => self.secret_file(&file_key),
            [_] => {
                self.look_for_readers(&plain_key);
                let password = self.parsed(&plain_key, |text| match text {
                    _ if text.contains('\0') => Err("must not contain a NUL character".to_owned()),
                    _ => Ok(text.to_owned()),
                });
                password.map(SecretString::from)
            }
            _ => {
                if let Some((_, origin)) = self.found(&file_key) {
                    self.problem(&file_key, origin, "password and password_file can't both be given");
                }
                None
            }
        }
    }

    /// Notes a password that stands in a configuration file which others may read.
    fn look_for_readers(&mut self, key: &str) {
        if let Some((_, Origin::File { path, line })) = self.found(key)
            && !self.layers.without_files
            && path.metadata().is_ok_and(|meta| secret::others_may_read(&meta))
        {
            self.warn_of_readers(key, Origin::File { path: path.clone(), line }, &path);
        }
    }

    /// The content of the file that `key` names, which must not be empty.
    pub(super) fn secret_file(&mut self, key: &str) -> Option<SecretString> {
        self.secret_file_of(key, |_| None)
    }

    /// The same, of a content with which nothing is wrong: `unfit` says what is, as what the file does or holds.
    pub(super) fn secret_file_of(
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
        match secret::read_file(&path).and_then(fit) {
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

    /// The path that `key` names: relative to the file in which it stands, `$CREDENTIALS_DIRECTORY` filled in.
    fn path(&mut self, key: &str) -> Option<(PathBuf, Origin)> {
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

fn text_of(found: &Found) -> Option<(Zeroizing<String>, Origin)> {
    match &found.setting {
        Setting::Text(text) => Some((text.clone(), found.origin.clone())),
        Setting::List(_) => None,
    }
}

fn resolve(text: &str, origin: &Origin, credentials: Option<&Path>) -> Result<PathBuf, String> {
    if text.trim().is_empty() {
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

fn parse_bool(text: &str) -> Result<bool, String> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err("must be true or false".to_owned()),
    }
}
