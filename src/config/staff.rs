//! `staff:` the access of the staff.

use std::collections::HashSet;

use secrecy::{ExposeSecret, SecretString};
use settings::{Faults, Reader};

use crate::domain::{PasswordHash, StaffAccess, StaffAccount, StaffRole, account_name_fault};
use crate::http::auth::TokenDigest;

/// A token of fewer characters can be guessed, or was made by hand; this many of base64 are 24 random bytes.
const TOKEN_MIN_CHARS: usize = 32;

pub(super) fn read(reader: &mut Reader) -> StaffAccess {
    let token = reader.secret_file("staff.token_file", unfit);
    // Where no files are read an empty one stands for each.
    let token = token.filter(|token| !token.expose_secret().is_empty());
    let mut names = HashSet::new();
    let accounts = reader.records(
        "staff.accounts_file",
        "accounts",
        ["name", "role", "password_hash"],
        |[name, role, hash]| account(name, role, hash, &mut names),
    );
    let token_sha256 = token.map(|token| TokenDigest::of(token.expose_secret()).bytes());
    StaffAccess { token_sha256, accounts }
}

/// An account, or every fault of its fields. `names` has those before it.
fn account(name: &str, role: &str, hash: &str, names: &mut HashSet<String>) -> Result<StaffAccount, Faults> {
    let mut faults = Faults::new();
    if let Some(fault) = account_name_fault(name) {
        faults.push(("name", fault.to_owned()));
    } else if !names.insert(name.to_owned()) {
        faults.push(("name", "another account has this name".to_owned()));
    }
    let role: Result<StaffRole, _> = role.parse().map_err(|error| faults.push(("role", format!("{error}"))));
    let password =
        PasswordHash::parse(hash).map_err(|error| faults.push(("password_hash", error.to_string())));
    match (role, password) {
        (Ok(role), Ok(password)) if faults.is_empty() => {
            Ok(StaffAccount { name: name.to_owned(), role, password })
        }
        _ => Err(faults),
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
