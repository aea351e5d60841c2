#![doc = include_str!("../README.md")]

mod error;
mod files;
mod host;
mod reader;
mod records;
mod source;
mod table;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
mod tree;
mod yaml;

pub use error::{ConfigError, Diagnostic, Origin};
pub use files::{read_bounded, read_secret};
pub use host::HostPort;
pub use reader::Reader;
pub use records::Faults;
pub use source::ConfigSources;
pub use table::{Key, Kind, Table};
pub use tree::{Fields, Place, read_tree};
