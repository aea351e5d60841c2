//! Strict reading of JSON objects, one level at a time.
//!
//! A caller gets the members in their order, each value as its exact text (so that `9.990` is not a binary fraction
//! before anybody has looked at it), and can name every unknown member at once. What JSON leaves open, a member that is
//! there twice, is an error.

use std::{borrow::Cow, fmt};

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::{error::Category, value::RawValue};

use super::problem::{FieldError, Problem};
use super::shown::cut;

/// An object with more members than this is refused: nothing that is read here has a tenth of it, and looking for
/// repeated ones stays cheap.
pub const MEMBERS_MAX: usize = 100;

/// So much of a member's name is repeated in a sentence.
const NAME_MAX_CHARS: usize = 64;

/// The members of one JSON object, in their order.
#[derive(Debug)]
pub struct Members<'a>(pub Vec<(Cow<'a, str>, &'a RawValue)>);

/// Why a text is not a JSON object as it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MembersError {
    /// Not JSON at all.
    #[error("the JSON is malformed at line {line}, column {column}: {reason}")]
    Malformed {
        /// Counted from 1.
        line: usize,
        /// Counted in bytes from 1; 0 is the end of the line before.
        column: usize,
        /// What the parser says.
        reason: String,
    },
    /// JSON, but something else than an object.
    #[error("must be a JSON object")]
    NotAnObject,
    /// Which of two is meant?
    #[error("the field {:?} is there more than once", cut(.key, NAME_MAX_CHARS))]
    Duplicate {
        /// The name of the member.
        key: String,
    },
    /// More than [`MEMBERS_MAX`].
    #[error("an object may have {MEMBERS_MAX} members at most")]
    TooMany,
}

impl From<MembersError> for Problem {
    /// As the error of a whole body; within one, the caller knows the pointer.
    fn from(error: MembersError) -> Self {
        match &error {
            MembersError::NotAnObject => Problem::bad_request("the body must be a JSON object"),
            MembersError::Duplicate { key } => {
                let errors = vec![FieldError::new(pointer("", key), "is there more than once")];
                Problem::bad_request(error.to_string()).errors(errors)
            }
            MembersError::Malformed { .. } | MembersError::TooMany => Problem::bad_request(error.to_string()),
        }
    }
}

impl<'a> Members<'a> {
    /// Reads a whole body.
    ///
    /// # Errors
    /// As [`MembersError`]; bytes that are not UTF-8 are malformed at the first of them.
    pub fn read(body: &'a [u8]) -> Result<Self, MembersError> {
        match std::str::from_utf8(body) {
            Ok(text) => Self::parse(text),
            Err(error) => {
                let before = &body[..error.valid_up_to()];
                let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
                let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
                Err(MembersError::Malformed { line, column, reason: "the text is not UTF-8".to_owned() })
            }
        }
    }

    /// Reads the text of an object, for instance that of a member's value.
    ///
    /// # Errors
    /// As [`MembersError`].
    pub fn parse(text: &'a str) -> Result<Self, MembersError> {
        let found: Found<'a> = serde_json::from_str(text).map_err(|error| match error.classify() {
            Category::Data => MembersError::NotAnObject,
            Category::Syntax | Category::Eof | Category::Io => malformed(&error),
        })?;
        match found {
            Found::Members(members) => Ok(Self(members)),
            Found::Duplicate(key) => Err(MembersError::Duplicate { key }),
            Found::TooMany => Err(MembersError::TooMany),
        }
    }

    /// The exact text of a member's value, `None` where it is absent.
    pub fn get(&self, key: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| *value)
    }

    /// The JSON pointers, below `base`, of the members that are not in `known`.
    pub fn unknown(&self, base: &str, known: &[&str]) -> Vec<String> {
        let unknown = self.0.iter().filter(|(name, _)| !known.contains(&name.as_ref()));
        unknown.map(|(name, _)| pointer(base, name)).collect()
    }
}

/// The exact texts of the elements of a JSON array; `None` where the value is something else.
pub fn elements(value: &RawValue) -> Option<Vec<&RawValue>> {
    serde_json::from_str(value.get()).ok()
}

/// The JSON pointer (RFC 6901) of `key` below `base`.
pub fn pointer(base: &str, key: &str) -> String {
    format!("{base}/{}", key.replace('~', "~0").replace('/', "~1"))
}

fn malformed(error: &serde_json::Error) -> MembersError {
    let text = error.to_string();
    let reason = text.split(" at line ").next().unwrap_or_default().to_owned();
    MembersError::Malformed { line: error.line(), column: error.column(), reason }
}

/// What the visitor saw; the whole text is read in any case, so that malformed JSON is reported before anything else.
enum Found<'a> {
    Members(Vec<(Cow<'a, str>, &'a RawValue)>),
    Duplicate(String),
    TooMany,
}

