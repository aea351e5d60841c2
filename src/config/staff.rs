//! `staff:` who may do what is for staff.

use secrecy::SecretString;

use super::keys::Key;
use super::reader::Reader;

pub(super) const KEYS: &[Key] = &[Key::single("staff.token_file")];

/// The staff's access.
#[derive(Debug, Clone)]
pub struct StaffConfig {
    /// The bearer token of `staff.token_file`; without one the calls for staff are off.
    pub token: Option<SecretString>,
}

impl StaffConfig {
    pub(super) fn read(reader: &mut Reader) -> Self {
        Self { token: reader.secret_file("staff.token_file") }
    }
}
