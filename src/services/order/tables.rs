//! The tables, by the tokens on them.

use std::collections::HashMap;
use std::fmt;

use crate::http::auth::TokenDigest;

/// The number of each table, by the SHA-256 of its tokens.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct TableTokens(HashMap<[u8; 32], u8>);

impl TableTokens {
    /// Says whether no table has had it.
    pub fn insert(&mut self, token: &str, table: u8) -> bool {
        self.0.insert(TokenDigest::of(token).bytes(), table).is_none()
    }

    /// The number of the table with this token on it.
    pub fn table(&self, token: &str) -> Option<u8> {
        self.0.get(&TokenDigest::of(token).bytes()).copied()
    }
}

impl fmt::Debug for TableTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TableTokens({})", self.0.len())
    }
}
