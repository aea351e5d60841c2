//! Passwords of the staff, as argon2id hashes.

use std::fmt;
use std::ops::RangeInclusive;

use argon2::password_hash::{PasswordHasher, PasswordVerifier, phc};
use argon2::{Argon2, Params};

/// Memory of one hash in KiB: from the least that OWASP recommends to what a service can spare. A new hash takes 19 MiB and two
/// passes, which is OWASP's first choice and the crate's default.
const MEMORY_KIB: RangeInclusive<u32> = 7_168..=131_072;
/// Passes over that memory: more would keep a login waiting for seconds.
const PASSES: RangeInclusive<u32> = 1..=10;
const LANES: RangeInclusive<u32> = 1..=8;
/// A hash that is shorter can be met by chance.
const HASH_MIN_BYTES: usize = 16;

/// A password as it is kept: what it is can be checked, and not found out. Checking takes some 20 ms on purpose.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

/// The text is no hash that can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be an argon2id hash as `restaurant-system staff hash` prints it")]
pub struct UnusableHash;

impl PasswordHash {
    /// Of a password, with a salt that no other hash has.
    ///
    /// # Errors
    /// Where the password cannot be hashed, because it has more than 4 GiB.
    pub fn new(password: &str, salt: [u8; 16]) -> Result<Self, UnusableHash> {
        let hash = Argon2::default().hash_password_with_salt(password.as_bytes(), &salt);
        hash.map(|hash| Self(hash.to_string())).map_err(|_| UnusableHash)
    }

    /// Reads the text of a hash (`$argon2id$v=19$m=19456,t=2,p=1$…`).
    ///
    /// # Errors
    /// It is another text, of another algorithm, or costs too little or too much.
    pub fn parse(text: &str) -> Result<Self, UnusableHash> {
        let hash = phc::PasswordHash::new(text).map_err(|_| UnusableHash)?;
        let params = Params::try_from(&hash).map_err(|_| UnusableHash)?;
        let is_usable = hash.algorithm.as_str() == "argon2id"
            && hash.version == Some(19)
            && hash.salt.is_some()
            && hash.hash.is_some_and(|hash| hash.len() >= HASH_MIN_BYTES)
            && MEMORY_KIB.contains(&params.m_cost())
            && PASSES.contains(&params.t_cost())
            && LANES.contains(&params.p_cost());
        if is_usable { Ok(Self(text.to_owned())) } else { Err(UnusableHash) }
    }

    /// Whether it is that of this password. It takes the same time for any.
    pub fn is_of(&self, password: &str) -> bool {
        Argon2::default().verify_password(password.as_bytes(), self.0.as_str()).is_ok()
    }

    /// The text, which is for its file alone.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_of_its_password_alone() {
        let hash = PasswordHash::new("pässword", [7; 16]).unwrap();
        assert!(hash.as_str().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash.as_str());
        assert_eq!(PasswordHash::parse(hash.as_str()), Ok(hash.clone()));
        assert!(hash.is_of("pässword"));
        for wrong in ["", "passwort", "pässword ", "Pässword"] {
            assert!(!hash.is_of(wrong), "{wrong:?}");
        }
        assert_eq!(format!("{hash:?}"), "PasswordHash");
    }

    #[test]
    fn what_is_no_hash_or_costs_too_little_or_too_much_is_refused() {
        let hash = PasswordHash::new("x", [7; 16]).unwrap();
        let other = |from: &str, to: &str| hash.as_str().replace(from, to);
        for text in [
            String::new(),
            "secret".to_owned(),
            other("argon2id", "argon2i"),
            other("argon2id", "scrypt"),
            other("v=19", "v=16"),
            other("m=19456", "m=4096"),
            other("m=19456", "m=4000000"),
            other("t=2", "t=1000"),
            other("p=1", "p=100"),
            hash.as_str()[..hash.as_str().rfind('$').unwrap()].to_owned(),
        ] {
            assert_eq!(PasswordHash::parse(&text), Err(UnusableHash), "{text}");
        }
    }
}