impl<'de> Deserialize<'de> for Found<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Found<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Found<'de>, A::Error> {
        let mut members: Vec<(Cow<'de, str>, &'de RawValue)> = Vec::with_capacity(8);
        let mut duplicate = None;
        let mut count = 0_usize;
        while let Some(Key(key)) = map.next_key()? {
            let value = map.next_value()?;
            count += 1;
            if count > MEMBERS_MAX {
                continue;
            }
            if duplicate.is_none() && members.iter().any(|(name, _)| *name == key) {
                duplicate = Some(key.clone().into_owned());
            }
            members.push((key, value));
        }
        Ok(match duplicate {
            _ if count > MEMBERS_MAX => Found::TooMany,
            Some(key) => Found::Duplicate(key),
            None => Found::Members(members),
        })
    }
}

/// A member's name, borrowed unless it has escapes.
struct Key<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }
            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(name)))
            }
            fn visit_str<E>(self, name: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(name.to_owned())))
            }
        }
        deserializer.deserialize_str(KeyVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn malformed_at(body: &[u8]) -> (usize, usize) {
        match Members::read(body).unwrap_err() {
            MembersError::Malformed { line, column, .. } => (line, column),
            other => panic!("{other:?} for {:?}", String::from_utf8_lossy(body)),
        }
    }

    #[test]
    fn members_keep_their_order_and_their_exact_text() {
        let members = Members::read(br#"{"b": 9.990, "a\u0062": [1, 2], "c": null}"#).unwrap();
        let texts: Vec<_> = members.0.iter().map(|(name, value)| (name.as_ref(), value.get())).collect();
        assert_eq!(texts, [("b", "9.990"), ("ab", "[1, 2]"), ("c", "null")]);
        assert_eq!(members.get("b").unwrap().get(), "9.990");
        assert!(members.get("d").is_none());
        assert_eq!(elements(members.get("ab").unwrap()).unwrap()[1].get(), "2");
        assert!(elements(members.get("b").unwrap()).is_none());
    }

    #[test]
    fn malformed_json_is_located() {
        assert_eq!(malformed_at(b"{"), (1, 1));
        assert_eq!(malformed_at(b"{\"a\": 1,\n  oops}"), (2, 3));
        assert_eq!(malformed_at(b""), (1, 0));
        assert_eq!(malformed_at(b"{\"a\": \"\xff\"}"), (1, 8));
        assert_eq!(malformed_at(b"{}\n{}"), (2, 1));
        assert_eq!(malformed_at(b"{} garbage"), (1, 4));
        assert_eq!(malformed_at(b"{\"a\": \"x\0y\"}"), (1, 8));
        assert_eq!(malformed_at(b"\xef\xbb\xbf{}"), (1, 1));
        for bad in
            ["{\"a\": 01}", "{\"a\": NaN}", "{'a': 1}", "{\"a\": 1,}", "{\"a\": \"\\x\"}", "nul", "{\"a\" 1}"]
        {
            malformed_at(bad.as_bytes());
        }
    }

    #[test]
    fn anything_but_an_object_is_refused() {
        for other in ["[]", "1", "\"x\"", "null", "true"] {
            assert_eq!(Members::parse(other).unwrap_err(), MembersError::NotAnObject, "{other}");
        }
    }

    #[test]
    fn a_repeated_member_is_named_even_when_it_is_spelt_with_escapes() {
        let error = Members::parse(r#"{"name": 1, "x": 2, "n\u0061me": 3}"#).unwrap_err();
        assert_eq!(error, MembersError::Duplicate { key: "name".to_owned() });
        let problem = Problem::from(error);
        assert_eq!((problem.status().as_u16(), problem.field_errors()[0].pointer.as_str()), (400, "/name"));
    }

    #[test]
    fn an_object_with_too_many_members_is_refused_quickly() {
        let body: Vec<_> = (0..10_000).map(|n| format!("\"{n}\":0")).collect();
        let text = format!("{{{}}}", body.join(","));
        assert_eq!(Members::parse(&text).unwrap_err(), MembersError::TooMany);
    }

    #[test]
    fn deep_nesting_does_not_exhaust_the_stack() {
        let text = format!("{{\"a\": {}{}}}", "[".repeat(30_000), "]".repeat(30_000));
        assert_eq!(Members::parse(&text).unwrap().0.len(), 1);
    }

    #[test]
    fn unknown_members_are_all_named_by_pointer() {
        let members = Members::parse(r#"{"a": 1, "b/c": 2, "~": 3}"#).unwrap();
        assert_eq!(members.unknown("/items/0", &["a"]), ["/items/0/b~1c", "/items/0/~0"]);
    }
}
