//! The problems of a configuration, each with its key and the place where it was written.

use std::fmt;
use std::path::{Path, PathBuf};

/// Where a setting came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A line of the configuration file; no line when the file as a whole is meant.
    File {
        /// The file as it was named to us.
        path: PathBuf,
        /// The line, counted from 1.
        line: Option<usize>,
    },
    /// An environment variable of this name.
    Environment(String),
    /// A command-line flag of this name, with its dashes.
    Flag(String),
    /// Nobody: the built-in default.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line: Some(line) } => write!(f, "{}:{line}", path.display()),
            Self::File { path, line: None } => write!(f, "{}", path.display()),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::Flag(name) => f.write_str(name),
            Self::Default => f.write_str("built-in default"),
        }
    }
}

/// One thing that is wrong; prints as one line, `config.yaml:3: database.prot: unknown key (did you mean "port"?)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Where it was written.
    pub origin: Origin,
    /// The full path of the key (`database.port`), where one is concerned.
    pub key: Option<String>,
    /// The fault and what is expected; never holds the value of a password.
    pub message: String,
}

impl Diagnostic {
    pub(crate) fn new(origin: Origin, key: Option<&str>, message: impl Into<String>) -> Self {
        Self { origin, key: key.map(str::to_owned), message: message.into() }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.key {
            Some(key) => write!(f, "{}: {key}: {}", self.origin, self.message),
            None => write!(f, "{}: {}", self.origin, self.message),
        }
    }
}

/// Further problems are the same mistake again, or another file.
const MAX_SHOWN: usize = 50;

/// An unusable configuration (exit code 78). Prints one line per problem, and of many the first; there is at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    first: Diagnostic,
    rest: Vec<Diagnostic>,
}

impl ConfigError {
    /// The error for these problems, or `None` where there are none.
    pub(crate) fn from_problems(mut problems: Vec<Diagnostic>) -> Option<Self> {
        problems.sort_by_key(|problem| match problem.origin {
            Origin::File { line, .. } => line.unwrap_or(0),
            _ => usize::MAX,
        });
        let mut problems = problems.into_iter();
        let first = problems.next()?;
        Some(Self { first, rest: problems.collect() })
    }

    /// The key of the first problem.
    pub fn key(&self) -> Option<&str> {
        self.first.key.as_deref()
    }

    /// The file of the first problem, when it is in a file.
    pub fn file(&self) -> Option<&Path> {
        match &self.first.origin {
            Origin::File { path, .. } => Some(path),
            _ => None,
        }
    }

    /// The line of the first problem, counted from 1.
    pub fn line(&self) -> Option<usize> {
        match self.first.origin {
            Origin::File { line, .. } => line,
            _ => None,
        }
    }
}

impl From<Diagnostic> for ConfigError {
    fn from(first: Diagnostic) -> Self {
        Self { first, rest: Vec::new() }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.first)?;
        let shown = self.rest.iter().take(MAX_SHOWN - 1);
        let more = self.rest.len() - shown.len();
        shown.into_iter().try_for_each(|problem| write!(f, "\n{problem}"))?;
        if more > 0 { write!(f, "\nand {more} problems more") } else { Ok(()) }
    }
}

impl std::error::Error for ConfigError {}
