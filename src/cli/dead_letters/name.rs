//! The name of a dead letter on the command line.

use amqp::DeadLetter;
use sha2::{Digest, Sha256};

/// A message id is used as a name up to this length; RabbitMQ takes 255 bytes of anything.
const MAX_ID_BYTES: usize = 64;
/// How much of the content's SHA-256 stands in for a message id.
const FINGERPRINT_BYTES: usize = 6;

/// The name of a letter: its message id where it has one that can be typed, else a digest of its content.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LetterName {
    message_id: Option<String>,
    fingerprint: String,
}

impl LetterName {
    pub(super) fn of(letter: &DeadLetter) -> Self {
        let message_id = letter.properties.message_id.clone().filter(|id| is_name(id));
        Self { message_id, fingerprint: fingerprint(letter) }
    }

    pub(super) fn short(&self) -> &str {
        self.message_id.as_ref().unwrap_or(&self.fingerprint)
    }

    /// The form that tells letters of one message id apart. Letters that share it are the same message twice.
    pub(super) fn long(&self) -> String {
        match &self.message_id {
            Some(id) => format!("{id}~{}", self.fingerprint),
            None => self.fingerprint.clone(),
        }
    }

    /// Whether it is called so, in any form.
    pub(super) fn is(&self, wanted: &str) -> bool {
        self.message_id.as_deref() == Some(wanted) || self.fingerprint == wanted || self.long() == wanted
    }
}

/// The names in their shortest form that tells different letters apart.
pub(super) fn shortest(names: &[LetterName]) -> Vec<String> {
    let mut by_short = std::collections::HashMap::<&str, Vec<&LetterName>>::new();
    for name in names {
        by_short.entry(name.short()).or_default().push(name);
    }
    let is_shared = |name: &LetterName| by_short[name.short()].iter().any(|other| *other != name);
    names.iter().map(|name| if is_shared(name) { name.long() } else { name.short().to_owned() }).collect()
}

/// Whether an id can be typed, is no flag, and is no long form.
fn is_name(id: &str) -> bool {
    (1..=MAX_ID_BYTES).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'~')
        && !id.starts_with('-')
}

/// A short digest of the message and of where it was published. Why and when it died do not count: the same message
/// that was dead-lettered twice, by a crash in between, is the same.
fn fingerprint(letter: &DeadLetter) -> String {
    let (exchange, routing_key) = letter.origin().unwrap_or(("", &letter.routing_key));
    let queue = letter.queue().unwrap_or_default();
    let mut digest = Sha256::new();
    for text in [exchange, routing_key, queue] {
        digest.update(text.len().to_be_bytes());
        digest.update(text);
    }
    digest.update(&letter.body);
    digest.finalize().iter().take(FINGERPRINT_BYTES).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(message_id: Option<&str>, fingerprint: &str) -> LetterName {
        LetterName { message_id: message_id.map(str::to_owned), fingerprint: fingerprint.to_owned() }
    }

    #[test]
    fn letters_of_one_message_id_are_told_apart_by_their_content() {
        let names = [
            name(Some("a"), "01"),
            name(Some("b"), "02"),
            name(Some("a"), "03"),
            name(None, "04"),
            name(Some("c"), "05"),
            name(Some("c"), "05"),
        ];
        assert_eq!(shortest(&names), ["a~01", "b", "a~03", "04", "c", "c"]);
        assert!(names[0].is("a") && names[0].is("a~01") && names[0].is("01") && !names[0].is("a~03"));
    }

    #[test]
    fn a_message_id_that_cannot_be_typed_is_no_name() {
        for id in ["", "a b", "-rf", "a~b", "\u{1b}[2J", "Zoë", &"x".repeat(65)] {
            assert!(!is_name(id), "{id}");
        }
        assert!(is_name("01a20404-9b59-78f4-81f6-68de62886c7c"));
    }
}
