//! `staff:` the access of the staff.

use secrecy::{ExposeSecret, SecretString};
use settings::Reader;

use crate::http::auth::TokenDigest;

/// A token of fewer characters can be guessed, or was made by hand; this many of base64 are 24 random bytes.
const TOKEN_MIN_CHARS: usize = 32;

#[derive(Debug, Clone)]
pub struct StaffConfig {
    /// What is kept of the bearer token of `staff.token_file`; without one the calls for staff are off.
    pub token: Option<TokenDigest>,
}

impl StaffConfig {
    pub(super) fn read(reader: &mut Reader) -> Self {
        let token = reader.secret_file("staff.token_file", unfit);
        // Where no files are read an empty one stands for each.
        let token = token.filter(|token| !token.expose_secret().is_empty());
        Self { token: token.map(|token| TokenDigest::of(token.expose_secret())) }
    }
}

/// The fault of a token. It says nothing of it, not even how long it is.
fn unfit(token: &SecretString) -> Option<String> {
    let token = token.expose_secret().trim();
    if token.chars().count() < TOKEN_MIN_CHARS {
        return Some(format!(
            "holds a token of fewer than {TOKEN_MIN_CHARS} characters; `head -c 32 /dev/urandom | base64` makes a good one"
        ));
    }
    let is_sendable = token.chars().all(|c| c.is_ascii_graphic() || c == ' ');
    (!is_sendable).then(|| {
        "holds a token that no HTTP header can carry: only ASCII can; `head -c 32 /dev/urandom | base64` makes a good one"
            .to_owned()
    })
}
