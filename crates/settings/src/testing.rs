//! What tests of a program's configuration share, behind the feature `testing`.
#![allow(clippy::unwrap_used, reason = "a test ends where its folder cannot be written")]

use std::marker::PhantomData;

use tempfile::TempDir;

use crate::error::ConfigError;
use crate::source::ConfigSources;

/// A configuration that is read from its sources.
pub trait FromSources: Sized {
    /// The configuration, or every problem of it.
    fn from_sources(sources: &ConfigSources) -> Result<Self, ConfigError>;
}

/// A folder with a `config.yaml` of some content, and the sources that name it.
#[derive(Debug)]
pub struct Case<C> {
    /// Removed when this is dropped.
    pub folder: TempDir,
    /// The file, with an environment that is empty at first.
    pub sources: ConfigSources,
    config: PhantomData<C>,
}

impl<C: FromSources> Case<C> {
    /// With this content.
    pub fn new(content: impl AsRef<[u8]>) -> Self {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("config.yaml");
        std::fs::write(&file, content).unwrap();
        Self { folder, sources: ConfigSources::default().with_file(file), config: PhantomData }
    }

    /// The same with a variable of the environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.sources.env.push((name.into(), value.into()));
        self
    }

    /// The same with another file beside it.
    #[must_use]
    pub fn file(self, name: &str, content: &str) -> Self {
        std::fs::write(self.folder.path().join(name), content).unwrap();
        self
    }

    /// [`FromSources::from_sources`].
    pub fn load(&self) -> Result<C, ConfigError> {
        C::from_sources(&self.sources)
    }

    /// The text of the problems, with the files by their names alone; of a configuration without any an empty one.
    pub fn error(&self) -> String {
        let folder = format!("{}/", self.folder.path().display());
        self.load().err().map(|error| error.to_string().replace(&folder, "")).unwrap_or_default()
    }
}
