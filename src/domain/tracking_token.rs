//! The secret by which a customer is known at their order.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq;

/// An order's token: its holder sees what was ordered, and may cancel it. Nobody guesses 128 random bits.
#[derive(Clone, Copy, Eq)]
pub struct TrackingToken([u8; Self::BYTES]);

impl TrackingToken {
    pub const BYTES: usize = 16;

    pub fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// Of the text that a customer has; `None` of what is no token's.
    pub fn parse(text: &str) -> Option<Self> {
        URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok().map(Self)
    }

    pub fn bytes(self) -> [u8; Self::BYTES] {
        self.0
    }

    /// The text for its customer, who alone may see it: 22 characters.
    pub fn reveal(self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }
}

/// It takes the same time for any two.
impl PartialEq for TrackingToken {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl std::fmt::Debug for TrackingToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TrackingToken")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_one_text_of_22_characters() {
        let token = TrackingToken::from_bytes([0xfb; TrackingToken::BYTES]);
        assert_eq!(token.reveal(), "-_v7-_v7-_v7-_v7-_v7-w");
        assert_eq!(TrackingToken::parse(&token.reveal()), Some(token));
        let others = [
            "",
            "-_v7-_v7-_v7-_v7-_v7-x",
            "-_v7-_v7-_v7-_v7-_v7-",
            "+/v7-_v7-_v7-_v7-_v7-w",
            "-_v7-_v7-_v7-_v7-_v7-w==",
        ];
        for other in others {
            assert_eq!(TrackingToken::parse(other), None, "{other}");
        }
    }

    #[test]
    fn no_message_shows_a_token() {
        assert_eq!(format!("{:?}", TrackingToken::from_bytes([7; TrackingToken::BYTES])), "TrackingToken");
    }
}
