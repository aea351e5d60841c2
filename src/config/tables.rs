//! The file of `menu.table_tokens`: which token is on which table.

use std::path::Path;

use settings::{ConfigError, read_tree};

use crate::domain::bounds;
use crate::services::order::TableTokens;

/// A shorter one can be guessed: 16 characters of base64 are 12 random bytes.
const TOKEN_MIN_CHARS: usize = 16;
const TOKEN_MAX_CHARS: usize = 64;

/// Reads the tokens in a file. No error repeats one.
///
/// # Errors
/// Every fault, each with its line and its path.
pub(super) fn read_tables(path: &Path) -> Result<TableTokens, ConfigError> {
    read_tree(path, |root| {
        let tables = root.fields(&["tables"])?.required("tables")?;
        let mut tokens = TableTokens::default();
        for place in tables.list() {
            let Some(fields) = place.fields(&["table", "token"]) else { continue };
            let number = fields.required("table").and_then(|place| place.read(table));
            let token = fields.required("token").and_then(|place| place.read(token_of));
            if let (Some(number), Some(token)) = (number, token)
                && !tokens.insert(&token, number)
            {
                place.fault("another table has this token as well");
            }
        }
        Some(tokens)
    })
}

fn table(text: &str) -> Result<u8, String> {
    let number = text.parse().ok().filter(|number| bounds::TABLES.contains(number));
    number.ok_or_else(|| {
        format!("must be a number from {} to {}", bounds::TABLES.start(), bounds::TABLES.end())
    })
}

fn token_of(text: &str) -> Result<String, String> {
    let is_sendable = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if is_sendable && (TOKEN_MIN_CHARS..=TOKEN_MAX_CHARS).contains(&text.len()) {
        return Ok(text.to_owned());
    }
    Err(format!(
        "must be {TOKEN_MIN_CHARS} to {TOKEN_MAX_CHARS} letters, digits, - and _; `head -c 12 /dev/urandom | base64 | tr +/ -_` makes a good one"
    ))
}
