//! `staff:` the access of the staff.

use secrecy::{ExposeSecret, SecretString};

use super::keys::Key;
use super::reader::Reader;

pub(super) const KEYS: &[Key] = &[Key::single("staff.token_file")];

/// A token of fewer characters can be guessed, or was made by hand; this many of base64 are 24 random bytes.
const TOKEN_MIN_CHARS: usize = 32;

/// The staff's access.
#[derive(Debug, Clone)]
pub struct StaffConfig {
    /// The bearer token of `staff.token_file`; without one the calls for staff are off.
    pub token: Option<SecretString>,
}

impl StaffConfig {
    pub(super) fn read(reader: &mut Reader) -> Self {
        Self { token: reader.secret_file_of("staff.token_file", unfit) }
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
